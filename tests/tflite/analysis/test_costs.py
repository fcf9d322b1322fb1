"""What operators cost, against counts by hand."""

import keras
import numpy as np
import pytest

from keras_distill import architectures
from keras_distill.tflite import TFLiteModel, export_tflite
from keras_distill.tflite.analysis.costs import live_bytes, operator_costs
from keras_distill.tflite.runtime import micro
from tests.tflite.conftest import FACTORIES, random_inputs


@pytest.fixture
def export(tmp_path):
    def export(model, x=None):
        x = random_inputs(model, 20) if x is None else x
        return export_tflite(model, tmp_path / "model.tflite", "int8", x, target="mcu")

    return export


def test_each_operator_is_counted(export):
    inputs = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(4, 3, padding="same", activation="relu")(inputs)
    x = keras.layers.DepthwiseConv2D(3, strides=2, padding="same")(x)
    model = keras.Model(inputs, keras.layers.Dense(5)(keras.layers.Flatten()(x)))
    result = export(model)
    costs = {cost.name: cost for cost in operator_costs(result.graph)}
    conv, depthwise, dense = (
        costs[name] for name in ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED")
    )
    assert conv.macs == 8 * 8 * 4 * 3 * 3 * 3 and conv.output_bytes == 8 * 8 * 4
    assert conv.constant_bytes == 3 * 3 * 3 * 4 + 4 * 4 and conv.shape == (1, 8, 8, 4)
    assert depthwise.macs == 4 * 4 * 4 * 3 * 3
    assert dense.macs == 4 * 4 * 4 * 5 and dense.output_bytes == 5
    # While the first convolution runs, its input and its output are there.
    assert live_bytes(result.graph) == 8 * 8 * 3 + 8 * 8 * 4


def test_what_a_later_operator_takes_stays_alive(export):
    inputs = keras.Input((8, 8, 2))
    x = keras.layers.Conv2D(2, 3, padding="same", activation="relu")(inputs)
    y = keras.layers.Conv2D(8, 1, activation="relu")(x)
    y = keras.layers.Conv2D(2, 1)(y)
    model = keras.Model(inputs, keras.layers.Add()([x, y]))
    plane = 8 * 8
    assert live_bytes(export(model).graph) == (2 + 8 + 2) * plane


@pytest.mark.skipif(not micro.is_available(), reason="needs TensorFlow Lite Micro")
@pytest.mark.parametrize("name", ["separable", "resnet8"])
def test_no_arena_is_smaller_than_the_tensors_that_live_together(name, export):
    model = architectures.resnet8() if name == "resnet8" else FACTORIES[name]()
    result = export(model)
    report = result.report()
    assert 0 < report.live_bytes < report.arena_bytes
    assert str(report.live_bytes) in str(report).replace(",", "")
    assert sum(cost.macs for cost in report.costs) == report.macs


def test_float_models_are_counted_in_their_own_width(tmp_path):
    model = FACTORIES["perceptron"]()
    export_tflite(model, tmp_path / "float.tflite")
    graph = TFLiteModel(tmp_path / "float.tflite").graph
    assert live_bytes(graph) == 4 * (12 + 16)
    assert np.prod(operator_costs(graph)[0].shape) * 4 == operator_costs(graph)[0].output_bytes
