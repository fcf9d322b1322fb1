"""Measures of how far two lists of answers agree: accuracy, decisions, errors, steps."""

import numpy as np

# An output value is off where it differs by more than this share of all values' range.
_OFF = 0.05
# What 32 bits hold of a probability: near 0, and near 1.
_LEAST_PROBABILITY = 1e-35
_LEAST_FROM_ONE = 1e-7


def dequantized(parts, outputs):
    """Returns answers in float.

    Args:
        parts: List of arrays, one per output, in the outputs' types.
        outputs: List of `TensorInfo`.
    """
    return [info.dequantize(part) for part, info in zip(parts, outputs, strict=True)]


def threshold(expected):
    """Returns where a binary output changes sides: 0.5 for probabilities, 0 for logits.

    Args:
        expected: List of arrays, one per output.
    """
    return 0.5 if all(part.min() >= 0 and part.max() <= 1 for part in expected) else 0.0


def accuracy(values, labels, side):
    """Returns the share of right answers.

    Args:
        values: List of arrays, one per output, or `None`.
        labels: Array of numbers of classes, or `None`.
        side: What `threshold` returned.

    Returns:
        Number in [0, 1]; `None` where there are no labels, or the model is no classifier.
    """
    if values is None or labels is None or len(values) != 1 or values[0].ndim != 2:
        return None
    return float(np.mean(_decisions(values[0], side) == labels))


def agreement(expected, values, side):
    """Returns the share of samples with the same decision.

    Args:
        expected: List of arrays, one per output.
        values: The same of another runtime, or `None`.
        side: What `threshold` returned.
    """
    if values is None:
        return None
    shares = [
        np.mean(_decisions(a, side) == _decisions(b, side))
        for a, b in zip(expected, values, strict=True)
    ]
    return float(np.mean(shares))


def largest_error(first, second):
    """Returns the largest difference of an output value.

    Args:
        first: List of arrays, one per output.
        second: The same of another runtime.
    """
    return float(max(np.abs(a - b).max() for a, b in zip(first, second, strict=True)))


def steps(first, second, outputs):
    """Returns how many quantization steps the values differ by.

    Args:
        first: List of arrays, one per output, in the outputs' types.
        second: The same of another runtime.
        outputs: List of `TensorInfo`.

    Returns:
        Tuple of the most steps and the share of values that differ by more than one; twice `None`
        for a float model.
    """
    if not all(info.is_quantized for info in outputs):
        return None, None
    differences = np.concatenate(
        [
            np.abs(a.astype("int64") - b.astype("int64")).ravel()
            for a, b in zip(first, second, strict=True)
        ]
    )
    return int(differences.max()), float(np.mean(differences > 1))


def off(expected, values, scales):
    """Returns which output values are off: by over 5 % of their range and over two steps.

    Args:
        expected: List of arrays, one per output, that are right.
        values: The same of a file.
        scales: List of quantization scales; 0 for a float output.

    Returns:
        Array of booleans, one per output value.
    """
    return np.concatenate(
        [
            (np.abs(a - b) > max(_OFF * np.ptp(a), 2 * scale)).ravel()
            for a, b, scale in zip(expected, values, scales, strict=True)
        ]
    )


def logits_of(values, operator, is_logits):
    """Returns logits that can be compared, of logits or of the probabilities made of them.

    A softmax keeps all of its logits but their mean, which is 0 here.

    Args:
        values: Array of shape `(samples, ..., classes)`.
        operator: `"SOFTMAX"` or `"LOGISTIC"`.
        is_logits: Whether the values are logits.

    Returns:
        Array of the same shape.
    """
    values = np.asarray(values, "float64")
    if operator == "LOGISTIC":
        if not is_logits:
            values = np.clip(values, _LEAST_FROM_ONE, 1 - _LEAST_FROM_ONE)
            values = np.log(values) - np.log1p(-values)
        most = np.log1p(-_LEAST_FROM_ONE) - np.log(_LEAST_FROM_ONE)
        return np.clip(values, -most, most)
    if is_logits:
        values = values - values.max(-1, keepdims=True)
        values = values - np.log(np.exp(values).sum(-1, keepdims=True))
    else:
        values = np.log(np.maximum(values, _LEAST_PROBABILITY))
    values = np.maximum(values, np.log(_LEAST_PROBABILITY))
    return values - values.mean(-1, keepdims=True)


def _decisions(values, side):
    return values.argmax(-1) if values.shape[-1] > 1 else (values[..., 0] > side)
