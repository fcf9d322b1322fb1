"""A Swift class for an iOS app from a TensorFlow Lite file, with its resources."""

import numpy as np

from keras_distill.tflite.deploy import packing, phones, project_folder, projects, source_literals

_SWIFT = {"int8": "Int8", "int16": "Int16", "float32": "Float"}


def export(tflite_model, folder, labels=None, samples=None, name=None):
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
        **phones.values(package),
        "asset": package.name,
        "labels": phones.label_lines(package.labels, source_literals.swift_string, " " * 8),
        "input_type": input_type,
        "output_type": _SWIFT[package.output.dtype],
        "quantize": _quantize(package.input, input_type),
        "score": phones.score(package.output, "Float(number)", ""),
        "tolerance": source_literals.plain_float(package.golden.tolerance),
    }
    return project_folder.write(
        folder,
        package.kind,
        {
            f"{values['class_name']}.swift": projects.fill("ios/Model.swift", values),
            projects.README: projects.fill("ios/README.md", values),
            **phones.assets(package, "", values["asset"]),
        },
    )


def _quantize(info, kind):
    if not info.is_quantized:
        return "return value"
    limits = np.iinfo(info.dtype)
    scale = source_literals.plain_float(info.scale)
    return (
        "// Ties away from zero, as the reference kernels round.\n"
        f"        var steps = (value / {scale}).rounded(.toNearestOrAwayFromZero)\n"
        f"        steps += {info.zero_point}\n"
        "        // In this order, NaN maps to the minimum.\n"
        f"        steps = steps > {limits.min} ? steps : {limits.min}\n"
        f"        steps = steps < {limits.max} ? steps : {limits.max}\n"
        f"        return {kind}(steps)"
    )
