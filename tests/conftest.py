"""Fixtures for all tests: fixed seeds, and a pair of small models to distill."""

import gc

import keras
import numpy as np
import pytest

from keras_distill.tflite import converter


def pytest_collection_finish():
    """Leaves what was imported to the end of the process: looking for garbage in it takes long."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)


@pytest.fixture(scope="session", autouse=True)
def one_converter():
    """The process that converts isn't started again where other tests lie between two exports."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(converter, "IDLE_SECONDS", 300.0)
        yield


@pytest.fixture(autouse=True)
def fixed_seed():
    keras.utils.set_random_seed(7)
    yield
    # Collecting garbage takes longer than most tests.
    keras.backend.clear_session(free_memory=False)
    keras.config.set_dtype_policy("float32")


@pytest.fixture
def make_cnn():
    """Returns a factory of small CNNs on 8x8 images with 3 classes."""

    def make(channels, activation=None, name=None, dtype=None, dropout=0.0):
        layers = keras.layers
        return keras.Sequential(
            [
                keras.Input((8, 8, 1)),
                layers.Conv2D(channels, 3, padding="same", name="conv1", dtype=dtype),
                layers.BatchNormalization(name="norm1", dtype=dtype),
                layers.ReLU(name="stage1", dtype=dtype),
                layers.MaxPooling2D(name="pool1", dtype=dtype),
                layers.Conv2D(
                    2 * channels,
                    3,
                    padding="same",
                    activation="relu",
                    name="stage2",
                    dtype=dtype,
                ),
                layers.GlobalAveragePooling2D(name="pool2", dtype=dtype),
                layers.Dropout(dropout, name="dropout", dtype=dtype),
                layers.Dense(3, activation=activation, name="logits", dtype="float32"),
            ],
            name=name,
        )

    return make


@pytest.fixture
def images():
    """64 random images whose label is which third of the rows is brightest."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 64)
    x = rng.random((64, 8, 8, 1)).astype("float32")
    for image, label in zip(x, labels, strict=True):
        image[3 * label : 3 * label + 2] += 1.0
    return x, labels


@pytest.fixture
def crossentropy():
    return keras.losses.SparseCategoricalCrossentropy(from_logits=True)
