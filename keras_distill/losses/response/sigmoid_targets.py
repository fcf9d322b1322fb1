"""Soft targets for independent labels."""

import dataclasses
from typing import Any

import keras
from keras import ops

from keras_distill.losses import schedule
from keras_distill.losses.argument_types import LayerNames, Number, OutputNames
from keras_distill.losses.context import LossContext
from keras_distill.losses.response.response_loss import ResponseLoss, checked_temperature
from keras_distill.losses.tensors import as_floats


def sigmoid_targets(teacher_logits, student_logits, temperature=1.0):
    """Kullback-Leibler divergence of independent labels, summed over them, times T².

    Args:
        teacher_logits: Tensor of shape `(batch, ..., labels)`.
        student_logits: Tensor of the same shape.
        temperature: T.

    Returns:
        Tensor of shape `(batch, ...)`.
    """
    sides = as_floats(teacher_logits, student_logits)
    temperature = ops.cast(temperature, sides[1].dtype)
    teacher, student = (side / temperature for side in sides)
    on = ops.sigmoid(teacher) * (ops.log_sigmoid(teacher) - ops.log_sigmoid(student))
    off = ops.sigmoid(-teacher) * (ops.log_sigmoid(-teacher) - ops.log_sigmoid(-student))
    return ops.square(temperature) * ops.sum(on + off, axis=-1)


@keras.saving.register_keras_serializable("keras_distill")
class SigmoidTargets(ResponseLoss):
    """Soft targets for multi-label and binary classifiers: the sum of a KL per label.

    T² times the Kullback-Leibler divergence of sigmoid(z / T), summed over the labels, as the
    labels are independent. Keras's binary cross-entropy is a mean over the labels: divide the
    weight by their number to keep the two on the same scale. It costs next to nothing.

    Args:
        temperature: T, positive number or `keras.optimizers.schedules.LearningRateSchedule`.
        from_logits: `True`, `False`, or `"auto"` to recognize a model that ends in sigmoid.
        teacher_layer_name: Path of the teacher's layer that outputs logits, or `None` for the
            teacher's output. Shape `(batch, labels)`, or `(batch, length, labels)`: then the mean
            over the unmasked positions is taken.
        student_layer_name: The same for the student.
        name: Name of the loss in the training history.
        outputs: Which outputs of models with several take part: a name, a position, or a list of
            them; by default all.

    Raises:
        TypeError: If `temperature` is neither a number nor a schedule.
        ValueError: If `temperature` isn't positive, or if a model ends in softmax.

    Example:

    ```python
    teacher, student = np.array([[2.0, -1.0]]), np.array([[1.0, 1.0]])
    assert SigmoidTargets().compute_loss(teacher, student) > 0
    ```

    Reference:
        Hinton, Vinyals, Dean, "Distilling the Knowledge in a Neural Network", 2015, in the form
        for independent labels.
    """

    def __init__(
        self,
        temperature: Number = 1.0,
        from_logits: bool | str = "auto",
        teacher_layer_name: LayerNames = None,
        student_layer_name: LayerNames = None,
        name: str | None = None,
        outputs: OutputNames = None,
    ):
        super().__init__(from_logits, teacher_layer_name, student_layer_name, name, outputs)
        self.temperature = checked_temperature(temperature)

    def check_activations(self, teacher_activation: Any, student_activation: Any) -> None:
        """Checks that neither output is a distribution over exclusive classes."""
        taps_output = self.teacher_layer_name is None and self.student_layer_name is None
        if taps_output and "softmax" in (teacher_activation, student_activation):
            raise ValueError(
                "SigmoidTargets compares independent labels, but a model ends in softmax. "
                f"Teacher: {teacher_activation}, Student: {student_activation}. Use SoftTargets."
            )

    def call(self, teacher: Any, student: Any, context: LossContext) -> Any:
        """Sums the divergences of the outputs, taking probabilities for those of a sigmoid."""
        if self.from_logits is False:
            context = dataclasses.replace(
                context, teacher_activation="sigmoid", student_activation="sigmoid"
            )
        return super().call(teacher, student, context)

    def compare(self, teacher_logits: Any, student_logits: Any, context: LossContext) -> Any:
        """Computes T² times the sum of the labels' divergences."""
        temperature = schedule.value_at(self.temperature, context.step)
        return sigmoid_targets(teacher_logits, student_logits, temperature)
