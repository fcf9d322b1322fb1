"""Verification: Keras, LiteRT and TensorFlow Lite Micro on the same samples."""

import dataclasses
import functools

import keras
import numpy as np

from keras_distill.arguments import check_finite, check_model, shown
from keras_distill.tflite.analysis import schema
from keras_distill.tflite.analysis.tensor_info import info_of
from keras_distill.tflite.inputs import arrays_of
from keras_distill.tflite.runtime import answers, keras_check, litert, measures, micro, sample_notes

# Where many layers or time steps follow each other, single roundings add up to this.
_MOST_STEPS = 3
_MOST_BEYOND = 0.01
_FLOAT_ROUNDING = 1e-4
_LOST_POINTS = 0.01


@dataclasses.dataclass(frozen=True)
class Verification:
    """How far the runtimes agree on the same samples.

    Args:
        samples: Number of samples.
        accuracy_keras: Share of right answers of the Keras model; `None` without labels.
        accuracy_litert: The same of the exported file on LiteRT.
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
        kernels: LiteRT's kernels that are meant above: `"reference"`, or `"fast"` where the
            reference kernels lack an operator or are alone with what they compute.
        alone: The runtime that computes what no other does, in words; `None` if all agree. Where
            only two runtimes are here, Keras is the third.
        agrees_with_keras: Whether the file computes what the Keras model does: at most 0.2 % of
            the values (two are always let pass) are off by over 5 % of their range, or the
            accuracy is within a point of Keras's. Judged at the logits where the model ends in a
            softmax or sigmoid.
        share_off_keras: Share of the values that are off.
        max_steps_logits: As `max_steps_tflm`, before the softmax or sigmoid that the model ends
            in; measured where that would decide, otherwise `None`.
        share_beyond_logits: As `share_beyond_tflm`, likewise.
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
    kernels: str = "reference"
    alone: str | None = None
    agrees_with_keras: bool = True
    share_off_keras: float = 0.0
    max_steps_logits: int | None = None
    share_beyond_logits: float | None = None

    @property
    def passed(self) -> bool:
        """Whether the microcontroller computes what LiteRT does, and both what Keras does.

        That is within one quantization step; where many layers or time steps follow each other,
        single roundings add up: at most three steps then, and 1 % of the values beyond one. A
        softmax makes many steps of one: what it is given is judged then. For Keras, see
        `agrees_with_keras`.
        """
        return self.agrees_with_keras and self._agrees_with_tflm

    @property
    def _agrees_with_tflm(self):
        if self.max_error_tflm is None:
            return False
        if self.max_steps_tflm is None:
            return self.max_error_tflm <= _FLOAT_ROUNDING
        if self.max_steps_logits is not None:
            return _is_rounding(self.max_steps_logits, self.share_beyond_logits)
        return _is_rounding(self.max_steps_tflm, self.share_beyond_tflm)

    def __str__(self):
        percent = lambda share: "-" if share is None else f"{100 * share:.2f} %"  # noqa: E731
        steps = "" if self.max_steps_tflm is None else f" ({self.max_steps_tflm} steps)"
        error_tflm = "-" if self.max_error_tflm is None else f"{self.max_error_tflm:.3g}{steps}"
        rows = [
            ("runtime", "accuracy", "agrees with Keras", "largest difference"),
            ("Keras", percent(self.accuracy_keras), "", ""),
            (
                f"LiteRT {self.kernels}",
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
        LiteRTError: If LiteRT can't run the file.
        ValueError: If `x` doesn't suit the model, `y` isn't as long as `x`, or one of them holds
            NaN or infinity.
    """
    check_model("model", model)
    arrays = arrays_of(model, x, "x")
    inputs = tflite_model.quantize_inputs(arrays)
    labels = labels_of(y, len(inputs[0]))
    expected = keras.tree.flatten(model.predict(x, batch_size=256, verbose=0))
    verification = _Comparison(tflite_model, inputs, expected, labels).verification()
    notes = (
        *sample_notes.of_ranges(tflite_model, arrays),
        *sample_notes.of_chance(model, arrays, verification.accuracy_keras, labels),
    )
    return dataclasses.replace(verification, notes=(*notes, *verification.notes))


