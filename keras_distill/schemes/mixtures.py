"""Mixtures of several teachers' answers: their weights, and the logits of the mixture."""

from keras import ops

from keras_distill.losses.tensors import as_floats


def mixture_logits(logits, weights, temperature=4.0, kind="softmax"):
    """Logits of the weighted mean of several teachers' softened probabilities.

    Softened by the same temperature they give that mean again, so that the gradient of
    `SoftTargets` is the weighted sum of its gradients for each teacher. Their level is the
    teachers' own: one teacher alone gives its logits.

    Args:
        logits: List of tensors of shape `(batch, ..., classes)`, one per teacher.
        weights: Tensor that broadcasts to `(teachers, batch, ..., 1)` and sums to 1 over the
            teachers.
        temperature: Positive number by which the logits are divided; `None` for the mean of the
            logits.
        kind: `"softmax"` for exclusive classes, `"sigmoid"` for independent labels, `"numbers"` for
            neither, of which the mean is taken.

    Returns:
        Tensor of shape `(batch, ..., classes)`.

    Reference:
        You et al., "Learning from Multiple Teacher Networks", KDD 2017.
    """
    stacked = ops.stack(as_floats(*logits))
    weights = ops.cast(weights, stacked.dtype)
    if temperature is None or kind == "numbers":
        return ops.sum(weights * stacked, axis=0)
    stacked = stacked / temperature
    log_weights = ops.log(weights)
    if kind == "sigmoid":
        log_p, log_q = (
            ops.logsumexp(log_weights + ops.log_sigmoid(side), axis=0)
            for side in (stacked, -stacked)
        )
        return temperature * (log_p - log_q)
    level = ops.logsumexp(stacked, axis=-1, keepdims=True)
    mixed = ops.logsumexp(log_weights + stacked - level, axis=0)
    return temperature * (mixed + ops.sum(weights * level, axis=0))


def entropies(logits, kind="softmax"):
    """Entropy of each teacher's answer to each sample, in nats.

    Args:
        logits: List of tensors of shape `(batch, ..., classes)`, one per teacher.
        kind: As for `mixture_logits`; the entropies of independent labels are added.

    Returns:
        Tensor of shape `(teachers, batch, ...)`.
    """
    stacked = ops.stack(as_floats(*logits))
    if kind == "sigmoid":
        of_label = ops.softplus(stacked) - stacked * ops.sigmoid(stacked)
        return ops.sum(of_label, axis=-1)
    log_p = ops.log_softmax(stacked, axis=-1)
    return -ops.sum(ops.exp(log_p) * log_p, axis=-1)


def cross_entropies(logits, one_hot, kind="softmax"):
    """Cross-entropy of each teacher's answer with the labels, in nats.

    Args:
        logits: List of tensors of shape `(batch, ..., classes)`, one per teacher.
        one_hot: Labels as 0 and 1, shape `(batch, ..., classes)`.
        kind: As for `mixture_logits`; the cross-entropies of independent labels are added.

    Returns:
        Tensor of shape `(teachers, batch, ...)`.
    """
    stacked = ops.stack(as_floats(*logits))
    one_hot = ops.cast(one_hot, stacked.dtype)
    if kind == "sigmoid":
        return ops.sum(ops.softplus(stacked) - one_hot * stacked, axis=-1)
    return -ops.sum(one_hot * ops.log_softmax(stacked, axis=-1), axis=-1)


def confidence_weights(uncertainty):
    """Weights of teachers of whom the less uncertain count more: `(1 - softmax(u)) / (K - 1)`.

    Args:
        uncertainty: Tensor of shape `(teachers, ...)`, such as a cross-entropy or an entropy, of
            two teachers or more.

    Returns:
        Tensor of the same shape, which sums to 1 over the teachers.

    Reference:
        Zhang et al., "Confidence-Aware Multi-Teacher Knowledge Distillation", ICASSP 2022.
    """
    return (1.0 - ops.softmax(uncertainty, axis=0)) / (uncertainty.shape[0] - 1)
