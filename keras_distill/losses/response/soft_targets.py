"""Soft targets."""

from typing import Any

import keras
from keras import ops

from keras_distill.arguments import check_choice, shown
from keras_distill.losses import schedule
from keras_distill.losses.argument_types import LayerNames, Number, OutputNames
from keras_distill.losses.context import LossContext
from keras_distill.losses.response.response_loss import (
    ExclusiveClassesLoss,
    ResponseLoss,
    checked_temperature,
)
from keras_distill.losses.tensors import as_float, as_floats

# Each with its default share of the mixture, where it is a divergence to one.
_SHARES = {
    "kl": None,
    "reverse_kl": None,
    "js": None,
    "cross_entropy": None,
    "generalized_js": 0.5,
    "skew_kl": 0.1,
    "skew_reverse_kl": 0.1,
}
DIVERGENCES = tuple(_SHARES)
# Keeps the logarithms of a mixture's shares finite where a schedule comes to 0 or 1.
_SMALLEST_SHARE = 1e-6


def standardize_logits(logits):
    """Returns `(z - mean(z)) / (std(z) + 1e-7)` over the last axis.

    Args:
        logits: Tensor of shape `(..., classes)`.

    Returns:
        Tensor of the same shape. `std` divides by the number of classes minus one, as the authors'
        code does.

    Reference:
        Sun et al., "Logit Standardization in Knowledge Distillation", CVPR 2024.
    """
    logits = as_float(logits)
    centered = logits - ops.mean(logits, axis=-1, keepdims=True)
    others = max(logits.shape[-1] - 1, 1)
    variance = ops.sum(ops.square(centered), axis=-1, keepdims=True) / others
    # A row of equal logits has variance 0, where the square root has no gradient.
    flat = ops.equal(variance, 0)
    deviation = ops.where(flat, 0.0, ops.sqrt(ops.where(flat, 1.0, variance)))
    return centered / (deviation + 1e-7)


def soft_targets(teacher_logits, student_logits, temperature=4.0, divergence="kl", beta=None):
    """Distance of the student's softened distribution from the teacher's, times T².

    Args:
        teacher_logits: Tensor of shape `(batch, ..., classes)`.
        student_logits: Tensor of the same shape.
        temperature: T, positive number or scalar tensor.
        divergence: `"kl"` for KL(teacher‖student), `"reverse_kl"` for KL(student‖teacher),
            `"js"` for the Jensen-Shannon divergence, `"cross_entropy"` for the cross-entropy of
            the student under the teacher; with the mixture M(w) = w·teacher + (1 - w)·student,
            `"generalized_js"` for β·KL(teacher‖M(β)) + (1 - β)·KL(student‖M(β)), `"skew_kl"` for
            KL(teacher‖M(β)), `"skew_reverse_kl"` for KL(student‖M(1 - β)).
        beta: β, number or scalar tensor between 0 and 1; by default 0.5, or 0.1 for the skew
            divergences.

    Returns:
        Tensor of shape `(batch, ...)`, without the class axis, in nats times T².

    Reference:
        Hinton, Vinyals, Dean, "Distilling the Knowledge in a Neural Network", 2015.
    """
    teacher_logits, student_logits = as_floats(teacher_logits, student_logits)
    temperature = ops.cast(temperature, student_logits.dtype)
    log_t = ops.log_softmax(teacher_logits / temperature, axis=-1)
    log_s = ops.log_softmax(student_logits / temperature, axis=-1)
    beta = _SHARES[divergence] if beta is None else beta
    return ops.square(temperature) * _divergence(log_t, log_s, divergence, beta)


