"""A TensorFlow Lite file: what it shows, and what is refused."""

import numpy as np
import pytest

from keras_distill.tflite import TFLiteModel, export_tflite


def test_a_file_says_how_it_was_quantized(int8_cnn, tmp_path):
    model, result, x = int8_cnn
    assert TFLiteModel(result.path).quantization == "int8"
    for quantization in (None, "float16", "int16x8"):
        path = tmp_path / f"{quantization}.tflite"
        export_tflite(model, path, quantization, x)
        assert TFLiteModel(path).quantization == quantization


def test_what_is_no_model_file_is_refused(tmp_path):
    path = tmp_path / "m.tflite"
    path.write_bytes(b"not a model at all")
    with pytest.raises(ValueError, match=r"no TensorFlow Lite file"):
        TFLiteModel(path)
    with pytest.raises(ValueError, match=r"There is no file"):
        TFLiteModel(tmp_path / "missing.tflite")


def test_quantization_clamps_and_rounds(int8_cnn):
    _, result, _ = int8_cnn
    info = result.inputs[0]
    steps = info.quantize(np.array([-1e9, 0.0, 10.4 * info.scale, 1e9]))
    np.testing.assert_array_equal(steps, [-128, info.zero_point, info.zero_point + 10, 127])
    np.testing.assert_allclose(info.dequantize(steps[1:3]), [0.0, 10 * info.scale], rtol=1e-6)


def test_a_model_shows_what_it_is(perceptron_as):
    result, _ = perceptron_as("int8")
    assert repr(result) == (
        f"<TFLiteModel {str(result.path)!r}: int8, {result.size:,} bytes, "
        "int8 input [1, 12], int8 output [1, 5]>"
    )


@pytest.mark.parametrize("target", ["x", "MCU", None, 3, np.zeros(2)])
def test_an_unknown_target_is_refused(target, perceptron_as):
    result, _ = perceptron_as("int8")
    with pytest.raises(ValueError, match="target must be one of 'mobile', 'mcu', 'arduino'"):
        result.lint_for(target)
    with pytest.raises(ValueError, match="target must be one of"):
        TFLiteModel(result.path, target=target)


def test_what_opens_no_file_is_refused(perceptron_as):
    with pytest.raises(TypeError, match="path must be a path"):
        TFLiteModel(None)
    with pytest.raises(ValueError, match="quantization must be one of 'auto', None"):
        TFLiteModel(perceptron_as("int8")[0].path, quantization="int4")
