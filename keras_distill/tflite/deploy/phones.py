"""What the Android and iOS files of a model share: names, labels, assets."""

from keras_distill.tflite.deploy import packing, source_literals


def values(package):
    """Returns what fills in the class and the README of a model.

    Args:
        package: `Package`.

    Returns:
        Dictionary from name to text.
    """
    return {
        "name": package.name,
        "class_name": source_literals.class_name(package.name),
        "summary": package.summary,
        "input_size": package.input_size,
        "output_size": package.output_size,
        "input_shape": packing.shape_text(package.input),
        "sample_count": len(package.golden.samples),
    }


def label_lines(labels, literal, indent):
    """Returns the elements of a list of labels, one a line.

    Args:
        labels: Tuple of texts.
        literal: Function from a text to its source literal.
        indent: Spaces before each.
    """
    # No comma after the last one, which old versions of Kotlin refuse.
    return ",\n".join(f"{indent}{literal(label)}" for label in labels)


def assets(package, folder, asset):
    """Returns the model and the golden vectors, numbers as all phones hold them in memory.

    Args:
        package: `Package`.
        folder: Path that ends in a slash, or nothing.
        asset: Start of the files' names.

    Returns:
        Dictionary from path to bytes.
    """
    raw = lambda array: array.astype(array.dtype.newbyteorder("<")).tobytes()  # noqa: E731
    return {
        f"{folder}{asset}.tflite": package.content,
        f"{folder}{asset}_samples.bin": raw(package.golden.samples),
        f"{folder}{asset}_answers.bin": raw(package.golden.answers),
    }


def score(info, number, suffix):
    """Returns the expression that dequantizes an output value.

    Args:
        info: `TensorInfo` of the output.
        number: Expression of the output value in float.
        suffix: What ends a float literal.
    """
    if not info.is_quantized:
        return "number"
    return f"{source_literals.plain_float(info.scale)}{suffix} * ({number} - ({info.zero_point}))"
