"""Numbers that may change during training: a constant, or a Keras learning-rate schedule."""

import numbers

import keras
from keras.optimizers.schedules import LearningRateSchedule

from keras_distill.arguments import check_count, check_flag, shown

# Beyond it squares leave the range of float32.
_LARGEST = 1e18


class LearnedNumber(keras.layers.Layer):
    """A number that is trained along with the student, in the place of a constant."""

    def at(self, step):
        """Returns the number at a training step.

        Args:
            step: Number of optimizer updates made so far.

        Returns:
            Scalar tensor.
        """
        raise NotImplementedError(f"{type(self).__name__} must override `at`.")


def is_schedule(value):
    """Says whether `value` is a Keras learning-rate schedule."""
    return isinstance(value, LearningRateSchedule)


def value_at(value, step):
    """Returns the number itself, or the schedule's value at a training step.

    Args:
        value: Number or `keras.optimizers.schedules.LearningRateSchedule`.
        step: Integer or scalar tensor, the number of optimizer updates made so far.

    Returns:
        Number or scalar tensor.
    """
    if isinstance(value, LearnedNumber):
        return value.at(step)
    return value(step) if is_schedule(value) else value


def check_number(name, value, low=None, high=None, low_is_allowed=True):
    """Checks that `value` is a schedule, or a finite number within bounds.

    Args:
        name: What the value is, for the error.
        value: Number or schedule. A schedule's start (its value at step 0) is checked.
        low: Smallest allowed number, or `None`.
        high: Largest allowed number, or `None`.
        low_is_allowed: Whether `low` itself is allowed.

    Returns:
        The value.

    Raises:
        TypeError: If it is neither a number nor a schedule.
        ValueError: If it is out of bounds.
    """
    if is_schedule(value):
        start = float(value(0))
        check_number(f"{name} (a schedule) at step 0", start, low, high, low_is_allowed)
        return value
    if not isinstance(value, numbers.Real) or isinstance(value, bool):
        raise TypeError(
            f"{name} must be a number or a keras.optimizers.schedules.LearningRateSchedule."
            f"{layer_hint(value)} Received: {name}={shown(value)}"
        )
    if high is None and value > _LARGEST:
        high = _LARGEST
    too_low = low is not None and (value < low or (value == low and not low_is_allowed))
    too_high = high is not None and value > high
    if too_low or too_high or value != value or value < -_LARGEST:
        lower = "" if low is None else f" {'at least' if low_is_allowed else 'above'} {low}"
        upper = "" if high is None else f"{' and' if lower else ''} at most {high}"
        raise ValueError(
            f"{name} must be a finite number{lower}{upper}. Received: {name}={shown(value)}"
        )
    return value


def layer_hint(value):
    """Returns what an error says besides where a setting may have been given a layer's name.

    Args:
        value: What was given in place of a setting.

    Returns:
        A sentence that begins with a space, or nothing if `value` can't name layers.
    """
    parts = value if isinstance(value, (list, tuple)) else [value]
    if not parts or not all(isinstance(part, str) for part in parts):
        return ""
    return " A layer's name goes into teacher_layer_name=... or student_layer_name=..., by keyword."


def check_constant(name, value, low=None, high=None, low_is_allowed=True):
    """Checks that `value` is a finite number within bounds, and no schedule, and returns it.

    Args:
        name: What the value is, for the error.
        value: Number.
        low: Smallest allowed number, or `None`.
        high: Largest allowed number, or `None`.
        low_is_allowed: Whether `low` itself is allowed.

    Raises:
        TypeError: If it isn't a number.
        ValueError: If it is out of bounds.
    """
    if is_schedule(value):
        raise TypeError(
            f"{name} must be a number: it can't change during training. Received: "
            f"{name}={shown(value)}"
        )
    return check_number(name, value, low, high, low_is_allowed)


def check_switch(name, value):
    """Checks that `value` is `True` or `False`, and returns it.

    Args:
        name: What the value is, for the error.
        value: Boolean.

    Raises:
        TypeError: If it is something else.
    """
    return check_flag(name, value, layer_hint(value))


def check_seed(value):
    """Checks that `value` is an integer that Keras takes as a seed, and returns it.

    Args:
        value: Integer of 0 or more.

    Raises:
        TypeError: If it isn't an integer.
        ValueError: If it is negative or has more than 31 bits.
    """
    return check_count("seed", value, low=0, high=2**31 - 2)


def check_temperature(value):
    """Checks that `value` is a schedule or a positive number, and returns it."""
    return check_number("temperature", value, low=0, low_is_allowed=False)


def serialize(value):
    """Returns `value` in a form that `json` can write, lists of values included."""
    if isinstance(value, (list, tuple)):
        return [serialize(part) for part in value]
    is_object = is_schedule(value) or isinstance(value, LearnedNumber)
    return keras.saving.serialize_keras_object(value) if is_object else value


def deserialize(value):
    """Returns what `serialize` was given."""
    if isinstance(value, list):
        return [deserialize(part) for part in value]
    is_serialized = isinstance(value, dict) and {"class_name", "config"} <= set(value)
    return keras.saving.deserialize_keras_object(value) if is_serialized else value