def _divergence(log_t, log_s, kind, beta):
    p_t = ops.exp(log_t)
    if kind == "kl":
        return ops.sum(p_t * (log_t - log_s), axis=-1)
    if kind == "cross_entropy":
        return -ops.sum(p_t * log_s, axis=-1)
    p_s = ops.exp(log_s)
    if kind == "reverse_kl":
        return ops.sum(p_s * (log_s - log_t), axis=-1)
    share = ops.convert_to_tensor(0.5 if kind == "js" else beta, dtype=log_s.dtype)
    share = ops.clip(share, _SMALLEST_SHARE, 1.0 - _SMALLEST_SHARE)
    log_m = _log_mixture(log_t, log_s, 1.0 - share if kind == "skew_reverse_kl" else share)
    of_teacher = ops.sum(p_t * (log_t - log_m), axis=-1)
    of_student = ops.sum(p_s * (log_s - log_m), axis=-1)
    if kind == "skew_kl":
        return of_teacher
    if kind == "skew_reverse_kl":
        return of_student
    return share * of_teacher + (1.0 - share) * of_student


def _log_mixture(log_t, log_s, share):
    """Returns the logarithm of a mixture in which the teacher has a share."""
    odds = ops.log((1.0 - share) / share)
    # Not logaddexp, whose gradient is wrong where both sides are equal.
    return log_t + ops.softplus(log_s - log_t + odds) + ops.log(share)


