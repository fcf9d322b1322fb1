"""Small models for the schemes: enough to learn something in a few steps."""

import keras
import numpy as np
import pytest


@pytest.fixture
def make_dense():
    """Returns a factory of small models from 4 numbers to 3 classes, with a layer "hidden"."""

    def make(size=5, classes=3, activation=None, name=None):
        return keras.Sequential(
            [
                keras.Input((4,)),
                keras.layers.Dense(size, activation="relu", name="hidden"),
                keras.layers.Dense(classes, activation=activation, name="logits"),
            ],
            name=name,
        )

    return make


@pytest.fixture
def numbers():
    """24 samples of 4 numbers; the label is the largest of the first three."""
    x = np.random.default_rng(0).normal(size=(24, 4)).astype("float32")
    return x, x[:, :3].argmax(-1)
