"""Response knowledge: distances of logits, one value per sample."""

import math

from keras import ops

from keras_distill.losses.functional.tensors import TINY, as_float, as_floats, cosine_distance

DIVERGENCES = ("kl", "reverse_kl", "js", "cross_entropy")

# Added to a logit to leave its class out of a softmax.
_LEFT_OUT = -1e30


def log_probabilities(probabilities):
    """Returns the logarithm of probabilities, which are logits up to a constant per row.

    Args:
        probabilities: Tensor of shape `(..., classes)` whose rows sum to 1.

    Returns:
        Tensor of the same shape; a probability of 0 becomes about -87.3.
    """
    return ops.log(ops.maximum(as_float(probabilities), TINY))


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
    centerd = logits - ops.mean(logits, axis=-1, keepdims=True)
    others = max(logits.shape[-1] - 1, 1)
    variance = ops.sum(ops.square(centerd), axis=-1, keepdims=True) / others
    # A row of equal logits has variance 0, where the square root has no gradient.
    flat = ops.equal(variance, 0)
    deviation = ops.where(flat, 0.0, ops.sqrt(ops.where(flat, 1.0, variance)))
    return centerd / (deviation + 1e-7)


def soft_targets(teacher_logits, student_logits, temperature=4.0, divergence="kl"):
    """Distance of the student's softened distribution from the teacher's, times T².

    Args:
        teacher_logits: Tensor of shape `(batch, ..., classes)`.
        student_logits: Tensor of the same shape.
        temperature: T, positive number or scalar tensor.
        divergence: `"kl"` for KL(teacher‖student), `"reverse_kl"` for KL(student‖teacher),
            `"js"` for the Jensen-Shannon divergence, `"cross_entropy"` for the cross-entropy of
            the student under the teacher.

    Returns:
        Tensor of shape `(batch, ...)`, without the class axis, in nats times T².

    Reference:
        Hinton, Vinyals, Dean, "Distilling the Knowledge in a Neural Network", 2015.
    """
    teacher_logits, student_logits = as_floats(teacher_logits, student_logits)
    temperature = ops.cast(temperature, student_logits.dtype)
    log_t = ops.log_softmax(teacher_logits / temperature, axis=-1)
    log_s = ops.log_softmax(student_logits / temperature, axis=-1)
    return ops.square(temperature) * _divergence(log_t, log_s, divergence)


def _divergence(log_t, log_s, kind):
    p_t = ops.exp(log_t)
    if kind == "kl":
        return ops.sum(p_t * (log_t - log_s), axis=-1)
    if kind == "cross_entropy":
        return -ops.sum(p_t * log_s, axis=-1)
    p_s = ops.exp(log_s)
    if kind == "reverse_kl":
        return ops.sum(p_s * (log_s - log_t), axis=-1)
    # Not logaddexp, whose gradient is wrong where both sides are equal.
    log_mean = log_t + ops.softplus(log_s - log_t) - math.log(2.0)
    to_teacher = ops.sum(p_t * (log_t - log_mean), axis=-1)
    to_student = ops.sum(p_s * (log_s - log_mean), axis=-1)
    return 0.5 * (to_teacher + to_student)


def decoupled(teacher_logits, student_logits, one_hot, alpha=1.0, beta=8.0, temperature=4.0):
    """Soft targets in two parts: how likely the target is, and how likely the others among them.

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
        _split_at_target(side / temperature, one_hot) for side in sides
    )
    binary = ops.exp(target_t) * (target_t - target_s) + ops.exp(rest_t) * (rest_t - rest_s)
    among_others = ops.sum(ops.exp(others_t) * (others_t - others_s), axis=-1)
    return ops.square(temperature) * (alpha * binary + beta * among_others)


def _split_at_target(logits, one_hot):
    """Returns log p of the target, log p of the rest, and log p of each class among the rest."""
    log_p = ops.log_softmax(logits, axis=-1)
    target = ops.sum(one_hot * log_p, axis=-1)
    without_target = ops.where(one_hot > 0, _LEFT_OUT, log_p)
    rest = ops.logsumexp(without_target, axis=-1)
    return target, rest, without_target - rest[..., None]


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
    others_t, others_s = (_split_at_target(side / temperature, one_hot)[2] for side in sides)
    cross_entropy = -ops.sum(ops.exp(others_t) * ops.where(one_hot > 0, 0.0, others_s), axis=-1)
    return -ops.exp(p_target) * log_target + gamma * ops.square(temperature) * cross_entropy


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


def multi_level(teacher_logits, student_logits, temperatures, instance=1.0, batch=1.0, classes=1.0):
    """Alignment of predictions, of samples with each other and of classes with each other.

    Args:
        teacher_logits: Tensor of shape `(batch, classes)`.
        student_logits: Tensor of the same shape.
        temperatures: List of temperatures, over which the parts are summed.
        instance: Weight of the soft targets.
        batch: Weight of `‖P_t P_tᵀ - P_s P_sᵀ‖² / batch`.
        classes: Weight of `‖P_tᵀ P_t - P_sᵀ P_s‖² / classes`.

    Returns:
        Tensor of shape `(batch,)`; the parts of the whole batch are in each value.

    Reference:
        Jin, Wang, Lin, "Multi-Level Logit Distillation", CVPR 2023.
    """
    sides = as_floats(teacher_logits, student_logits)
    total = 0.0
    for temperature in temperatures:
        p_t, p_s = (ops.softmax(side / temperature, axis=-1) for side in sides)
        samples = ops.square(p_t @ ops.transpose(p_t) - p_s @ ops.transpose(p_s))
        between = ops.square(ops.transpose(p_t) @ p_t - ops.transpose(p_s) @ p_s)
        total = total + (
            instance * soft_targets(*sides, temperature)
            + batch * ops.mean(ops.sum(samples, axis=-1))
            + classes * ops.mean(ops.sum(between, axis=-1))
        )
    return total
