"""Transformed teacher matching."""

from typing import Any

import keras
from keras import ops

from keras_distill.losses import schedule
from keras_distill.losses.argument_types import LayerNames, Number, OutputNames
from keras_distill.losses.context import LossContext
from keras_distill.losses.response.response_loss import ExclusiveClassesLoss, checked_temperature
from keras_distill.losses.tensors import as_floats


def transformed_teacher(teacher_logits, student_logits, temperature=10.0, weighted=True):
    """KL of the teacher's softened distribution from the student's own, which isn't softened.

    Args:
        teacher_logits: Tensor of shape `(batch, ..., classes)`.
        student_logits: Tensor of the same shape.
        temperature: T of the teacher.
        weighted: Whether each sample is weighed by the sum of the teacher's probabilities to the
            power of 1/T: from 1 where it is certain, to C^(1 - 1/T) where it knows nothing.

    Returns:
        Tensor of shape `(batch, ...)`.

    Reference:
        Zheng & Yang, "Knowledge Distillation Based on Transformed Teacher Matching", ICLR 2024.
    """
    teacher_logits, student_logits = as_floats(teacher_logits, student_logits)
    temperature = ops.cast(temperature, student_logits.dtype)
    powers = ops.log_softmax(teacher_logits, axis=-1) / temperature
    log_sum = ops.logsumexp(powers, axis=-1, keepdims=True)
    log_t, log_s = powers - log_sum, ops.log_softmax(student_logits, axis=-1)
    divergence = ops.sum(ops.exp(log_t) * (log_t - log_s), axis=-1)
    return divergence * ops.exp(log_sum[..., 0]) if weighted else divergence


@keras.saving.register_keras_serializable("keras_distill")
class TransformedTeacher(ExclusiveClassesLoss):
    """KL of the teacher's softened distribution from the student's, which isn't softened.

    The loss is w · KL(softmax(z_t / T) ‖ softmax(z_s)), without T². Beside soft targets on both
    sides it holds back a student that is too certain: the difference is a Rényi entropy. With
    `weighted=True` (WTTM) w is the sum of the teacher's probabilities to the power of 1/T, so that
    samples count more on which the teacher is in doubt; with `weighted=False` (TTM) it is 1.

    The paper writes the exponent γ = 1/T, and chooses it, and the weight beside the labels' 1, by
    the pair of models: the authors' examples for CIFAR-100 have γ = 0.1 with weight 45 for TTM,
    and γ = 0.2 with weight 4 for WTTM beside CRD. It costs two softmaxes over the classes. It
    isn't zero at the teacher, unless T is 1.

    Args:
        temperature: T of the teacher, positive number or
            `keras.optimizers.schedules.LearningRateSchedule`.
        weighted: Whether samples are weighed by the teacher's doubt.
        from_logits: `True`, `False`, or `"auto"` to recognize a model that ends in softmax.
        teacher_layer_name: Path of the teacher's layer that outputs logits, or `None` for the
            teacher's output. Shape `(batch, classes)`, or `(batch, length, classes)`:
            then the mean over the unmasked positions is taken.
        student_layer_name: The same for the student.
        name: Name of the loss in the training history.
        outputs: Which outputs of models with several take part: a name, a position, or a list of
            them; by default all.

    Raises:
        TypeError: If `temperature` is neither a number nor a schedule, or `weighted` neither
            `True` nor `False`.
        ValueError: If `temperature` isn't positive.

    Example:

    ```python
    loss = TransformedTeacher(temperature=5.0)
    value = loss.compute_loss(np.array([[2.0, 0.0, 1.0]]), np.array([[1.0, 0.5, 0.0]]))
    assert value > 0
    ```

    Reference:
        Zheng & Yang, "Knowledge Distillation Based on Transformed Teacher Matching", ICLR 2024.
    """

    def __init__(
        self,
        temperature: Number = 10.0,
        weighted: bool = True,
        from_logits: bool | str = "auto",
        teacher_layer_name: LayerNames = None,
        student_layer_name: LayerNames = None,
        name: str | None = None,
        outputs: OutputNames = None,
    ):
        super().__init__(from_logits, teacher_layer_name, student_layer_name, name, outputs)
        self.temperature = checked_temperature(temperature)
        self.weighted = schedule.check_switch("weighted", weighted)

    def compare(self, teacher_logits: Any, student_logits: Any, context: LossContext) -> Any:
        """Computes the divergence, weighed by the teacher's doubt if that is asked for."""
        temperature = schedule.value_at(self.temperature, context.step)
        return transformed_teacher(teacher_logits, student_logits, temperature, self.weighted)
