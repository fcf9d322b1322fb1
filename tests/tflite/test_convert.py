import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_distill.tflite import TFLiteModel, export_tflite

from .conftest import FACTORIES, random_inputs


@pytest.mark.parametrize("name", sorted(FACTORIES))
def test_int8_models_agree_with_keras_and_within_a_step_on_tflm(make_model, tmp_path, name):
    model = make_model(name)
    x = random_inputs(model)
    result = export_tflite(model, tmp_path / "m.tflite", "int8", x, target="arduino")
    assert result.lint() == []
    verification = result.verify(model, x)
    assert verification.max_steps_tflm <= 1 and verification.passed
    spread = np.ptp(model.predict(x, verbose=0))
    assert verification.max_error_keras < 0.1 * spread + 3 * result.outputs[0].scale


@pytest.mark.parametrize("quantization", [None, "float16", "dynamic", "int8", "int16x8"])
def test_every_quantization_gives_the_answers_of_keras(make_model, tmp_path, quantization):
    model = make_model("cnn")
    x = random_inputs(model)
    result = export_tflite(model, tmp_path / "m.tflite", quantization, x)
    expected = model.predict(x, verbose=0)
    tolerance = {None: 1e-5, "float16": 5e-3, "int16x8": 2e-2}.get(quantization, 0.1)
    np.testing.assert_allclose(result.predict(x), expected, atol=tolerance * np.ptp(expected))
    dtype = {"int8": "int8", "int16x8": "int16"}.get(quantization, "float32")
    assert (result.inputs[0].dtype, result.outputs[0].dtype) == (dtype, dtype)


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
    # The trap: it runs, and is far off on TensorFlow Lite Micro alone.
    result = export_tflite(model, path, "int8", x, target="mobile")
    verification = result.verify(model, x[:20])
    assert verification.max_steps_tflm > 20
    assert verification.max_error_keras < 5 * result.outputs[0].scale


def test_a_relu6_that_is_part_of_another_operator_is_fine(tmp_path):
    model = relu6_model(fused=True)
    x = random_inputs(model)
    result = export_tflite(model, tmp_path / "m.tflite", "int8", x, target="mcu")
    assert result.lint() == [] and result.verify(model, x[:50]).passed


class Subclassed(keras.Model):
    def __init__(self):
        super().__init__()
        self.hidden = keras.layers.Dense(8, activation="relu")
        self.logits = keras.layers.Dense(3)

    def call(self, inputs):
        return self.logits(self.hidden(inputs))


def test_a_subclassed_model_is_exported_by_the_shape_of_its_data(tmp_path):
    model = Subclassed()
    x = np.random.default_rng(0).random((50, 6)).astype("float32")
    model(x[:1])
    result = export_tflite(model, tmp_path / "m.tflite", None, x[:1])
    np.testing.assert_allclose(result.predict(x), model(x), atol=1e-5)


def test_several_inputs_and_outputs_keep_their_order(tmp_path):
    a, b = keras.Input((3,), name="z"), keras.Input((2,), name="a")
    joined = keras.layers.Concatenate()([a, b])
    outputs = [keras.layers.Dense(4)(joined), keras.layers.Dense(1)(a), keras.layers.Dense(2)(b)]
    model = keras.Model([a, b], outputs)
    rng = np.random.default_rng(0)
    x = [rng.random((20, 3)).astype("float32"), rng.random((20, 2)).astype("float32")]
    result = export_tflite(model, tmp_path / "m.tflite")
    for ours, theirs in zip(result.predict(x), model.predict(x, verbose=0), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-5)
    assert result.verify(model, x).max_error_tflm < 1e-5


