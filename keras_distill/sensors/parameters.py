"""Checks of parameters and recordings that several sensors share."""

import numbers
from typing import Any

import numpy as np

from keras_distill.arguments import check_finite, shown

# So that its inverse is a float32.
_SMALLEST_STD = 1e-30
_LARGEST = float(np.finfo("float32").max)


def check_number(name: str, value: Any, low: float, high: float = _LARGEST) -> float:
    """Checks that a parameter is a number within bounds, and returns it as a `float`.

    Args:
        name: The parameter.
        value: What was given.
        low: What it must be above.
        high: Largest allowed number, by default that of float32.

    Raises:
        TypeError: If it isn't a number.
        ValueError: If it is out of bounds.
    """
    is_number = isinstance(value, numbers.Real) and not isinstance(value, (bool, np.bool_))
    if not is_number:
        raise TypeError(f"{name} must be a number. Received: {name}={shown(value)}")
    if not low < value <= high:
        raise ValueError(
            f"{name} must be above {low:g} and at most {high:g}. Received: {name}={shown(value)}"
        )
    return float(value)


def check_channels(name: str, value: Any, channels: int, low: float = -2 * _LARGEST) -> tuple:
    """Checks that a parameter is a number, or one per channel, and returns one per channel.

    Args:
        name: The parameter.
        value: What was given.
        channels: How many channels there are.
        low: What each number must be above.

    Raises:
        TypeError: If it is something else.
        ValueError: If there are too many or too few, or one is out of bounds.
    """
    if isinstance(value, numbers.Real):
        return (check_number(name, value, low),) * channels
    if isinstance(value, np.ndarray):
        value = value.tolist()
    if not isinstance(value, (list, tuple)):
        raise TypeError(
            f"{name} must be a number or a list of {channels}. Received: {name}={shown(value)}"
        )
    if len(value) != channels:
        raise ValueError(
            f"{name} must be a number or {channels} of them, one per channel. "
            f"Received: {name}={shown(value)}"
        )
    return tuple(check_number(name, one, low) for one in value)


def check_std(value: Any, channels: int) -> tuple:
    """Checks that `std` is a positive number, or one per channel, and returns one per channel.

    Args:
        value: What was given.
        channels: How many channels there are.

    Raises:
        TypeError: If it is something else.
        ValueError: If there are too many or too few, or one is out of bounds.
    """
    return check_channels("std", value, channels, low=_SMALLEST_STD)


def inverse(std: Any) -> np.ndarray:
    """Returns what differences to the mean are multiplied by, float32, here and on the board.

    Args:
        std: Numbers as `check_std` returns them.
    """
    return (1 / np.array(std)).astype("float32")


def check_recording(name: str, value: Any, shape: tuple) -> np.ndarray:
    """Checks that recordings are numbers of a shape, and returns them as an array.

    Args:
        name: The argument.
        value: What was given.
        shape: Its shape: an integer is a length, a string what may be of any length.

    Raises:
        TypeError: If they aren't an array of numbers.
        ValueError: If the shape is another one, or one is NaN or infinite.
    """
    try:
        array = np.asarray(value)
    except (TypeError, ValueError, AttributeError):
        array = np.array(None)
    if array.dtype.kind not in "iuf":
        raise TypeError(f"{name} must be an array of numbers. Received: {name}={shown(value)}")
    suits = array.ndim == len(shape) and all(
        isinstance(wanted, str) or wanted == found
        for wanted, found in zip(shape, array.shape, strict=True)
    )
    if not suits:
        text = ", ".join(map(str, shape)) + ("," if len(shape) == 1 else "")
        raise ValueError(f"{name} must be of shape ({text}). Received: {name}={shown(array)}")
    check_finite(name, [array])
    return array
