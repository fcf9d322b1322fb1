"""How long an epoch of distillation takes, beside its parts and beside Keras's own Distiller.

Run: python benchmarks/step_time.py [--data-dir FOLDER] [--teacher FILE] [--rounds 11]

For each pair of models, epochs of the same number of steps of 64 samples, in one process and in
turn, each round in the opposite order, after one epoch of warm-up each. The losses given to
Keras's distiller are keras.losses.KLDivergence(), so that it computes what is meant, and the mean
squared error of the tapped layer's attention. Medians of the rounds' seconds and of their ratios;
beside the seconds that pass, the seconds that the processor works, of all cores.

All read the same pipeline, with tf.data's tuner off: with it on, the end of an epoch waits for the
tuner to wake up, which it does after 0.64, 1.27, 2.55... seconds, whatever is trained.

The pairs: two small CNNs on MNIST; ResNet-56 to ResNet-8 on CIFAR-10 (--teacher names a trained
ResNet-56; else its weights are random, which takes the same time); a transformer with 4 heads to
one with 2, on random tokens. Without --data-dir the images are random too.
Writes benchmarks/results/step_time.md.
"""

import argparse
import dataclasses
import gc
import pathlib
import tempfile
import time

import keras
import numpy as np
import tensorflow as tf

from keras_distill import (
    AttentionTransfer,
    Distiller,
    SoftTargets,
    TeacherCache,
    architectures,
    datasets,
)
from keras_distill.features import FeatureExtractor, FeatureModel
from keras_distill.losses import HintLearning

RESULTS = pathlib.Path(__file__).parent / "results" / "step_time.md"
LABELS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
BATCH = 64


@dataclasses.dataclass
class Pair:
    """A teacher, a student, the layers that are compared, and data."""

    name: str
    teacher: keras.Model
    student: keras.Model
    teacher_layer: str
    student_layer: str
    loss: type
    x: np.ndarray
    y: np.ndarray

    @property
    def tapping(self):
        """Our loss on the tapped layers."""
        return self.loss(self.teacher_layer, self.student_layer)


