"""Tensors of any precision, shape and magnitude, made safe to compare."""

import math

import numpy as np
from keras import ops

# The smallest positive normal float32: the logarithm of a probability stays finite.
TINY = 1.1754944e-38


def as_float(tensor):
    """Returns `tensor` in float32, or in float64 if it came in float64."""
    tensor = ops.convert_to_tensor(tensor)
    return tensor if tensor.dtype == "float64" else ops.cast(tensor, "float32")


def as_floats(*tensors):
    """Returns the tensors in float64 if all of them came in it, else in float32."""
    tensors = [as_float(tensor) for tensor in tensors]
    if len({tensor.dtype for tensor in tensors}) > 1:
        tensors = [ops.cast(tensor, "float32") for tensor in tensors]
    return tensors


def labels_as_one_hot(labels, logits):
    """Returns labels as an array of 0 and 1.

    Args:
        labels: Integer classes of shape `(batch, ...)` or `(batch, ..., 1)`, or one-hot rows (or
            class probabilities, of which the largest counts) of the shape of `logits`.
        logits: Tensor of shape `(batch, ..., classes)`.

    Returns:
        Tensor of the shape and dtype of `logits`.

    Raises:
        ValueError: If the labels have neither form.
    """
    labels = ops.convert_to_tensor(labels)
    rank, classes = len(logits.shape), logits.shape[-1]
    outer = tuple(logits.shape[:-1])
    if any(
        None not in pair and pair[0] != pair[1] for pair in zip(labels.shape, outer, strict=False)
    ):
        raise ValueError(
            "Labels must be one per sample, or one per position of the output. Received: labels of "
            f"shape {tuple(labels.shape)} for outputs of shape {tuple(logits.shape)}"
        )
    if len(labels.shape) == rank and labels.shape[-1] == classes and classes > 1:
        labels = ops.argmax(labels, axis=-1)
    elif len(labels.shape) == rank and labels.shape[-1] == 1:
        labels = labels[..., 0]
    elif len(labels.shape) != rank - 1:
        raise ValueError(
            f"Labels of shape {tuple(labels.shape)} don't fit outputs of shape "
            f"{tuple(logits.shape)}: give one integer class per output row, or one-hot rows."
        )
    return ops.one_hot(ops.cast(labels, "int32"), classes, dtype=logits.dtype)


def check_known_classes(labels, logits, loss_name):
    """Checks that labels are classes, where their values are known: outside a graph.

    Args:
        labels: As for `labels_as_one_hot`.
        logits: Tensor of shape `(batch, ..., classes)`.
        loss_name: What needs the labels, for the error.

    Raises:
        ValueError: If a label is no class.
    """
    try:
        values = np.asarray(ops.convert_to_numpy(labels))
    except Exception:  # Each backend has an error of its own for a tensor of a graph.
        return
    rank, classes = len(logits.shape), logits.shape[-1]
    is_row = values.ndim == rank and values.shape[-1] == classes and classes > 1
    wrong = ~np.isfinite(values)
    if not is_row:
        wrong |= (values < 0) | (values >= classes) | (values != np.floor(values))
    if wrong.any():
        place = tuple(int(index) for index in np.argwhere(wrong)[0])
        raise ValueError(
            f"{loss_name} needs labels that are classes, integers from 0 to {classes - 1}, or "
            f"one-hot rows. A Distiller leaves out samples without a label (-1). Received: "
            f"{values[place]} at {place}."
        )


def flatten(tensor):
    """Returns each sample as a row: shape `(batch, ...)` becomes `(batch, size)`."""
    tensor = as_float(tensor)
    return ops.reshape(tensor, (ops.shape(tensor)[0], size_or_unknown(tensor.shape[1:])))


def size_or_unknown(shape):
    """Returns the product of a shape's sides, or -1 if a side is `None`."""
    return -1 if any(side is None for side in shape) else math.prod(shape)


