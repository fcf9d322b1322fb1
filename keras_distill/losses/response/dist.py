"""DIST: correlation of predictions."""

from typing import Any

import keras
from keras import ops

from keras_distill.losses import schedule
from keras_distill.losses.argument_types import LayerNames, Number, OutputNames
from keras_distill.losses.context import LossContext
from keras_distill.losses.response.response_loss import (
    ExclusiveClassesLoss,
    check_rows,
    checked_temperature,
)
from keras_distill.losses.tensors import as_floats, cosine_distance


def correlation_distance(teacher, student):
    """One minus the Pearson correlation over the last axis.

    Args:
        teacher: Tensor of shape `(rows, values)`.
        student: Tensor of the same shape.

    Returns:
        Tensor of shape `(rows,)`; 0 for two constant rows, 1 if only one is constant.
    """
    sides = as_floats(teacher, student)
    return cosine_distance(*(side - ops.mean(side, axis=-1, keepdims=True) for side in sides))


def dist(teacher_logits, student_logits, beta=1.0, gamma=1.0, temperature=1.0):
    """Correlation of the predictions within each sample and within each class, times T².

    Args:
        teacher_logits: Tensor of shape `(batch, classes)`.
        student_logits: Tensor of the same shape.
        beta: Weight of the relation between classes (rows).
        gamma: Weight of the relation between samples (columns).
        temperature: T.

    Returns:
        Tensor of shape `(batch,)`; the mean over the columns is part of each value.

    Reference:
        Huang et al., "Knowledge Distillation from A Stronger Teacher", NeurIPS 2022.
    """
    sides = as_floats(teacher_logits, student_logits)
    temperature = ops.cast(temperature, sides[1].dtype)
    p_t, p_s = (ops.softmax(side / temperature, axis=-1) for side in sides)
    rows = correlation_distance(p_t, p_s)
    columns = ops.mean(correlation_distance(ops.transpose(p_t), ops.transpose(p_s)))
    return ops.square(temperature) * (beta * rows + gamma * columns)


@keras.saving.register_keras_serializable("keras_distill")
class DIST(ExclusiveClassesLoss):
    """Pearson correlation of the predictions, within each sample and within each class.

    One minus the correlation of the softened probabilities, over the classes of a sample (weight
    β) and over the samples of a class (weight γ), times T². A student may differ from a much
    stronger teacher in scale and offset. Published settings: β = γ = 1, T = 1 on ImageNet with
    weight 1 for the labels' loss; β = γ = 2, T = 4 on CIFAR-100. The part over samples grows more
    reliable with the batch. It costs a softmax over the classes.

    The authors' code adds 1e-8 to the product of the two lengths that a correlation is divided by,
    which pulls correlations of nearly even distributions (a high T, many classes) towards 0; here
    they are exact, values differ in the fifth digit. A row or a column that is constant on one side
    costs 1, as there, and 0 if it is constant on both, where the code says 1. For segmentation the
    code takes each pixel as a sample; here outputs are `(batch, classes)`.

    Args:
        beta: Weight of the correlation within samples, number or
            `keras.optimizers.schedules.LearningRateSchedule`.
        gamma: Weight of the correlation within classes, number or schedule.
        temperature: T, positive number or schedule.
        from_logits: `True`, `False`, or `"auto"` to recognize a model that ends in softmax.
        teacher_layer_name: Path of the teacher's layer that outputs logits, or `None` for the
            teacher's output. Shape `(batch, classes)`.
        student_layer_name: The same for the student.
        name: Name of the loss in the training history.
        outputs: Which outputs of models with several take part: a name, a position, or a list of
            them; by default all.

    Raises:
        TypeError: If a weight or the temperature is neither a number nor a schedule.
        ValueError: If a weight is negative, the temperature isn't positive, or outputs are
            sequences.

    Example:

    ```python
    teacher, student = np.random.rand(8, 5), np.random.rand(8, 5)
    assert DIST().compute_loss(teacher, student) > 0
    assert DIST().compute_loss(teacher, teacher + 1.0) < 1e-6
    ```

    Reference:
        Huang et al., "Knowledge Distillation from A Stronger Teacher", NeurIPS 2022.
    """

    def __init__(
        self,
        beta: Number = 1.0,
        gamma: Number = 1.0,
        temperature: Number = 1.0,
        from_logits: bool | str = "auto",
        teacher_layer_name: LayerNames = None,
        student_layer_name: LayerNames = None,
        name: str | None = None,
        outputs: OutputNames = None,
    ):
        super().__init__(from_logits, teacher_layer_name, student_layer_name, name, outputs)
        self.beta = schedule.check_number("beta", beta, low=0)
        self.gamma = schedule.check_number("gamma", gamma, low=0)
        self.temperature = checked_temperature(temperature)

    def build(self, teacher_shapes: Any, student_shapes: Any) -> None:
        """Checks that both sides output rows over the same classes."""
        super().build(teacher_shapes, student_shapes)
        check_rows(self, student_shapes)

    def compare(self, teacher_logits: Any, student_logits: Any, context: LossContext) -> Any:
        """Computes T² times the weighted sum of the two correlation distances."""
        settings = (self.beta, self.gamma, self.temperature)
        return dist(
            teacher_logits,
            student_logits,
            *(schedule.value_at(value, context.step) for value in settings),
        )
