"""Tensors of any precision, shape and magnitude: casts, lengths, elementary distances."""

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


def scaled(tensor, axis=None):
    """Divides by the largest magnitude, as a constant: for results that scale doesn't change.

    Args:
        tensor: Tensor.
        axis: Axes along which the largest is sought; by default all.
    """
    largest = ops.stop_gradient(ops.max(ops.abs(tensor), axis=axis, keepdims=axis is not None))
    return tensor / ops.where(largest > 0, largest, 1.0)