class _Comparison:
    """The answers of all runtimes, compared.

    Args:
        tflite_model: `TFLiteModel`.
        inputs: List of arrays, one per input, in the inputs' types.
        expected: List of arrays, one per output, of the Keras model.
        labels: Array of numbers of classes, or `None`.
    """

    def __init__(self, tflite_model, inputs, expected, labels):
        self._model = tflite_model
        self._inputs = inputs
        self._expected = expected
        self._labels = labels
        self._side = measures.threshold(expected)
        self._by_runtime, self._failures = answers.of_all(
            tflite_model.content, tflite_model.graph, inputs
        )
        self._litert = answers.litert_of(self._by_runtime, expected, tflite_model.outputs)

    def verification(self):
        """Returns the `Verification`, with notes on the runtimes."""
        outputs = self._model.outputs
        litert_answers = self._by_runtime[self._litert]
        values = measures.dequantized(litert_answers, outputs)
        on_board = self._by_runtime.get(answers.TFLM)
        micro_values = None if on_board is None else measures.dequantized(on_board, outputs)
        steps = (None, None)
        if on_board is not None:
            steps = measures.steps(on_board, litert_answers, outputs)
        off = measures.off(self._expected, values, [info.scale for info in outputs])
        at_logits = (None, None)
        if not (keras_check.are_few(off) and (steps[0] is None or _is_rounding(*steps))):
            off, at_logits = self._at_the_logits(off, on_board is not None)
        verification = Verification(
            samples=len(self._inputs[0]),
            accuracy_keras=self._accuracy(self._expected),
            accuracy_litert=self._accuracy(values),
            accuracy_tflm=self._accuracy(micro_values),
            agreement_litert=measures.agreement(self._expected, values, self._side),
            agreement_tflm=measures.agreement(self._expected, micro_values, self._side),
            max_error_keras=measures.largest_error(self._expected, values),
            max_error_tflm=None
            if micro_values is None
            else measures.largest_error(micro_values, values),
            max_steps_tflm=steps[0],
            share_beyond_tflm=steps[1],
            notes=(),
            kernels=answers.KERNELS[self._litert],
            alone=self._alone(is_right=keras_check.are_few(off)),
            agrees_with_keras=keras_check.are_few(off) or self._is_as_right(values),
            share_off_keras=float(off.mean()),
            max_steps_logits=at_logits[0],
            share_beyond_logits=at_logits[1],
        )
        notes = (*self._failures, *self._notes_of_discord(verification), *_notes_on(verification))
        return dataclasses.replace(verification, notes=notes)

    def _alone(self, is_right):
        """Returns the runtime that is alone; Keras has a say where there is no third runtime."""
        others = [name for name in self._by_runtime if name != self._litert]
        chosen = self._by_runtime[self._litert]
        if len(others) > 1 or not is_right:
            return answers.alone(self._by_runtime)
        return next(
            (name for name in others if not answers.are_close(self._by_runtime[name], chosen)), None
        )

    def _notes_of_discord(self, verification):
        """Notes runtimes of which all compute something else."""
        chosen = self._by_runtime[self._litert]
        agree = all(answers.are_close(other, chosen) for other in self._by_runtime.values())
        if agree or verification.alone:
            return []
        return [
            f"{', '.join(self._by_runtime)} each compute something else. Of LiteRT's, those nearer "
            "to Keras are shown."
        ]

    def _accuracy(self, values):
        return measures.accuracy(values, self._labels, self._side)

    def _is_as_right(self, values):
        """Whether a classifier that has learned its classes decides as well as Keras."""
        accuracy = self._accuracy(self._expected)
        if accuracy is None or sample_notes.is_at_chance(accuracy, self._labels):
            return False
        return self._accuracy(values) >= accuracy - _LOST_POINTS

    def _at_the_logits(self, off, has_tflm):
        """Returns which values are off and the steps, before a last softmax or sigmoid."""
        kernels = answers.KERNELS[self._litert]
        at_logits = keras_check.off_at_logits(
            self._model.content,
            self._inputs,
            self._expected,
            functools.partial(litert.run, kernels=kernels),
        )
        if at_logits is None:
            return off, (None, None)
        off, content, logits = at_logits
        if not has_tflm:
            return off, (None, None)
        graph = schema.parse(content)
        outputs = [info_of(tensor) for tensor in graph.outputs]
        return off, measures.steps(micro.run(content, graph, self._inputs), logits, outputs)


def _is_rounding(steps, share_beyond):
    return steps <= _MOST_STEPS and share_beyond <= _MOST_BEYOND


def _notes_on(verification):
    """Notes which runtime is alone, and a file that doesn't compute what Keras does."""
    notes = []
    if verification.alone:
        notes.append(
            f"{verification.alone[0].upper()}{verification.alone[1:]} alone compute"
            f"{'s' * (verification.alone == answers.TFLM)} something else: the others agree with "
            "each other."
        )
    if not verification.agrees_with_keras:
        notes.append(
            f"{100 * verification.share_off_keras:.2g} % of LiteRT's values are off from Keras by "
            "more than 5 % of their range. Is this the model that was exported, and was "
            f"representative_data like x? {sample_notes.FORCED_SCALE}"
        )
    return notes


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
