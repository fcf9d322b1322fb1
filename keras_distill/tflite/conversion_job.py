"""Jobs of the converter: a model, samples and settings in a folder, and what comes back."""

import contextlib
import json
import logging
import re
import threading

import keras
import numpy as np

from keras_distill._compat import all_layers
from keras_distill.files import temporary_folder
from keras_distill.tflite import converter, inputs, rewriting, subprocesses
from keras_distill.tflite.analysis import schema

_RECURRENT = (keras.layers.RNN, keras.layers.Bidirectional)


def input_specs(model, samples):
    """Returns the structure of specifications of a model's inputs, of batch 1.

    Args:
        model: `keras.Model`.
        samples: List of arrays, one per input, or `None`.

    Raises:
        ValueError: If the model isn't built, computes in float16, or has no fixed shapes, or the
            samples don't suit it.
    """
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


def convert(model, specs, samples, settings, target, time_limit):
    """Converts a model.

    Args:
        model: Built `keras.Model`.
        specs: Result of `input_specs`.
        samples: List of arrays to calibrate with, one per input, or `None`.
        settings: Dictionary of settings, as `converter_process.convert` describes them, but for
            those that the target decides; `has_ranges` and `only_calibrated` may be left out.
        target: One of `formats.TARGETS`.
        time_limit: Seconds after which the conversion is ended.

    Returns:
        The file's bytes.

    Raises:
        RuntimeError: If the converter fails, dies or takes too long.
        ValueError: If it lacks an operation.
    """
    defaults = {"has_ranges": False, "only_calibrated": False}
    settings = {**defaults, **settings, "per_tensor_dense": target == "arduino"}
    with temporary_folder() as folder:
        with rewriting.for_target(model, target, settings["quantization"]):
            _write(folder, model, specs, samples, settings)
        return _run(folder, model, time_limit)


def _check_shapes(tensors, samples):
    for index, tensor in enumerate(tensors):
        if None in tensor.shape[1:]:
            raise ValueError(
                f"Input {index} has the shape {tuple(tensor.shape)}: every axis but the batch must "
                "be known for the target. Build the model with a fixed shape."
            )
    if samples is not None:
        inputs.check_shapes("representative_data", [t.shape for t in tensors], samples)


def _write(folder, model, specs, samples, settings):
    (folder / "settings.json").write_text(json.dumps(settings))
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


def _run(folder, model, time_limit):
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
    foreign = _foreign_operations(log)
    if foreign:
        raise ValueError(
            f"The model {model.name!r} uses operations that TensorFlow Lite doesn't have: "
            f"{', '.join(foreign)}. Replace the layers that need them."
        )
    raise RuntimeError(f"The TensorFlow Lite converter failed: {_reason(log)}")


def _foreign_operations(log):
    """Returns the names of operations that TensorFlow alone has, with the layers' where known."""
    places = re.findall(r"fused\[\"\w+:\", \"([^\"@]+)@.*'tf\.(\w+)' op is neither", log)
    listed = re.search(r"TF Select ops: (.*)", log)
    named = dict.fromkeys(f"{name} in {place!r}" for place, name in places)
    return list(named) or (listed and [listed[1]])


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


def quantize(calibrated, selections, target, time_limit, has_float_ends=False):
    """Quantizes a calibrated file to int8, but for some operators.

    Args:
        calibrated: Bytes that a conversion with the setting `only_calibrated` made.
        selections: List of lists of names of operators' first outputs: those to leave in float,
            for one file each.
        target: One of `formats.TARGETS`.
        time_limit: Seconds after which it is ended.
        has_float_ends: Whether inputs and outputs stay float.

    Returns:
        List of the files' bytes.

    Raises:
        RuntimeError: If the converter fails, dies or takes too long.
    """
    with temporary_folder() as folder:
        (folder / "calibrated.tflite").write_bytes(calibrated)
        settings = {
            "selections": selections,
            "per_tensor_dense": target == "arduino",
            "has_float_ends": has_float_ends,
        }
        (folder / "settings.json").write_text(json.dumps(settings))
        status, log = converter.convert(folder, time_limit)
        if status != 0:
            reason = _reason(log)
            ending = subprocesses.ending(status, reason) if status < 0 else f"failed: {reason}"
            raise RuntimeError(f"The TensorFlow Lite converter {ending}")
        return [
            (folder / f"quantized_{index}.tflite").read_bytes() for index in range(len(selections))
        ]
