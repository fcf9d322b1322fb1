"""One rule for ties, away from zero, wherever a float becomes an input number."""

import dataclasses
import importlib.util
import re

import numpy as np
import pytest
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter, OpResolverType

from keras_distill.tflite import TensorInfo
from keras_distill.tflite.deploy import android, cpp, ios, projects
from tests.tflite.compilers import call, compile_objects

HALF = TensorInfo("half", (1, 4), "int8", 0.5, -3)
ODD = TensorInfo("odd", (1, 4), "int16", float(np.float32(1 / 255)), 7)
PROGRAM = """
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
typedef {kind} Input;
static Input numbers[1];
static Input* input() {{ return numbers; }}
static void setInput(size_t index, float value) {{
{body}
}}
int main() {{
  const float values[] = {{{values}}};
  for (float value : values) {{
    setInput(0, value);
    printf("%d\\n", numbers[0]);
  }}
}}
"""


def values_of(info):
    """Ties, their neighbors, and what lies beyond all numbers."""
    ties = (np.arange(-40, 40) + 0.5).astype("float32") * np.float32(info.scale)
    near = [np.nextafter(ties, np.float32(side)) for side in (-1e9, 1e9)]
    return np.concatenate([ties, *near, np.float32([0, -0.0, 1e30, -1e30, 8388609 * info.scale])])


def by_hand(info, values):
    """The rule in exact numbers: half a step more, then cut off."""
    limits = np.iinfo(info.dtype)
    steps = []
    for ratio in np.float32(values) / np.float32(info.scale):
        size = int(abs(float(ratio)) + 0.5)
        steps.append(
            min(max((-size if ratio < 0 else size) + info.zero_point, limits.min), limits.max)
        )
    return steps


@pytest.mark.parametrize("info", [HALF, ODD])
def test_python_rounds_ties_away_from_zero(info):
    values = values_of(info)
    assert info.quantize(values).tolist() == by_hand(info, values)
    plain = dataclasses.replace(info, zero_point=0)
    ties = np.float32([-2.5, -1.5, -0.5, 0.5, 1.5, 2.5]) * np.float32(info.scale)
    assert plain.quantize(ties).tolist() == [-3, -2, -1, 1, 2, 3]
    # The largest number below a half, to which adding a half in 32 bits gives 1.
    below = np.nextafter(np.float32(0.5), np.float32(0))
    assert dataclasses.replace(HALF, scale=1.0).quantize(below) == HALF.zero_point


def test_what_is_no_number_becomes_the_least():
    assert HALF.quantize(np.float32([np.nan, np.inf, -np.inf])).tolist() == [-128, 127, -128]


@pytest.mark.parametrize("info", [HALF, ODD])
def test_the_sketch_rounds_as_python_does(info, tmp_path):
    values = [*values_of(info).tolist(), float("nan")]
    literals = ", ".join("NAN" if value != value else f"{value!r}f" for value in values)
    literals = literals.replace("-0.0f", "-0.0f")
    program = PROGRAM.format(kind=f"{info.dtype}_t", body=cpp._set_input(info), values=literals)
    (tmp_path / "main.cpp").write_text(program)
    objects = compile_objects("host", [tmp_path / "main.cpp"], [], tmp_path)
    call("g++", *objects, "-o", tmp_path / "main")
    said = [int(line) for line in call(tmp_path / "main").split()]
    assert said == info.quantize(np.float32(values)).tolist()


@pytest.mark.parametrize("info", [HALF, ODD])
def test_the_raspberry_pi_rounds_as_python_does(info, tmp_path):
    (tmp_path / "classify.py").write_text(projects.source("raspberry_pi/classify.py"))
    spec = importlib.util.spec_from_file_location("classify", tmp_path / "classify.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    model = module.Model.__new__(module.Model)
    model._input = {"quantization": (info.scale, info.zero_point), "dtype": np.dtype(info.dtype)}
    values = np.append(values_of(info), np.float32(np.nan))
    assert model.quantize(values).tolist() == info.quantize(values).tolist()


def test_kotlin_and_swift_say_the_same_rule():
    kotlin, swift = android._quantize(HALF, "Byte"), ios._quantize(HALF, "Int8")
    assert "val exact = (value / 0.5f).toDouble()" in kotlin
    assert "var steps = truncate(exact + 0.5.withSign(exact)) + (-3)" in kotlin
    imports = re.findall(r"import kotlin\.math\.(\w+)", projects.source("android/Model.kt"))
    assert imports == ["abs", "truncate", "withSign"]
    assert "(value / 0.5).rounded(.toNearestOrAwayFromZero)" in swift and "steps += -3" in swift


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_the_reference_kernels_follow_the_rule():
    ties = np.float32([[-3.5, -2.5, -1.5, -0.5, 0.5, 1.5, 2.5, 3.5]])

    @tf.function(input_signature=[tf.TensorSpec((1, 8), tf.float32)])
    def double(x):
        return x + x

    converter = tf.lite.TFLiteConverter.from_concrete_functions([double.get_concrete_function()])
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    ends = np.float32([[-128, 127, 0, 0, 0, 0, 0, 0]])
    converter.representative_dataset = lambda: ([ends],)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    interpreter = Interpreter(
        model_content=converter.convert(),
        experimental_op_resolver_type=OpResolverType.BUILTIN_REF,
        experimental_preserve_all_tensors=True,
    )
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], ties)
    interpreter.invoke()
    numbers = next(d for d in interpreter.get_tensor_details() if d["name"] == "tfl.quantize")
    scale, zero_point = numbers["quantization"]
    info = TensorInfo("input", (1, 8), "int8", scale, zero_point)
    assert scale == 1.0
    np.testing.assert_array_equal(interpreter.get_tensor(numbers["index"]), info.quantize(ties))
