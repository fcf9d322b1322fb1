"""Every format for every kind of student: it computes what Keras does, or says what would."""

import keras
import numpy as np
import pytest

from keras_distill.tflite import export_tflite, rewriting
from tests.tflite.conftest import FACTORIES, random_inputs

layers = keras.layers
# Largest difference to Keras, as a share of the outputs' spread.
TOLERANCES = {None: 1e-4, "float16": 1e-2, "dynamic": 0.1, "int8": 0.1, "int16x8": 0.02}


def recurrent(steps=6):
    inputs = keras.Input((steps, 3))
    x = layers.GRU(5, name="memory")(inputs)
    return keras.Model(inputs, layers.Dense(2)(x))


def transformer():
    inputs = keras.Input((8, 12))
    x = layers.Add()([inputs, layers.MultiHeadAttention(2, 6, name="attention")(inputs, inputs)])
    x = layers.LayerNormalization(name="scaled")(x)
    x = layers.Dense(12, activation="relu")(x)
    return keras.Model(inputs, layers.Dense(3)(layers.GlobalAveragePooling1D()(x)))


KINDS = {
    "CNN": FACTORIES["residual"],
    "DS-CNN": FACTORIES["separable"],
    "MLP": FACTORIES["perceptron"],
    "Conv1D": FACTORIES["sequence"],
    "recurrent": recurrent,
    "transformer": transformer,
}


@pytest.fixture
def export(tmp_path):
    def export(model, quantization, target="mobile"):
        x = random_inputs(model, 50)
        return export_tflite(model, tmp_path / "model.tflite", quantization, x, target=target), x

    return export


@pytest.mark.parametrize("quantization", TOLERANCES)
@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_in_each_format(kind, quantization, export, tmp_path):
    keras.utils.set_random_seed(1)
    model = KINDS[kind]()
    if (kind, quantization) == ("transformer", "int16x8"):
        with pytest.raises(ValueError, match=r"no NEG.*scaled_1.*'int8', 'float16', 'dynamic' or"):
            export(model, quantization)
        assert not list(tmp_path.iterdir())
        return
    result, x = export(model, quantization)
    dtype = {"int8": "int8", "int16x8": "int16"}.get(quantization, "float32")
    assert (result.inputs[0].dtype, result.outputs[0].dtype) == (dtype, dtype)
    expected = np.asarray(model(x))
    tolerance = TOLERANCES[quantization] * np.ptp(expected) + 3 * result.outputs[0].scale
    np.testing.assert_allclose(result.predict(x), expected, rtol=0, atol=tolerance)


@pytest.mark.parametrize("quantization", ["int8", "int16x8"])
def test_a_long_loop_in_integers_is_refused_with_what_works(quantization, export, tmp_path):
    message = r"SIGSEGV; it printed nothing\. .*memory fewer steps, .*None, 'float16' or 'dynamic'"
    with pytest.raises(RuntimeError, match=message):
        export(recurrent(steps=rewriting.MOST_STEPS + 1), quantization)
    assert not list(tmp_path.iterdir())


def test_int16x8_of_integers_is_refused_with_the_formats_that_work(tmp_path):
    model = keras.Sequential(
        [keras.Input((6,), dtype="int32"), layers.Embedding(20, 4), layers.Flatten()]
    )
    x = np.random.default_rng(0).integers(0, 20, (20, 6)).astype("int32")
    path = tmp_path / "model.tflite"
    with pytest.raises(ValueError, match=r"input 0 is of type int32: use 'int8', 'float16'"):
        export_tflite(model, path, "int16x8", x)
    result = export_tflite(model, path, "int8", x)
    np.testing.assert_allclose(result.predict(x), model.predict(x, verbose=0), atol=1e-3)
