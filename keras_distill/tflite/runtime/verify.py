"""Verification: Keras, LiteRT and TensorFlow Lite Micro on the same samples."""

import dataclasses

import keras
import numpy as np

from keras_distill.arguments import check_finite, check_model, shown
from keras_distill.tflite.inputs import arrays_of
from keras_distill.tflite.runtime import litert, micro


@dataclasses.dataclass(frozen=True)
class Verification:
    """How far three runtimes agree on the same samples.

    Args:
        samples: Number of samples.
        accuracy_keras: Share of right answers of the Keras model; `None` without labels.
        accuracy_litert: The same of the exported file on LiteRT's reference kernels.
        accuracy_tflm: The same on TensorFlow Lite Micro; `None` where it isn't installed or
            can't run the model.
        agreement_litert: Share of samples with the same largest output on Keras and LiteRT.
        agreement_tflm: The same for Keras and TensorFlow Lite Micro.
        max_error_keras: Largest difference of an output between Keras and LiteRT, in its unit.
        max_error_tflm: Largest difference of an output between TensorFlow Lite Micro and LiteRT.
        max_steps_tflm: The same in quantization steps; `None` for a float model.
        share_beyond_tflm: Share of the output values that differ by more than one step; `None` for
            a float model.
        notes: What else was noticed.
    """

    samples: int
    accuracy_keras: float | None
    accuracy_litert: float | None
    accuracy_tflm: float | None
    agreement_litert: float
    agreement_tflm: float | None
    max_error_keras: float
    max_error_tflm: float | None
    max_steps_tflm: int | None
    share_beyond_tflm: float | None
    notes: tuple[str, ...]

    @property
    def passed(self) -> bool:
        """Whether the microcontroller computes what LiteRT does, but for rounding.

        That is within one quantization step; where many layers or time steps follow each other,
        single roundings add up: at most three steps then, and 1 % of the values beyond one.
        """
        if self.max_error_tflm is None:
            return False
        if self.max_steps_tflm is None:
            return self.max_error_tflm <= 1e-4
        return self.max_steps_tflm <= 3 and self.share_beyond_tflm <= 0.01

    def __str__(self):
        percent = lambda share: "-" if share is None else f"{100 * share:.2f} %"  # noqa: E731
        steps = "" if self.max_steps_tflm is None else f" ({self.max_steps_tflm} steps)"
        error_tflm = "-" if self.max_error_tflm is None else f"{self.max_error_tflm:.3g}{steps}"
        rows = [
            ("runtime", "accuracy", "agrees with Keras", "largest difference"),
            ("Keras", percent(self.accuracy_keras), "", ""),
            (
                "LiteRT reference",
                percent(self.accuracy_litert),
                percent(self.agreement_litert),
                f"{self.max_error_keras:.3g} to Keras",
            ),
            (
                "TensorFlow Lite Micro",
                percent(self.accuracy_tflm),
                percent(self.agreement_tflm),
                f"{error_tflm} to LiteRT",
            ),
        ]
        widths = [max(len(row[column]) for row in rows) for column in range(4)]
        lines = [
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
            for row in rows
        ]
        return "\n".join([f"{self.samples} samples", *lines, *(f"note: {n}" for n in self.notes)])


