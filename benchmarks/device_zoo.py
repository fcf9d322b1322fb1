"""Small varied Keras models in int8 for microcontrollers: right, or refused with a way out.

Run: python benchmarks/device_zoo.py [--models LSTM "ops.where" ...]

Each model of `device_models` is trained for some steps, or has its moving statistics set on data,
and is exported in int8 for current TensorFlow Lite Micro. What is exported is compared with Keras,
on LiteRT and on TensorFlow Lite Micro, with other samples. The outcome is one of:
- right: LiteRT and TensorFlow Lite Micro both compute what Keras does: at most 0.2 % of the values
  (two are always let pass) are off by over 5 % of their range and two steps;
- refused: an error that names the layer and says what to do, before a file is written;
- warned: what was exported isn't right, and a warning of the export said so;
- unclear: refused, but the error names no layer or no way out;
- wrong: not right, and nothing said so;
- traceback: another error.
The last three are faults. Writes benchmarks/results/device_zoo.md; --models
replaces the rows of those models there.
"""

import argparse
import collections
import pathlib
import re
import tempfile
import traceback
import warnings

import keras
import numpy as np
from device_models import MODELS, TOKENS

from keras_distill import export_tflite
from keras_distill.tflite import input_scaling
from keras_distill.tflite.runtime import keras_check, litert, measures, micro

RESULTS = pathlib.Path(__file__).parent / "results" / "device_zoo.md"
FAULTS = ("unclear", "wrong", "traceback")
# Larger ones aren't trained, only their statistics set.
MOST_TRAINED = 50_000
# Networks of `keras.applications` that scale their inputs by less want 0 to 255.
PIXEL_SCALE = 0.1
WAYS_OUT = re.compile(
    r"\b(use|set|replace|make|multiply|put|build|export|give|train|discretize|sort|concatenate)\b",
    re.IGNORECASE,
)


def samples_of(model, count, seed):
    """Returns inputs of a model: three patterns, mixed anew for each sample, and some noise."""
    rng = np.random.default_rng(seed)
    arrays = []
    for tensor in model.inputs:
        shape = (count, *tensor.shape[1:])
        embeds = any(isinstance(layer, keras.layers.Embedding) for layer in model.layers)
        if tensor.dtype != "float32" or (embeds and len(model.inputs) == 1):
            arrays.append(rng.integers(0, TOKENS, shape).astype(tensor.dtype))
            continue
        patterns = np.random.default_rng(7).normal(0, 1, (3, *shape[1:]))
        mixed = np.tensordot(rng.uniform(-1, 1, (count, 3)), patterns, 1)
        array = 0.3 + mixed + rng.uniform(-0.3, 0.3, shape)
        if np.min(getattr(input_scaling.rescaling_layer(model), "scale", 1)) < PIXEL_SCALE:
            array = 128 + 30 * array
        arrays.append(array.astype("float32"))
    return arrays


def of_one(arrays):
    """Returns the only array of a list, or the list."""
    return arrays if len(arrays) > 1 else arrays[0]


def targets_of(model, arrays):
    """Returns what a model can learn: smooth functions of its inputs, one per output."""
    rng = np.random.default_rng(2)
    flat = np.concatenate([array.reshape(len(array), -1) for array in arrays], -1)
    flat = (flat - flat.mean(0)) / (flat.std(0) + 1e-3)
    targets = []
    for tensor in model.outputs:
        size = int(np.prod(tensor.shape[1:]))
        mixed = np.tanh(flat @ rng.normal(0, flat.shape[1] ** -0.5, (flat.shape[1], size)))
        targets.append(mixed.reshape(len(flat), *tensor.shape[1:]).astype("float32"))
    return targets


