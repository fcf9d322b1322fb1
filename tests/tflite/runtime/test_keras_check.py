"""A file that doesn't compute what its Keras model does is warned about as it is written."""

import warnings

import keras
import numpy as np
import pytest

from keras_distill.tflite import export_tflite

layers = keras.layers
X = np.random.default_rng(0).normal(size=(60, 8)).astype("float32")


def exported(path, x, *stack):
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input(x.shape[1:]), *stack])
    return export_tflite(model, path, "int8", x)


def test_jumps_that_eight_bits_miss_are_noted(tmp_path):
    said = r"% of the file's values are off from Keras .*first 60 samples.*float_layers=\[...\]"
    steep = layers.Dense(4, kernel_initializer=keras.initializers.RandomNormal(stddev=0.3))
    with pytest.warns(UserWarning, match=said):
        exported(tmp_path / "m.tflite", X, steep, layers.Activation(keras.ops.round))


def test_normalizations_that_lose_are_named(tmp_path):
    # Samples of very different sizes, which the normalization makes equal.
    x = X * np.logspace(-3, 0, 60)[:, None].astype("float32")
    with pytest.warns(UserWarning, match=r"in scaled: use BatchNormalization, or .*float_layers"):
        exported(tmp_path / "m.tflite", x, layers.LayerNormalization(name="scaled"))


@pytest.mark.parametrize("last", ["softmax", "sigmoid", "linear"])
def test_what_is_right_is_not_noted(tmp_path, last):
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        exported(tmp_path / "m.tflite", X, layers.Dense(8, "relu"), layers.Dense(3, last))
