"""Checks of arguments that many public functions share, and how a wrong value is shown."""

import difflib
import inspect
import numbers
import os
import pathlib
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

_LONGEST = 200
_WEIGHTS_SHOWN = 3


def shown(value: Any) -> str:
    """Returns a value as an error shows it: its `repr`, cut where it is long.

    Args:
        value: Any object. Of an array it is the shape and the type, and of an object that can't be
            shown, its type.
    """
    if hasattr(value, "shape") and hasattr(value, "dtype") and len(getattr(value, "shape", ())):
        return f"<{type(value).__name__} of shape {tuple(value.shape)}, {value.dtype}>"
    try:
        text = repr(value)
    except Exception:
        return f"<{type(value).__name__} that can't be shown>"
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}... ({len(text):,} characters)"


def closest(name: Any, known: Iterable[str]) -> str:
    """Returns a sentence for errors that lists the known names closest to an unknown one.

    Args:
        name: What was given.
        known: The names that there are.

    Returns:
        A sentence that begins with a space, or an empty string where none is near.
    """
    if not isinstance(name, str) or len(name) > _LONGEST:
        return ""
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.4)
    return f" Closest: {', '.join(map(repr, near))}." if near else ""


def takes(function: Callable, count: int) -> bool:
    """Returns whether a function takes a number of arguments by position.

    Args:
        function: Any callable.
        count: The number.
    """
    try:
        inspect.signature(function).bind(*[None] * count)
    except TypeError:
        return False
    except ValueError:
        # A function of another language has no signature.
        return True
    return True


def check_choice(name: str, value: Any, allowed: tuple, hint: str = "") -> Any:
    """Checks that an argument is one of a few values, and returns it.

    Args:
        name: The argument.
        value: What was given.
        allowed: Tuple of words, and `None` or booleans where they may be.
        hint: A sentence for the error that begins with a space.

    Raises:
        ValueError: If it is none of them.
    """
    is_plain = value is None or isinstance(value, (str, bool))
    if not is_plain or value not in allowed:
        raise ValueError(
            f"{name} must be one of {', '.join(map(repr, allowed))}.{hint} "
            f"Received: {name}={shown(value)}"
        )
    return value


def check_flag(name: str, value: Any, hint: str = "") -> bool:
    """Checks that an argument is `True` or `False`, and returns it.

    Args:
        name: The argument.
        value: What was given.
        hint: A sentence for the error that begins with a space.

    Raises:
        TypeError: If it is something else.
    """
    if not isinstance(value, bool):
        raise TypeError(f"{name} must be True or False.{hint} Received: {name}={shown(value)}")
    return value


def check_count(
    name: str, value: Any, low: int = 1, high: int | None = None, hint: str = ""
) -> int:
    """Checks that an argument is an integer within bounds, and returns it as an `int`.

    Args:
        name: The argument.
        value: What was given; NumPy's integers are taken too.
        low: Smallest allowed number.
        high: Largest allowed number, or `None`.
        hint: A sentence for the error that begins with a space.

    Raises:
        TypeError: If it isn't an integer.
        ValueError: If it is out of bounds.
    """
    is_integer = isinstance(value, numbers.Integral) and not isinstance(value, bool)
    if not is_integer:
        raise TypeError(f"{name} must be an integer.{hint} Received: {name}={shown(value)}")
    if value < low or (high is not None and value > high):
        upper = "" if high is None else f" and at most {high}"
        raise ValueError(f"{name} must be at least {low}{upper}. Received: {name}={shown(value)}")
    return int(value)


def check_text(name: str, value: Any) -> str:
    """Checks that an argument is a string that isn't empty, and returns it.

    Args:
        name: The argument.
        value: What was given.

    Raises:
        TypeError: If it isn't a string.
        ValueError: If it is empty.
    """
    if not isinstance(value, str):
        raise TypeError(f"{name} must be a string. Received: {name}={shown(value)}")
    if not value:
        raise ValueError(f"{name} is empty: give a string. Received: {name}=''")
    return value


def check_path(name: str, value: Any) -> pathlib.Path:
    """Checks that an argument is a path, and returns it as a `pathlib.Path`.

    Args:
        name: The argument.
        value: What was given: a string or an object of `pathlib`.

    Raises:
        TypeError: If it is something else.
        ValueError: If no file can have that name.
    """
    if not isinstance(value, (str, os.PathLike)):
        raise TypeError(
            f"{name} must be a path, a string or a pathlib.Path. Received: {name}={shown(value)}"
        )
    path = pathlib.Path(value)
    try:
        is_possible = b"\0" not in os.fsencode(path)
    except UnicodeEncodeError:
        is_possible = False
    if not is_possible or value == "":
        raise ValueError(f"{name} can't be the name of a file. Received: {name}={shown(value)}")
    return path


