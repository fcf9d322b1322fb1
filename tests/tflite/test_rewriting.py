"""Layers that are replaced for microcontrollers: the same outputs, by operators that run there."""

import keras
import numpy as np
import pytest

from keras_distill.tflite import export_tflite, rewriting
from keras_distill.tflite.runtime import micro

layers = keras.layers


@pytest.mark.skipif(not micro.is_available(), reason="needs TensorFlow Lite Micro")
def test_nearest_upsampling_runs_on_boards_and_the_model_stays(tmp_path):
    inputs = keras.Input((4, 6, 2))
    y = layers.UpSampling2D((2, 3))(layers.Conv2D(3, 3)(inputs))
    model = keras.Model(inputs, keras.Sequential([layers.Conv2D(2, 1), layers.UpSampling2D(2)])(y))
    x = np.random.default_rng(0).random((60, 4, 6, 2)).astype("float32")
    before = model.get_config()
    np.testing.assert_array_equal(rewriting.for_boards(model)(x), model(x))
    result = export_tflite(model, tmp_path / "up.tflite", "int8", x, target="arduino")
    assert model.get_config() == before
    assert result.operators == {"CONV_2D": 2, "RESIZE_NEAREST_NEIGHBOR": 2}
    assert result.lint() == [] and result.verify(model, x[:8]).passed


def test_models_without_such_layers_or_with_code_of_others_stay():
    plain = keras.Sequential(
        [keras.Input((4, 4, 1)), layers.UpSampling2D(interpolation="bilinear")]
    )
    foreign = keras.Sequential([keras.Input((4, 4, 1)), layers.UpSampling2D()])
    foreign.add(layers.Lambda(lambda x: x))
    assert rewriting.for_boards(plain) is plain and rewriting.for_boards(foreign) is foreign
