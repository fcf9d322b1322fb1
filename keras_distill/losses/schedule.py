"""Numbers that may change during training: a constant, or a Keras learning-rate schedule."""

import numbers

import keras
from keras.optimizers.schedules import LearningRateSchedule


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
            f"{name} must be a number or a keras.optimizers.schedules.LearningRateSchedule, "
            f"got {value!r}."
        )
    too_low = low is not None and (value < low or (value == low and not low_is_allowed))
    too_high = high is not None and value > high
    if too_low or too_high or value != value or value in (float("inf"), float("-inf")):
        lower = "" if low is None else f" {'at least' if low_is_allowed else 'above'} {low}"
        upper = "" if high is None else f"{' and' if lower else ''} at most {high}"
        raise ValueError(f"{name} must be a finite number{lower}{upper}, got {value}.")
    return value


def serialize(value):
    """Returns `value` in a form that `json` can write."""
    return keras.saving.serialize_keras_object(value) if is_schedule(value) else value


def deserialize(value):
    """Returns what `serialize` was given."""
    return keras.saving.deserialize_keras_object(value) if isinstance(value, dict) else value
