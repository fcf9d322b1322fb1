"""Normalized knowledge distillation."""

from typing import Any

import keras
from keras import ops

from keras_distill.losses import schedule
from keras_distill.losses.argument_types import LayerNames, Number, OutputNames
from keras_distill.losses.context import LossContext
from keras_distill.losses.distributions import split_at_target
from keras_distill.losses.response.response_loss import ExclusiveClassesLoss, checked_temperature
from keras_distill.losses.tensors import as_floats


def normalized_targets(teacher_logits, student_logits, one_hot, gamma=1.5, temperature=1.0):
    """Cross-entropies with the teacher's target probability and its normalized other classes.

    Args:
        teacher_logits: Tensor of shape `(batch, ..., classes)`.
        student_logits: Tensor of the same shape.
        one_hot: Labels as 0 and 1, of the same shape.
        gamma: Weight of the other classes.
        temperature: T of the other classes.

    Returns:
        Tensor of shape `(batch, ...)`.

    Reference:
        Yang et al., "From Knowledge Distillation to Self-Knowledge Distillation", ICCV 2023.
    """
    sides = as_floats(teacher_logits, student_logits)
    one_hot = ops.cast(one_hot, sides[1].dtype)
    temperature = ops.cast(temperature, sides[1].dtype)
    p_target, log_target = (
        ops.sum(one_hot * ops.log_softmax(side, axis=-1), axis=-1) for side in sides
    )
    others_t, others_s = (split_at_target(side / temperature, one_hot)[2] for side in sides)
    cross_entropy = -ops.sum(ops.exp(others_t) * ops.where(one_hot > 0, 0.0, others_s), axis=-1)
    return -ops.exp(p_target) * log_target + gamma * ops.square(temperature) * cross_entropy


@keras.saving.register_keras_serializable("keras_distill")
class NormalizedKD(ExclusiveClassesLoss):
    """Cross-entropies with the teacher's target probability and with its normalized other classes.

    The loss is -p_t(y) log p_s(y) - γT² Σ n_t log n_s, where n are the probabilities of the other
    classes at temperature T, made to sum to 1. The paper adds it, with weight 1, to the labels'
    loss, with γ = 1.5 and T = 1 on ImageNet. As a cross-entropy it isn't zero at the teacher; its
    second part is smallest there. It costs two softmaxes over the classes.

    Args:
        gamma: Weight of the other classes, number or
            `keras.optimizers.schedules.LearningRateSchedule`.
        temperature: T of the other classes, positive number or schedule.
        from_logits: `True`, `False`, or `"auto"` to recognize a model that ends in softmax.
        teacher_layer_name: Path of the teacher's layer that outputs logits, or `None` for the
            teacher's output. Shape `(batch, classes)`, or `(batch, length, classes)`:
            then the mean over the unmasked positions is taken.
        student_layer_name: The same for the student.
        name: Name of the loss in the training history.
        outputs: Which outputs of models with several take part: a name, a position, or a list of
            them; by default all.

    Raises:
        TypeError: If `gamma` or the temperature is neither a number nor a schedule.
        ValueError: If `gamma` is negative or the temperature isn't positive; when called, if there
            are no labels.

    Example:

    ```python
    teacher, student = np.array([[2.0, 0.0, 1.0]]), np.array([[1.0, 0.5, 0.0]])
    assert NormalizedKD().compute_loss(teacher, student, labels=np.array([0])) > 0
    ```

    Reference:
        Yang et al., "From Knowledge Distillation to Self-Knowledge Distillation", ICCV 2023.
    """

    needs_labels = True

    def __init__(
        self,
        gamma: Number = 1.5,
        temperature: Number = 1.0,
        from_logits: bool | str = "auto",
        teacher_layer_name: LayerNames = None,
        student_layer_name: LayerNames = None,
        name: str | None = None,
        outputs: OutputNames = None,
    ):
        super().__init__(from_logits, teacher_layer_name, student_layer_name, name, outputs)
        self.gamma = schedule.check_number("gamma", gamma, low=0)
        self.temperature = checked_temperature(temperature)

    def compare(self, teacher_logits: Any, student_logits: Any, context: LossContext) -> Any:
        """Computes the two cross-entropies."""
        return normalized_targets(
            teacher_logits,
            student_logits,
            context.one_hot(student_logits, self),
            schedule.value_at(self.gamma, context.step),
            schedule.value_at(self.temperature, context.step),
        )
