"""Export of a Keras model to a TensorFlow Lite file for a target."""

import numbers
import os
import warnings
from collections.abc import Sequence
from typing import Any

import keras

from keras_distill._compat import all_layers, nodes_into
from keras_distill.arguments import (
    check_choice,
    check_finite_weights,
    check_model,
    check_path,
    shown,
)
from keras_distill.features.layer_paths import layer_at
from keras_distill.files import write_whole
from keras_distill.tflite import conversion_job, formats, input_scaling, inputs, tables
from keras_distill.tflite.analysis import lint as lint_module
from keras_distill.tflite.analysis import memory_plan, schema
from keras_distill.tflite.model import TFLiteModel
from keras_distill.tflite.operator_layers import check_float, operators_of_layers
from keras_distill.tflite.runtime import keras_check, sample_notes, trial

_LONGEST = 24 * 3600.0


def export_tflite(
    model: keras.Model,
    path: str | os.PathLike,
    quantization: str | None = None,
    representative_data: Any = None,
    target: str = "mobile",
    *,
    float_layers: Sequence[str] | None = None,
    time_limit: float = 3600.0,
) -> TFLiteModel:
    """Converts a Keras model to a TensorFlow Lite file for a target.

    The batch is fixed to 1, only builtin operators are allowed, and the result is checked before it
    is written: by the rules of `lint`, and for microcontrollers by running it once on TensorFlow
    Lite Micro where that is installed (extra `micro`). A file in integers that doesn't compute what
    the model does, on the first 100 samples, is warned about. For microcontrollers it carries a
    memory plan where that makes the arena smaller.
    Conversion runs in a subprocess, because some models crash the converter; the subprocess is
    reused for 10 s.

    Args:
        model: Built `keras.Model`. It need not have been distilled.
        path: File to write, ending in `.tflite`, in an existing folder.
        quantization: `None` (float32), `"float16"` (half-size weights, for mobile), `"dynamic"`
            (int8 weights, float activations, for mobile), `"int8"` (full integer, int8 in and
            out) or `"int16x8"` (int16 activations, int8 weights).
        representative_data: Inputs like those of training, scaled the same way: an array of shape
            `(samples, ...)`, a list or dictionary of arrays for several inputs, or a batched
            `tf.data.Dataset` of `x` or `(x, y)`. Up to 500 samples are used. Required for
            `"int8"` and `"int16x8"`, but for models of `compression.quantize_aware`, which have
            learned their ranges.
        target: `"mobile"` (any builtin operator), `"mcu"` (current TensorFlow Lite Micro) or
            `"arduino"` (as `"mcu"`, and right on the older Arduino forks too).
        float_layers: Names of layers, or paths through nested models (`"backbone/conv"`), that stay
            in float32 in an `"int8"` file, with what the converter fuses with them: those that cost
            most by `TFLiteModel.sensitivity`. Their weights take four times the bytes, and they run
            as slowly as float does. `None` for none.
        time_limit: Seconds after which the conversion is ended with an error. Most take one;
            calibrating a large model takes minutes.

    Returns:
        `TFLiteModel`.

    Raises:
        TypeError: If `model` isn't a `keras.Model`, or `path` no path.
        ValueError: If an argument is wrong, the model isn't built, its weights or the data aren't
            finite, or the target can't run it. No file is written then.
        RuntimeError: If the converter fails, dies, or takes longer than `time_limit`.

    Example:

    ```python
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
    x = np.random.rand(100, 4).astype("float32")
    result = export_tflite(model, "model.tflite", "int8", x, target="arduino")
    assert result.lint() == []
    ```
    """
    check_model("model", model)
    path = _checked_path(path)
    check_choice("quantization", quantization, formats.QUANTIZATIONS)
    check_choice("target", target, formats.TARGETS)
    _check_time_limit(time_limit)
    has_ranges = _has_ranges(model, quantization)
    samples = None if has_ranges else _samples_of(model, representative_data, quantization)
    specs = conversion_job.input_specs(model, samples)
    _check_integers(specs, quantization)
    _check_ids(model, quantization)
    check_finite_weights(model)
    _check_float_layers(model, float_layers, quantization, has_ranges)
    settings = {"quantization": quantization, "has_ranges": has_ranges}
    settings["only_calibrated"] = float_layers is not None
    content = conversion_job.convert(model, specs, samples, settings, target, time_limit)
    if float_layers is not None:
        names = operators_of_layers(model, content, float_layers)
        [content] = conversion_job.quantize(content, [names], target, time_limit)
        check_float(content, names)
    if target != "mobile" and quantization == "int8":
        content = tables.with_tables(content, target)
    graph = schema.parse(content)
    findings = lint_module.lint(graph, target, quantization)
    errors = [finding for finding in findings if finding.severity == "error"]
    if target != "mobile" and not errors:
        content = memory_plan.with_plan(content)
        errors = trial.findings(content, graph)
    if errors:
        listed = "\n".join(f"- {line}" for line in lint_module.summarize(errors))
        raise ValueError(
            f"This model with quantization={quantization!r} would not run on target={target!r}, "
            f"so {path} was not written:\n{listed}"
        )
    write_whole(path, content)
    result = TFLiteModel(path, quantization, target)
    if samples is not None:
        forced = sample_notes.of_forced_scales(result, samples)
        for note in forced or keras_check.notes(result, model, samples):
            warnings.warn(note, stacklevel=2)
    return result


