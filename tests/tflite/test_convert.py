import logging

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_distill.tflite import export_tflite
from tests.tflite.conftest import FACTORIES, random_inputs


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


def test_a_dictionary_is_read_by_the_names_of_the_inputs(tmp_path):
    large, small = keras.Input((3,), name="z_large"), keras.Input((3,), name="a_small")
    outputs = keras.layers.Subtract()([large, small])
    model = keras.Model([large, small], outputs, name="difference")
    rng = np.random.default_rng(0)
    x = {"a_small": rng.random((20, 3), "float32"), "z_large": 50 + rng.random((20, 3), "float32")}
    result = export_tflite(model, tmp_path / "m.tflite", "int8", x)
    assert result.inputs[0].scale > 10 * result.inputs[1].scale
    assert result.verify(model, x).max_error_keras < 1.0
    with pytest.raises(ValueError, match=r"each input.*: z_large, a_small; z_large is missing"):
        export_tflite(model, tmp_path / "m.tflite", "int8", {"a_small": x["a_small"]})


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
        ({"quantization": "int4"}, r"quantization must be one of .*'int8'.*quantization='int4'"),
        (
            {"target": "esp32"},
            r"target must be one of 'mobile', 'mcu', 'arduino'\. Received: target='esp32'",
        ),
        ({"quantization": "int8"}, "needs representative_data"),
        ({"representative_data": np.zeros((0, 8, 8, 1))}, "representative_data is empty"),
        ({"representative_data": np.full((2, 8, 8, 1), np.nan)}, "NaN or infinite"),
        (
            {"representative_data": np.zeros((5, 8, 8, 3))},
            r"input 0 is of shape .*: an array of shape \(5, 8, 8, 3\)",
        ),
        ({"representative_data": [np.zeros((2, 8, 8, 1))] * 2}, r"1 inputs: .* with 2 arrays"),
        ({"quantization": "float16", "target": "mcu"}, "TensorFlow Lite Micro has no float16"),
    ],
)
def test_bad_arguments_leave_no_file(make_model, tmp_path, arguments, message):
    with pytest.raises(ValueError, match=message):
        export_tflite(make_model("cnn"), tmp_path / "m.tflite", **arguments)
    assert list(tmp_path.iterdir()) == []


def test_a_missing_output_folder_is_named(make_model, tmp_path):
    with pytest.raises(ValueError, match=r"output folder '.*nowhere' doesn't exist"):
        export_tflite(make_model("cnn"), tmp_path / "nowhere" / "m.tflite")


def test_a_wrong_suffix_is_refused(make_model, tmp_path):
    with pytest.raises(ValueError, match=r"must end in \.tflite"):
        export_tflite(make_model("cnn"), tmp_path / "m.bin")


@pytest.mark.parametrize("model", [None, "model.keras", keras.layers.Dense(2), len])
def test_what_is_no_model_is_refused(model, tmp_path):
    with pytest.raises(TypeError, match=r"model must be a keras\.Model.* Received: model="):
        export_tflite(model, tmp_path / "m.tflite")


def test_what_is_no_path_is_refused(make_model):
    with pytest.raises(TypeError, match=r"path must be a path.* Received: path=None"):
        export_tflite(make_model("cnn"), None)


def test_an_unbuilt_model_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"isn't built"):
        export_tflite(keras.Sequential([keras.layers.Dense(2)]), tmp_path / "m.tflite")


def test_an_axis_of_unknown_size_is_refused(tmp_path):
    model = keras.Sequential([keras.Input((None, 3)), keras.layers.Conv1D(2, 3)])
    with pytest.raises(ValueError, match=r"Input 0 has the shape \(None, None, 3\)"):
        export_tflite(model, tmp_path / "m.tflite")


def test_tensorflows_notice_of_our_own_folder_is_dropped_and_no_other(
    make_model, tmp_path, caplog, monkeypatch
):
    logger = tf.get_logger()

    def speaks_meanwhile(record):
        if record.msg.startswith("Assets written to"):
            logger.info("heard")
        return True

    monkeypatch.setattr(logger, "filters", [speaks_meanwhile])
    model = make_model("perceptron")
    with caplog.at_level(logging.INFO, "tensorflow"):
        export_tflite(model, tmp_path / "m.tflite")
        assert caplog.messages == ["heard"]
        model.export(tmp_path / "by_the_user", verbose=False)
    assert caplog.messages[2:] == [f"Assets written to: {tmp_path / 'by_the_user' / 'assets'}"]
