"""The Kotlin and Swift classes can't be compiled here: their constants and their rounding."""

import re

import numpy as np
import pytest

from keras_distill.tflite.deploy import golden

QUANTIZATIONS = ["int8", "int16x8", None]
KOTLIN = {"int8": ("Byte", "put", "get"), "int16": ("Short", "putShort", "getShort")}
SWIFT = {"int8": "Int8", "int16": "Int16", "float32": "Float"}


def write(perceptron_as, quantization, kind, tmp_path):
    result, x = perceptron_as(quantization)
    labels = ["$a", 'b"', "c", "d", "e"]
    folder = getattr(result, f"to_{kind}")(
        tmp_path / "it", labels=labels, samples=x[:3], name="My model"
    )
    return result, x, folder


def assert_assets(result, x, folder):
    name = next(folder.glob("*.tflite")).stem
    vectors = golden.on_litert(result, x[:3])
    assert (folder / f"{name}.tflite").read_bytes() == result.content
    for part, expected in (("samples", vectors.samples), ("answers", vectors.answers)):
        raw = (folder / f"{name}_{part}.bin").read_bytes()
        np.testing.assert_array_equal(
            np.frombuffer(raw, expected.dtype).reshape(expected.shape), expected
        )
    return vectors


@pytest.mark.parametrize("quantization", QUANTIZATIONS)
def test_the_kotlin_class_holds_the_models_constants(quantization, perceptron_as, tmp_path):
    result, x, folder = write(perceptron_as, quantization, "android", tmp_path)
    vectors = assert_assets(result, x, folder / "app/src/main/assets")
    source = (folder / "app/src/main/java/keras_distill/MyModel.kt").read_text()
    info = result.inputs[0]
    size = np.dtype(info.dtype).itemsize
    for constant in (
        "class MyModel(",
        "const val INPUT_SIZE = 12",
        "const val OUTPUT_SIZE = 5",
        f"const val INPUT_BYTES = {size}",
        "const val SAMPLE_COUNT = 3",
        'const val ASSET = "my_model"',
        r'"\u0024a",',
        r'"b\u0022",',
        'ASSET + ".tflite"',
    ):
        assert constant in source, constant
    tolerance = float(re.search(r"TOLERANCE = ([\d.e-]+)f", source)[1])
    assert tolerance == pytest.approx(vectors.tolerance)
    if quantization is None:
        assert "private fun quantize(value: Float): Float {\n        return value\n" in source
        return
    kind, put, get = KOTLIN[info.dtype]
    limits = np.iinfo(info.dtype)
    assert f"val exact = (value / {np.float32(info.scale).item()!r}f).toDouble()" in source
    assert f"truncate(exact + 0.5.withSign(exact)) + ({info.zero_point})" in source
    assert f"if (steps > {limits.min}.0) steps else {limits.min}.0" in source
    assert f"if (steps < {limits.max}.0) steps else {limits.max}.0" in source
    assert f"return steps.toInt().to{kind}()" in source
    assert f"input.{put}(quantize(value))" in source and f"output.{get}()" in source


@pytest.mark.parametrize("quantization", QUANTIZATIONS)
def test_the_swift_class_holds_the_models_constants(quantization, perceptron_as, tmp_path):
    result, x, folder = write(perceptron_as, quantization, "ios", tmp_path)
    vectors = assert_assets(result, x, folder)
    source = (folder / "MyModel.swift").read_text()
    info = result.inputs[0]
    kind = SWIFT[info.dtype]
    for constant in (
        "final class MyModel {",
        "static let inputSize = 12",
        "static let outputSize = 5",
        "static let sampleCount = 3",
        'static let asset = "My_model"',
        '"$a",',
        r'"b\u{22}",',
        f"func quantize(_ value: Float) -> {kind} {{",
        f"let samples: [{kind}] =",
    ):
        assert constant in source, constant
    tolerance = float(re.search(r"tolerance: Float = ([\d.e-]+)", source)[1])
    assert tolerance == pytest.approx(vectors.tolerance)
    if quantization is None:
        assert "-> Float {\n        return value\n" in source
        return
    limits = np.iinfo(info.dtype)
    scale = repr(np.float32(info.scale).item())
    assert f"(value / {scale}).rounded(.toNearestOrAwayFromZero)\n" in source
    assert f"steps += {info.zero_point}\n" in source
    assert f"steps > {limits.min} ? steps : {limits.min}" in source
    assert f"steps < {limits.max} ? steps : {limits.max}" in source
    assert f"return {kind}(steps)" in source


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("android", ["com.google.ai.edge.litert:litert:", "MyModel(context)", "not compiled"]),
        ("ios", ["pod 'TensorFlowLiteC'", "try MyModel()", "not compiled"]),
    ],
)
def test_the_readme_says_what_to_add_and_what_was_not_tested(kind, words, perceptron_as, tmp_path):
    _, _, folder = write(perceptron_as, None, kind, tmp_path)
    text = (folder / "README.md").read_text()
    assert all(word in text for word in words)
