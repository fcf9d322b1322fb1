"""Layers that compute by other operators for their target: the same outputs, and they run."""

import keras
import numpy as np
import pytest

from keras_distill.tflite import export_tflite, rewriting
from keras_distill.tflite.runtime import micro

layers = keras.layers
on_tflm = pytest.mark.skipif(not micro.is_available(), reason="needs TensorFlow Lite Micro")
STEPS, FEATURES, WORDS = 4, 3, 9
RECURRENT = {
    "LSTM": lambda: [layers.LSTM(4, return_sequences=True), layers.LSTM(3)],
    "GRU": lambda: [layers.GRU(4)],
    "SimpleRNN": lambda: [layers.SimpleRNN(4)],
    "Bidirectional": lambda: [layers.Bidirectional(layers.GRU(3))],
}


def series(stack):
    return keras.Sequential([keras.Input((STEPS, FEATURES)), *stack, layers.Dense(2)])


def values(*shape):
    return np.random.default_rng(0).normal(size=shape).astype("float32")


@on_tflm
def test_nearest_upsampling_runs_on_boards_and_the_model_stays(tmp_path):
    inputs = keras.Input((4, 6, 2))
    y = layers.UpSampling2D((2, 3))(layers.Conv2D(3, 3)(inputs))
    y = layers.Lambda(lambda tensor: tensor)(y)
    model = keras.Model(inputs, keras.Sequential([layers.Conv2D(2, 1), layers.UpSampling2D(2)])(y))
    x = np.random.default_rng(0).random((60, 4, 6, 2)).astype("float32")
    before = model.get_config()
    with rewriting.for_target(model, "mcu", "int8"):
        rewritten = model(x)
    np.testing.assert_array_equal(rewritten, model(x))
    result = export_tflite(model, tmp_path / "up.tflite", "int8", x, target="arduino")
    assert model.get_config() == before
    assert not any("call" in vars(layer) for layer in model._flatten_layers())
    assert result.operators == {"CONV_2D": 2, "RESIZE_NEAREST_NEIGHBOR": 2}
    assert result.lint() == [] and result.verify(model, x[:8]).passed


@pytest.mark.parametrize("name", RECURRENT)
def test_unrolled_layers_compute_what_their_loop_does(name):
    keras.utils.set_random_seed(0)
    model, x = series(RECURRENT[name]()), values(5, STEPS, FEATURES)
    expected = model(x)
    with rewriting.for_target(model, "mcu", "int8"):
        np.testing.assert_allclose(model(x), expected, atol=1e-6)
    assert not any(getattr(layer, "unroll", False) for layer in model._flatten_layers())


@on_tflm
@pytest.mark.parametrize("name", ["LSTM", "Bidirectional"])
def test_recurrent_layers_are_exported_in_int8(tmp_path, name):
    keras.utils.set_random_seed(0)
    model, x = series(RECURRENT[name]()), values(80, STEPS, FEATURES)
    result = export_tflite(model, tmp_path / "rnn.tflite", "int8", x, target="mcu")
    assert "WHILE" not in result.operators
    verification = result.verify(model, x[:20])
    assert verification.agrees_with_keras and verification.agreement_tflm >= 0.9


def test_layers_that_become_others_compute_the_same():
    keras.utils.set_random_seed(0)
    axes = layers.LayerNormalization(axis=(1, 2), beta_initializer="random_normal")
    plain = layers.LayerNormalization(gamma_initializer="random_normal", center=False)
    stack = [layers.UpSampling1D(3), axes, plain, layers.Flatten(), layers.RepeatVector(2)]
    model, x = series(stack), values(5, STEPS, FEATURES)
    expected = model(x)
    with rewriting.for_target(model, "mcu", "int8"):
        assert all("call" in vars(layer) for layer in (axes, plain, stack[0], stack[-1]))
        np.testing.assert_allclose(model(x), expected, atol=1e-5)


def attending():
    inputs = keras.Input((STEPS, FEATURES))
    causal = layers.MultiHeadAttention(2, 4)(inputs, inputs, use_causal_mask=True)
    some = layers.MultiHeadAttention(2, 4)(inputs, inputs, attention_mask=np.eye(STEPS)[None] + 1)
    x = layers.Dense(2)(layers.Flatten()(layers.Concatenate()([causal, some])))
    return keras.Model(inputs, x)


@on_tflm
def test_masks_of_attention_keep_the_range_in_int8(tmp_path):
    keras.utils.set_random_seed(0)
    model, x = attending(), values(80, STEPS, FEATURES)
    expected = model(x)
    with rewriting.for_target(model, "mobile", "int8"):
        np.testing.assert_allclose(model(x), expected, atol=1e-5)
    assert not any("_compute_attention" in vars(layer) for layer in model._flatten_layers())
    result = export_tflite(model, tmp_path / "attention.tflite", "int8", x, target="mcu")
    verification = result.verify(model, x[:20])
    assert verification.agrees_with_keras and verification.agreement_tflm >= 0.9


def test_long_series_and_loops_that_run_stay_loops():
    long = keras.Sequential([keras.Input((rewriting.MOST_STEPS + 1, 1)), layers.GRU(1)])
    unrolled = []
    long.layers[0].cell.call = lambda *args, **kwargs: unrolled.append(long.layers[0].unroll)
    with rewriting.for_target(long, "mobile", "int8"), pytest.raises(TypeError):
        long(values(1, rewriting.MOST_STEPS + 1, 1))
    assert unrolled == [False]
    last_state = series([layers.LSTM(4)])
    sequences = series([layers.LSTM(4, return_sequences=True)])
    for model, target in ((last_state, "mcu"), (sequences, "mobile")):
        with rewriting.for_target(model, target, None):
            assert "call" not in vars(model.layers[0])


@on_tflm
def test_embeddings_are_gathered_in_int8_by_integer_ids(tmp_path):
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [keras.Input((STEPS,), dtype="int32"), layers.Embedding(WORDS, 4), layers.Flatten()]
    )
    model.add(layers.Dense(2))
    ids = np.random.default_rng(0).integers(0, WORDS, (80, STEPS)).astype("int32")
    result = export_tflite(model, tmp_path / "words.tflite", "int8", ids, target="arduino")
    assert result.operators == {"FULLY_CONNECTED": 1, "GATHER": 1, "RESHAPE": 1}
    assert result.inputs[0].dtype == "int32"
    assert result.lint() == [] and result.verify(model, ids[:20]).passed


def test_layers_of_a_subclass_stay():
    class Doubled(layers.Embedding):
        def call(self, inputs):
            return 2 * super().call(inputs)

    model = keras.Sequential([keras.Input((STEPS,), dtype="int32"), Doubled(WORDS, 4)])
    with rewriting.for_target(model, "mcu", "int8"):
        assert "call" not in vars(model.layers[0])
