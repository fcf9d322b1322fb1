"""Models as they go to devices, and data to quantize them with."""

import keras
import numpy as np
import pytest

from keras_distill.tflite import export_tflite

layers = keras.layers


def cnn():
    inputs = keras.Input((8, 8, 1))
    x = layers.Conv2D(6, 3, padding="same", use_bias=False, name="conv")(inputs)
    x = layers.BatchNormalization()(x)
    x = layers.ReLU()(x)
    x = layers.MaxPooling2D()(x)
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, layers.Dense(4)(x), name="cnn")


def residual():
    inputs = keras.Input((8, 8, 2))
    x = layers.Conv2D(4, 3, padding="same", activation="relu")(inputs)
    y = layers.Conv2D(4, 3, padding="same")(x)
    x = layers.ReLU()(layers.Add()([x, y]))
    x = layers.AveragePooling2D(2)(x)
    return keras.Model(inputs, layers.Dense(3)(layers.Flatten()(x)), name="residual")


def separable():
    inputs = keras.Input((10, 6, 1))
    x = layers.DepthwiseConv2D(3, padding="same", activation="relu6")(inputs)
    x = layers.Conv2D(8, 1, activation="relu")(x)
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, layers.Dense(3, activation="softmax")(x), name="separable")


def perceptron():
    stack = [keras.Input((12,)), layers.Dense(16, activation="relu"), layers.Dense(5)]
    return keras.Sequential(stack, name="perceptron")


def sequence():
    inputs = keras.Input((16, 3))
    x = layers.Conv1D(5, 3, activation="relu")(inputs)
    return keras.Model(inputs, layers.Dense(2)(layers.Flatten()(x)), name="sequence")


FACTORIES = {f.__name__: f for f in (cnn, residual, separable, perceptron, sequence)}


def random_inputs(model, count=220, seed=0):
    shape = model.input_shape[1:]
    return np.random.default_rng(seed).random((count, *shape)).astype("float32")


@pytest.fixture
def make_model():
    """Returns a factory of device models by name, with weights off their initial values."""

    def make(name):
        model = FACTORIES[name]()
        rng = np.random.default_rng(1)
        for weight in model.weights:
            value = np.array(weight.value)
            moved = value + 0.1 * np.abs(rng.standard_normal(weight.shape))
            weight.assign(moved.astype("float32"))
        return model

    return make


@pytest.fixture(scope="session")
def int8_cnn(tmp_path_factory):
    """The int8 CNN for Arduino, exported once: (Keras model, TFLiteModel, inputs)."""
    keras.utils.set_random_seed(5)
    model = cnn()
    x = random_inputs(model)
    path = tmp_path_factory.mktemp("int8_cnn") / "cnn.tflite"
    return model, export_tflite(model, path, "int8", x, target="arduino"), x


@pytest.fixture(scope="session")
def perceptron_as(tmp_path_factory):
    """Returns a function from quantization and target to (TFLiteModel, inputs), exported once."""
    keras.utils.set_random_seed(6)
    model = perceptron()
    x = random_inputs(model)
    folder = tmp_path_factory.mktemp("perceptron")
    done = {}

    def export(quantization, target="arduino"):
        key = (quantization, target)
        if key not in done:
            path = folder / f"{quantization}_{target}.tflite"
            done[key] = export_tflite(model, path, quantization, x, target=target)
        return done[key], x

    return export
