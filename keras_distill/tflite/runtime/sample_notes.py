"""Notes on samples that a model wasn't made for: their range, and accuracy at chance."""

import math

import numpy as np

from keras_distill.tflite import input_scaling

FORCED_SCALE = (
    "In int8, maximum, minimum and where force one scale on all that they join: use a layer such "
    'as LeakyReLU, or quantization="int16x8" or None.'
)
# Share of the quantized range that values may lie beyond it.
_BEYOND = 0.05
# With fewer labels, chance and knowledge can't be told apart.
_FEWEST_LABELS = 20


def of_ranges(tflite_model, arrays):
    """Notes inputs that the quantized input can't hold, or hardly fill.

    Args:
        tflite_model: `TFLiteModel`.
        arrays: List of float arrays, one per input.

    Returns:
        List of texts.
    """
    notes = []
    for array, info in zip(arrays, tflite_model.inputs, strict=True):
        if not info.is_quantized:
            continue
        low, high = _range_of(info)
        if is_cut(array, info):
            notes.append(
                f"x reaches from {array.min():.3g} to {array.max():.3g}, but the model was "
                f"quantized for {low:.3g} to {high:.3g}: values beyond are cut off. Is "
                "representative_data scaled as in training?"
            )
        elif array.max() - array.min() < 0.1 * (high - low):
            notes.append(
                f"x fills only {array.min():.3g} to {array.max():.3g} of the quantized range "
                f"{low:.3g} to {high:.3g}. Is representative_data scaled as in training?"
            )
    return notes


def is_cut(array, info):
    """Says whether samples reach beyond what a quantized input can hold.

    Args:
        array: Float array of shape `(samples, ...)`.
        info: `TensorInfo` of the input.
    """
    if not info.is_quantized:
        return False
    low, high = _range_of(info)
    margin = _BEYOND * (high - low)
    return bool(array.min() < low - margin or array.max() > high + margin)


def of_forced_scales(tflite_model, arrays):
    """Notes inputs that the converter gave a smaller range than its own samples have.

    Args:
        tflite_model: `TFLiteModel` that was just made.
        arrays: List of float arrays, one per input, that it was made with.

    Returns:
        List of texts.
    """
    notes = []
    for array, info in zip(arrays, tflite_model.inputs, strict=True):
        if is_cut(array, info):
            low, high = _range_of(info)
            notes.append(
                f"The converter quantized the input {info.name!r} for {low:.3g} to {high:.3g}, "
                f"though representative_data reaches from {array.min():.3g} to {array.max():.3g}: "
                f"values beyond are cut off. {FORCED_SCALE}"
            )
    return notes


def of_chance(model, arrays, accuracy, labels):
    """Notes a Keras model that is no better than chance, with the likely cause.

    Args:
        model: `keras.Model`.
        arrays: List of float arrays, one per input.
        accuracy: Share of right answers of the model, or `None`.
        labels: Array of numbers of classes, or `None`.

    Returns:
        List of texts.
    """
    if accuracy is None or len(labels) < _FEWEST_LABELS or not is_at_chance(accuracy, labels):
        return []
    return [
        f"The Keras model itself is right on {100 * accuracy:.2f} % of x, no better than the most "
        f"frequent class, {100 * _most_frequent(labels):.2f} %: {_cause(model, arrays)}"
    ]


def is_at_chance(accuracy, labels):
    """Says whether an accuracy is no better than that of always the same answer.

    Args:
        accuracy: Share of right answers.
        labels: Array of numbers of classes.
    """
    chance = _most_frequent(labels)
    return accuracy <= chance + math.sqrt(chance * (1 - chance) / len(labels))


def _range_of(info):
    limits = np.iinfo(info.dtype)
    return info.dequantize(np.array([limits.min, limits.max]))


def _most_frequent(labels):
    return float(np.unique(labels, return_counts=True)[1].max() / len(labels))


def _cause(model, arrays):
    rescaling = input_scaling.rescaling_layer(model)
    if rescaling is not None and all(np.abs(array).max() <= 1.5 for array in arrays):
        return (
            f"x reaches only to {max(np.abs(array).max() for array in arrays):.3g}, and the model "
            f"rescales its inputs itself, in {rescaling.name!r}. Was it trained on 0 to 255?"
        )
    if rescaling is None and any(input_scaling.looks_like_pixels(array) for array in arrays):
        return (
            "x looks like raw pixels, and the model has no rescaling layer. Was it trained on "
            "scaled inputs, such as x / 255?"
        )
    return (
        "is x scaled as in training, are the labels numbered as the outputs are, and is the model "
        "trained?"
    )
