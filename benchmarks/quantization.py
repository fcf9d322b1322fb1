"""What int8 costs a distilled student: quantized after training, and trained with quantization.

Run: python benchmarks/quantization.py [--data-dir FOLDER] [--seeds 3]

MNIST (random images without --data-dir, which says nothing of accuracy). A teacher is distilled
(soft targets) into a small CNN and into a tiny student of depthwise convolutions. After the same
first epochs each goes on for the same further ones, once in float and once with int8's rounding
(compression.quantize_aware), with the same losses, data and learning rates. The third row is made
hard for int8: the channels of the depthwise student are scaled against each other by factors of
e^-2 to e^2, and what reads them by the inverse, before the training with rounding and after the
one in float. That changes no answer in float, and is what batch normalization does to MobileNets by
itself (Nagel et al., 2019, https://arxiv.org/abs/1906.04721): one scale per tensor no longer suits
all channels. compression.equalize scales them against each other, by the weights alone, as in that
paper, or by the ranges of the values on the representative images.
Accuracy on the test images: of the float student, of its int8 file (500 representative images), as
it is and equalized, and of the int8 file of the other one, equalized before its training or not.
Writes benchmarks/results/quantization.md.
"""

import argparse
import pathlib
import tempfile

import keras
import numpy as np
from step_time import images

from keras_distill import (
    Distiller,
    SoftTargets,
    architectures,
    compression,
    datasets,
    export_tflite,
)

RESULTS = pathlib.Path(__file__).parent / "results" / "quantization.md"
LABELS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
SHAPE = (28, 28, 1)


def depthwise(shape=SHAPE, classes=10):
    """Returns a tiny student of depthwise convolutions."""
    layers = keras.layers
    inputs = keras.Input(shape)
    x = layers.Conv2D(8, 3, strides=2, padding="same", use_bias=False)(inputs)
    for filters, strides in ((16, 1), (16, 2), (24, 2)):
        x = layers.ReLU()(layers.BatchNormalization()(x))
        x = layers.DepthwiseConv2D(3, strides=strides, padding="same", use_bias=False)(x)
        x = layers.ReLU()(layers.BatchNormalization()(x))
        x = layers.Conv2D(filters, 1, use_bias=False)(x)
    x = layers.ReLU()(layers.BatchNormalization()(x))
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, layers.Dense(classes)(x), name="depthwise")


def scale_channels(model, spread, seed):
    """Scales the channels behind each normalization, and back what reads them, in place."""
    rng = np.random.default_rng(seed)
    reads = (keras.layers.Conv2D, keras.layers.DepthwiseConv2D, keras.layers.Dense)
    for place, layer in enumerate(model.layers):
        if isinstance(layer, keras.layers.BatchNormalization):
            reader = next(after for after in model.layers[place:] if isinstance(after, reads))
            factors = np.exp(rng.uniform(-spread, spread, layer.gamma.shape)).astype("float32")
            layer.gamma.assign(layer.gamma * factors)
            layer.beta.assign(layer.beta * factors)
            reader.kernel.assign(reader.kernel / factors.reshape(-1, 1))


STUDENTS = {
    "CNN": (lambda: architectures.small_cnn(SHAPE, 10, filters=(4, 8, 16)), 0.0),
    "depthwise": (depthwise, 0.0),
    "depthwise, hard": (depthwise, 2.0),
}


def distill(teacher, student, data, learning_rate, epochs):
    """Trains a student with soft targets and labels, with a rate that falls to zero."""
    steps = epochs * -(-len(data.x_train) // 64)
    schedule = keras.optimizers.schedules.CosineDecay(learning_rate, steps)
    distiller = Distiller(teacher, student, SoftTargets(4.0), student_loss_weight=0.5)
    distiller.compile(keras.optimizers.Adam(schedule), LABELS)
    distiller.fit(data.x_train, data.y_train, batch_size=64, epochs=epochs, verbose=0)


def accuracy_of_file(model, data, x=None):
    """Returns the accuracy of a model's int8 file in %."""
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "model.tflite"
        result = export_tflite(model, path, "int8", x, target="arduino")
        return 100 * np.mean(result.predict(data.x_test).argmax(axis=-1) == data.y_test)


def run(teacher, make, spread, data, seed):
    """Returns the accuracies of one student with one seed."""
    keras.utils.set_random_seed(seed)
    student = make()
    distill(teacher, student, data, 5e-3, epochs=6)
    scaled = keras.models.clone_model(student)
    scaled.set_weights(student.get_weights())
    scale_channels(scaled, spread, seed)
    x = data.x_train[:500]
    quantized = compression.quantize_aware(scaled, x)
    both = compression.quantize_aware(compression.equalize(scaled, x), x)
    for model in (student, quantized, both):
        keras.utils.set_random_seed(100 + seed)
        distill(teacher, model, data, 1e-3, epochs=4)
    right = student.predict(data.x_test, verbose=0).argmax(axis=-1) == data.y_test
    scale_channels(student, spread, seed)
    return {
        "float": 100 * np.mean(right),
        "int8 after training": accuracy_of_file(student, data, x),
        "the same, equalized by weights": accuracy_of_file(compression.equalize(student), data, x),
        "the same, equalized by values": accuracy_of_file(
            compression.equalize(student, x), data, x
        ),
        "int8, trained with quantization": accuracy_of_file(quantized, data),
        "equalized by values, then trained with quantization": accuracy_of_file(both, data),
    }


def loaded(options):
    """Returns the data."""
    if options.data_dir:
        return datasets.load("mnist", data_dir=options.data_dir, max_train=10_000)
    (x, y), (x_test, y_test) = (images(None, SHAPE, count, None) for count in (2_000, 500))
    return datasets.Dataset("random", x, y, x_test, y_test, list("0123456789"))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-dir", help="folder of tensorflow-datasets")
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    data = loaded(options)
    keras.utils.set_random_seed(0)
    teacher = architectures.small_cnn(SHAPE, 10, filters=(16, 32, 64))
    teacher.compile("adam", LABELS)
    teacher.fit(data.x_train, data.y_train, batch_size=64, epochs=6, verbose=0)
    lines = [
        f"Made by `benchmarks/quantization.py --seeds {options.seeds}`: accuracy in % on "
        f"{len(data.x_test):,} test images, mean ± standard deviation over the seeds 0 to "
        f"{options.seeds - 1}; differences paired by seed, ± their standard error.",
        "",
        "| student | parameters | model | accuracy | against float |",
        "|---|---|---|---|---|",
    ]
    for name, (make, spread) in STUDENTS.items():
        runs = [run(teacher, make, spread, data, seed) for seed in range(options.seeds)]
        for model in runs[0]:
            values = np.array([one[model] for one in runs])
            against = values - [one["float"] for one in runs]
            error = against.std(ddof=1) / np.sqrt(len(runs)) if len(runs) > 1 else 0
            difference = "" if model == "float" else f"{against.mean():+.2f} ± {error:.2f}"
            lines.append(
                f"| {name} | {make().count_params():,} | {model} | {values.mean():.2f} ± "
                f"{values.std(ddof=1) if len(runs) > 1 else 0:.2f} | {difference} |"
            )
            print(lines[-1], flush=True)
    RESULTS.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
