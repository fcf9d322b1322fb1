"""A teacher that is designed, not trained."""

from typing import Any

import keras
from keras import ops

from keras_distill.losses import schedule
from keras_distill.losses.argument_types import LayerNames, Number, OutputNames
from keras_distill.losses.context import LossContext
from keras_distill.losses.response.response_loss import ExclusiveClassesLoss, checked_temperature
from keras_distill.losses.response.soft_targets import soft_targets
from keras_distill.losses.tensors import as_float


def virtual_teacher(student_logits, one_hot, correct_prob=0.99, temperature=20.0):
    """Divergence from a designed distribution that is `correct_prob` sure of the label, times T².

    Args:
        student_logits: Tensor of shape `(batch, ..., classes)`.
        one_hot: Labels as 0 and 1, of the same shape.
        correct_prob: Probability of the label; the rest is shared evenly.
        temperature: T.

    Returns:
        Tensor of shape `(batch, ...)`.

    Reference:
        Yuan et al., "Revisiting Knowledge Distillation via Label Smoothing Regularization", 2020.
    """
    student_logits = as_float(student_logits)
    one_hot = ops.cast(one_hot, student_logits.dtype)
    rest = (1.0 - correct_prob) / (student_logits.shape[-1] - 1)
    designed = rest + (correct_prob - rest) * one_hot
    return soft_targets(designed, student_logits, temperature)


@keras.saving.register_keras_serializable("keras_distill")
class VirtualTeacher(ExclusiveClassesLoss):
    """Teacher-free distillation: soft targets from a designed, label-peaked distribution.

    The designed distribution gives the label `correct_prob` and shares the rest evenly. The
    distiller needs no teacher: `Distiller(student=student, distillation_losses=VirtualTeacher())`.
    On ImageNet the paper weighs the labels' loss 0.9 and this one 0.1. It costs a softmax over the
    classes.

    The student's logits are softened by T too, and the divergence is multiplied by T², as in the
    paper's equation 9. The authors' code for CIFAR-100 leaves the student's logits as they are,
    takes a mean over the classes in place of the sum, and multiplies by a number chosen by hand, so
    that its weights don't carry over. Both soften the probabilities themselves, softmax(p / T).

    Args:
        correct_prob: Probability of the label, between 0 and 1.
        temperature: T, positive number or `keras.optimizers.schedules.LearningRateSchedule`.
        from_logits: `True`, `False`, or `"auto"` to recognize a model that ends in softmax.
        student_layer_name: Path of the student's layer that outputs logits, or `None` for the
            student's output. Shape `(batch, ..., classes)`.
        name: Name of the loss in the training history.
        outputs: Which outputs of models with several take part: a name, a position, or a list of
            them; by default all.

    Raises:
        TypeError: If `correct_prob` isn't a number or `temperature` neither a number nor a
            schedule.
        ValueError: If they are out of bounds; when called, if there are no labels.

    Example:

    ```python
    student = np.array([[4.0, 0.0, 1.0]])
    assert VirtualTeacher().compute_loss(None, student, labels=np.array([0])) > 0
    ```

    Reference:
        Yuan et al., "Revisiting Knowledge Distillation via Label Smoothing Regularization", CVPR
        2020.
    """

    needs_labels = True
    needs_teacher = False
    pairs_layers = False

    def __init__(
        self,
        correct_prob: float = 0.99,
        temperature: Number = 20.0,
        from_logits: bool | str = "auto",
        student_layer_name: LayerNames = None,
        name: str | None = None,
        outputs: OutputNames = None,
    ):
        super().__init__(from_logits, None, student_layer_name, name, outputs)
        self.correct_prob = schedule.check_constant("correct_prob", correct_prob, low=0, high=1)
        self.temperature = checked_temperature(temperature)

    def build(self, teacher_shapes: Any, student_shapes: Any) -> None:
        """Checks that the student outputs several classes."""
        super().build(student_shapes, student_shapes)

    def check_activations(self, teacher_activation: Any, student_activation: Any) -> None:
        """Checks that the student's output is no probabilities of independent labels."""
        super().check_activations(student_activation, student_activation)

    def validate_outputs(self, teacher_outputs: Any, student_outputs: Any) -> None:
        """Checks the student's output."""
        super().validate_outputs(student_outputs, student_outputs)

    def call(self, teacher: Any, student: Any, context: LossContext) -> Any:
        """Sums the divergences of the student's outputs."""
        return super().call(student, student, context)

    def compare(self, teacher_logits: Any, student_logits: Any, context: LossContext) -> Any:
        """Computes T² times the divergence from the designed distribution."""
        return virtual_teacher(
            student_logits,
            context.one_hot(student_logits, self),
            self.correct_prob,
            schedule.value_at(self.temperature, context.step),
        )