def _checked_path(path):
    path = check_path("path", path)
    if path.suffix != ".tflite":
        raise ValueError(f"path must end in .tflite. Received: path={str(path)!r}")
    if not path.absolute().parent.is_dir():
        raise ValueError(
            f"The output folder {str(path.absolute().parent)!r} doesn't exist: create it first. "
            f"Received: path={str(path)!r}"
        )
    return path


def _check_time_limit(time_limit):
    is_number = isinstance(time_limit, numbers.Real) and not isinstance(time_limit, bool)
    if not is_number or not 0 < time_limit <= _LONGEST:
        raise ValueError(
            f"time_limit must be a number of seconds above 0, a day at most. Received: "
            f"time_limit={shown(time_limit)}"
        )


def _has_ranges(model, quantization):
    """Whether a model has learned the ranges of its activations."""
    ranges = [layer for layer in all_layers(model) if getattr(layer, "holds_range", False)]
    if not ranges:
        return False
    if quantization != "int8":
        raise ValueError(
            f"The model {model.name!r} was trained for int8: export it with quantization='int8', "
            "or export the model that it was made from. "
            f"Received: quantization={quantization!r}"
        )
    unknown = [layer.name for layer in ranges if not float(layer.updates)]
    if unknown:
        raise ValueError(
            f"The ranges of {', '.join(unknown)} are unknown: train the model, or give "
            "representative_data to quantize_aware."
        )
    return True


def _check_float_layers(model, float_layers, quantization, has_ranges):
    if float_layers is None:
        return
    is_list = isinstance(float_layers, (list, tuple))
    if not is_list or not all(isinstance(path, str) for path in float_layers):
        raise TypeError(
            "float_layers must be a list of names of layers. Received: "
            f"float_layers={shown(float_layers)}"
        )
    for path in float_layers:
        layer_at(model, path)
    received = f"float_layers={shown(float_layers)}, quantization={quantization!r}"
    if not float_layers:
        raise ValueError(
            f"float_layers must name at least one layer; None stands for none. Received: {received}"
        )
    if quantization != "int8":
        raise ValueError(
            "float_layers keeps layers of an int8 file in float: give quantization='int8'. "
            f"Received: {received}"
        )
    if has_ranges:
        raise ValueError(
            f"The model {model.name!r} was trained with all of its layers in int8: export the "
            "student that it was made from with float_layers and representative_data. "
            f"Received: {received}"
        )


def _samples_of(model, data, quantization):
    """Returns the representative data as a list of float arrays, one per input."""
    if data is None:
        if quantization in ("int8", "int16x8"):
            raise ValueError(
                f"quantization={quantization!r} needs representative_data: some hundred inputs "
                "like those of training, scaled the same way. Received: representative_data=None"
            )
        return None
    arrays = inputs.samples_of(model, data, "representative_data", inputs.MAX_SAMPLES)
    _warn_about_pixels(model, arrays)
    return arrays


def _warn_about_pixels(model, arrays):
    if input_scaling.rescaling_layer(model) is not None:
        return
    for array in filter(input_scaling.looks_like_pixels, arrays):
        warnings.warn(
            f"representative_data looks like raw pixels ({array.min():g} to {array.max():g}), "
            "and the model has no rescaling layer. If it was trained on scaled inputs, scale "
            "these the same way: the converter would accept them silently.",
            stacklevel=4,
        )


def _check_integers(specs, quantization):
    if quantization != "int16x8":
        return
    for index, spec in enumerate(keras.tree.flatten(specs)):
        if not keras.backend.is_float_dtype(spec.dtype):
            raise ValueError(
                f"quantization='int16x8' takes float inputs only, but input {index} is of type "
                f"{spec.dtype}: use 'int8', 'float16', 'dynamic' or None."
            )


def _check_ids(model, quantization):
    """Refuses ids in float, which 8 bits round to others, for layers whose inputs are known."""
    if quantization not in ("int8", "int16x8"):
        return
    for layer in all_layers(model):
        nodes = nodes_into(layer) if isinstance(layer, keras.layers.Embedding) else ()
        for dtype in (node.input_tensors[0].dtype for node in nodes):
            if not keras.backend.is_int_dtype(dtype):
                raise ValueError(
                    f"The Embedding {layer.name!r} gets its ids as {dtype}, which "
                    f"quantization={quantization!r} would round to other ids: build the model with "
                    'keras.Input(..., dtype="int32") and copy the weights.'
                )