def with_weights(model, arrays):
    """Gives a model weights as training leaves them: no zero biases, statistics of the data."""
    rng = np.random.default_rng(3)
    for weight in model.trainable_weights:
        if weight.path.split("/")[-1] in ("beta", "bias", "gamma", "alpha"):
            weight.assign_add(rng.normal(0, 0.1, weight.shape))
    normalization = keras.layers.BatchNormalization
    norms = [layer for layer in model._flatten_layers() if isinstance(layer, normalization)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = 0.0
    if norms:
        model(of_one(arrays), training=True)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    is_trainable = all(len(tensor.shape) > 1 for tensor in model.outputs)
    if is_trainable and model.trainable_weights and model.count_params() <= MOST_TRAINED:
        model.compile(keras.optimizers.Adam(0.01), "mse")
        model.fit(of_one(arrays), targets_of(model, arrays), batch_size=32, epochs=6, verbose=0)
    return model


def names_layer_and_way_out(model, message):
    """Says whether an error names a layer of the model, and what to do."""
    names = {layer.name for layer in model._flatten_layers(include_self=False)}
    names |= {operation.name for operation in getattr(model, "operations", ())}
    # TensorFlow writes the names of operations in its own way: TopKV2 for top_k.
    plain = message.lower().replace("_", "")
    is_named = any(name.lower().replace("_", "") in plain for name in names)
    return is_named and bool(WAYS_OUT.search(message))


def correlation(first, second):
    """Returns the correlation of two lists of arrays."""
    return min(
        float(np.corrcoef(np.ravel(a), np.ravel(b))[0, 1])
        for a, b in zip(first, second, strict=True)
    )


def compared(result, model, arrays):
    """Returns whether LiteRT and TensorFlow Lite Micro compute what Keras does, and how closely."""
    expected = [np.asarray(part) for part in keras.tree.flatten(model(of_one(arrays)))]
    inputs = result.quantize_inputs(of_one(arrays))
    runs = (litert.run_right, micro.run)
    answers = [run(result.content, result.graph, inputs) for run in runs]
    values = [measures.dequantized(parts, result.outputs) for parts in answers]
    scales = [info.scale for info in result.outputs]
    is_right = all(keras_check.are_few(measures.off(expected, one, scales)) for one in values)
    return is_right, correlation(expected, values[-1])


def tried(make):
    """Returns the outcome of one model, the correlation with Keras or `None`, and what is said."""
    keras.backend.clear_session()
    keras.utils.set_random_seed(0)
    model = make()
    small = model.count_params() <= MOST_TRAINED
    arrays, others = (samples_of(model, count, seed) for seed, count in ((0, 300), (1, 40)))
    if not small:
        arrays = [array[:40] for array in arrays]
    with_weights(model, arrays)
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        path = pathlib.Path(folder) / "model.tflite"
        try:
            result = export_tflite(model, path, "int8", of_one(arrays), target="mcu")
            is_right, close = compared(result, model, others)
        except (ValueError, RuntimeError) as error:
            clear = names_layer_and_way_out(model, str(error))
            return "refused" if clear else "unclear", None, str(error)
        except Exception:
            return "traceback", None, traceback.format_exc()
        if is_right:
            return "right", close, ", ".join(sorted(result.operators))
        notes = [str(note.message) for note in said if note.category is UserWarning]
        return "warned" if notes else "wrong", close, "\n".join(notes)


def said_of(outcome, text):
    """Returns what an outcome says, in one cell."""
    lines = [line.strip().lstrip("- ") for line in text.splitlines() if line.strip()]
    if outcome == "refused" and len(lines) > 1 and "would not run" in lines[0]:
        lines = lines[1:2]
    cell = " ".join(lines if outcome in ("refused", "right") else lines[-6:])
    return cell.replace("|", "\\|")


def rows_before():
    """Returns the rows of the results so far, by the model's name."""
    lines = RESULTS.read_text("utf-8").splitlines() if RESULTS.is_file() else []
    rows = {line.split(" | ")[0].removeprefix("| "): line for line in lines if line[:2] == "| "}
    return {name: rows[name] for name in MODELS if name in rows}


def write(rows):
    """Writes the results, in the order of the models."""
    outcomes = collections.Counter(row.split(" | ")[1] for row in rows.values())
    counts = ", ".join(f"{count} {outcome}" for outcome, count in outcomes.most_common())
    faults = sum(outcomes[fault] for fault in FAULTS)
    RESULTS.write_text(
        f"Made by `benchmarks/device_zoo.py`: {len(rows)} models, seed 0. {counts}; {faults} "
        "faults. Correlation: of TensorFlow Lite Micro's int8 outputs with those of Keras, on "
        "other samples; the least of several outputs.\n\n"
        "| model | outcome | correlation | operators, or what is said |\n|---|---|---|---|\n"
        + "".join(f"{rows[name]}\n" for name in MODELS if name in rows),
        encoding="utf-8",
    )
    return f"{counts}; {faults} faults"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", nargs="*", choices=MODELS, metavar="MODEL")
    options = parser.parse_args()
    rows = {} if options.models is None else rows_before()
    for name in options.models or MODELS:
        outcome, close, text = tried(MODELS[name])
        shown = "" if close is None else f"{close:.4f}"
        rows[name] = f"| {name} | {outcome} | {shown} | {said_of(outcome, text)} |"
        print(rows[name], flush=True)
        counts = write(rows)
    print(counts)


if __name__ == "__main__":
    main()
