"""A batch's `x`: plain inputs, or inputs joined with what a cache keeps of them."""

import typing

import keras
from keras import ops
from keras.optimizers.schedules import LearningRateSchedule

from keras_distill.arguments import shown, takes


class CachedBatch(typing.NamedTuple):
    """Inputs of a batch joined with the teacher's targets.

    Args:
        inputs: The inputs, as the data set gives them, augmented if it is to be.
        index: Index of each sample in the data set, shape `(batch,)`.
        targets: Dictionary from name to the cache's array, shape `(batch, ...)`.
    """

    inputs: typing.Any
    index: typing.Any
    targets: typing.Any


def is_cached(x):
    """Returns whether a batch is joined with a teacher cache."""
    return isinstance(x, CachedBatch)


def inputs_of(x):
    """Returns the inputs of a batch, joined with a teacher cache or not."""
    return x.inputs if is_cached(x) else x


def indices_of(x, sample_index):
    """Returns the index of each sample in the data set.

    Args:
        x: The batch's `x`, joined with a teacher cache or not.
        sample_index: How the indices are taken from it: a function, a key, or `None`.

    Returns:
        Integer tensor of shape `(batch,)`, or `None` if nothing tells.

    Raises:
        TypeError: If what is taken isn't integers.
    """
    if sample_index is None and not is_cached(x):
        return None
    indices = x.index if sample_index is None else take(sample_index, inputs_of(x), "sample_index")
    dtype = keras.backend.standardize_dtype(indices.dtype)
    # Of a cache they are; Keras shows a step under several replicas an average of their batches.
    if sample_index is not None and "int" not in dtype:
        raise TypeError(
            "sample_index must give integers, the index of each sample in the data set. "
            f"Received: {dtype}"
        )
    return ops.reshape(ops.cast(indices, "int32"), (-1,))


def check_input_function(input_function, argument):
    """Checks how something is to be taken from a batch.

    Args:
        input_function: `None`, a function of the batch's `x`, or a key.
        argument: Name of the argument, for the error.

    Raises:
        TypeError: If it is none of the three.
    """
    is_function = callable(input_function)
    is_function = is_function and not isinstance(input_function, (type, LearningRateSchedule))
    is_function = is_function and takes(input_function, 1)
    is_key = isinstance(input_function, str) and input_function
    if input_function is None or is_function or is_key:
        return
    raise TypeError(
        f"{argument} must be a function of the batch's x, a key of a dictionary batch, or None. "
        f"Received: {argument}={shown(input_function)}"
    )


def take(input_function, x, argument):
    """Takes something from a batch's `x`.

    Args:
        input_function: A function of `x`, a key of a dictionary batch, or `None` for `x` itself.
        x: The batch's inputs, any structure of tensors.
        argument: Name of the argument, for the error.

    Raises:
        ValueError: If it is a key that the batch doesn't have.
    """
    if input_function is None:
        return x
    if callable(input_function):
        return input_function(x)
    if not isinstance(x, dict) or input_function not in x:
        found = f"keys {sorted(x)}" if isinstance(x, dict) else type(x).__name__
        raise ValueError(
            f"{argument}={shown(input_function)} needs dictionary batches with that key. "
            f"Received: {found}"
        )
    return x[input_function]


def spec_of(tensor):
    """Returns a symbolic tensor of the shape and type of a batch, of any number of samples."""
    dtype = keras.backend.standardize_dtype(tensor.dtype)
    return keras.KerasTensor((None, *tensor.shape[1:]), dtype)


def read_spec(spec):
    """Returns the structure of symbolic tensors that was written as shapes and types."""
    if isinstance(spec, (list, tuple)):
        return [read_spec(part) for part in spec]
    if set(spec) == {"shape", "dtype"} and isinstance(spec["dtype"], str):
        return keras.KerasTensor(spec["shape"], spec["dtype"])
    return {key: read_spec(part) for key, part in spec.items()}
