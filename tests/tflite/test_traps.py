"""The traps on the way to a device, each with a test that fails without its guard."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_distill.tflite import TFLiteModel, export_tflite
from keras_distill.tflite.analysis import lint as lint_module
from keras_distill.tflite.analysis.lint import lint
from keras_distill.tflite.analysis.schema import parse
from keras_distill.tflite.runtime import micro
from tests.tflite.conftest import random_inputs


def test_the_batch_is_static_and_only_builtin_operators_are_used(make_model, tmp_path):
    result = export_tflite(make_model("residual"), tmp_path / "m.tflite")
    assert result.inputs[0].shape == (1, 8, 8, 2)
    assert not {"SHAPE", "STRIDED_SLICE", "PACK", "FILL"} & set(result.operators)
    assert not any(operator.is_custom for operator in result.graph.operators)


def test_dense_is_per_tensor_for_arduino_and_per_channel_elsewhere(make_model, tmp_path):
    model = make_model("perceptron")
    x = random_inputs(model)
    scales = {}
    for target in ("mcu", "arduino"):
        result = export_tflite(model, tmp_path / "m.tflite", "int8", x, target=target)
        dense = [op for op in result.graph.operators if op.name == "FULLY_CONNECTED"]
        scales[target] = [len(op.inputs[1].scales) for op in dense]
    assert scales == {"mcu": [16, 5], "arduino": [1, 1]}


def test_a_per_channel_dense_model_is_flagged_for_arduino(make_model, tmp_path):
    model = make_model("perceptron")
    path = tmp_path / "m.tflite"
    export_tflite(model, path, "int8", random_inputs(model), target="mcu")
    assert {f.code for f in TFLiteModel(path, target="arduino").lint()} == {"dense-per-channel"}


def relu6_model(fused):
    inputs = keras.Input((8, 8, 2))
    branches = [keras.layers.Conv2D(4, 3, padding="same")(inputs) for _ in range(2)]
    merge = keras.layers.Add if fused else keras.layers.Concatenate
    x = keras.layers.ReLU(max_value=6)(merge()(branches))
    return keras.Model(inputs, keras.layers.Dense(3)(keras.layers.Flatten()(x)))


def test_a_relu6_that_tflm_computes_wrongly_is_refused(tmp_path):
    keras.utils.set_random_seed(1)
    model = relu6_model(fused=False)
    x = random_inputs(model)
    path = tmp_path / "m.tflite"
    with pytest.raises(ValueError, match=r"relu6-scale.*silently wrong"):
        export_tflite(model, path, "int8", x, target="mcu")
    assert not path.exists()
    # The trap: it runs, and is far off only on TensorFlow Lite Micro.
    result = export_tflite(model, path, "int8", x, target="mobile")
    verification = result.verify(model, x[:20])
    assert verification.max_steps_tflm > 20 and not verification.passed
    assert verification.alone == "TensorFlow Lite Micro" and verification.agrees_with_keras
    assert verification.max_error_keras < 5 * result.outputs[0].scale


def test_a_relu6_that_is_part_of_another_operator_is_fine(tmp_path):
    model = relu6_model(fused=True)
    x = random_inputs(model)
    result = export_tflite(model, tmp_path / "m.tflite", "int8", x, target="mcu")
    assert result.lint() == [] and result.verify(model, x[:50]).passed


def test_a_variance_in_16_bits_is_refused(tmp_path):
    model = reduced(lambda x: keras.ops.var(x, 1))
    path = tmp_path / "m.tflite"
    with pytest.raises(ValueError, match=r"squared-difference-int16: LiteRT can't run"):
        export_tflite(model, path, "int16x8", random_inputs(model))
    assert not path.exists()


def reduced(reduce):
    inputs = keras.Input((6, 4))
    return keras.Model(inputs, reduce(inputs))


def test_operators_that_kernels_get_wrong_in_sixteen_bits_are_refused(tmp_path, monkeypatch):
    x = np.random.default_rng(0).random((50, 6, 4)).astype("float32")
    path = tmp_path / "m.tflite"
    model = reduced(lambda x: keras.ops.sum(x, 1))
    with pytest.raises(ValueError, match=r"sum-int16: .*Multiply the mean by the number"):
        export_tflite(model, path, "int16x8", x)
    with pytest.raises(ValueError, match=r"squared-difference-int16: LiteRT can't run"):
        export_tflite(reduced(lambda x: keras.ops.var(x, 1)), path, "int16x8", x)
    assert not path.exists()
    # The trap: it runs, and all runtimes agree on answers that are wrong.
    monkeypatch.setattr(lint_module, "_sixteen_bits", lambda graph: [])
    verification = export_tflite(model, path, "int16x8", x).verify(model, x)
    assert verification.max_error_keras > 0.3 * np.ptp(model.predict(x, verbose=0))
    assert not verification.agrees_with_keras
    monkeypatch.undo()
    model = reduced(lambda x: 6 * keras.ops.mean(x, 1))
    assert export_tflite(model, path, "int16x8", x).verify(model, x).passed


def test_an_operator_that_tflm_lacks_is_named_and_nothing_is_written(tmp_path):
    inputs = keras.Input((8, 8, 1))
    x = keras.layers.Conv2D(2, 3, activation="gelu", name="smooth")(inputs)
    model = keras.Model(inputs, keras.layers.Dense(2)(keras.layers.Flatten()(x)))
    with pytest.raises(ValueError, match=r"can't run GELU.*smooth"):
        export_tflite(model, tmp_path / "m.tflite", target="mcu")
    assert list(tmp_path.iterdir()) == []


def test_operations_outside_tensorflow_lite_are_named(tmp_path):
    inputs = keras.Input((4, 4))
    model = keras.Model(inputs, keras.ops.fft((inputs, inputs))[0], name="spectrum")
    with pytest.raises(ValueError, match=r"'spectrum' uses operations .*: .*FFT"):
        export_tflite(model, tmp_path / "m.tflite")
    assert list(tmp_path.iterdir()) == []


def test_int8_weights_under_float_activations_are_refused_for_tflm(tmp_path):
    model = keras.Sequential([keras.Input((64,)), keras.layers.Dense(64), keras.layers.Dense(2)])
    with pytest.raises(ValueError, match=r"error hybrid: .*FULLY_CONNECTED"):
        export_tflite(model, tmp_path / "m.tflite", "dynamic", target="mcu")


def test_sequences_from_a_loop_are_refused_for_tflm(tmp_path):
    layers = [keras.layers.LSTM(4, return_sequences=True), keras.layers.Flatten()]
    model = keras.Sequential([keras.Input((65, 1)), *layers, keras.layers.Dense(2)])
    with pytest.raises(ValueError, match=r"silently wrong on TensorFlow Lite Micro"):
        export_tflite(model, tmp_path / "m.tflite", target="mcu")


def test_a_float_island_is_found(tmp_path):
    layers = [keras.layers.Dense(8), keras.layers.LayerNormalization(), keras.layers.Dense(2)]
    model = keras.Sequential([keras.Input((12,)), *layers])
    result = export_tflite(model, tmp_path / "m.tflite", "int8", random_inputs(model))
    assert {finding.code for finding in result.lint()} == {"float-island"}


def test_raw_pixels_for_a_model_without_rescaling_warn(make_model, tmp_path):
    model = keras.Sequential(
        [keras.Input((8, 8, 1)), keras.layers.Flatten(), keras.layers.Dense(2)]
    )
    pixels = np.random.default_rng(0).integers(0, 256, (50, 8, 8, 1))
    with pytest.warns(UserWarning, match=r"looks like raw pixels"):
        result = export_tflite(model, tmp_path / "m.tflite", "int8", pixels)
    notes = result.verify(model, (pixels / 255.0).astype("float32")).notes
    assert any("fills only" in note for note in notes)


def converted_plainly(model, **signature):
    """Returns a file as TensorFlow's own converter makes it, with nothing guarded."""
    function = tf.function(lambda x: model(x), input_signature=[tf.TensorSpec(**signature)])
    converter = tf.lite.TFLiteConverter.from_concrete_functions(
        [function.get_concrete_function()], model
    )
    return converter.convert()


