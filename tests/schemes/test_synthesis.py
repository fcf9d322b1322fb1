"""Images made from a teacher alone teach a student, and no data is read."""

import inspect
import re

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_distill import Distiller
from keras_distill.schemes import synthesize
from keras_distill.schemes.synthesis import _error, statistics_distance, total_variation

LOSS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def cnn(channels=8, norm=True):
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            layers.Conv2D(channels, 3, strides=2, name="conv"),
            *([layers.BatchNormalization(momentum=0.8, name="norm")] if norm else []),
            layers.ReLU(),
            layers.Flatten(),
            layers.Dense(3),
        ]
    )


def blobs(seed, count=300):
    """Images with a bright square in one of three corners, which is the class."""
    rng = np.random.default_rng(seed)
    y = np.arange(count) % 3
    x = rng.uniform(0, 0.3, (count, 8, 8, 1))
    for image, label in zip(x, y, strict=True):
        row, column = ((0, 0), (0, 4), (4, 0))[label]
        image[row : row + 4, column : column + 4] += 0.6
    return x.astype("float32"), y


@pytest.fixture(scope="module")
def teacher():
    keras.utils.set_random_seed(0)
    model = cnn()
    model.compile(keras.optimizers.Adam(0.02), LOSS)
    model.fit(*blobs(0), batch_size=60, epochs=8, verbose=0)
    return model


@pytest.fixture(scope="module")
def made(teacher):
    before = teacher.get_weights()
    images = synthesize(teacher, np.arange(75) % 3, steps=60, jitter=0, batch_size=60)
    for one, other in zip(teacher.get_weights(), before, strict=True):
        np.testing.assert_array_equal(one, other)
    return images


def test_no_data_is_an_argument():
    taken = {*inspect.signature(synthesize).parameters}
    assert not taken & {"x", "data", "dataset", "images"}


def test_a_student_learns_real_classes_from_made_images(teacher, made):
    keras.utils.set_random_seed(1)
    student = cnn(4)
    distiller = Distiller(teacher, student, "kd")
    distiller.compile(keras.optimizers.Adam(0.02), LOSS)
    distiller.fit(made, np.arange(75) % 3, batch_size=25, epochs=10, verbose=0)
    x, y = blobs(1)
    assert (teacher.predict(x, verbose=0).argmax(-1) == y).mean() > 0.95
    assert (student.predict(x, verbose=0).argmax(-1) == y).mean() > 0.7


def test_the_images_are_of_their_classes_and_statistics(teacher, made):
    assert made.shape == (75, 8, 8, 1)
    assert made.dtype == np.float32
    assert made.min() >= 0
    assert made.max() <= 1
    assert (teacher.predict(made, verbose=0).argmax(-1) == np.arange(75) % 3).mean() > 0.95
    noise = np.random.default_rng(0).uniform(size=made.shape).astype("float32")
    norm, conv = teacher.get_layer("norm"), teacher.get_layer("conv")
    of_made, of_noise, of_real = (
        float(statistics_distance([conv(x)], [norm.moving_mean], [norm.moving_variance]))
        for x in (made, noise, blobs(1)[0])
    )
    assert of_made < 0.2 * of_noise
    assert of_real < of_noise


def test_the_error_is_that_of_numpy(teacher):
    rng = np.random.default_rng(0)
    x, y = rng.random((6, 8, 8, 1), "float32"), np.arange(6) % 3
    features = teacher.get_layer("conv")(x).numpy().astype("float64")
    norm = teacher.get_layer("norm")
    mean, variance = (w.numpy() for w in (norm.moving_mean, norm.moving_variance))
    distance = np.linalg.norm(features.mean((0, 1, 2)) - mean)
    distance += np.linalg.norm(features.var((0, 1, 2)) - variance)
    variation = sum(
        np.linalg.norm(difference)
        for difference in (
            x[:, 1:] - x[:, :-1],
            x[:, :, 1:] - x[:, :, :-1],
            x[:, 1:, 1:] - x[:, :-1, :-1],
            x[:, 1:, :-1] - x[:, :-1, 1:],
        )
    )
    assert float(total_variation(tf.constant(x))) == pytest.approx(variation, rel=1e-5)
    expected = LOSS(y, teacher(x)).numpy() + 2.0 * distance + 0.1 * variation
    found = _error(teacher, 2.0, 0.1)(tf.constant(x), tf.constant(y))
    assert float(found) == pytest.approx(expected, rel=1e-4)


def test_a_seed_gives_the_same_images(teacher):
    labels = np.arange(3)
    settings = {"steps": 2, "jitter": 1, "bounds": None}
    first, again, other = (synthesize(teacher, labels, seed=seed, **settings) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()
    assert first.min() < 0


def dense():
    return keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"teacher": cnn(norm=False)}, "must have batch normalizations"),
        ({"teacher": dense()}, "one input of images"),
        ({"labels": [0, 3]}, "labels must be classes of the model, from 0 to 2"),
        ({"labels": [0.5]}, "labels must be an integer array"),
        ({"jitter": 8}, "jitter must be below the images' height and width, (8, 8)"),
        ({"bounds": (1, 1)}, "bounds=(1, 1)"),
        ({"steps": 0}, "steps must be at least 1"),
    ],
)
def test_what_cannot_be_made_is_refused(teacher, change, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        synthesize(**{"teacher": teacher, "labels": [0, 1], **change})
