"""Export of a Keras model to a TensorFlow Lite file for a target."""

import contextlib
import json
import logging
import numbers
import os
import re
import threading
import warnings
from typing import Any

import keras
import numpy as np

from keras_distill._compat import all_layers
from keras_distill.arguments import (
    check_choice,
    check_finite_weights,
    check_model,
    check_path,
    shown,
)
from keras_distill.files import temporary_folder, write_whole
from keras_distill.tflite import converter, formats, input_scaling, inputs, rewriting, subprocesses
from keras_distill.tflite.analysis import lint as lint_module
from keras_distill.tflite.analysis import memory_plan, schema
from keras_distill.tflite.model import TFLiteModel
from keras_distill.tflite.runtime import sample_notes, trial

_LONGEST = 24 * 3600.0
_RECURRENT = (keras.layers.RNN, keras.layers.Bidirectional)


def export_tflite(
    model: keras.Model,
    path: str | os.PathLike,
    quantization: str | None = None,
    representative_data: Any = None,
    target: str = "mobile",
    *,
    time_limit: float = 3600.0,
) -> TFLiteModel:
    """Converts a Keras model to a TensorFlow Lite file for a target.

    The batch is fixed to 1, only builtin operators are allowed, and the result is checked before it
    is written: by the rules of `lint`, and for microcontrollers by running it once on TensorFlow
    Lite Micro where that is installed (extra `micro`). For microcontrollers it carries a memory
    plan where that makes the arena smaller.
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
    specs = _input_specs(model, samples)
    _check_integers(specs, quantization)
    check_finite_weights(model)
    with temporary_folder() as folder:
        with rewriting.for_target(model, target, quantization):
            job = _write_job(folder, model, specs, samples)
        settings = {
            "quantization": quantization,
            "per_tensor_dense": target == "arduino",
            "has_ranges": has_ranges,
        }
        (job / "settings.json").write_text(json.dumps(settings))
        content = _run_converter(job, model, time_limit)
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
        for note in sample_notes.of_forced_scales(result, samples):
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


def _input_specs(model, samples):
    """Returns the structure of `(shape, dtype)` specifications of the model's inputs, batch 1."""
    if not model.built:
        raise ValueError(f"The model {model.name!r} isn't built: call it on some data first.")
    if any(layer.compute_dtype == "float16" for layer in all_layers(model)):
        raise ValueError(
            f"The model {model.name!r} computes in float16 (mixed precision), which the converter "
            "doesn't take: build it again with the float32 policy and copy the weights."
        )
    try:
        structure = model.inputs[0] if isinstance(model, keras.Sequential) else model.input
    except (AttributeError, ValueError):
        if samples is None:
            raise ValueError(
                f"The subclassed model {model.name!r} doesn't say the shape of its inputs: give "
                "representative_data, a few samples are enough."
            ) from None
        structure = samples[0] if len(samples) == 1 else samples
    _check_shapes(keras.tree.flatten(structure), samples)
    return keras.tree.map_structure(
        lambda t: keras.InputSpec(
            shape=(1, *t.shape[1:]), dtype=keras.backend.standardize_dtype(t.dtype)
        ),
        structure,
    )


def _check_shapes(tensors, samples):
    for index, tensor in enumerate(tensors):
        if None in tensor.shape[1:]:
            raise ValueError(
                f"Input {index} has the shape {tuple(tensor.shape)}: every axis but the batch must "
                "be known for the target. Build the model with a fixed shape."
            )
    if samples is not None:
        inputs.check_shapes("representative_data", [t.shape for t in tensors], samples)


def _check_integers(specs, quantization):
    if quantization != "int16x8":
        return
    for index, spec in enumerate(keras.tree.flatten(specs)):
        if not keras.backend.is_float_dtype(spec.dtype):
            raise ValueError(
                f"quantization='int16x8' takes float inputs only, but input {index} is of type "
                f"{spec.dtype}: use 'int8', 'float16', 'dynamic' or None."
            )