def test_open_axes_are_flagged_where_they_are_and_where_they_compute_shapes():
    inputs = keras.Input((None, 6))
    x = keras.layers.Reshape((-1, 2))(keras.layers.Dense(3)(inputs))
    model = keras.Model(inputs, x)
    for shape, is_open in (((None, 4, 6), False), ((1, None, 6), True)):
        graph = parse(converted_plainly(model, shape=shape, dtype="float32"))
        codes = [finding.code for finding in lint(graph, "mcu")]
        # An open batch is run with the size in the file, 1.
        assert ("dynamic-shape" in codes) == is_open and "run-time-shape" in codes
        assert lint(graph, "mobile") == []


class Counting(keras.layers.Layer):
    def build(self, input_shape):
        self.calls = self.add_weight(shape=(), initializer="zeros", trainable=False)

    def call(self, inputs):
        self.calls.assign_add(1.0)
        return inputs * self.calls


def test_a_variable_that_lives_between_calls_is_refused(tmp_path):
    model = keras.Sequential([keras.Input((4,)), Counting(name="counting")])
    with pytest.raises(ValueError, match=r"error state: .*keeps a variable between its calls"):
        export_tflite(model, tmp_path / "m.tflite", target="mcu")
    assert list(tmp_path.iterdir()) == []