def check_directory(name: str, value: Any) -> pathlib.Path:
    """Checks that an argument is a folder or a path that is free, which holds in every folder.

    Args:
        name: The argument.
        value: What was given: a string or an object of `pathlib`.

    Returns:
        Absolute `pathlib.Path`.

    Raises:
        TypeError: If it is something else.
        ValueError: If a file has that name, or none can.
    """
    path = check_path(name, value).expanduser().absolute()
    if path.exists() and not path.is_dir():
        raise ValueError(
            f"{name} must be a folder, and there is a file. Received: {name}={str(value)!r}"
        )
    return path


def check_model(name: str, value: Any) -> Any:
    """Checks that an argument is a `keras.Model`, and returns it.

    Args:
        name: The argument.
        value: What was given.

    Raises:
        TypeError: If it isn't one.
    """
    # Not before: what only reads a file needs no Keras.
    import keras

    if not isinstance(value, keras.Model):
        raise TypeError(f"{name} must be a keras.Model. Received: {name}={shown(value)}")
    return value


def check_finite(name: str, arrays: Sequence[np.ndarray]):
    """Checks that arrays hold finite numbers.

    Args:
        name: The argument that holds them.
        arrays: List of arrays of shape `(samples, ...)`, one per input.

    Raises:
        ValueError: If one holds something else; the error names the first such sample.
    """
    for index, array in enumerate(arrays):
        where = f"input {index} of {name}" if len(arrays) > 1 else name
        if array.dtype.kind not in "biufV" or array.dtype.names:
            raise ValueError(
                f"{name} must hold numbers. Received: {where} of the type {array.dtype}"
            )
        # Of the kind V are the short floats that NumPy itself doesn't know.
        is_finite = np.isfinite(array.astype("float32") if array.dtype.kind == "V" else array)
        if not is_finite.all():
            sample = int(np.argwhere(~is_finite)[0][0]) if array.ndim else 0
            raise ValueError(
                f"{name} holds NaN or infinite values: leave such samples out, or mend them. "
                f"Received: {where} with {int((~is_finite).sum())} of them, first in sample "
                f"{sample}"
            )


def check_finite_weights(model: Any):
    """Checks that the weights of a model are finite.

    Args:
        model: `keras.Model`.

    Raises:
        ValueError: If some aren't; the error names their layers.
    """
    import keras

    found = []
    for weight in model.weights:
        if keras.backend.is_float_dtype(weight.dtype):
            value = keras.ops.convert_to_numpy(weight).astype("float32")
            count = value.size - int(np.isfinite(value).sum())
            if count:
                layer, _, name = weight.path.rpartition("/")
                found.append(f"{name!r} of the layer {layer!r} ({count} of {value.size})")
    if found:
        count = len(found) - _WEIGHTS_SHOWN
        more = f", and {count} weights more" if count > 0 else ""
        raise ValueError(
            f"The model {model.name!r} has weights that are NaN or infinite: "
            f"{', '.join(found[:_WEIGHTS_SHOWN])}{more}. Train it again, or take weights from "
            "before its training diverged."
        )


def check_samples(name: str, data: Any, forms: str) -> Any:
    """Checks that an argument is arrays of numbers, of as many samples each, and returns it.

    Args:
        name: The argument.
        data: What was given: an array, or a structure of them.
        forms: What is taken, for the error.

    Returns:
        The same structure of NumPy arrays.

    Raises:
        TypeError: If it is something else.
        ValueError: If the arrays differ in length, or are empty.
    """
    import keras

    try:
        arrays = keras.tree.map_structure(np.asarray, data)
        leaves = keras.tree.flatten(arrays)
        is_known = bool(leaves) and all(leaf.ndim and leaf.dtype.kind in "biuf" for leaf in leaves)
    except (ValueError, TypeError, RecursionError, AttributeError):
        is_known = False
    if not is_known:
        raise TypeError(f"{name} must be {forms}. Received: {name}={shown(data)}")
    counts = {len(leaf) for leaf in leaves}
    if len(counts) > 1 or 0 in counts:
        raise ValueError(
            f"The arrays of {name} must hold as many samples each, at least one. "
            f"Received: {sorted(counts)} samples"
        )
    return arrays
