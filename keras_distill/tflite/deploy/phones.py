"""One class for an Android or iOS app from a TensorFlow Lite file, with its files."""

import numpy as np

from keras_distill.tflite.deploy import packing, project_folder, projects, source_literals

_KOTLIN = {
    "int8": ("Byte", "put", "get", 1),
    "int16": ("Short", "putShort", "getShort", 2),
    "float32": ("Float", "putFloat", "getFloat", 4),
}
_SWIFT = {"int8": "Int8", "int16": "Int16", "float32": "Float"}


def export_android(tflite_model, folder, labels=None, samples=None, name=None):
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
        **_values(package),
        "asset": package.name.lower(),
        "labels": _listed(package.labels, source_literals.kotlin_string, " " * 12),
        "input_bytes": input_bytes,
        "output_bytes": output_bytes,
        "input_kind": input_type,
        "put": put,
        "get": get,
        "quantize": _kotlin_quantize(package.input, input_type),
        "score": _score(package.output, "number.toFloat()", "f"),
        "tolerance": source_literals.c_float(package.golden.tolerance),
    }
    source = f"app/src/main/java/keras_distill/{values['class_name']}.kt"
    return project_folder.write(
        folder,
        package.kind,
        {
            source: projects.fill("android/Model.kt", values),
            projects.README: projects.fill("android/README.md", values),
            **_assets(package, "app/src/main/assets/", values["asset"]),
        },
    )


def export_ios(tflite_model, folder, labels=None, samples=None, name=None):
    """Writes the Swift class of a model; see `TFLiteModel.to_ios`.

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
    package = packing.pack_for_litert(tflite_model, folder, "ios", labels, samples, name)
    input_type = _SWIFT[package.input.dtype]
    values = {
        **_values(package),
        "asset": package.name,
        "labels": _listed(package.labels, source_literals.swift_string, " " * 8),
        "input_type": input_type,
        "output_type": _SWIFT[package.output.dtype],
        "quantize": _swift_quantize(package.input, input_type),
        "score": _score(package.output, "Float(number)", ""),
        "tolerance": source_literals.plain_float(package.golden.tolerance),
    }
    return project_folder.write(
        folder,
        package.kind,
        {
            f"{values['class_name']}.swift": projects.fill("ios/Model.swift", values),
            projects.README: projects.fill("ios/README.md", values),
            **_assets(package, "", values["asset"]),
        },
    )


def _values(package):
    return {
        "name": package.name,
        "class_name": source_literals.class_name(package.name),
        "summary": package.summary,
        "input_size": package.input_size,
        "output_size": package.output_size,
        "input_shape": packing.shape_text(package.input),
        "sample_count": len(package.golden.samples),
    }


def _listed(labels, literal, indent):
    # No comma after the last one, which old versions of Kotlin refuse.
    return ",\n".join(f"{indent}{literal(label)}" for label in labels)


def _assets(package, folder, asset):
    """Returns the model and the golden vectors, numbers as all phones hold them in memory."""
    raw = lambda array: array.astype(array.dtype.newbyteorder("<")).tobytes()  # noqa: E731
    return {
        f"{folder}{asset}.tflite": package.content,
        f"{folder}{asset}_samples.bin": raw(package.golden.samples),
        f"{folder}{asset}_answers.bin": raw(package.golden.answers),
    }


def _kotlin_quantize(info, kind):
    if not info.is_quantized:
        return "return value"
    limits = np.iinfo(info.dtype)
    return (
        # Kotlin's own functions round ties to even or upward; in 64 bits, 0.5 can be added safely.
        f"val exact = (value / {source_literals.c_float(info.scale)}).toDouble()\n"
        "        // Ties away from zero, as the reference kernels round.\n"
        f"        var steps = truncate(exact + 0.5.withSign(exact)) + ({info.zero_point})\n"
        "        // In this order, what is no number becomes the least.\n"
        f"        steps = if (steps > {limits.min}.0) steps else {limits.min}.0\n"
        f"        steps = if (steps < {limits.max}.0) steps else {limits.max}.0\n"
        f"        return steps.toInt().to{kind}()"
    )


def _swift_quantize(info, kind):
    if not info.is_quantized:
        return "return value"
    limits = np.iinfo(info.dtype)
    scale = source_literals.plain_float(info.scale)
    return (
        "// Ties away from zero, as the reference kernels round.\n"
        f"        var steps = (value / {scale}).rounded(.toNearestOrAwayFromZero)\n"
        f"        steps += {info.zero_point}\n"
        "        // In this order, what is no number becomes the least.\n"
        f"        steps = steps > {limits.min} ? steps : {limits.min}\n"
        f"        steps = steps < {limits.max} ? steps : {limits.max}\n"
        f"        return {kind}(steps)"
    )


def _score(info, number, suffix):
    if not info.is_quantized:
        return "number"
    return f"{source_literals.plain_float(info.scale)}{suffix} * ({number} - ({info.zero_point}))"
