"""Elementwise operators as functions of real numbers, whatever their tensors are quantized to."""

import math

import numpy as np

_erf = np.vectorize(math.erf, otypes=["float64"])
_FUSED = {
    0: lambda x: x,
    1: lambda x: np.maximum(x, 0),
    2: lambda x: np.clip(x, -1, 1),
    3: lambda x: np.clip(x, 0, 6),
    4: np.tanh,
}


def _gelu(options, x):
    if options.approximate:
        return 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))
    return 0.5 * x * (1 + _erf(x / math.sqrt(2)))


def _sigmoid(x):
    return 0.5 * (1 + np.tanh(0.5 * x))


# By name: functions of an operator's options and its inputs.
FUNCTIONS = {
    "ABS": lambda options, x: np.abs(x),
    "ADD": lambda options, x, y: x + y,
    "CEIL": lambda options, x: np.ceil(x),
    "COS": lambda options, x: np.cos(x),
    "DEQUANTIZE": lambda options, x: x,
    "DIV": lambda options, x, y: x / y,
    "ELU": lambda options, x: np.where(x > 0, x, np.expm1(np.minimum(x, 0))),
    "EQUAL": lambda options, x, y: x == y,
    "EXP": lambda options, x: np.exp(x),
    "FLOOR": lambda options, x: np.floor(x),
    "GELU": _gelu,
    "GREATER": lambda options, x, y: x > y,
    "GREATER_EQUAL": lambda options, x, y: x >= y,
    "HARD_SWISH": lambda options, x: x * np.clip(x + 3, 0, 6) / 6,
    "LEAKY_RELU": lambda options, x: np.where(x > 0, x, options.alpha * x),
    "LESS": lambda options, x, y: x < y,
    "LESS_EQUAL": lambda options, x, y: x <= y,
    "LOG": lambda options, x: np.log(x),
    "LOGICAL_AND": lambda options, x, y: np.logical_and(x, y),
    "LOGICAL_NOT": lambda options, x: np.logical_not(x),
    "LOGICAL_OR": lambda options, x, y: np.logical_or(x, y),
    "LOGISTIC": lambda options, x: _sigmoid(x),
    "MAXIMUM": lambda options, x, y: np.maximum(x, y),
    "MINIMUM": lambda options, x, y: np.minimum(x, y),
    "MUL": lambda options, x, y: x * y,
    "NEG": lambda options, x: -x,
    "NOT_EQUAL": lambda options, x, y: x != y,
    "POW": lambda options, x, y: np.power(x, y),
    "QUANTIZE": lambda options, x: x,
    "RELU": lambda options, x: np.maximum(x, 0),
    "RELU6": lambda options, x: np.clip(x, 0, 6),
    "ROUND": lambda options, x: np.round(x),
    "RSQRT": lambda options, x: 1 / np.sqrt(x),
    "SELECT": lambda options, where, x, y: np.where(where, x, y),
    "SELECT_V2": lambda options, where, x, y: np.where(where, x, y),
    "SIGN": lambda options, x: np.sign(x),
    "SIN": lambda options, x: np.sin(x),
    "SQRT": lambda options, x: np.sqrt(x),
    "SQUARE": lambda options, x: np.square(x),
    "SQUARED_DIFFERENCE": lambda options, x, y: np.square(x - y),
    "SUB": lambda options, x, y: x - y,
    "TANH": lambda options, x: np.tanh(x),
}


def value(name, options, inputs):
    """Returns what an operator computes.

    Args:
        name: Name of an operator of `FUNCTIONS`.
        options: Its options in the schema, or `None`.
        inputs: List of arrays of real numbers.
    """
    with np.errstate(all="ignore"):
        result = FUNCTIONS[name](options, *inputs)
        return _FUSED[getattr(options, "fusedActivationFunction", 0)](result)
