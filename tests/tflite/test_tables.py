"""Elementwise functions as tables: to half a step what Keras computes, in operators of boards."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from keras_distill.tflite import elementwise, export_tflite, tables
from keras_distill.tflite.runtime import micro

layers = keras.layers
X = np.random.default_rng(0).uniform(-3, 4, (60, 16)).astype("float32")
ACTIVATIONS = "mish selu celu elu softplus log_sigmoid soft_shrink squareplus exponential"
FUNCTIONS = {
    **{name: keras.activations.get(name) for name in ACTIVATIONS.split()},
    "log": lambda x: ops.log(ops.abs(x) + 0.5),
    "root": lambda x: ops.sqrt(ops.abs(x)),
    "power": lambda x: ops.power(ops.abs(x) + 0.1, 1.5),
    "tanh form of GELU": lambda x: ops.gelu(x, approximate=True),
}


@pytest.mark.skipif(not micro.is_available(), reason="needs TensorFlow Lite Micro")
def test_functions_of_one_tensor_are_exact_to_half_a_step_on_every_runtime(tmp_path):
    inputs = keras.Input((16,))
    outputs = [layers.Activation(function)(inputs) for function in FUNCTIONS.values()]
    model = keras.Model(inputs, outputs)
    result = export_tflite(model, tmp_path / "tables.tflite", "int8", X, target="arduino")
    assert result.operators == {"QUANTIZE": 1, "CAST": 1, "GATHER": len(FUNCTIONS)}
    assert result.lint() == []
    steps = result.quantize_inputs(X)
    seen = result.inputs[0].dequantize(steps[0])
    on_board = micro.run(result.content, result.graph, steps)
    for name, ours, theirs, info, wanted in zip(
        FUNCTIONS, result.predict(X), on_board, result.outputs, model(seen), strict=True
    ):
        np.testing.assert_array_equal(info.dequantize(theirs), ours, err_msg=name)
        low, high = info.dequantize(np.array([-128, 127]))
        error = np.abs(ours - np.clip(wanted, low, high)).max()
        assert error <= 0.51 * info.scale, name


def test_what_runs_stays_and_joins_of_several_tensors_are_no_tables(tmp_path):
    inputs = keras.Input((16,))
    x = layers.Dense(8, activation="tanh")(inputs)
    joined = layers.Dense(8, activation="gelu")(inputs) * x
    model = keras.Model(inputs, layers.Dense(2, activation="sigmoid")(joined))
    result = export_tflite(model, tmp_path / "joined.tflite", "int8", X, target="mcu")
    wanted = {"FULLY_CONNECTED": 3, "TANH": 1, "MUL": 1, "LOGISTIC": 1}
    assert result.operators == {**wanted, "QUANTIZE": 1, "CAST": 1, "GATHER": 1}
    assert tables.with_tables(result.content, "mcu") is result.content


def test_elementwise_functions_are_those_of_tensorflow():
    options = type(
        "Options", (), {"alpha": 0.3, "approximate": False, "fusedActivationFunction": 0}
    )
    x, y = np.linspace(-4, 4, 101), np.linspace(3, 0.5, 101)
    of_tensorflow = {
        "GELU": lambda: tf.nn.gelu(x),
        "HARD_SWISH": lambda: keras.activations.hard_silu(x),
        "LEAKY_RELU": lambda: tf.nn.leaky_relu(x, 0.3),
        "ELU": lambda: tf.nn.elu(x),
        "LOGISTIC": lambda: tf.sigmoid(x),
        "RELU6": lambda: tf.nn.relu6(x),
        "RSQRT": lambda: tf.math.rsqrt(y),
        "SQUARED_DIFFERENCE": lambda: tf.math.squared_difference(x, y),
        "POW": lambda: tf.pow(y, x),
        "SELECT_V2": lambda: tf.where(x > y, x, y),
    }
    for name, wanted in of_tensorflow.items():
        inputs = {"POW": [y, x], "RSQRT": [y], "SELECT_V2": [x > y, x, y]}.get(name)
        inputs = inputs or ([x, y] if name == "SQUARED_DIFFERENCE" else [x])
        ours = elementwise.value(name, options, inputs)
        np.testing.assert_allclose(ours, wanted(), rtol=1e-6, atol=1e-7, err_msg=name)
    options.fusedActivationFunction = 1
    np.testing.assert_array_equal(elementwise.value("SUB", options, [x, y]), np.maximum(x - y, 0))