def transformer(heads, width, layers, length=32, words=8_000):
    """Returns a small transformer encoder with a classifier."""
    kl = keras.layers
    tokens = keras.Input((length,), dtype="int32")
    x = kl.Embedding(words, width)(tokens)
    for index in range(layers):
        attention = kl.MultiHeadAttention(heads, width // heads, name=f"attention_{index}")
        x = kl.LayerNormalization()(x + attention(x, x))
        hidden = kl.Dense(2 * width, activation="relu")(x)
        x = kl.LayerNormalization(name=f"block_{index}")(x + kl.Dense(width)(hidden))
    return keras.Model(tokens, kl.Dense(2)(kl.GlobalAveragePooling1D()(x)))


def images(name, shape, count, data_dir):
    """Returns images and labels, random ones without a folder."""
    if data_dir:
        data = datasets.load(name, data_dir=data_dir, max_train=count, max_test=10)
        return data.x_train, data.y_train
    rng = np.random.default_rng(0)
    return rng.random((count, *shape), "float32"), rng.integers(0, 10, count)


def pairs(options):
    """Yields the pairs."""
    shape = (28, 28, 1)
    yield Pair(
        "small CNNs, MNIST",
        architectures.small_cnn(shape, 10, filters=(16, 32, 64)),
        architectures.small_cnn(shape, 10, filters=(8, 16, 32)),
        "stage2_out",
        "stage2_out",
        AttentionTransfer,
        *images("mnist", shape, 16_384, options.data_dir),
    )
    teacher = (
        keras.models.load_model(options.teacher) if options.teacher else architectures.resnet56()
    )
    spatial = [layer.name for layer in teacher.layers if len(layer.output.shape) == 4]
    yield Pair(
        "ResNet-56 to ResNet-8, CIFAR-10",
        teacher,
        architectures.resnet8(),
        spatial[-1],
        "stage3_out",
        AttentionTransfer,
        *images("cifar10", (32, 32, 3), 4096, options.data_dir),
    )
    rng = np.random.default_rng(0)
    yield Pair(
        "transformers, 4 heads to 2",
        transformer(4, 64, 2),
        transformer(2, 32, 1),
        "block_1",
        "block_0",
        HintLearning,
        rng.integers(0, 8_000, (16_384, 32)),
        rng.integers(0, 2, 16_384),
    )


def contestants(pair, folder):
    """Returns a function per contestant that runs one epoch."""
    x, y = pair.x, pair.y

    def clone(model):
        copy = keras.models.clone_model(model)
        copy.set_weights(model.get_weights())
        return copy

    data = pipeline(x, y)

    def fit(model, data=data):
        model.compile("adam", LABELS)
        return lambda: model.fit(data, epochs=1, verbose=0)

    ours = [SoftTargets(4.0), pair.tapping]
    own = keras.distillation
    soft = own.LogitsDistillation(temperature=4.0, loss=keras.losses.KLDivergence())
    tap = own.FeatureDistillation(
        loss=_attention_error,
        teacher_layer_name=pair.teacher_layer,
        student_layer_name=pair.student_layer,
    )

    def keras_distiller(losses):
        sides = {"teacher": clone(pair.teacher), "student": clone(pair.student)}
        return own.Distiller(**sides, distillation_losses=losses)

    cache = TeacherCache.build(folder, pair.teacher, (x, y), ours, batch_size=BATCH, verbose=0)
    inference = FeatureModel(pair.teacher, [pair.teacher_layer])
    inference.extractor = FeatureExtractor(pair.teacher, [pair.teacher_layer], folds=True)
    return {
        "teacher alone": lambda: pair.teacher.predict(data, verbose=0),
        "teacher alone, normalization folded": lambda: inference.predict(data, verbose=0),
        "one tapped layer": fit(Distiller(clone(pair.teacher), clone(pair.student), ours)),
        "one tapped layer, keras.distillation": fit(keras_distiller([soft, tap])),
        "one tapped layer, from the cache": fit(
            Distiller(cache, clone(pair.student), ours), cache.join(data)
        ),
        "student alone": fit(clone(pair.student)),
        "soft targets, from the cache": fit(
            Distiller(cache, clone(pair.student), SoftTargets(4.0)), cache.join(data)
        ),
        "soft targets": fit(Distiller(clone(pair.teacher), clone(pair.student), SoftTargets(4.0))),
        "soft targets, keras.distillation": fit(keras_distiller(soft)),
    }


def pipeline(x, y, batch_size=BATCH):
    """Returns a data set of batches, as cheap as one can be, with tf.data's tuner off."""
    starts = tf.data.Dataset.range(0, len(x), batch_size)
    x, y = tf.constant(x), tf.constant(y)
    batches = starts.map(lambda at: (x[at : at + batch_size], y[at : at + batch_size])).prefetch(2)
    options = tf.data.Options()
    options.autotune.enabled = False
    return batches.with_options(options)


def _attention_error(teacher, student):
    """Mean squared error of the attention over positions, which any channels have."""
    maps = [keras.ops.mean(keras.ops.square(side), axis=-1) for side in (teacher, student)]
    return keras.ops.mean(keras.ops.square(maps[0] - maps[1]), axis=-1)


LIVE, CACHED = "one tapped layer", "one tapped layer, from the cache"
THEIRS = "one tapped layer, keras.distillation"
STUDENT, TEACHER = "student alone", "teacher alone"
PROMISED = (
    ("live / (student alone + teacher alone, whichever form is faster)", LIVE, None, 1.05),
    ("live / keras.distillation", LIVE, THEIRS, 0.85),
    ("cached, soft targets / student alone", "soft targets, from the cache", STUDENT, 1.05),
    ("cached / student alone", CACHED, STUDENT, 1.05),
    ("cached / keras.distillation", CACHED, THEIRS, 0.45),
)


def measure(run, rounds):
    """Returns a dictionary from contestant to seconds, shape `(rounds, 2)`: all, and processor's.

    Each round is in the opposite order of the one before, and a computer that slows down for a
    while slows down all of a round.
    """
    for epoch in run.values():
        epoch()
    taken = {name: [] for name in run}
    for turn in range(rounds):
        for name in list(run)[:: 1 if turn % 2 else -1]:
            taken[name].append(measure_once(run[name]))
    return {name: np.array(values) for name, values in taken.items()}


def measure_once(epoch):
    """Returns the seconds that an epoch takes: all, and processor's."""
    gc.collect()
    started = time.perf_counter(), time.process_time()
    epoch()
    ended = time.perf_counter(), time.process_time()
    return np.subtract(ended, started)


def ratios(taken):
    """Yields what is promised, the median of the rounds' ratios, and what was promised."""
    folded = taken[f"{TEACHER}, normalization folded"]
    fastest = min(taken[TEACHER], folded, key=lambda values: np.median(values[:, 0]))
    for name, ours, theirs, aim in PROMISED:
        beside = taken[STUDENT] + fastest if theirs is None else taken[theirs]
        yield name, *np.median(taken[ours] / beside, axis=0), aim


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-dir", help="folder of tensorflow-datasets")
    parser.add_argument("--teacher", help="file of a trained ResNet-56")
    parser.add_argument("--rounds", type=int, default=11)
    options = parser.parse_args()
    lines = [
        f"Made by `benchmarks/step_time.py --rounds {options.rounds}`: seconds per epoch, medians "
        f"of {options.rounds} rounds; below, medians of the rounds' ratios.",
        "",
        "| models | epoch of | seconds | of the processor |",
        "|---|---|---|---|",
    ]
    promised = [
        "",
        "| models | ratio of epochs with one tapped layer | ratio | of the processor | aim |",
        "|---|---|---|---|---|",
    ]
    for pair in pairs(options):
        with tempfile.TemporaryDirectory() as folder:
            taken = measure(contestants(pair, folder), options.rounds)
        for name, values in taken.items():
            seconds, worked = np.median(values, axis=0)
            lines.append(f"| {pair.name} | {name} | {seconds:.2f} | {worked:.2f} |")
            print(lines[-1], flush=True)
        for name, ratio, worked, aim in ratios(taken):
            promised.append(f"| {pair.name} | {name} | {ratio:.2f} | {worked:.2f} | ≤ {aim} |")
            print(promised[-1], flush=True)
        keras.backend.clear_session()
    RESULTS.write_text("\n".join(lines + promised) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