def test_a_dataset_of_batches_is_representative_data(make_model, tmp_path):
    model = make_model("cnn")
    x = random_inputs(model)
    data = tf.data.Dataset.from_tensor_slices((x, np.zeros(len(x)))).batch(50)
    from_data = export_tflite(model, tmp_path / "a.tflite", "int8", data)
    from_array = export_tflite(model, tmp_path / "b.tflite", "int8", x)
    assert from_data.inputs == from_array.inputs


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"quantization": "int4"}, r"quantization must be one of .*'int8'.*got 'int4'"),
        ({"target": "esp32"}, "target must be one of 'mobile', 'mcu', 'arduino', got 'esp32'"),
        ({"quantization": "int8"}, "needs representative_data"),
        ({"representative_data": np.zeros((0, 8, 8, 1))}, "representative_data is empty"),
        ({"representative_data": np.full((2, 8, 8, 1), np.nan)}, "NaN or infinite"),
        ({"representative_data": np.zeros((5, 8, 8, 3))}, r"\(5, 8, 8, 3\), the model takes"),
        ({"representative_data": [np.zeros((2, 8, 8, 1))] * 2}, r"1 inputs, .* has 2"),
        ({"quantization": "float16", "target": "mcu"}, "TensorFlow Lite Micro has no float16"),
    ],
)
def test_bad_arguments_leave_no_file(make_model, tmp_path, arguments, message):
    with pytest.raises(ValueError, match=message):
        export_tflite(make_model("cnn"), tmp_path / "m.tflite", **arguments)
    assert list(tmp_path.iterdir()) == []


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
    model = keras.Sequential([keras.Input((6, 3)), *layers, keras.layers.Dense(2)])
    with pytest.raises(ValueError, match=r"silently wrong on TensorFlow Lite Micro"):
        export_tflite(model, tmp_path / "m.tflite", target="mcu")


def test_a_float_island_is_found(tmp_path):
    layers = [keras.layers.Dense(8), keras.layers.LayerNormalization(), keras.layers.Dense(2)]
    model = keras.Sequential([keras.Input((12,)), *layers])
    result = export_tflite(model, tmp_path / "m.tflite", "int8", random_inputs(model))
    assert {finding.code for finding in result.lint()} == {"float-island"}


def test_a_converter_that_dies_is_an_error_with_advice(tmp_path):
    model = keras.Sequential(
        [keras.Input((6, 3)), keras.layers.GRU(4, name="memory"), keras.layers.Dense(2)]
    )
    x = np.random.default_rng(0).random((20, 6, 3)).astype("float32")
    with pytest.raises(RuntimeError, match=r"died of SIGSEGV.*unroll=True in memory"):
        export_tflite(model, tmp_path / "m.tflite", "int8", x)
    assert list(tmp_path.iterdir()) == []


def test_a_missing_output_folder_is_named(make_model, tmp_path):
    with pytest.raises(ValueError, match=r"output folder '.*nowhere' doesn't exist"):
        export_tflite(make_model("cnn"), tmp_path / "nowhere" / "m.tflite")


def test_a_wrong_suffix_is_refused(make_model, tmp_path):
    with pytest.raises(ValueError, match=r"must end in \.tflite"):
        export_tflite(make_model("cnn"), tmp_path / "m.bin")


def test_an_unbuilt_model_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"isn't built"):
        export_tflite(keras.Sequential([keras.layers.Dense(2)]), tmp_path / "m.tflite")


def test_an_axis_of_unknown_size_is_refused(tmp_path):
    model = keras.Sequential([keras.Input((None, 3)), keras.layers.Conv1D(2, 3)])
    with pytest.raises(ValueError, match=r"Input 0 has the shape \(None, None, 3\)"):
        export_tflite(model, tmp_path / "m.tflite")


def test_raw_pixels_for_a_model_without_rescaling_warn(make_model, tmp_path):
    model = keras.Sequential(
        [keras.Input((8, 8, 1)), keras.layers.Flatten(), keras.layers.Dense(2)]
    )
    pixels = np.random.default_rng(0).integers(0, 256, (50, 8, 8, 1))
    with pytest.warns(UserWarning, match=r"looks like raw pixels"):
        result = export_tflite(model, tmp_path / "m.tflite", "int8", pixels)
    notes = result.verify(model, (pixels / 255.0).astype("float32")).notes
    assert any("fills only" in note for note in notes)
