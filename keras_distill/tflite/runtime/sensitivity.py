"""Sensitivity: what each layer costs when it is quantized to int8."""

import dataclasses
import os
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from keras_distill._compat import all_layers
from keras_distill.arguments import check_count, check_finite_weights, check_model
from keras_distill.tflite import conversion_job
from keras_distill.tflite.analysis import schema
from keras_distill.tflite.inputs import MAX_SAMPLES, arrays_of
from keras_distill.tflite.operator_layers import OperatorLayers
from keras_distill.tflite.runtime import litert, measures
from keras_distill.tflite.runtime.verify import labels_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_TIME_LIMIT = 3600.0
# Not the fastest: XNNPACK computes attention in int8 wrongly.
_KERNELS = "without XNNPACK"
# Of outputs that are all the same.
_LEAST_SPREAD = 1e-12
_INTEGERS = ("int8", "int16", "int32")


@dataclasses.dataclass(frozen=True)
class LayerSensitivity:
    """What one layer costs in int8.

    Args:
        layer: Path of the Keras layer; the operator's own name where it has none. It stands for
            all that is fused with it, batch normalization and activation for instance.
        operators: Names of its TensorFlow Lite operators.
        position: Place in the network, from 0.
        error: Error of the outputs where this layer alone is in int8: root mean square of what
            changes, divided by the standard deviation of the float model's outputs. 0.01 is little,
            1.0 as much as the outputs vary at all.
        error_without: The same where all layers but this one are in int8.
        agreement: Share of samples with the float model's decision where it alone is in int8.
        accuracy: Accuracy then; `None` without labels.
        accuracy_without: Accuracy where all layers but this one are in int8; likewise.
    """

    layer: str
    operators: tuple[str, ...]
    position: int
    error: float
    error_without: float
    agreement: float
    accuracy: float | None
    accuracy_without: float | None


@dataclasses.dataclass(frozen=True)
class Sensitivity:
    """What each layer costs in int8; prints as a table, sorted by cost.

    Args:
        layers: Tuple of `LayerSensitivity`, the most costly first.
        samples: Number of samples.
        error: Error of the outputs where all layers are in int8; see `LayerSensitivity`.
        agreement: Share of samples with the float model's decision then.
        accuracy_float: Accuracy of the float model; `None` without labels.
        accuracy: Accuracy where all layers are in int8; likewise.
    """

    layers: tuple[LayerSensitivity, ...]
    samples: int
    error: float
    agreement: float
    accuracy_float: float | None
    accuracy: float | None

    def __str__(self):
        has_labels = self.accuracy is not None
        share = "accuracy" if has_labels else "agreement"
        rows = [
            ("layer", "operators", "error", share, "error without", "accuracy without"),
            ("(none in int8)", "", "0", _percent(self.accuracy_float if has_labels else 1), "", ""),
            ("(all in int8)", "", f"{self.error:.2g}", _percent(getattr(self, share)), "", ""),
        ]
        for row in self.layers:
            shares = _percent(getattr(row, share)), _percent(row.accuracy_without)
            errors = f"{row.error:.2g}", f"{row.error_without:.2g}"
            operators = ", ".join(dict.fromkeys(row.operators))
            rows.append((row.layer, operators, errors[0], shares[0], errors[1], shares[1]))
        rows = [row if has_labels else row[:-1] for row in rows]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = [
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
            for row in rows
        ]
        return "\n".join([f"{self.samples} samples, each layer alone in int8", *lines])

    def to_dict(self) -> dict[str, Any]:
        """Returns all values as a dictionary of plain Python values, for JSON."""
        values = dataclasses.asdict(self)
        rows = [{**row, "operators": list(row["operators"])} for row in values["layers"]]
        return {**values, "layers": rows}

    def plot(self, path: str | os.PathLike | None = None) -> "Figure":
        """Draws the error of each layer, in the order of the network.

        A bar is the error where the layer alone is in int8, a dot what remains where all but it
        are, and the line the error where all are. Changes of the accuracy by a point or more are
        written beside the bars.

        Args:
            path: File to write as PNG. Defaults to none.

        Returns:
            A `matplotlib.figure.Figure`.

        Raises:
            ImportError: If matplotlib is not installed.
        """
        from keras_distill.visualization.sensitivity_plot import draw

        rows = sorted(self.layers, key=lambda row: row.position)
        return draw(
            [row.layer for row in rows],
            [row.error for row in rows],
            [row.error_without for row in rows],
            [_lost_points(row.accuracy, self.accuracy_float) for row in rows],
            self.error,
            path,
        )


def _percent(share):
    return "" if share is None else f"{100 * share:.2f} %"


def _lost_points(accuracy, before):
    return None if accuracy is None else 100 * (accuracy - before)


