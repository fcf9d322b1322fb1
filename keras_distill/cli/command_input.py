"""Models, samples and labels that the command line names."""

import argparse
import math
import pathlib

import numpy as np

from keras_distill.cli import keras2_models

_LEGACY = (".h5", ".hdf5")


def check_model_path(path):
    """Checks that there is a file, or a SavedModel folder.

    Args:
        path: `pathlib.Path`.

    Raises:
        ValueError: If there is none, or a folder without a SavedModel.
    """
    if path.is_dir() and not keras2_models.is_saved_model(path):
        raise ValueError(
            f"The folder {str(path)!r} holds no saved_model.pb: give a .keras or .h5 file, or the "
            "folder of a SavedModel."
        )
    if not path.is_dir():
        check_file(path)


def check_file(path):
    """Checks that there is a file.

    Args:
        path: `pathlib.Path`.

    Raises:
        ValueError: If there is none.
    """
    if not path.is_file():
        raise ValueError(f"There is no file {str(path)!r}.")


def load_model(path):
    """Returns a saved Keras model.

    Args:
        path: `pathlib.Path` of a `.keras` or `.h5` file, also of Keras 2, or of a SavedModel
            folder.

    Raises:
        ValueError: If it can't be loaded.
    """
    import keras

    # Its layers may be ours: all of them are registered by this.
    import keras_distill.api  # noqa: F401

    try:
        model = _loaded(path)
    # What a damaged file, or a layer that isn't known here, ends in is of any kind.
    except Exception as error:
        raise ValueError(
            f"{path} can't be loaded as a Keras model: it is damaged, or needs what isn't here. "
            f"{type(error).__name__}: {_shortened(error)}{_way_out(path)}"
        ) from error
    if not isinstance(model, keras.Model):
        raise ValueError(f"{path} holds no Keras model, but a {type(model).__name__}.")
    return model


def _way_out(path):
    if path.suffix not in _LEGACY:
        return ""
    return " A model of Keras 2 can be given as a SavedModel folder too, saved there."


def _loaded(path):
    import keras

    if keras2_models.is_saved_model(path):
        return keras2_models.of_saved_model(path)
    if path.suffix not in _LEGACY:
        return keras.models.load_model(path, compile=False)
    with keras2_models.readable(path) as readable:
        return keras.models.load_model(readable, compile=False)


def load_arrays(path):
    """Returns the samples of a file, and the labels if it has them.

    Args:
        path: `pathlib.Path` of a `.npy` or `.npz` file.

    Returns:
        Tuple of an array, or a dictionary of arrays for several inputs, and the labels or `None`.

    Raises:
        ValueError: If the file isn't there, is damaged or holds no samples.
    """
    arrays = read_arrays(path)
    if path.suffix == ".npy":
        return arrays, None
    y = arrays.pop("y", None)
    if not arrays:
        raise ValueError(f"{path} holds no inputs: name them x, or like the model's inputs.")
    if len(arrays) > 1 and "x" not in arrays:
        return arrays, y
    return arrays.get("x", next(iter(arrays.values()))), y


def read_arrays(path):
    """Returns what a file holds: an array of a `.npy` file, a dictionary of an `.npz` file.

    Args:
        path: `pathlib.Path`.

    Raises:
        ValueError: If the file isn't there or is damaged.
    """
    check_file(path)
    try:
        loaded = np.load(path, allow_pickle=False)
        return loaded if path.suffix == ".npy" else {name: loaded[name] for name in loaded.files}
    # NumPy and zipfile end in errors of many kinds on damaged files.
    except Exception as error:
        raise ValueError(
            f"{path} can't be read as arrays: it is damaged, or holds Python objects. "
            f"{type(error).__name__}: {_shortened(error)}"
        ) from error


def count(text):
    """Returns the whole number of at least 1 that an argument is.

    Args:
        text: The argument.

    Raises:
        argparse.ArgumentTypeError: If it is none.
    """
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"a whole number of at least 1 is needed, not {text!r}")
    return int(text)


def positive(text):
    """Returns the number above 0 that an argument is.

    Args:
        text: The argument.

    Raises:
        argparse.ArgumentTypeError: If it is none.
    """
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"a number above 0 is needed, not {text!r}")
    return value


def check_scale(low, high):
    """Checks a range of pixels.

    Args:
        low: Least value.
        high: Largest value.

    Raises:
        ValueError: If it is no range.
    """
    if not (np.isfinite(low) and np.isfinite(high) and low < high):
        raise ValueError(
            f"--scale takes a number and a larger one. Received: --scale {low:g} {high:g}"
        )


def rescaled(x, low, high):
    """Returns pixels of 0 to 1, or whole ones of 0 to 255, in another range.

    Args:
        x: Array of shape `(samples, ...)`.
        low: What 0 becomes.
        high: What 1, or 255, becomes.

    Returns:
        Float array of the same shape. What holds no numbers is returned as it is.

    Raises:
        ValueError: If the numbers are no such pixels.
    """
    if isinstance(x, dict):
        raise ValueError(
            "--scale is for a model with one input: scale the arrays in the file. Received: "
            f"arrays {', '.join(x)}"
        )
    if x.size == 0 or x.dtype.kind not in "biuf":
        return x
    least, most = np.min(x), np.max(x)
    is_whole = np.array_equal(x, np.round(x))
    if not (least >= 0 and (most <= 1 or (is_whole and most <= 255))):
        raise ValueError(
            "--scale is for pixels of 0 to 1, or whole ones of 0 to 255: scale other data in the "
            f"file. Received: values from {least:g} to {most:g}"
        )
    # Whole numbers up to 1 are pixels of 0 to 255 only if their type is one of whole numbers.
    largest = 255 if most > 1 or x.dtype == np.uint8 else 1
    return (low + (high - low) / largest * np.asarray(x, "float64")).astype("float32")


def load_labels(source):
    """Returns the names of classes that a file or the command holds.

    Args:
        source: Path of a text file with one name a line, or names with commas between.

    Raises:
        ValueError: If the file is no text.
    """
    path = pathlib.Path(source)
    if not path.is_file():
        return [name.strip() for name in source.split(",")]
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is no text in UTF-8: {error}.") from error
    return [line.strip() for line in lines if line.strip()]


def _shortened(error):
    text = " ".join(str(error).split())
    # Keras says at the beginning where, and at the end why.
    return text if len(text) <= 400 else f"{text[:120]} ... {text[-280:]}"
