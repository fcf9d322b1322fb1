"""Soft targets."""

import keras

from keras_distill.losses import functional, schedule
from keras_distill.losses.response.response_loss import ExclusiveClassesLoss


@keras.saving.register_keras_serializable("keras_distill")
class SoftTargets(ExclusiveClassesLoss):
    """Soft targets: the student matches the teacher's softened class probabilities.

    The loss is T² · KL(softmax(z_t / T) ‖ softmax(z_s / T)), computed from log-softmax. T² keeps
    its gradient on the scale of the labels' at any temperature. Hinton et al. give it a weight
    much larger than the labels' (0.9 to 0.1 is common). It costs a softmax over the classes.

    Args:
        temperature: T, positive number or `keras.optimizers.schedules.LearningRateSchedule`.
        divergence: `"kl"`, `"reverse_kl"`, `"js"` or `"cross_entropy"`.
        standardize: Whether each sample's logits are standardized, `(z - mean) / (std + 1e-7)`,
            before they are divided by T. The standard deviation divides by the number of classes C
            minus one, as in the authors' code, whose settings are weight 9 and T = 2 beside 0.1 for
            the labels; dividing by C would be the same at a temperature of T · √(C / (C - 1)).
        from_logits: `True`, `False`, or `"auto"` to recognise a model that ends in softmax, for
            which the loss is the same as for its logits.
        teacher_layer_name: Path of the teacher's layer that outputs logits, or `None` for the
            teacher's output. Shape `(batch, classes)`, or `(batch, length, classes)`: then the
            mean over the unmasked positions is taken.
        student_layer_name: The same for the student.
        name: Name of the loss in the training history.

    Raises:
        TypeError: If `temperature` is neither a number nor a schedule, or `standardize` neither
            `True` nor `False`.
        ValueError: If `temperature` isn't positive or `divergence` is unknown.

    Example:

    ```python
    loss = SoftTargets(temperature=4.0)
    value = loss.compute_loss(np.array([[2.0, 0.0, 1.0]]), np.array([[1.0, 0.5, 0.0]]))
    assert value > 0
    ```

    Reference:
        - Hinton, Vinyals, Dean, "Distilling the Knowledge in a Neural Network", 2015.
        - Sun et al., "Logit Standardization in Knowledge Distillation", CVPR 2024.
    """

    def __init__(
        self,
        temperature=4.0,
        divergence="kl",
        standardize=False,
        from_logits="auto",
        teacher_layer_name=None,
        student_layer_name=None,
        name=None,
    ):
        super().__init__(from_logits, teacher_layer_name, student_layer_name, name)
        if divergence not in functional.DIVERGENCES:
            raise ValueError(
                f"divergence must be one of {', '.join(functional.DIVERGENCES)}."
                f"{schedule.layer_hint(divergence)} Received: divergence={divergence!r}"
            )
        self.temperature = schedule.check_temperature(temperature)
        self.divergence = divergence
        self.standardize = schedule.check_switch("standardize", standardize)

    def compare(self, teacher_logits, student_logits, context):
        """Computes T² times the divergence of the softened distributions."""
        if self.standardize:
            teacher_logits = functional.standardize_logits(teacher_logits)
            student_logits = functional.standardize_logits(student_logits)
        temperature = schedule.value_at(self.temperature, context.step)
        return functional.soft_targets(teacher_logits, student_logits, temperature, self.divergence)
