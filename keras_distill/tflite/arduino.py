"""An Arduino library from a TensorFlow Lite file, with a sketch that checks itself."""

import importlib.resources
import os
import pathlib
import re
import shutil
import string
import tempfile

import numpy as np

from keras_distill.tflite import micro, operators

_C_TYPES = {"int8": "int8_t", "int16": "int16_t", "float32": "float"}
_TENSOR_FIELDS = {"int8": "data.int8", "int16": "data.i16", "float32": "data.f"}
_CPP_KEYWORDS = frozenset(
    """
    alignas alignof and asm auto bool break case catch char class const constexpr continue default
    delete do double else enum explicit export extern false float for friend goto if inline int
    long mutable namespace new not nullptr operator or private protected public register return
    short signed sizeof static struct switch template this throw true try typedef typename union
    unsigned using virtual void volatile while xor std tflite setup loop
    """.split()
)
_PROPERTIES = "library.properties"
_MARK = "author=keras_distill"


def export_library(tflite_model, folder, labels=None, samples=None, name=None):
    """Writes the Arduino library of a model; see `TFLiteModel.to_arduino`.

    Args:
        tflite_model: `TFLiteModel` with one input and one output.
        folder: Folder of the library.
        labels: Names of the classes, or `None`.
        samples: Inputs of shape `(samples, ...)`.
        name: Name of the library, or `None` for the folder's name.

    Returns:
        `pathlib.Path` of the library.

    Raises:
        ImportError: If tflite-micro isn't installed: it finds the arena and the right answers.
        ValueError: If the model can't run on a board, or arguments don't suit it.
    """
    _check_model(tflite_model)
    if samples is None:
        raise ValueError(
            "to_arduino needs samples: some ten real inputs, scaled as in training, with which "
            "the sketch checks itself on the board."
        )
    inputs = tflite_model.quantize_inputs(samples)
    arena = micro.recommended_arena(micro.minimum_arena(tflite_model.content))
    golden = micro.run(tflite_model.content, tflite_model.graph, inputs)[0]
    return write_library(
        folder,
        name=name or pathlib.Path(folder).resolve().name,
        content=tflite_model.content,
        operators=list(tflite_model.operators),
        arena_bytes=arena,
        input=tflite_model.inputs[0],
        output=tflite_model.outputs[0],
        samples=inputs[0],
        golden=golden,
        labels=labels,
    )


def write_library(
    folder, *, name, content, operators, arena_bytes, input, output, samples, golden, labels=None
):
    """Writes an Arduino library, whole or not at all.

    A library that this function wrote before is replaced. Anything else in the folder is an error.

    Args:
        folder: Folder of the library, made with its parents.
        name: Name of the library; made a C++ name.
        content: Bytes of the TensorFlow Lite file.
        operators: Names of its builtin operators, each once.
        arena_bytes: Arena of the sketch in bytes.
        input: `TensorInfo` of the input.
        output: `TensorInfo` of the output.
        samples: Array of shape `(samples, ...)` in the input's type.
        golden: Array of shape `(samples, ...)` in the output's type: the right answers.
        labels: Names of the classes, one per output value, or `None` for their numbers.

    Returns:
        `pathlib.Path` of the library.

    Raises:
        ValueError: If the number of labels is wrong, TensorFlow Lite Micro lacks an operator, or
            the folder holds something else.
    """
    folder = pathlib.Path(folder)
    _check_folder(folder)
    width = int(np.prod(output.shape[1:]))
    labels = [str(index) for index in range(width)] if labels is None else list(labels)
    if len(labels) != width:
        raise ValueError(
            f"The model has {width} output values, but there are {len(labels)} labels: {labels}."
        )
    name = c_name(name)
    values = {
        **_texts(name, content, samples, input, output, arena_bytes),
        **_code(operators, input, output, labels),
        "samples": _rows(samples),
        "golden": _rows(golden),
    }
    folder.parent.mkdir(parents=True, exist_ok=True)
    scratch = pathlib.Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}."))
    try:
        scratch.chmod(0o755)
        for template, target in _files(name):
            (scratch / target).parent.mkdir(parents=True, exist_ok=True)
            (scratch / target).write_text(_template(template).substitute(values), encoding="utf-8")
        _swap(scratch, folder)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return folder


def c_name(name):
    """Returns a name that C++ and the Arduino library manager accept.

    Args:
        name: Any text.

    Example:

    ```python
    assert c_name("2nd model (int8)") == "model_2nd_model_int8"
    ```
    """
    clean = re.sub(r"_+", "_", re.sub(r"[^0-9A-Za-z]", "_", str(name))).strip("_")
    if not clean or clean[0].isdigit() or clean in _CPP_KEYWORDS:
        clean = f"model_{clean}".rstrip("_")
    return clean


def c_string(text):
    """Returns a C string literal of any text, in ASCII.

    Args:
        text: Any text.
    """
    escaped = []
    for byte in str(text).encode("utf-8"):
        plain = 32 <= byte < 127 and chr(byte) not in '"\\?'
        # Three octal digits end an escape whatever follows, which hexadecimal ones don't.
        escaped.append(chr(byte) if plain else f"\\{byte:03o}")
    return f'"{"".join(escaped)}"'


