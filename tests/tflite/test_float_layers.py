"""Layers that stay in float in an int8 file."""

import keras
import numpy as np
import pytest

from keras_distill.compression import quantize_aware
from keras_distill.tflite import export_tflite
from tests.tflite.conftest import random_inputs


def export(model, path, float_layers, quantization="int8"):
    return export_tflite(
        model,
        path / "model.tflite",
        quantization,
        random_inputs(model, 40),
        "arduino",
        float_layers=float_layers,
    )


def in_float(result):
    return [
        operator.name
        for operator in result.graph.operators
        if operator.outputs[0].dtype == "float32" and operator.name != "DEQUANTIZE"
    ]


@pytest.mark.parametrize(
    ("name", "layer", "operators"),
    [
        ("cnn", "conv", ["CONV_2D"]),
        ("residual", "add", ["ADD"]),
        ("separable", "dense", ["FULLY_CONNECTED", "SOFTMAX"]),
        ("sequence", "conv1d", ["RESHAPE", "CONV_2D"]),
    ],
)
def test_the_layer_is_in_float_and_right_on_tflm(name, layer, operators, make_model, tmp_path):
    keras.backend.clear_session(free_memory=False)
    model = make_model(name)
    result = export(model, tmp_path, [layer])
    assert in_float(result) == operators
    assert (result.inputs[0].dtype, result.outputs[0].dtype) == ("int8", "int8")
    assert {finding.code for finding in result.lint()} == {"float-island"}
    verification = result.verify(model, random_inputs(model, 30, seed=1))
    assert verification.passed and verification.max_error_tflm is not None


def test_the_weights_of_float_layers_are_exact(make_model, tmp_path):
    model = make_model("perceptron")
    plain = export_tflite(
        model, tmp_path / "plain.tflite", "int8", random_inputs(model, 40), "arduino"
    )
    result = export(model, tmp_path, [layer.name for layer in model.layers])
    x = random_inputs(model, 30, seed=1)
    expected = model.predict(x, verbose=0)
    errors = [np.abs(one.predict(x) - expected).max() for one in (plain, result)]
    # What remains is the rounding of inputs and outputs.
    assert errors[1] < errors[0] and in_float(result) == ["FULLY_CONNECTED"] * 2
    kernels = sum(layer.kernel.shape[0] * layer.kernel.shape[1] for layer in model.layers)
    assert result.size - plain.size > 2.5 * kernels


@pytest.mark.parametrize(
    ("float_layers", "quantization", "message"),
    [
        (["none"], "int8", "no such layer"),
        ([], "int8", "at least one layer"),
        (["conv"], None, "give quantization='int8'"),
        (["conv"], "int16x8", "give quantization='int8'"),
        (["max_pooling2d"], "int8", r"MAX_POOL_2D.* in int8"),
    ],
)
def test_what_cannot_stay_in_float_is_refused(
    float_layers, quantization, message, make_model, tmp_path
):
    keras.backend.clear_session(free_memory=False)
    with pytest.raises(ValueError, match=message):
        export(make_model("cnn"), tmp_path, float_layers, quantization)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("float_layers", ["conv", 3, [3]])
def test_names_are_a_list_of_texts(float_layers, make_model, tmp_path):
    with pytest.raises(TypeError, match="list of names"):
        export(make_model("cnn"), tmp_path, float_layers)


def test_a_layer_that_is_gone_after_the_conversion_is_refused(tmp_path):
    stack = [keras.layers.Dropout(0.1), keras.layers.Dense(2, name="dense")]
    model = keras.Sequential([keras.Input((4,)), *stack])
    with pytest.raises(ValueError, match=r"no operator of its own.* have one: dense\."):
        export(model, tmp_path, [model.layers[0].name])


def test_a_model_that_has_learned_its_ranges_is_refused(make_model, tmp_path):
    model = make_model("perceptron")
    trained = quantize_aware(model, random_inputs(model, 20))
    with pytest.raises(ValueError, match="student that it was made from"):
        export(trained, tmp_path, [model.layers[0].name])
