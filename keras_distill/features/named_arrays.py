"""What a teacher that is no Keras model gives: arrays of numbers, each with a name."""

from typing import Any

import numpy as np

from keras_distill.arguments import shown


def array_of(what: str, value: Any) -> np.ndarray:
    """Returns a value as an array of numbers.

    Args:
        what: What the value is, for the error.
        value: An array, or what `numpy.asarray` takes.

    Raises:
        TypeError: If it holds something else than numbers.
    """
    try:
        array = np.asarray(value)
    except Exception as error:
        raise TypeError(
            f"{what} must be an array of numbers, or what NumPy makes one of ({error}). "
            f"Received: {shown(value)}"
        ) from error
    if array.dtype.kind not in "fiub" and "float" not in array.dtype.name:
        raise TypeError(f"{what} must be an array of numbers. Received: {shown(value)}")
    return array
