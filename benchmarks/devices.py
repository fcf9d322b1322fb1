"""Published student shapes in int8 on TFLM: the same answers, in how much memory.

Run: python benchmarks/devices.py [--inputs 1000] [--models ResNet-8 ...]

Each model, with random weights, is exported for the older Arduino forks too. Then:
- its answers on random inputs, TensorFlow Lite Micro against LiteRT's reference kernels, in steps;
- its smallest arena, bisected, against the tensors that live together (live_bytes) plus what
  TensorFlow Lite Micro keeps for itself (persistent_bytes); that 64 bytes less fail;
- the arena without the plan that the export puts into the file where it helps;
- the seconds that the export and `report()` took.
Writes benchmarks/results/devices.md.
"""

import argparse
import pathlib
import tempfile
import time

import keras
import numpy as np

from keras_distill import architectures, export_tflite
from keras_distill.tflite.analysis import memory_plan, schema
from keras_distill.tflite.runtime import litert, micro

RESULTS = pathlib.Path(__file__).parent / "results" / "devices.md"


def autoencoder():
    """Returns the anomaly detection network of MLPerf Tiny: dense layers, 640 to 8 and back."""
    layers = keras.layers
    x = inputs = keras.Input((640,))
    for units in (128, 128, 128, 128, 8, 128, 128, 128, 128):
        x = layers.ReLU()(layers.BatchNormalization()(layers.Dense(units)(x)))
    return keras.Model(inputs, layers.Dense(640)(x), name="autoencoder")


def lenet_300_100():
    """Returns the dense network of LeCun et al., 1998: 28 x 28 pixels, 300 and 100 units."""
    layers = keras.layers
    x = layers.Flatten()(inputs := keras.Input((28, 28, 1)))
    for units in (300, 100):
        x = layers.Dense(units, activation="relu")(x)
    return keras.Model(inputs, layers.Dense(10)(x), name="lenet_300_100")


def activity_network():
    """Returns a Conv1D network for windows of human activity: 128 steps of 9 sensors, 6 classes."""
    layers = keras.layers
    inputs = keras.Input((128, 9))
    x = layers.Conv1D(64, 3, activation="relu")(inputs)
    x = layers.Conv1D(64, 3, activation="relu")(x)
    x = layers.Flatten()(layers.MaxPooling1D(2)(x))
    x = layers.Dense(100, activation="relu")(x)
    return keras.Model(inputs, layers.Dense(6, activation="softmax")(x), name="activity_network")


MODELS = {
    "ResNet-20 (CNN with residuals)": architectures.resnet20,
    "DS-CNN": architectures.ds_cnn,
    "LeNet-300-100 (MLP)": lenet_300_100,
    "autoencoder (deep MLP)": autoencoder,
    "activity network (Conv1D)": activity_network,
    "MobileNetV1-0.25": architectures.mobilenet_v1,
    "ResNet-8": architectures.resnet8,
}


def moved(model, seed=0):
    """Moves the statistics of normalizations, so that folding them has something to do."""
    rng = np.random.default_rng(seed)
    for weight in model.weights:
        if any(name in weight.path for name in ("gamma", "moving_variance")):
            weight.assign(rng.uniform(0.5, 1.5, weight.shape))
        elif any(name in weight.path for name in ("beta", "moving_mean", "bias")):
            weight.assign(rng.normal(0, 0.1, weight.shape))
    return model


def without_plan(content):
    """Returns a file whose tensors TensorFlow Lite Micro places by itself."""
    if memory_plan.METADATA_NAME not in schema.metadata(content):
        return content
    nowhere = memory_plan.encode(schema.parse(content), [])
    return schema.with_metadata(content, memory_plan.METADATA_NAME, nowhere)


def measure(make, inputs):
    """Returns what one model shows."""
    keras.utils.set_random_seed(0)
    model = moved(make())
    rng = np.random.default_rng(1)
    x = rng.normal(0, 1, (inputs, *model.input_shape[1:])).astype("float32")
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        path = pathlib.Path(folder) / "model.tflite"
        result = export_tflite(model, path, "int8", x[:100], target="arduino")
        exported = time.perf_counter()
        report = result.report()
        reported = time.perf_counter()
    values = result.quantize_inputs(x)
    answers = [
        run(result.content, result.graph, values)[0].astype("int64")
        for run in (micro.run, litert.run)
    ]
    steps = np.abs(answers[0] - answers[1])
    arena = report.arena_bytes
    return {
        "parameters": model.count_params(),
        "MACs": report.macs,
        "steps": steps.max(),
        "beyond": 1e6 * np.mean(steps > 1),
        "arena": arena,
        "tensors": report.live_bytes,
        "own": report.persistent_bytes,
        "ratio": arena / (report.live_bytes + report.persistent_bytes),
        "unplanned": micro.minimum_arena(without_plan(result.content)),
        "less fails": not micro.runs_in_arena(result.content, arena - 64),
        "lint": len(result.lint()),
        "export": exported - start,
        "report": reported - exported,
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--inputs", type=int, default=1000)
    parser.add_argument("--models", nargs="*", default=list(MODELS))
    options = parser.parse_args()
    lines = [
        f"Made by `benchmarks/devices.py --inputs {options.inputs}`. Steps: the largest difference "
        "between TensorFlow Lite Micro and LiteRT's reference kernels on all inputs, in steps of "
        "the int8 output; beyond 1: how many values in a million differ by more than one step. "
        "Arena: the smallest that works; its bound is the tensors that live together plus what "
        "TensorFlow Lite Micro keeps for itself.",
        "",
        "| model | parameters | MACs | steps | beyond 1 | arena | tensors + own | arena / bound | "
        "without plan | 64 B less | lint | export, s | report, s |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for name in options.models:
        one = measure(MODELS[name], options.inputs)
        fails = "fails" if one["less fails"] else "works"
        lines.append(
            f"| {name} | {one['parameters']:,} | {one['MACs']:,} | {one['steps']} | "
            f"{one['beyond']:.0f} | "
            f"{one['arena']:,} | {one['tensors']:,} + {one['own']:,} | {one['ratio']:.3f} | "
            f"{one['unplanned']:,} | {fails} | {one['lint']} | "
            f"{one['export']:.1f} | {one['report']:.1f} |"
        )
        print(lines[-1], flush=True)
    RESULTS.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