def test_small_weights_that_dynamic_range_leaves_in_float_are_named(tmp_path):
    layers = [keras.layers.Dense(40, name="large"), keras.layers.Dense(2, name="small")]
    model = keras.Sequential([keras.Input((40,)), *layers])
    findings = export_tflite(model, tmp_path / "m.tflite", "dynamic").lint()
    assert [finding.code for finding in findings] == ["left-in-float"]
    assert "FULLY_CONNECTED after" in findings[0].where and "large" in findings[0].where


def test_ids_in_float_are_refused_where_they_would_be_rounded(tmp_path):
    layers = [keras.layers.Embedding(20, 4, name="vectors"), keras.layers.Flatten()]
    model = keras.Sequential([keras.Input((6,)), *layers, keras.layers.Dense(2)])
    x = np.random.default_rng(0).integers(0, 20, (20, 6)).astype("float32")
    with pytest.raises(ValueError, match=r"'vectors' gets its ids as float32.*dtype=\"int32\""):
        export_tflite(model, tmp_path / "m.tflite", "int8", x)
    assert list(tmp_path.iterdir()) == []
    result = export_tflite(model, tmp_path / "m.tflite", target="mcu")
    np.testing.assert_allclose(result.predict(x), model(x), atol=1e-5)


def test_attention_in_int8_is_computed_by_kernels_that_are_right(tmp_path):
    inputs = keras.Input((16, 16))
    x = keras.layers.MultiHeadAttention(4, 8)(inputs, inputs)
    model = keras.Model(inputs, keras.layers.Dense(8)(keras.layers.Flatten()(x)))
    x = np.random.default_rng(0).standard_normal((100, 16, 16)).astype("float32")
    result = export_tflite(model, tmp_path / "m.tflite", "int8", x)
    verification = result.verify(model, x[:50])
    assert verification.max_error_keras < 0.15 * np.ptp(model.predict(x, verbose=0))
    assert verification.max_steps_tflm <= 3


def test_a_softmax_of_nothing_which_kills_interpreters_is_refused(tmp_path):
    small = keras.initializers.RandomUniform(-1e-8, 1e-8)
    layers = [keras.layers.Dense(3, kernel_initializer=small), keras.layers.Softmax()]
    model = keras.Sequential([keras.Input((4,)), *layers])
    with pytest.raises(ValueError, match=r"vanishing-softmax: .*Train the model first"):
        export_tflite(model, tmp_path / "m.tflite", "int8", random_inputs(model, 20))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not micro.is_available(), reason="needs TensorFlow Lite Micro")
def test_the_interpreters_own_account_of_the_arena_is_too_small(tmp_path):
    layers = keras.layers
    stack = [keras.Input((64,))]
    stack += [layers.Dense(width, activation="relu") for width in (16,) * 4 + (8,) + (16,) * 4]
    model = keras.Sequential([*stack, layers.Dense(64)])
    path = tmp_path / "m.tflite"
    result = export_tflite(model, path, "int8", random_inputs(model, 20), target="mcu")
    report = result.report()
    told = report.persistent_bytes + report.live_bytes
    assert told < report.arena_bytes - 64
    assert micro.runs_in_arena(result.content, report.arena_bytes)
    assert not micro.runs_in_arena(result.content, told)
    # A board has shorter pointers and plans in less.
    assert report.expected_arenas["cmsis-nn"] < report.arena_bytes


def test_operations_that_tensorflow_alone_has_are_named_with_their_layer(tmp_path):
    layers = [keras.layers.MaxPooling3D(2, name="pooled"), keras.layers.Flatten()]
    model = keras.Sequential([keras.Input((2, 2, 2, 1)), *layers])
    with pytest.raises(ValueError, match=r"doesn't have: MaxPool3D in '.*pooled.*'\. Replace"):
        export_tflite(model, tmp_path / "m.tflite")