def verify(tflite_model, model, x, y=None):
    """Compares the Keras model, LiteRT and TensorFlow Lite Micro; see `TFLiteModel.verify`.

    Args:
        tflite_model: `TFLiteModel`.
        model: The `keras.Model` that was exported.
        x: Inputs of shape `(samples, ...)`.
        y: Labels, or `None`.

    Returns:
        `Verification`.

    Raises:
        TypeError: If `model` isn't a `keras.Model`.
        ValueError: If `x` doesn't suit the model, `y` isn't as long as `x`, or one of them holds
            NaN or infinity.
    """
    check_model("model", model)
    arrays = arrays_of(model, x, "x")
    inputs = tflite_model.quantize_inputs(arrays)
    count = len(inputs[0])
    labels = labels_of(y, count)
    notes = _range_notes(tflite_model, arrays)
    expected = keras.tree.flatten(model.predict(x, batch_size=256, verbose=0))
    reference = litert.run(tflite_model.content, tflite_model.graph, inputs)
    answers, micro_note = _on_micro(tflite_model, inputs)
    notes += micro_note
    outputs = tflite_model.outputs
    values = _dequantized(reference, outputs)
    micro_values = None if answers is None else _dequantized(answers, outputs)
    threshold = _threshold(expected)
    steps = _steps(answers, reference, outputs)
    return Verification(
        samples=count,
        accuracy_keras=_accuracy(expected, labels, threshold),
        accuracy_litert=_accuracy(values, labels, threshold),
        accuracy_tflm=_accuracy(micro_values, labels, threshold),
        agreement_litert=_agreement(expected, values, threshold),
        agreement_tflm=_agreement(expected, micro_values, threshold),
        max_error_keras=_largest(expected, values),
        max_error_tflm=None if micro_values is None else _largest(micro_values, values),
        max_steps_tflm=None if steps is None else int(steps.max()),
        share_beyond_tflm=None if steps is None else float(np.mean(steps > 1)),
        notes=tuple(notes),
    )


def labels_of(y, count):
    """Returns labels as numbers of classes.

    Args:
        y: Labels, sparse or one-hot, or `None`.
        count: Number of samples.

    Returns:
        Array of shape `(samples,)`, or `None`.

    Raises:
        ValueError: If there are more or fewer than samples, or one is no finite number.
    """
    if y is None:
        return None
    try:
        labels = np.atleast_1d(np.asarray(y))
    except (TypeError, ValueError) as error:
        raise ValueError(f"y must be an array of labels. Received: y={shown(y)}") from error
    if len(labels) != count:
        raise ValueError(
            "y must have one label per sample of x. "
            f"Received: {count} samples, {len(labels)} labels"
        )
    check_finite("y", [labels])
    is_one_hot = labels.ndim > 1 and labels.shape[-1] > 1
    return labels.argmax(-1) if is_one_hot else labels.reshape(count, -1)[:, 0]


def _range_notes(tflite_model, x):
    """Notes inputs that the quantized input can't hold, or hardly fill."""
    notes = []
    for array, info in zip(keras.tree.flatten(x), tflite_model.inputs, strict=True):
        if not info.is_quantized:
            continue
        limits = np.iinfo(info.dtype)
        low, high = info.dequantize(np.array([limits.min, limits.max]))
        array = np.asarray(array)
        margin = 0.05 * (high - low)
        if array.min() < low - margin or array.max() > high + margin:
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


def _on_micro(tflite_model, inputs):
    if not micro.is_available():
        return None, ["TensorFlow Lite Micro isn't installed (extra `micro`), so it was left out."]
    try:
        return micro.run(tflite_model.content, tflite_model.graph, inputs), []
    except micro.MicroError as error:
        return None, [str(error)]


def _dequantized(parts, outputs):
    return [info.dequantize(part) for part, info in zip(parts, outputs, strict=True)]


def _decisions(values, threshold):
    return values.argmax(-1) if values.shape[-1] > 1 else (values[..., 0] > threshold)


def _threshold(expected):
    """Returns where a binary output changes sides: 0.5 for probabilities, 0 for logits."""
    return 0.5 if all(part.min() >= 0 and part.max() <= 1 for part in expected) else 0.0


def _accuracy(values, labels, threshold):
    if values is None or labels is None or len(values) != 1 or values[0].ndim != 2:
        return None
    return float(np.mean(_decisions(values[0], threshold) == labels))


def _agreement(expected, values, threshold):
    if values is None:
        return None
    shares = [
        np.mean(_decisions(a, threshold) == _decisions(b, threshold))
        for a, b in zip(expected, values, strict=True)
    ]
    return float(np.mean(shares))


def _largest(first, second):
    return float(max(np.abs(a - b).max() for a, b in zip(first, second, strict=True)))


def _steps(answers, reference, outputs):
    """Returns how many steps each output value differs by, or `None` for a float model."""
    if answers is None or not all(info.is_quantized for info in outputs):
        return None
    differences = [
        np.abs(a.astype("int64") - b.astype("int64")).ravel()
        for a, b in zip(answers, reference, strict=True)
    ]
    return np.concatenate(differences)
