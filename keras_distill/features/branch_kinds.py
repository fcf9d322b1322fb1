"""The kinds of branches, and which of them a teacher or student becomes."""

import os
import pathlib

from keras_distill.arguments import shown
from keras_distill.features.batches import check_input_function
from keras_distill.features.branch import NoBranch
from keras_distill.features.callable_branch import CallableBranch
from keras_distill.features.model_branch import ModelBranch

KINDS = (NoBranch, ModelBranch, CallableBranch)
# Endings of files of other frameworks.
_OF_OTHERS = (".pt", ".pth", ".onnx", ".safetensors")


def branch_of(source, name="teacher", input_function=None):
    """Returns the branch of a teacher or of a student.

    Args:
        source: A `keras.Model`, a function of a batch, `None`, or an object with a method
            `make_branch(name, input_function)`, as a `TeacherCache` has.
        name: `"teacher"` or `"student"`.
        input_function: As for `Branch`.

    Raises:
        TypeError: If `input_function` is of the wrong type.
        ValueError: If `source` is none of these.
    """
    check_input_function(input_function, f"{name}_input")
    if hasattr(source, "make_branch") and not isinstance(source, type):
        return source.make_branch(name, input_function)
    for kind in KINDS:
        if kind.accepts(source):
            return kind(source, name, input_function)
    raise ValueError(
        f"{name.title()} must be a keras.Model, a TeacherCache, a function from a batch to logits, "
        f"or None where no loss needs a teacher.{_how_to_load(source)} "
        f"Received: {name}={shown(source)}"
    )


def _how_to_load(source):
    """Returns a sentence that says what to do with a path in place of a model."""
    if not isinstance(source, (str, os.PathLike)):
        return ""
    path, suffix = shown(os.fspath(source)), pathlib.Path(source).suffix.lower()
    if suffix == ".tflite":
        return f" Of this file give TFLiteModel({path}).predict."
    if suffix in _OF_OTHERS:
        return (
            " Load this file with its own framework, and give a function from a batch, a NumPy "
            "array, to logits."
        )
    if _is_saved_model(source):
        return (
            f" A SavedModel is a layer to Keras: layer = keras.layers.TFSMLayer({path}, "
            'call_endpoint="serving_default"), and give a function, such as lambda x: '
            "next(iter(layer(x).values()))."
        )
    return f" A saved model is loaded first: keras.models.load_model({path})."


def _is_saved_model(source):
    try:
        return (pathlib.Path(source) / "saved_model.pb").is_file()
    except (OSError, ValueError):
        return False
