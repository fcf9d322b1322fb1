"""Models of Keras 2, which Keras 3 alone refuses."""

import json

import h5py
import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_distill import cli
from keras_distill.cli import command_input
from keras_distill.tflite import TFLiteModel

layers = keras.layers


def as_keras2_wrote(path, added):
    """Adds arguments to the layers of an `.h5` file, by class."""
    with h5py.File(path, "r+") as file:
        config = json.loads(file.attrs["model_config"])
        for layer in config["config"]["layers"]:
            layer["config"].update(added.get(layer["class_name"], {}))
        file.attrs["model_config"] = json.dumps(config).encode()


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A model, its `.h5` file as Keras 2 wrote it, and samples."""
    keras.utils.set_random_seed(0)
    stack = [
        keras.Input((6, 6, 2)),
        layers.DepthwiseConv2D(3),
        layers.SeparableConv2D(3, 2),
        layers.Conv2DTranspose(2, 2),
        layers.Reshape((16, 2)),
        layers.SpatialDropout1D(0.1),
        layers.GRU(3),
    ]
    model = keras.Sequential(stack)
    path = tmp_path_factory.mktemp("keras2") / "old.h5"
    model.save(path)
    zeros = {"class_name": "Zeros", "config": {}}
    separable = {"kernel_initializer": zeros, "kernel_regularizer": None, "kernel_constraint": None}
    added = {
        "DepthwiseConv2D": {"groups": 1},
        "SeparableConv2D": {"groups": 1, **separable},
        "Conv2DTranspose": {"groups": 1},
        "SpatialDropout1D": {"trainable": True, "noise_shape": None},
        "GRU": {"time_major": False},
    }
    as_keras2_wrote(path, added)
    x = np.random.default_rng(0).random((4, 6, 6, 2)).astype("float32")
    return model, path, x


def test_what_keras_2_wrote_of_no_effect_is_left_out(made):
    model, path, x = made
    before = path.read_bytes()
    with pytest.raises(TypeError, match="groups"):
        keras.models.load_model(path, compile=False)
    np.testing.assert_array_equal(command_input.load_model(path)(x), model(x))
    assert path.read_bytes() == before


def test_what_had_an_effect_is_not(tmp_path):
    model = keras.Sequential([keras.Input((4, 4, 2)), layers.DepthwiseConv2D(3)])
    model.save(tmp_path / "odd.h5")
    as_keras2_wrote(tmp_path / "odd.h5", {"DepthwiseConv2D": {"groups": 2}})
    with pytest.raises(ValueError, match=r"odd\.h5 can't be loaded.*groups.*SavedModel folder"):
        command_input.load_model(tmp_path / "odd.h5")


def save_module(folder, *shapes):
    """Saves a computation without Keras, with an input per shape."""
    module = tf.Module()
    module.w = tf.Variable([[1.0, 2.0], [3.0, 4.0]])
    specs = [tf.TensorSpec(shape, tf.float32, f"x{i}") for i, shape in enumerate(shapes)]
    call = tf.function(lambda *x: {"y": tf.nn.relu(tf.add_n(x) @ module.w)}, specs)
    tf.saved_model.save(module, str(folder), signatures=call)


def test_a_saved_model_folder_is_exported(tmp_path):
    save_module(tmp_path / "folder", [None, 2])
    x = np.random.default_rng(0).normal(size=(30, 2)).astype("float32")
    np.save(tmp_path / "x.npy", x)
    more = ["--quantization", "int8", "--data", str(tmp_path / "x.npy"), "--target", "mcu"]
    assert cli.main(["export", str(tmp_path / "folder"), *more]) == 0
    result = TFLiteModel(tmp_path / "folder.tflite")
    expected = np.maximum(x @ np.float32([[1, 2], [3, 4]]), 0)
    assert np.abs(result.predict(x) - expected).max() < 0.05 * expected.max()


@pytest.mark.parametrize(
    ("shapes", "said"),
    [([[1, 2], [1, 2]], "one input.*x0.*x1"), ([[1, None]], r"known shape.*\(1, None\)")],
)
def test_what_cannot_be_read_of_a_saved_model_is_told(tmp_path, shapes, said, capsys):
    save_module(tmp_path / "folder", *shapes)
    assert cli.main(["export", str(tmp_path / "folder")]) == 2
    with pytest.raises(ValueError, match=said):
        command_input.load_model(tmp_path / "folder")


def test_a_folder_without_a_saved_model_is_told(tmp_path, capsys):
    assert cli.main(["export", str(tmp_path)]) == 2
    assert "holds no saved_model.pb" in capsys.readouterr().err
