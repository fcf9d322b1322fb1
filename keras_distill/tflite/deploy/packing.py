"""The content of a project, checked before anything is written."""

import dataclasses
import math

import numpy as np

from keras_distill.arguments import check_text, shown
from keras_distill.tflite.deploy import golden, project_folder, source_literals
from keras_distill.tflite.deploy import labels as labels_module

DTYPES = ("int8", "int16", "float32")
# Of the names that Arduino's library manager takes.
_LONGEST_NAME = 63


@dataclasses.dataclass(frozen=True)
class Package:
    """The content of a project: model, labels, golden vectors.

    Args:
        kind: Kind of the project, such as `"arduino"`.
        name: Name of the project: letters and digits of ASCII with `_` between.
        content: Bytes of the TensorFlow Lite file.
        operators: Names of its operators, each once.
        input: `TensorInfo` of the input.
        output: `TensorInfo` of the output.
        labels: Names of the classes, one per output value.
        golden: `Golden` vectors.
    """

    kind: str
    name: str
    content: bytes
    operators: tuple
    input: object
    output: object
    labels: tuple
    golden: golden.Golden

    @property
    def input_size(self):
        """Number of input values."""
        return math.prod(self.input.shape[1:])

    @property
    def output_size(self):
        """Number of output values."""
        return math.prod(self.output.shape[1:])

    @property
    def summary(self):
        """Size, input and output of the model, in one line."""
        sides = [
            f"{info.dtype} {side} of shape {shape_text(info)}"
            for side, info in (("input", self.input), ("output", self.output))
        ]
        return f"A model of {len(self.content):,} bytes: {sides[0]}, {sides[1]}."


def shape_text(info):
    """Returns the shape of one sample, such as `28 x 28 x 1`.

    Args:
        info: `TensorInfo`.
    """
    return " x ".join(str(side) for side in info.shape[1:])


def pack(
    tflite_model, folder, *, kind, target, answer, advice, labels=None, samples=None, name=None
):
    """Checks a model and all that was given for its project.

    Args:
        tflite_model: `TFLiteModel` with one input and one output.
        folder: Folder of the project.
        kind: Kind of the project, such as `"arduino"`.
        target: `"mobile"`, `"mcu"` or `"arduino"`: what must be able to run the model.
        answer: Function of the model and samples that returns `Golden`.
        advice: What to do with a model that the target can't run.
        labels: Names of the classes, or `None` for their numbers.
        samples: Float array of shape `(samples, ...)`.
        name: Name of the project, or `None` for the folder's name.

    Returns:
        `Package`.

    Raises:
        TypeError: If an argument is of a wrong type.
        ValueError: If the model can't run on the target, or arguments don't suit it.
    """
    folder = project_folder.check(folder, kind)
    _check_ends(tflite_model)
    _check_target(tflite_model, target, advice)
    labels = _labels(labels, math.prod(tflite_model.outputs[0].shape[1:]))
    name = _name(name, folder)
    _check_samples(samples)
    vectors = answer(tflite_model, samples)
    _check_finite("The model's answer to samples[{}]", vectors.answers)
    return Package(
        kind=kind,
        name=name,
        content=tflite_model.content,
        operators=tuple(tflite_model.operators),
        input=tflite_model.inputs[0],
        output=tflite_model.outputs[0],
        labels=labels,
        golden=vectors,
    )


def pack_for_litert(tflite_model, folder, kind, labels, samples, name):
    """Checks a model and what was given for a project of a computer or a phone.

    Args:
        tflite_model: `TFLiteModel` with one input and one output.
        folder: Folder of the project.
        kind: Kind of the project, such as `"ios"`.
        labels: Names of the classes, or `None` for their numbers.
        samples: Float array of shape `(samples, ...)`.
        name: Name of the project, or `None` for the folder's name.

    Returns:
        `Package`, with the answers of LiteRT.

    Raises:
        TypeError: If an argument is of a wrong type.
        ValueError: If arguments don't suit the model.
    """
    return pack(
        tflite_model,
        folder,
        kind=kind,
        target="mobile",
        answer=golden.on_litert,
        advice="Export it with keras_distill.export_tflite.",
        labels=labels,
        samples=samples,
        name=name,
    )


def _check_ends(tflite_model):
    counts = (len(tflite_model.inputs), len(tflite_model.outputs))
    if counts != (1, 1):
        raise ValueError(
            "A project for a device takes a model with one input and one output. Received: a "
            f"model with {counts[0]} and {counts[1]}"
        )
    for side in (tflite_model.inputs[0], tflite_model.outputs[0]):
        if side.dtype not in DTYPES:
            raise ValueError(
                f"A project for a device takes inputs and outputs of {', '.join(DTYPES)}. "
                f"Received: tensor {side.name!r} of type {side.dtype}"
            )
        if not side.shape or side.shape[0] != 1:
            raise ValueError(
                "A project for a device takes inputs and outputs that begin with a batch of 1. "
                f"Received: tensor {side.name!r} of shape {list(side.shape)}"
            )


def _check_target(tflite_model, target, advice):
    problems = [f for f in tflite_model.lint_for(target) if f.severity == "error"]
    if problems:
        raise ValueError(f"This model would not run right on the device: {problems[0]} {advice}")


def _labels(labels, width):
    if labels is None:
        return tuple(str(index) for index in range(width))
    return labels_module.checked(labels, width)


def _name(name, folder):
    if name is None:
        name = folder.resolve().name
    elif not any(character.isalnum() for character in check_text("name", name)):
        raise ValueError(f"name must hold a letter or a digit. Received: name={shown(name)}")
    clean = source_literals.c_name(name)
    if len(clean) > _LONGEST_NAME:
        raise ValueError(
            f"name must be of at most {_LONGEST_NAME} characters, as Arduino takes them. "
            f"Received: name={shown(name)}"
        )
    return clean


def _check_samples(samples):
    """Refuses samples that aren't finite numbers: a device can't check itself on them."""
    # Not before: what only looks into a file needs no Keras.
    import keras

    if samples is None:
        raise ValueError(
            "The project needs samples: some ten real inputs, scaled as in training, with which "
            "the device checks itself. Received: samples=None"
        )
    try:
        arrays = [np.asarray(array) for array in keras.tree.flatten(samples)]
    except Exception as error:
        # Whatever an object raises that holds no numbers, such as a symbolic tensor.
        raise TypeError(
            f"samples must be an array of numbers. Received: samples={shown(samples)}"
        ) from error
    for array in arrays:
        if array.dtype.kind not in "biuf" and array.dtype.name != "bfloat16":
            raise TypeError(f"samples must be numbers. Received: samples of type {array.dtype}")
        if array.size and array.ndim:
            _check_finite("samples[{}]", array)


def _check_finite(name, arrays):
    with np.errstate(over="ignore"):
        is_finite = np.isfinite(arrays.astype("float32")).reshape(len(arrays), -1).all(axis=1)
    wrong = np.flatnonzero(~is_finite).tolist()
    if wrong:
        listed = 10
        others = f" and {len(wrong) - listed} more" if len(wrong) > listed else ""
        raise ValueError(
            f"{name.format(wrong[0])} holds NaN or infinity, which a device can't compare: leave "
            f"it out. Received: samples with such numbers at {wrong[:listed]}{others}"
        )
