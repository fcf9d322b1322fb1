"""Masks of positions: what counts of a sequence or an image, and means over it."""

from keras import ops


def both(*masks):
    """Returns where all masks are true.

    Args:
        *masks: Boolean tensors of shape `(batch, ...)`, or `None`, which is true everywhere. One
            with fewer axes stands for all positions of the others.

    Returns:
        Boolean tensor, or `None` if all are.
    """
    masks = [ops.cast(mask, "bool") for mask in masks if mask is not None]
    if not masks:
        return None
    rank = max(len(mask.shape) for mask in masks)
    result = with_rank(masks[0], rank)
    for mask in masks[1:]:
        result = ops.logical_and(result, with_rank(mask, rank))
    return result


def with_rank(tensor, rank):
    """Returns a tensor with axes of size 1 appended up to a rank."""
    while len(tensor.shape) < rank:
        tensor = ops.expand_dims(tensor, axis=-1)
    return tensor


def fits(mask, tensor):
    """Says whether a mask of shape `(batch, length)` masks a tensor `(batch, length, ...)`."""
    if mask is None or len(mask.shape) != 2 or len(tensor.shape) < 3:
        return False
    sizes = {mask.shape[1], tensor.shape[1]} - {None}
    return len(sizes) < 2


def zeroed(tensor, mask):
    """Returns a tensor with zeros at the positions that a mask leaves out.

    Args:
        tensor: Tensor of shape `(batch, length, ...)`.
        mask: Boolean tensor of shape `(batch, length)`.
    """
    # A masked position may hold anything, even NaN, so it is replaced and not multiplied by 0.
    return ops.where(with_rank(mask, len(tensor.shape)), tensor, ops.zeros_like(tensor))


def mean_over_positions(values, mask=None, weights=None):
    """Averages each sample's values over its positions.

    Args:
        values: Tensor of shape `(batch, ...)`.
        mask: Boolean tensor of the same shape, or `None`. A sample without positions gives 0.
        weights: Weights of the positions, of the same shape, or `None`. The mean is over the
            positions, not over the weights, as in Keras.

    Returns:
        Tensor of shape `(batch,)`.
    """
    positions = tuple(range(1, len(values.shape)))
    if weights is not None:
        values = values * ops.cast(weights, values.dtype)
    if not positions:
        return values
    if mask is None:
        return ops.mean(values, axis=positions)
    values = ops.where(mask, values, ops.zeros_like(values))
    mask = ops.cast(ops.broadcast_to(mask, ops.shape(values)), values.dtype)
    count = ops.sum(mask, axis=positions)
    return ops.sum(values, axis=positions) / ops.maximum(count, 1.0)
