"""Decoupled knowledge distillation."""

from typing import Any

import keras
from keras import ops

from keras_distill.losses import schedule
from keras_distill.losses.argument_types import LayerNames, Number, OutputNames
from keras_distill.losses.context import LossContext
from keras_distill.losses.distributions import split_at_target
from keras_distill.losses.response.response_loss import ExclusiveClassesLoss, checked_temperature
from keras_distill.losses.response.soft_targets import standardize_logits
from keras_distill.losses.tensors import as_floats


def decoupled(teacher_logits, student_logits, one_hot, alpha=1.0, beta=8.0, temperature=4.0):
    """KL of target against rest, plus KL among the non-target classes.

    Args:
        teacher_logits: Tensor of shape `(batch, ..., classes)`.
        student_logits: Tensor of the same shape.
        one_hot: Labels as 0 and 1, of the same shape.
        alpha: Weight of the divergence of (target, rest).
        beta: Weight of the divergence among the other classes.
        temperature: T.

    Returns:
        Tensor of shape `(batch, ...)`, times T².

    Reference:
        Zhao et al., "Decoupled Knowledge Distillation", CVPR 2022.
    """
    sides = as_floats(teacher_logits, student_logits)
    one_hot = ops.cast(one_hot, sides[1].dtype)
    temperature = ops.cast(temperature, sides[1].dtype)
    (target_t, rest_t, others_t), (target_s, rest_s, others_s) = (
        split_at_target(side / temperature, one_hot) for side in sides
    )
    binary = ops.exp(target_t) * (target_t - target_s) + ops.exp(rest_t) * (rest_t - rest_s)
    among_others = ops.sum(ops.exp(others_t) * (others_t - others_s), axis=-1)
    return ops.square(temperature) * (alpha * binary + beta * among_others)


@keras.saving.register_keras_serializable("keras_distill")
class DecoupledKD(ExclusiveClassesLoss):
    """KL of target against rest, plus KL among the non-target classes.

    Soft targets are the divergence of (target, rest) plus that among the other classes times the
    teacher's doubt, 1 - p_t(target), so that a sure teacher teaches little. Here the second part
    has the weight β whatever the doubt. The paper uses weight 1 beside the labels' loss, warmed up
    linearly over 20 epochs, and chose β from 1 to 10 by the teacher (8 for most pairs on
    CIFAR-100). Paper and code agree; the code masks the target by adding -1000 to its logit, here
    it is left out exactly. It costs two softmaxes over the classes.

    Args:
        alpha: Weight of the divergence of (target, rest), a number or
            `keras.optimizers.schedules.LearningRateSchedule`.
        beta: Weight of the divergence among the other classes, number or schedule.
        temperature: T, positive number or schedule.
        from_logits: `True`, `False`, or `"auto"` to recognize a model that ends in softmax.
        teacher_layer_name: Path of the teacher's layer that outputs logits, or `None` for the
            teacher's output. Shape `(batch, classes)`, or `(batch, length, classes)`:
            then the mean over the unmasked positions is taken.
        student_layer_name: The same for the student.
        name: Name of the loss in the training history.
        outputs: Which outputs of models with several take part: a name, a position, or a list of
            them; by default all.
        standardize: Whether each sample's logits are standardized before they are divided by T, as
            for `SoftTargets`.

    Raises:
        TypeError: If a weight or the temperature is neither a number nor a schedule, or
            `standardize` neither `True` nor `False`.
        ValueError: If a weight is negative or the temperature isn't positive; when called, if
            there are no labels.

    Example:

    ```python
    loss = DecoupledKD(alpha=1.0, beta=8.0)
    teacher, student = np.array([[2.0, 0.0, 1.0]]), np.array([[1.0, 0.5, 0.0]])
    assert loss.compute_loss(teacher, student, labels=np.array([0])) > 0
    ```

    Reference:
        - Zhao et al., "Decoupled Knowledge Distillation", CVPR 2022.
        - Sun et al., "Logit Standardization in Knowledge Distillation", CVPR 2024.
    """

    needs_labels = True

    def __init__(
        self,
        alpha: Number = 1.0,
        beta: Number = 8.0,
        temperature: Number = 4.0,
        from_logits: bool | str = "auto",
        teacher_layer_name: LayerNames = None,
        student_layer_name: LayerNames = None,
        name: str | None = None,
        outputs: OutputNames = None,
        standardize: bool = False,
    ):
        super().__init__(from_logits, teacher_layer_name, student_layer_name, name, outputs)
        self.alpha = schedule.check_number("alpha", alpha, low=0)
        self.beta = schedule.check_number("beta", beta, low=0)
        self.temperature = checked_temperature(temperature)
        self.standardize = schedule.check_switch("standardize", standardize)

    def compare(self, teacher_logits: Any, student_logits: Any, context: LossContext) -> Any:
        """Computes T² times the weighted sum of the two divergences."""
        settings = (self.alpha, self.beta, self.temperature)
        alpha, beta, temperature = (schedule.value_at(value, context.step) for value in settings)
        one_hot = context.one_hot(student_logits, self)
        if self.standardize:
            teacher_logits = standardize_logits(teacher_logits)
            student_logits = standardize_logits(student_logits)
        return decoupled(teacher_logits, student_logits, one_hot, alpha, beta, temperature)
