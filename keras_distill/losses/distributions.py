"""Class distributions: log-probabilities, and their parts of target and other classes."""

from keras import ops

from keras_distill.losses.tensors import TINY, as_float

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


def split_at_target(logits, one_hot):
    """Returns log p of the target, log p of the rest, and log p of each class among the rest."""
    log_p = ops.log_softmax(logits, axis=-1)
    target = ops.sum(one_hot * log_p, axis=-1)
    without_target = ops.where(one_hot > 0, _LEFT_OUT, log_p)
    rest = ops.logsumexp(without_target, axis=-1)
    return target, rest, without_target - rest[..., None]
