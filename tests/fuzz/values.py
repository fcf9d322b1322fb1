"""Hostile values by name: what a call's arguments are replaced with, one at a time."""

import pathlib

import keras
import numpy as np
import tensorflow as tf

HUGE = 2**63


class NastyRepr:
    """An object that can't be shown."""

    def __repr__(self):
        raise RuntimeError("this object has no repr")


class LongRepr:
    """An object that would fill an error message."""

    def __repr__(self):
        return "long " * 100_000


class NastyEquality:
    """An object that can't be compared."""

    __hash__ = object.__hash__

    def __eq__(self, other):
        raise RuntimeError("this object can't be compared")


def endless_list():
    """A list that holds itself."""
    made = [1]
    made.append(made)
    return made


def _object_array():
    return np.array([None, {}, "a"], dtype=object)


# Each is made anew for each call, in the folder of the call.
VALUES = {
    "none": lambda place: None,
    "true": lambda place: True,
    "false": lambda place: False,
    "zero": lambda place: 0,
    "one": lambda place: 1,
    "seven": lambda place: 7,
    "minus_one": lambda place: -1,
    "huge_int": lambda place: HUGE,
    "half": lambda place: 0.5,
    "minus_half": lambda place: -0.5,
    "whole_float": lambda place: 2.0,
    "nan": lambda place: float("nan"),
    "inf": lambda place: float("inf"),
    "minus_inf": lambda place: float("-inf"),
    "huge_float": lambda place: 1e308,
    "complex": lambda place: 1 + 2j,
    "numpy_int": lambda place: np.int64(2),
    "numpy_float": lambda place: np.float32(0.5),
    "numpy_bool": lambda place: np.bool_(True),
    "numpy_nan": lambda place: np.float32("nan"),
    "numpy_str": lambda place: np.str_("kd"),
    "empty_str": lambda place: "",
    "unknown_str": lambda place: "no such thing",
    "number_str": lambda place: "1",
    "newline_str": lambda place: "two\nlines",
    "nul_str": lambda place: "nul\0byte",
    "slash_str": lambda place: "a/b",
    "unicode_str": lambda place: "Ünï ✓ наука 💥",
    "surrogate_str": lambda place: "\ud800",
    "tex_str": lambda place: "$\\frac{1}",
    "long_str": lambda place: "long" * 2_500,
    "bytes": lambda place: b"kd",
    "empty_list": lambda place: [],
    "list_of_none": lambda place: [None],
    "list_of_ints": lambda place: [1, 2],
    "list_of_strs": lambda place: ["a", "b"],
    "list_of_equals": lambda place: ["a", "a"],
    "ragged_list": lambda place: [[1.0], [2.0, 3.0]],
    "endless_list": lambda place: endless_list(),
    "empty_tuple": lambda place: (),
    "tuple_of_minus": lambda place: (-1, -1, -1),
    "empty_dict": lambda place: {},
    "dict_of_strs": lambda place: {"a": "b"},
    "dict_of_ints": lambda place: {1: 2},
    "set_of_strs": lambda place: {"a", "b"},
    "generator": lambda place: (number for number in (1, 2)),
    "range": lambda place: range(2),
    "lambda_of_none": lambda place: lambda: None,
    "lambda_of_five": lambda place: lambda a, b, c, d, e: None,
    "object": lambda place: object(),
    "class": lambda place: dict,
    "module": lambda place: pathlib,
    "nasty_repr": lambda place: NastyRepr(),
    "long_repr": lambda place: LongRepr(),
    "nasty_equality": lambda place: NastyEquality(),
    "array_of_rank_0": lambda place: np.array(1.0),
    "array_of_rank_1": lambda place: np.ones(3, "float32"),
    "array_of_rank_2": lambda place: np.ones((2, 3), "float32"),
    "array_of_rank_6": lambda place: np.ones((1,) * 6, "float32"),
    "empty_array": lambda place: np.zeros((0, 4), "float32"),
    "long_array": lambda place: np.zeros(100_000),
    "nan_array": lambda place: np.full((4, 8, 8, 1), np.nan, "float32"),
    "object_array": lambda place: _object_array(),
    "str_array": lambda place: np.array(["a", "b"]),
    "tensor": lambda place: tf.constant([1.0, 2.0]),
    "symbolic_tensor": lambda place: keras.KerasTensor((None, 3)),
    "tf_dataset": lambda place: tf.data.Dataset.range(3),
    "keras_layer": lambda place: keras.layers.Flatten(),
    "keras_loss": lambda place: keras.losses.MeanSquaredError(),
    "unbuilt_model": lambda place: keras.Sequential([keras.layers.Dense(2)]),
    "bad_schedule": lambda place: keras.optimizers.schedules.PolynomialDecay(-1.0, 10, -2.0),
    "missing_path": lambda place: place.folder / "missing" / "file.bin",
    "folder_path": lambda place: place.users_folder,
    "text_path": lambda place: place.users_folder / "thesis.txt",
    "device_path": lambda place: "/dev/null",
}


def changes_of(value):
    """Returns names of ways to damage a valid value, each with a function of it."""
    if isinstance(value, np.ndarray):
        return _CHANGES_OF_ARRAYS
    if isinstance(value, (list, tuple)) and value:
        return _CHANGES_OF_LISTS
    if isinstance(value, dict) and value:
        return _CHANGES_OF_DICTS
    if isinstance(value, (str, pathlib.Path)) and str(value):
        return _CHANGES_OF_STRS
    return {}


def _with(array, number):
    array = np.array(array, "float64" if array.dtype.kind in "iu" else array.dtype)
    array.flat[0] = number
    return array


_CHANGES_OF_ARRAYS = {
    "one_nan": lambda array: _with(array, np.nan),
    "one_inf": lambda array: _with(array, np.inf),
    "one_minus": lambda array: _with(array, -1),
    "one_huge": lambda array: _with(array, 2**62),
    "one_axis_more": lambda array: array[..., None],
    "one_axis_less": lambda array: array.reshape(array.shape[0], -1)[:, 0],
    "shorter": lambda array: array[:-1],
    "empty": lambda array: array[:0],
    "transposed": lambda array: array.T,
    "as_objects": lambda array: array.astype(object),
    "as_strs": lambda array: array.astype(str),
    "as_complex": lambda array: array.astype("complex64"),
}
_CHANGES_OF_LISTS = {
    "one_less": lambda values: values[:-1],
    "one_more": lambda values: type(values)([*values, values[-1]]),
    "one_none": lambda values: type(values)([*values[:-1], None]),
    "one_nan": lambda values: type(values)([*values[:-1], float("nan")]),
    "one_object": lambda values: type(values)([*values[:-1], object()]),
    "as_set": lambda values: set(map(str, values)),
    "as_iterator": iter,
    "nested": lambda values: [values],
}
_CHANGES_OF_DICTS = {
    "one_less": lambda values: dict(list(values.items())[:-1]),
    "one_more": lambda values: {**values, "stranger": 1},
    "one_none": lambda values: {**values, next(iter(values)): None},
    "other_keys": lambda values: {f"{key}?": value for key, value in values.items()},
    "as_list": lambda values: list(values),
}
_CHANGES_OF_STRS = {
    "upper": lambda text: str(text).upper(),
    "space_after": lambda text: f"{text} ",
    "newline_after": lambda text: f"{text}\n",
    "doubled": lambda text: f"{text}{text}",
    "as_bytes": lambda text: str(text).encode(),
}
