"""What each argument may take: the table against which a call that went through is judged."""

import dataclasses
import numbers
import os
from collections.abc import Callable

import numpy as np
from keras.optimizers.schedules import LearningRateSchedule


@dataclasses.dataclass(frozen=True)
class Rule:
    """What an argument may take.

    Args:
        accepts: Function from a value to whether a call may go through with it.
        words: Words for the argument, one of which its errors hold, besides its name.
        is_keras: Whether Keras, TensorFlow or NumPy checks it, so that their errors are right.
        replaces: Whether it names a file to write, so that this file may be replaced.
    """

    accepts: Callable = lambda value: False
    words: tuple = ()
    is_keras: bool = False
    replaces: bool = False

    def named(self, *words):
        """Returns the rule with further words for the argument."""
        return dataclasses.replace(self, words=(*self.words, *words))

    def of_keras(self):
        """Returns the rule of an argument that is handed on to Keras."""
        return dataclasses.replace(self, is_keras=True)

    def __or__(self, other):
        return Rule(
            lambda value: self.accepts(value) or other.accepts(value),
            self.words + other.words,
            self.is_keras or other.is_keras,
        )


def _is_number(value):
    return isinstance(value, numbers.Real) and not isinstance(value, (bool, np.bool_))


def number(low=None, high=None, low_is_allowed=True):
    """A finite number within bounds."""

    def accepts(value):
        if not _is_number(value) or not np.isfinite(float(value)):
            return False
        is_high_enough = low is None or value > low or (low_is_allowed and value == low)
        return is_high_enough and (high is None or value <= high)

    return Rule(accepts)


def schedule_or_number(low=None, high=None, low_is_allowed=True):
    """A number, or a schedule that starts with such a number."""
    constant = number(low, high, low_is_allowed).accepts
    return Rule(
        lambda value: (
            constant(float(value(0)))
            if isinstance(value, LearningRateSchedule)
            else constant(value)
        )
    )


def count(low=1, high=None):
    """An integer, NumPy's included."""
    return Rule(
        lambda value: (
            isinstance(value, numbers.Integral)
            and not isinstance(value, bool)
            and value >= low
            and (high is None or value <= high)
        )
    )


def one_of(*allowed):
    """One of a few values."""
    return Rule(
        lambda value: any(type(value) in (type(one), np.str_) and value == one for one in allowed)
    )


def text():
    """A string that isn't empty."""
    return Rule(lambda value: isinstance(value, str) and bool(value))


def keras_name():
    """A name as Keras takes it: a string without a slash, that isn't empty."""
    return Rule(lambda value: isinstance(value, str) and bool(value) and "/" not in value)


def printable_name():
    """A printable name without a slash, that isn't empty."""
    return Rule(lambda value: keras_name().accepts(value) and value.isprintable())


def file_path():
    """A path that the system takes."""
    return Rule(
        lambda value: (
            (isinstance(value, str) and bool(value) and "\0" not in value)
            or isinstance(value, os.PathLike)
        )
    )


def instance(*kinds):
    """An object of a kind."""
    return Rule(lambda value: isinstance(value, kinds))


def array(check=lambda value: True):
    """What NumPy makes a numeric array of, and a check of it."""

    def accepts(value):
        try:
            made = np.asarray(value)
            return made.dtype.kind in "biuf" and bool(check(made))
        except (TypeError, ValueError):
            return False

    return Rule(accepts)


def sequence_of(rule, least=1, most=None):
    """A list or tuple of values that a rule accepts."""
    return Rule(
        lambda value: (
            isinstance(value, (list, tuple))
            and len(value) >= least
            and (most is None or len(value) <= most)
            and all(rule.accepts(one) for one in value)
        )
    )


NONE = Rule(lambda value: value is None)
ANYTHING = Rule(lambda value: True)
NOTHING = Rule()
FLAG = Rule(lambda value: isinstance(value, (bool, np.bool_)))
FUNCTION = Rule(callable)
PATH = file_path()
