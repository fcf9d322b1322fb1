"""Tensors of any precision, shape and magnitude, made safe to compare."""

import math

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


def resize_space(features, space, enlarge="bilinear"):
    """Resizes the spatial axes: average pooling where the sizes divide, else bilinear.

    Args:
        features: Tensor of shape `(batch, *space, channels)`.
        space: Target sizes, one integer (or `None`: as it is) per spatial axis.
        enlarge: `"bilinear"` or `"nearest"`, where the sizes don't divide.

    Returns:
        Tensor of shape `(batch, *space, channels)`.

    Raises:
        ValueError: If a size to change is unknown, or if sizes that don't divide are to be
            interpolated along more than two axes.
    """
    current = tuple(features.shape[1:-1])
    space = tuple(old if new is None else new for old, new in zip(current, space, strict=True))
    if current == space:
        return features
    if None in current:
        raise ValueError(f"Features of unknown size {current} can't be resized to {space}.")
    if all(old % new == 0 for old, new in zip(current, space, strict=True)):
        strides = tuple(old // new for old, new in zip(current, space, strict=True))
        return ops.average_pool(features, strides, strides, data_format="channels_last")
    if len(space) == 1:
        image = features[:, :, None, :]
        return _interpolate(image, (space[0], 1), enlarge)[:, :, 0, :]
    if len(space) == 2:
        return _interpolate(features, space, enlarge)
    raise ValueError(
        f"Features with {len(space)} spatial axes can't be resized from {current} to {space}: "
        "tap layers whose sizes are equal or divide."
    )


def _interpolate(image, size, kind):
    return ops.image.resize(
        image,
        size,
        interpolation=kind,
        antialias=kind == "bilinear",
        data_format="channels_last",
    )
