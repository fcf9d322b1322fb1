"""The layers of operators: names that TensorFlow and the converter have changed."""

import keras
import pytest

from keras_distill.tflite import export_tflite
from keras_distill.tflite.operator_layers import OperatorLayers

layers = keras.layers


def found_in(model, path, **settings):
    result = export_tflite(model, path / "model.tflite", **settings)
    named = OperatorLayers(model, result.graph)
    return [(operator.name, named.name_of(operator)) for operator in result.graph.operators], named


def test_names_with_numbers_of_their_own_are_told_apart(tmp_path):
    model = keras.Sequential(
        [
            keras.Input((6, 6, 2)),
            layers.Conv2D(3, 3, use_bias=False, name="conv"),
            layers.BatchNormalization(name="bn"),
            layers.ReLU(name="relu"),
            layers.DepthwiseConv2D(3, name="conv_1"),
            layers.ReLU(name="relu_1"),
            layers.Flatten(name="flatten"),
            layers.Dense(3, activation="softmax", name="conv_1_1"),
        ],
        name="net",
    )
    found, named = found_in(model, tmp_path)
    assert found == [
        ("CONV_2D", "conv"),
        ("DEPTHWISE_CONV_2D", "conv_1"),
        ("RESHAPE", "flatten"),
        ("FULLY_CONNECTED", "conv_1_1"),
        ("SOFTMAX", "conv_1_1"),
    ]
    assert len(named.operators_of(model.get_layer("conv_1_1"))) == 2
    assert named.operators_of(model.get_layer("relu")) == named.operators_of(
        model.get_layer("conv")
    )


def test_nested_and_shared_layers_have_paths(tmp_path):
    inner = keras.Sequential(
        [keras.Input((4,)), layers.Dense(4, name="dense"), layers.ReLU(name="relu")], name="inner"
    )
    inputs = keras.Input((4,))
    shared = layers.Dense(4, activation="relu", name="dense")
    x = inner(shared(shared(inputs)))
    model = keras.Model(inputs, layers.Dense(2, name="last")(x), name="outer")
    found, named = found_in(model, tmp_path)
    assert [name for _, name in found] == ["dense", "dense", "inner/dense", "last"]
    assert len(named.operators_of(shared)) == 2
    assert len(named.operators_of(inner)) == 1


@pytest.mark.parametrize("end", ["convolution", "sum"])
def test_the_last_operator_has_a_layer_although_the_converter_renames_it(end, tmp_path):
    inputs = keras.Input((4, 4, 2))
    x = layers.Conv2D(2, 1, use_bias=False, name="conv")(inputs)
    x = layers.ReLU(name="end")(layers.BatchNormalization()(x))
    if end == "sum":
        x = layers.Add(name="sum")([x, inputs])
    found, _ = found_in(keras.Model(inputs, x), tmp_path)
    assert found[-1][1] == {"convolution": "conv", "sum": "sum"}[end]