def _write_job(folder, model, specs, samples):
    flat = keras.tree.flatten(specs)
    archive = keras.export.ExportArchive()
    archive.track(model)

    def serve(*tensors):
        return model(keras.tree.pack_sequence_as(specs, tensors), training=False)

    signature = [
        keras.InputSpec(shape=spec.shape, dtype=spec.dtype, name=f"input_{index}")
        for index, spec in enumerate(flat)
    ]
    archive.add_endpoint("serve", serve, input_signature=signature)
    with _without_the_notice_of_writing():
        archive.write_out(str(folder / "saved_model"), verbose=False)
    if samples is not None:
        arrays = {
            f"input_{index}": array.astype(spec.dtype)
            for index, (spec, array) in enumerate(zip(flat, samples, strict=True))
        }
        np.savez(folder / "samples.npz", **arrays)
    return folder


@contextlib.contextmanager
def _without_the_notice_of_writing():
    """Drops TensorFlow's notice of a folder that is gone in a moment, and no other log."""
    writer = threading.get_ident()

    def is_wanted(record):
        return record.thread != writer or not str(record.msg).startswith("Assets written to")

    logger = logging.getLogger("tensorflow")
    logger.addFilter(is_wanted)
    try:
        yield
    finally:
        logger.removeFilter(is_wanted)


def _run_converter(folder, model, time_limit):
    status, log = converter.convert(folder, time_limit)
    if status == 0:
        return (folder / "model.tflite").read_bytes()
    if status < 0:
        ending = subprocesses.ending(status, _reason(log))
        raise RuntimeError(f"The TensorFlow Lite converter {ending}.{_advice_on_loops(model)}")
    lacking = re.search(r"16x8-bit not yet supported for op: '(\w+)'", log)
    if lacking:
        raise ValueError(
            f"quantization='int16x8' has no {lacking[1]}, which the model {model.name!r} needs in "
            f"{_places_of(lacking[1], folder, time_limit)}: replace that layer, or use 'int8', "
            "'float16', 'dynamic' or None."
        )
    foreign = re.search(r"TF Select ops: (.*)", log)
    if foreign:
        raise ValueError(
            f"The model {model.name!r} uses operations that TensorFlow Lite doesn't have: "
            f"{foreign[1]}. Replace the layers that need them."
        )
    raise RuntimeError(f"The TensorFlow Lite converter failed: {_reason(log)}")


def _places_of(operator, folder, time_limit):
    """Names the outputs of an operator, which tell the layer, from a conversion in float."""
    settings = json.loads((folder / "settings.json").read_text())
    (folder / "settings.json").write_text(json.dumps({**settings, "quantization": None}))
    status, _ = converter.convert(folder, time_limit)
    if status != 0:
        return "one of its layers"
    graph = schema.parse((folder / "model.tflite").read_bytes())
    made = [made for made in graph.operators if made.name == operator]
    return ", ".join(f"{one.outputs[0].name!r}" for one in made) or "one of its layers"


def _advice_on_loops(model):
    looped = [layer.name for layer in all_layers(model) if isinstance(layer, _RECURRENT)]
    if not looped:
        return ""
    return (
        f" Recurrent layers that loop do that when they are quantized to integers, and those of "
        f"more than {rewriting.MOST_STEPS} steps aren't unrolled by the export: give "
        f"{', '.join(looped)} fewer steps, set unroll=True there, or export with "
        "quantization=None, 'float16' or 'dynamic'."
    )


def _reason(log):
    """Returns the lines of the converter's log that name its errors."""
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    # What TensorFlow logs of missing graphics cards begins with a letter and digits.
    lines = [line for line in lines if not re.match(r"[IWE]\d{4} ", line)]
    telling = [line for line in lines if "error:" in line or "Error:" in line]
    return "\n".join(telling[-6:] or lines[-6:])
