"""What every project of a model holds, checked before anything is written."""

import dataclasses
import math
import pathlib

from keras_distill.tflite import golden, literals, projects

DTYPES = ("int8", "int16", "float32")


@dataclasses.dataclass(frozen=True)
class Package:
    """A model with all that a project needs.

    Args:
        name: Name of the project, which is also a C++ name.
        content: Bytes of the TensorFlow Lite file.
        operators: Names of its operators, each once.
        input: `TensorInfo` of the input.
        output: `TensorInfo` of the output.
        labels: Names of the classes, one per output value.
        golden: `Golden` vectors.
    """

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
        """What goes in and comes out, in one line."""
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


def pack(tflite_model, folder, *, target, answer, advice, labels=None, samples=None, name=None):
    """Checks a model and all that was given for its project.

    Args:
        tflite_model: `TFLiteModel` with one input and one output.
        folder: Folder of the project.
        target: `"mobile"`, `"mcu"` or `"arduino"`: what must be able to run the model.
        answer: Function of the model and samples that returns `Golden`.
        advice: What to do with a model that the target can't run.
        labels: Names of the classes, or `None` for their numbers.
        samples: Float array of shape `(samples, ...)`.
        name: Name of the project, or `None` for the folder's name.

    Returns:
        `Package`.

    Raises:
        ValueError: If the model can't run on the target, or arguments don't suit it.
    """
    projects.check_folder(folder)
    _check_ends(tflite_model)
    _check_target(tflite_model, target, advice)
    labels = _labels(labels, math.prod(tflite_model.outputs[0].shape[1:]))
    if samples is None:
        raise ValueError(
            "The project needs samples: some ten real inputs, scaled as in training, with which "
            "the device checks itself."
        )
    return Package(
        name=literals.c_name(name or pathlib.Path(folder).resolve().name),
        content=tflite_model.content,
        operators=tuple(tflite_model.operators),
        input=tflite_model.inputs[0],
        output=tflite_model.outputs[0],
        labels=labels,
        golden=answer(tflite_model, samples),
    )


def pack_for_litert(tflite_model, folder, labels, samples, name):
    """Checks a model and what was given for a project of a computer or a phone.

    Args:
        tflite_model: `TFLiteModel` with one input and one output.
        folder: Folder of the project.
        labels: Names of the classes, or `None` for their numbers.
        samples: Float array of shape `(samples, ...)`.
        name: Name of the project, or `None` for the folder's name.

    Returns:
        `Package`, with the answers of LiteRT.

    Raises:
        ValueError: If arguments don't suit the model.
    """
    return pack(
        tflite_model,
        folder,
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
            "A project for a device takes a model with one input and one output, this one has "
            f"{counts[0]} and {counts[1]}."
        )
    for side in (tflite_model.inputs[0], tflite_model.outputs[0]):
        if side.dtype not in DTYPES:
            raise ValueError(
                f"Tensor {side.name!r} is of type {side.dtype}; a project for a device takes "
                f"{', '.join(DTYPES)}."
            )


def _check_target(tflite_model, target, advice):
    problems = [f for f in tflite_model.lint_for(target) if f.severity == "error"]
    if problems:
        raise ValueError(f"This model would not run right on the device: {problems[0]} {advice}")


def _labels(labels, width):
    if labels is None:
        return tuple(str(index) for index in range(width))
    if len(labels) != width:
        raise ValueError(
            f"The model has {width} output values, but there are {len(labels)} labels: "
            f"{list(labels)}."
        )
    return tuple(str(label) for label in labels)
