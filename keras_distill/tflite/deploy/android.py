"""A Kotlin class for an Android app from a TensorFlow Lite file, with its assets."""

import numpy as np

from keras_distill.tflite.deploy import packing, phones, project_folder, projects, source_literals

_KOTLIN = {
    "int8": ("Byte", "put", "get", 1),
    "int16": ("Short", "putShort", "getShort", 2),
    "float32": ("Float", "putFloat", "getFloat", 4),
}


def export(tflite_model, folder, labels=None, samples=None, name=None):
    """Writes the Kotlin class of a model; see `TFLiteModel.to_android`.

    Args:
        tflite_model: `TFLiteModel` with one input and one output.
        folder: Folder of the files.
        labels: Names of the classes, or `None`.
        samples: Inputs of shape `(samples, ...)`.
        name: Name of the model, or `None` for the folder's name.

    Returns:
        `pathlib.Path` of the folder.

    Raises:
        ValueError: If arguments don't suit the model.
    """
    package = packing.pack_for_litert(tflite_model, folder, "android", labels, samples, name)
    input_type, put, _, input_bytes = _KOTLIN[package.input.dtype]
    _, _, get, output_bytes = _KOTLIN[package.output.dtype]
    values = {
        **phones.values(package),
        "asset": package.name.lower(),
        "labels": phones.label_lines(package.labels, source_literals.kotlin_string, " " * 12),
        "input_bytes": input_bytes,
        "output_bytes": output_bytes,
        "input_kind": input_type,
        "put": put,
        "get": get,
        "quantize": _quantize(package.input, input_type),
        "score": phones.score(package.output, "number.toFloat()", "f"),
        "tolerance": source_literals.c_float(package.golden.tolerance),
    }
    source = f"app/src/main/java/keras_distill/{values['class_name']}.kt"
    return project_folder.write(
        folder,
        package.kind,
        {
            source: projects.fill("android/Model.kt", values),
            projects.README: projects.fill("android/README.md", values),
            **phones.assets(package, "app/src/main/assets/", values["asset"]),
        },
    )


def _quantize(info, kind):
    if not info.is_quantized:
        return "return value"
    limits = np.iinfo(info.dtype)
    return (
        # Kotlin's own functions round ties to even or upward; in 64 bits, 0.5 can be added safely.
        f"val exact = (value / {source_literals.c_float(info.scale)}).toDouble()\n"
        "        // Ties away from zero, as the reference kernels round.\n"
        f"        var steps = truncate(exact + 0.5.withSign(exact)) + ({info.zero_point})\n"
        "        // In this order, NaN maps to the minimum.\n"
        f"        steps = if (steps > {limits.min}.0) steps else {limits.min}.0\n"
        f"        steps = if (steps < {limits.max}.0) steps else {limits.max}.0\n"
        f"        return steps.toInt().to{kind}()"
    )