def _check_model(tflite_model):
    counts = (len(tflite_model.inputs), len(tflite_model.outputs))
    if counts != (1, 1):
        raise ValueError(
            f"An Arduino library takes a model with one input and one output, this one has "
            f"{counts[0]} and {counts[1]}."
        )
    for side in (tflite_model.inputs[0], tflite_model.outputs[0]):
        if side.dtype not in _C_TYPES:
            raise ValueError(
                f"Tensor {side.name!r} is of type {side.dtype}; a sketch takes "
                f"{', '.join(_C_TYPES)}."
            )
    target = tflite_model.target if tflite_model.target != "mobile" else "arduino"
    problems = [f for f in tflite_model.lint_for(target) if f.severity == "error"]
    if problems:
        raise ValueError(
            f"This model would not run right on a board: {problems[0]} Export it with "
            'target="arduino".'
        )


def _check_folder(folder):
    if not folder.exists():
        return
    if not folder.is_dir():
        raise ValueError(f"{str(folder)!r} is a file: give a folder for the library.")
    properties = folder / _PROPERTIES
    is_ours = properties.is_file() and _MARK in properties.read_text(encoding="utf-8")
    if any(folder.iterdir()) and not is_ours:
        raise ValueError(
            f"The folder {str(folder)!r} holds something else than a library made here: give a "
            "new folder."
        )


def _swap(scratch, folder):
    """Puts the finished folder in its place, and the old one back if that fails."""
    old = None
    if folder.exists():
        old = scratch.with_name(f"{scratch.name}.old")
        os.replace(folder, old)
    try:
        os.replace(scratch, folder)
    except OSError:
        if old is not None:
            os.replace(old, folder)
        raise
    if old is not None:
        shutil.rmtree(old)


def _files(name):
    return [
        ("library.properties", _PROPERTIES),
        ("README.md", "README.md"),
        ("src/model.h", f"src/{name}.h"),
        ("src/model.cpp", f"src/{name}.cpp"),
        ("src/model_data.h", f"src/{name}_model_data.h"),
        ("src/model_data.cpp", f"src/{name}_model_data.cpp"),
        ("example/example.ino", f"examples/{name}/{name}.ino"),
        ("example/samples.h", f"examples/{name}/{name}_samples.h"),
    ]


def _template(name):
    source = importlib.resources.files("keras_distill.device").joinpath("arduino", name)
    return string.Template(source.read_text(encoding="utf-8"))


def _texts(name, content, samples, input, output, arena_bytes):
    bytes_per_line = 16
    lines = [
        "  " + " ".join(f"0x{byte:02x}," for byte in content[start : start + bytes_per_line])
        for start in range(0, len(content), bytes_per_line)
    ]
    summary = (
        f"A model of {len(content)} bytes with an arena of {arena_bytes} bytes, "
        f"{input.dtype} input of shape {_shape(input)}, {output.dtype} output of shape "
        f"{_shape(output)}."
    )
    return {
        "name": name,
        "guard": name.upper(),
        "summary": summary,
        "model_bytes": len(content),
        "model_data": "\n".join(lines),
        "arena_bytes": arena_bytes,
        "sample_count": len(samples),
        "input_size": int(np.prod(input.shape[1:])),
        "output_size": int(np.prod(output.shape[1:])),
        "input_shape": _shape(input),
        "output_shape": _shape(output),
    }


def _shape(info):
    return " x ".join(str(side) for side in info.shape[1:])


def _code(names, input, output, labels):
    return {
        "input_type": _C_TYPES[input.dtype],
        "output_type": _C_TYPES[output.dtype],
        "input_field": _TENSOR_FIELDS[input.dtype],
        "output_field": _TENSOR_FIELDS[output.dtype],
        "operator_count": len(names),
        "add_operators": "\n".join(_add_operator(name) for name in names),
        "labels": ", ".join(c_string(label) for label in labels),
        "set_input": _set_input(input),
        "score": _score(output),
    }


def _add_operator(name):
    return (
        f"  if (resolver.{operators.resolver_method(name)}() != kTfLiteOk) {{\n"
        f'    return "{name} could not be added";\n'
        "  }"
    )


def _set_input(info):
    if not info.is_quantized:
        return "  input()[index] = value;"
    limits = np.iinfo(info.dtype)
    return (
        f"  float steps = roundf(value / {_float(info.scale)}) + ({info.zero_point});\n"
        f"  steps = steps < {limits.min} ? {limits.min} : steps;\n"
        f"  steps = steps > {limits.max} ? {limits.max} : steps;\n"
        "  input()[index] = static_cast<Input>(steps);"
    )


def _score(info):
    if not info.is_quantized:
        return "output()[index]"
    return f"{_float(info.scale)} * (output()[index] - ({info.zero_point}))"


def _float(value):
    text = repr(float(np.float32(value)))
    return f"{text if any(mark in text for mark in '.en') else text + '.0'}f"


def _rows(values):
    flat = np.asarray(values).reshape(len(values), -1)
    literal = _float if flat.dtype.kind == "f" else str
    return ",\n".join(
        "    {" + ", ".join(literal(value) for value in row.tolist()) + "}" for row in flat
    )