@keras.saving.register_keras_serializable("keras_distill")
class SoftTargets(ExclusiveClassesLoss):
    """Soft targets: the student matches the teacher's softened class probabilities.

    The loss is T² · KL(softmax(z_t / T) ‖ softmax(z_s / T)), computed from log-softmax. T² keeps
    its gradient on the scale of the labels' at any temperature. Where an output's labels are
    independent (it ends in sigmoid, or learns with a binary cross-entropy), each has a divergence
    of its own, of two probabilities, and the loss is their sum. Hinton et al. give it a weight
    much larger than the labels' (0.9 to 0.1 is common). It costs a softmax over the classes.

    Args:
        temperature: T, positive number or `keras.optimizers.schedules.LearningRateSchedule`.
        divergence: `"kl"`, `"reverse_kl"`, `"js"` or `"cross_entropy"`; for sequence models, whose
            KL is unbounded where one side finds a token impossible, the divergences to a mixture
            of both: `"generalized_js"` (GKD), `"skew_kl"` and `"skew_reverse_kl"` (DistiLLM).
        standardize: Whether each sample's logits are standardized, `(z - mean) / (std + 1e-7)`,
            before they are divided by T. The standard deviation divides by the number of classes C
            minus one, as in the authors' code, whose settings are weight 9 and T = 2 beside 0.1 for
            the labels; dividing by C would be the same at a temperature of T · √(C / (C - 1)).
        from_logits: `True`, `False`, or `"auto"` to recognize a model that ends in softmax, for
            which the loss is the same as for its logits.
        teacher_layer_name: Path of the teacher's layer that outputs logits, or `None` for the
            teacher's output. Shape `(batch, classes)`, or `(batch, length, classes)`: then the
            mean over the unmasked positions is taken.
        student_layer_name: The same for the student.
        name: Name of the loss in the training history.
        outputs: Which outputs of models with several take part: a name, a position, or a list of
            them; by default all.
        beta: Share in the mixture, between 0 and 1, number or schedule: of the teacher for
            `"generalized_js"` (0.5 by default; near 0 it acts as the KL, near 1 as the reverse
            KL) and `"skew_kl"`, of the student for `"skew_reverse_kl"` (both 0.1, as published).

    Raises:
        TypeError: If `temperature` is neither a number nor a schedule, or `standardize` neither
            `True` nor `False`.
        ValueError: If `temperature` isn't positive or `divergence` is unknown; when the distiller
            is compiled, if an output that takes part is a regression.

    Example:

    ```python
    loss = SoftTargets(temperature=4.0)
    value = loss.compute_loss(np.array([[2.0, 0.0, 1.0]]), np.array([[1.0, 0.5, 0.0]]))
    assert value > 0
    ```

    Reference:
        - Hinton, Vinyals, Dean, "Distilling the Knowledge in a Neural Network", 2015.
        - Sun et al., "Logit Standardization in Knowledge Distillation", CVPR 2024.
        - Agarwal et al., "On-Policy Distillation of Language Models" (GKD), ICLR 2024.
        - Ko et al., "DistiLLM: Towards Streamlined Distillation for Large Language Models", ICML
          2024.
    """

    takes_independent_labels = True

    def __init__(
        self,
        temperature: Number = 4.0,
        divergence: str = "kl",
        standardize: bool = False,
        from_logits: bool | str = "auto",
        teacher_layer_name: LayerNames = None,
        student_layer_name: LayerNames = None,
        name: str | None = None,
        outputs: OutputNames = None,
        beta: Number | None = None,
    ):
        super().__init__(from_logits, teacher_layer_name, student_layer_name, name, outputs)
        hint = schedule.layer_hint(divergence)
        self.divergence = check_choice("divergence", divergence, DIVERGENCES, hint)
        self.temperature = checked_temperature(temperature)
        self.standardize = schedule.check_switch("standardize", standardize)
        self.beta = None if beta is None else _checked_share(beta, divergence)

    def prepare(self, teacher_shapes: Any, student_shapes: Any) -> None:
        """Checks the shapes; whether outputs of one value suit is known when compiled."""
        ResponseLoss.build(self, teacher_shapes, student_shapes)
        self.built = True

    def check_activations(self, teacher_activation: Any, student_activation: Any) -> None:
        """Checks that the two sides don't differ in what they are distributions over."""
        sides = [
            ends if isinstance(ends, (list, tuple)) else [ends]
            for ends in (teacher_activation, student_activation)
        ]
        if any({"softmax", "sigmoid"} == set(pair) for pair in zip(*sides, strict=False)):
            raise ValueError(
                "SoftTargets compares the same kind of distribution on both sides, but one is over "
                f"exclusive classes and one over independent labels. "
                f"Teacher: {teacher_activation}, Student: {student_activation}. "
                "Use LogitMatching, or models that end alike."
            )

    def check_outputs(self, kinds: Any, shapes: Any, names: Any) -> None:
        """Checks that each output is a distribution over classes or independent labels."""
        super().check_outputs(kinds, shapes, names)
        if self.standardize and "sigmoid" in kinds:
            raise ValueError(
                "standardize=True brings the logits of exclusive classes to one scale, and the "
                f"labels of the student's {names[kinds.index('sigmoid')]} are independent: leave "
                "it out."
            )

    def compare(self, teacher_logits: Any, student_logits: Any, context: LossContext) -> Any:
        """Computes T² times the divergence of the softened distributions."""
        temperature = schedule.value_at(self.temperature, context.step)
        settings = (temperature, self.divergence, schedule.value_at(self.beta, context.step))
        sides = [teacher_logits, student_logits]
        if context.kinds is not None and context.kinds[0] == "sigmoid":
            # A sigmoid is a softmax over the logit and 0.
            sides = [ops.stack([side, ops.zeros_like(side)], axis=-1) for side in sides]
            values = soft_targets(sides[0], sides[1], *settings)
            return ops.sum(values, axis=-1)
        if self.standardize:
            sides = [standardize_logits(side) for side in sides]
        return soft_targets(sides[0], sides[1], *settings)


def _checked_share(beta, divergence):
    schedule.check_number("beta", beta, 0, 1, low_is_allowed=False)
    if _SHARES[divergence] is None:
        known = ", ".join(repr(kind) for kind, share in _SHARES.items() if share is not None)
        raise ValueError(
            f"beta is the share in a mixture, which only {known} compare with: leave it out. "
            f"Received: beta={shown(beta)}, divergence={divergence!r}"
        )
    if not schedule.is_schedule(beta) and beta == 1:
        raise ValueError("beta must be below 1, where nothing is left to compare. Received: beta=1")
    return beta
