"""Feature maps: their positions, and resizing of their spatial axes."""

import numpy as np
from keras import ops

from keras_distill.losses.tensors import as_float, as_floats, size_or_unknown


def positions_by_channels(features):
    """Flattens space: shape `(batch, *space, channels)` becomes `(batch, positions, channels)`."""
    features = as_float(features)
    positions = size_or_unknown(features.shape[1:-1])
    return ops.reshape(features, (ops.shape(features)[0], positions, features.shape[-1]))


def match_rank(first, second):
    """Gives two feature maps the same number of spatial axes, by averaging the surplus ones.

    A recurrent network that reads an image row by row has one spatial axis, time; a convolutional
    network has rows and columns. Averaged over its columns, the latter has one axis too.

    Args:
        first: Tensor of shape `(batch, *space, channels)`.
        second: Tensor of shape `(batch, *space, channels)`.

    Returns:
        Tuple of the two tensors, with the leading spatial axes that both have.
    """
    first, second = as_floats(first, second)
    rank = min(len(first.shape), len(second.shape))
    return _average_axes(first, rank), _average_axes(second, rank)


def _average_axes(features, rank):
    surplus = tuple(range(rank - 1, len(features.shape) - 1))
    return ops.mean(features, axis=surplus) if surplus else features


def match_space(first, second):
    """Gives two feature maps the same spatial axes, of the smaller size.

    Args:
        first: Tensor of shape `(batch, *space, channels)`.
        second: Tensor of shape `(batch, *space, channels)`.

    Returns:
        Tuple of the two tensors.
    """
    first, second = match_rank(first, second)
    space = smaller_space(first.shape[1:-1], second.shape[1:-1])
    return resize_space(first, space), resize_space(second, space)


def smaller_space(first, second):
    """Returns the smaller size of each spatial axis; `None` where neither is known."""
    known = [
        [side for side in sides if side is not None] for sides in zip(first, second, strict=True)
    ]
    return tuple(min(sides) if sides else None for sides in known)


def smallest_space(features):
    """Returns the smallest size of each spatial axis over a list of feature maps."""
    space = features[0].shape[1:-1]
    for layer in features[1:]:
        space = smaller_space(space, layer.shape[1:-1])
    return tuple(space)


def resize_space(features, space, enlarge="linear"):
    """Resizes the spatial axes: smaller by averaging, larger by interpolation.

    Averaging is over equal windows where the sizes divide, and over the overlapping windows of
    adaptive average pooling where they don't.

    Args:
        features: Tensor of shape `(batch, *space, channels)`.
        space: Target sizes, one integer (or `None`: as it is) per spatial axis.
        enlarge: `"linear"` or `"nearest"`.

    Returns:
        Tensor of shape `(batch, *space, channels)`.

    Raises:
        ValueError: If a size to change is unknown.
    """
    current = tuple(features.shape[1:-1])
    space = tuple(old if new is None else new for old, new in zip(current, space, strict=True))
    if current == space:
        return features
    if any(old is None and new is not None for old, new in zip(current, space, strict=True)):
        raise ValueError(f"Features of unknown size {current} can't be resized to {space}.")
    if all(old % new == 0 for old, new in zip(current, space, strict=True)):
        strides = tuple(old // new for old, new in zip(current, space, strict=True))
        return ops.average_pool(features, strides, strides, data_format="channels_last")
    for axis, (old, new) in enumerate(zip(current, space, strict=True), start=1):
        if old != new:
            features = resize_axis(features, axis, new, enlarge)
    return features


def resize_axis(tensor, axis, size, enlarge="linear"):
    """Resizes one axis of a tensor: smaller by averaging, larger by interpolation.

    Args:
        tensor: Tensor.
        axis: Number of the axis.
        size: Its new size.
        enlarge: `"linear"` or `"nearest"`.

    Returns:
        Tensor.
    """
    old = tensor.shape[axis]
    make = averaging_matrix if size < old else _ENLARGE[enlarge]
    weights = ops.convert_to_tensor(make(old, size), dtype=tensor.dtype)
    return ops.moveaxis(ops.tensordot(weights, tensor, [[1], [axis]]), 0, axis)


def averaging_matrix(old, new):
    """Returns the weights of adaptive average pooling, a `(new, old)` array whose rows sum to 1."""
    weights = np.zeros((new, old))
    for index in range(new):
        start, end = index * old // new, -(-(index + 1) * old // new)
        weights[index, start:end] = 1.0 / (end - start)
    return weights


def _linear_matrix(old, new):
    """Weights of linear interpolation between the centers of the old cells."""
    weights = np.zeros((new, old))
    for index in range(new):
        position = np.clip((index + 0.5) * old / new - 0.5, 0, old - 1)
        below = min(int(position), max(old - 2, 0))
        weights[index, below] = 1.0 - (position - below)
        weights[index, min(below + 1, old - 1)] += position - below
    return weights


def _nearest_matrix(old, new):
    return np.eye(old)[np.arange(new) * old // new]


_ENLARGE = {"linear": _linear_matrix, "nearest": _nearest_matrix}