def sensitivity(tflite_model, model, x, y=None, verbose=1):
    """Measures what each layer costs in int8; see `TFLiteModel.sensitivity`.

    Args:
        tflite_model: `TFLiteModel`.
        model: The `keras.Model` that was exported.
        x: Inputs of shape `(samples, ...)`.
        y: Labels, or `None`.
        verbose: 1 for a progress bar, 0 for none.

    Returns:
        `Sensitivity`.

    Raises:
        TypeError: If `model` isn't a `keras.Model`.
        ValueError: If the file isn't in int8, the model has learned its ranges, or `x` or `y`
            doesn't suit it.
        RuntimeError: If the converter or LiteRT fails.
    """
    check_model("model", model)
    verbose = verbose if isinstance(verbose, bool) else check_count("verbose", verbose, 0, 2)
    _check_kind(tflite_model, model)
    arrays = arrays_of(model, x, "x")
    tflite_model.quantize_inputs(arrays)
    labels = labels_of(y, len(arrays[0]))
    check_finite_weights(model)
    samples = [array[:MAX_SAMPLES] for array in arrays]
    specs = conversion_job.input_specs(model, samples)
    settings = {"quantization": "int8", "only_calibrated": True}
    calibrated = conversion_job.convert(
        model, specs, samples, settings, tflite_model.target, _TIME_LIMIT
    )
    flat = keras.tree.flatten(specs)
    inputs = [array.astype(spec.dtype) for array, spec in zip(arrays, flat, strict=True)]
    return _Measurement(calibrated, tflite_model.target, model, inputs, labels).run(verbose)


def _check_kind(tflite_model, model):
    if tflite_model.quantization != "int8":
        raise ValueError(
            "The sensitivity is that of int8 files: export with quantization='int8'. Received: a "
            f"file with quantization={tflite_model.quantization!r}"
        )
    if any(getattr(layer, "holds_range", False) for layer in all_layers(model)):
        raise ValueError(
            f"The model {model.name!r} was trained with rounding, all of its layers together: "
            "measure the student that it was made from. "
            f"Received: model={model.name!r}"
        )


class _Measurement:
    """Selections of the layers of one calibrated file, quantized and run.

    Args:
        calibrated: Bytes of the float file with the ranges of its tensors.
        target: One of `formats.TARGETS`.
        model: The `keras.Model`.
        inputs: List of arrays, one per input, in the types of the model's inputs.
        labels: Array of numbers of classes, or `None`.
    """

    def __init__(self, calibrated, target, model, inputs, labels):
        ended = schema.before_probabilities(calibrated)
        self._calibrated, self._end = ended or (calibrated, None)
        self._target = target
        self._inputs = inputs
        self._labels = labels
        graph = schema.parse(self._calibrated)
        # The names of outputs tell their layers only in the whole file.
        self._layers = OperatorLayers(model, schema.parse(calibrated))
        self._by_layer = {}
        for operator in graph.operators:
            self._by_layer.setdefault(self._layers.name_of(operator), []).append(operator)
        self._names = [operator.outputs[0].name for operator in graph.operators]
        self._expected = self._side = self._spread = None

    def run(self, verbose):
        """Returns the `Sensitivity`."""
        groups = [
            {operator.outputs[0].name for operator in operators}
            for operators in self._by_layer.values()
        ]
        alone = [[name for name in self._names if name not in own] for own in groups]
        of_none, of_all, *contents = conversion_job.quantize(
            self._calibrated,
            [self._names, [], *alone, *map(sorted, groups)],
            self._target,
            _TIME_LIMIT,
            has_float_ends=True,
        )
        self._expect(self._outputs(of_none))
        error, agreement, accuracy = self._measured(of_all)
        rows = self._rows(contents[: len(groups)], contents[len(groups) :], verbose)
        return Sensitivity(
            layers=tuple(sorted(rows, key=lambda row: -row.error)),
            samples=len(self._inputs[0]),
            error=error,
            agreement=agreement,
            accuracy_float=measures.accuracy(self._expected, self._labels, self._side),
            accuracy=accuracy,
        )

    def _rows(self, alone, without, verbose):
        rows = []
        bar = keras.utils.Progbar(len(alone), unit_name="layer") if verbose else None
        layers = zip(self._by_layer.items(), alone, without, strict=True)
        for position, ((layer, operators), one, others) in enumerate(layers):
            if _is_quantized(one):
                names = tuple(operator.name for operator in operators)
                error, agreement, accuracy = self._measured(one)
                rest, _, accuracy_of_rest = self._measured(others)
                row = (layer, names, position, error, rest, agreement, accuracy, accuracy_of_rest)
                rows.append(LayerSensitivity(*row))
            if bar is not None:
                bar.update(position + 1)
        return rows

    def _expect(self, outputs):
        self._expected = outputs
        self._side = 0.0 if self._end else measures.threshold(outputs)
        spread = np.std(np.concatenate([part.ravel() for part in outputs]))
        self._spread = max(spread, _LEAST_SPREAD)

    def _measured(self, content):
        """Returns error, agreement and accuracy of a file."""
        values = self._outputs(content)
        squares = [np.square(a - b).ravel() for a, b in zip(values, self._expected, strict=True)]
        return (
            float(np.sqrt(np.mean(np.concatenate(squares))) / self._spread),
            measures.agreement(self._expected, values, self._side),
            measures.accuracy(values, self._labels, self._side),
        )

    def _outputs(self, content):
        graph = schema.parse(content)
        values = litert.run(content, graph, self._inputs, _KERNELS)
        if self._end is None:
            return [np.asarray(part, "float64") for part in values]
        return [measures.logits_of(values[0], self._end, is_logits=True)]


def _is_quantized(content):
    """Whether a file has an operator that computes with integers."""
    return any(
        operator.name not in ("QUANTIZE", "DEQUANTIZE")
        and operator.outputs[0].dtype in _INTEGERS
        and operator.outputs[0].scales
        for operator in schema.parse(content).operators
    )