def length(tensor, axis=-1, keepdims=False):
    """Euclidean length along `axis`, whose gradient at 0 is 0.

    Args:
        tensor: Tensor.
        axis: Axis or axes.
        keepdims: Whether the axis stays, with size 1.

    Returns:
        Tensor without the axis.
    """
    tensor = as_float(tensor)
    squared = ops.sum(ops.square(tensor), axis=axis, keepdims=keepdims)
    return square_root(squared)


def square_root(tensor):
    """Square root of values that aren't negative, whose gradient at 0 is 0."""
    is_zero = ops.equal(tensor, 0)
    return ops.where(is_zero, 0.0, ops.sqrt(ops.where(is_zero, 1.0, tensor)))


@ops.custom_gradient
def mean_square(tensor):
    """Mean of the squares along the last axis, with a gradient in one pass over the tensor.

    Args:
        tensor: Floating-point tensor of shape `(..., channels)`.

    Returns:
        Tensor of shape `(...)`.
    """
    channels = tensor.shape[-1]

    def gradient(*args, upstream=None):
        # Taken apart by the backends themselves, it takes four passes, as long as a small layer.
        upstream = args[0] if upstream is None else upstream
        return tensor * ((2.0 / channels) * upstream)[..., None]

    return ops.mean(ops.square(tensor), axis=-1), gradient


def unit(tensor, axis=-1):
    """Divides by the Euclidean length along `axis`; zeros stay zeros.

    Args:
        tensor: Tensor of any magnitude.
        axis: Axis or tuple of axes.

    Returns:
        Tensor of the same shape.
    """
    tensor = as_float(tensor)
    # The result does not depend on the scale, so the largest value can be divided out first, as a
    # constant: values of any magnitude then neither overflow nor vanish when squared.
    largest = ops.stop_gradient(ops.max(ops.abs(tensor), axis=axis, keepdims=True))
    tensor = tensor / ops.where(largest > 0, largest, 1.0)
    squared_length = ops.sum(ops.square(tensor), axis=axis, keepdims=True)
    return tensor * ops.rsqrt(ops.where(squared_length > 0, squared_length, 1.0))


def cosine_distance(teacher, student):
    """One minus the cosine over the last axis.

    Args:
        teacher: Tensor of shape `(..., values)`.
        student: Tensor of the same shape.

    Returns:
        Tensor of shape `(...)`; 0 for two vectors of zeros, 1 if only one is.
    """
    sides = [unit(side) for side in as_floats(teacher, student)]
    # Half the squared distance of two unit vectors is one minus their cosine, and exactly 0 at
    # equality.
    distance = 0.5 * ops.sum(ops.square(sides[0] - sides[1]), axis=-1)
    zero = [ops.all(ops.equal(side, 0), axis=-1) for side in sides]
    return ops.where(ops.logical_xor(*zero), 1.0, distance)


def huber(difference):
    """Huber's loss with threshold 1: `d²/2` where `|d| < 1`, else `|d| - 1/2`."""
    size = ops.abs(difference)
    return ops.where(size < 1.0, 0.5 * ops.square(difference), size - 0.5)


def mean_squared_error(teacher, student):
    """Mean squared difference of each sample.

    Args:
        teacher: Tensor of shape `(batch, ...)`.
        student: Tensor of the same shape.

    Returns:
        Tensor of shape `(batch,)`.
    """
    teacher, student = as_floats(teacher, student)
    difference = ops.square(teacher - student)
    return ops.mean(difference, axis=tuple(range(1, len(difference.shape))))


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


def scaled(tensor, axis=None):
    """Divides by the largest magnitude, as a constant: for results that scale doesn't change.

    Args:
        tensor: Tensor.
        axis: Axes along which the largest is sought; by default all.
    """
    largest = ops.stop_gradient(ops.max(ops.abs(tensor), axis=axis, keepdims=axis is not None))
    return tensor / ops.where(largest > 0, largest, 1.0)
