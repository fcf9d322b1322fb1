"""The C++ sources of a model on TensorFlow Lite Micro, the same on every board."""

import numpy as np

from keras_distill.tflite.analysis import operators
from keras_distill.tflite.deploy import packing, projects, source_literals

_TYPES = {"int8": "int8_t", "int16": "int16_t", "float32": "float"}
_TEMPLATES = {
    ".h": "model.h",
    ".cpp": "model.cpp",
    "_data.h": "model_data.h",
    "_data.cpp": "model_data.cpp",
    "_samples.h": "samples.h",
    "_samples.cpp": "samples.cpp",
}
_FIELDS = {"int8": "data.int8", "int16": "data.i16", "float32": "data.f"}


def sources(package, size, includes=""):
    """Returns the C++ sources of a model.

    Args:
        package: `Package`.
        size: `ArenaSize`.
        includes: Lines that bring in TensorFlow Lite Micro, where a board needs any.

    Returns:
        Dictionary from file name to text.

    Raises:
        ValueError: If TensorFlow Lite Micro lacks an operator.
    """
    texts = {**values(package, size), "includes": includes}
    return {
        f"{texts['namespace']}{ending}": projects.fill(f"cpp/{template}", texts)
        for ending, template in _TEMPLATES.items()
    }


def values(package, size):
    """Returns what fills in the sources, sketches and READMEs of a model.

    Args:
        package: `Package`.
        size: `ArenaSize`.

    Returns:
        Dictionary from name to text.
    """
    golden, namespace = package.golden, source_literals.c_namespace(package.name)
    return {
        "name": package.name,
        "namespace": namespace,
        "guard": f"KERAS_DISTILL_{namespace}",
        "summary": package.summary,
        "model_bytes": len(package.content),
        "model_data": source_literals.c_bytes(package.content),
        "arena_bytes": size.usual,
        "arena_includes": size.includes,
        "arena_size": size.declaration(),
        "input_size": package.input_size,
        "output_size": package.output_size,
        "input_shape": packing.shape_text(package.input),
        "output_shape": packing.shape_text(package.output),
        "input_type": _TYPES[package.input.dtype],
        "output_type": _TYPES[package.output.dtype],
        "input_field": _FIELDS[package.input.dtype],
        "output_field": _FIELDS[package.output.dtype],
        "operator_count": len(package.operators),
        "add_operators": "\n".join(_add_operator(name) for name in package.operators),
        "labels": ", ".join(source_literals.c_string(label) for label in package.labels),
        "set_input": _set_input(package.input),
        "score": _score(package.output),
        "sample_count": len(golden.samples),
        "samples": source_literals.c_rows(golden.samples),
        "golden": source_literals.c_rows(golden.answers),
        "tolerance": source_literals.c_float(golden.tolerance),
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
        f"  float steps = roundf(value / {source_literals.c_float(info.scale)})"
        f" + ({info.zero_point});\n"
        "  // In this order, NaN maps to the minimum.\n"
        f"  steps = steps > {limits.min} ? steps : {limits.min};\n"
        f"  steps = steps < {limits.max} ? steps : {limits.max};\n"
        "  input()[index] = static_cast<Input>(steps);"
    )


def _score(info):
    if not info.is_quantized:
        return "output()[index]"
    return f"{source_literals.c_float(info.scale)} * (output()[index] - ({info.zero_point}))"
