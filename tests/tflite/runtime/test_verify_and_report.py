import dataclasses

import keras
import numpy as np
import pytest

from keras_distill.tflite import BOARDS, TFLiteModel, export_tflite
from keras_distill.tflite.analysis.operators import MICRO, resolver_method
from keras_distill.tflite.runtime import litert, micro
from tests.tflite.conftest import random_inputs


def test_verification_counts_right_answers(int8_cnn):
    model, result, x = int8_cnn
    labels = model.predict(x, verbose=0).argmax(-1)
    wrong = labels.copy()
    wrong[: len(x) // 4] = (wrong[: len(x) // 4] + 1) % 4
    verification = result.verify(model, x, wrong)
    assert verification.accuracy_keras == 0.75
    assert verification.samples == len(x)
    one_hot = result.verify(model, x, np.eye(4)[wrong])
    assert one_hot.accuracy_tflm == verification.accuracy_tflm
    assert "TensorFlow Lite Micro" in str(verification)


@pytest.mark.parametrize("activation", ["sigmoid", None])
def test_binary_decisions_change_sides_where_the_output_does(tmp_path, activation):
    stack = [keras.Input((3,)), keras.layers.Dense(1, activation=activation)]
    model = keras.Sequential(stack)
    model.set_weights([np.float32([[4.0], [-4.0], [0.0]]), np.float32([0.0])])
    x = np.random.default_rng(0).random((100, 3)).astype("float32")
    verification = export_tflite(model, tmp_path / "m.tflite").verify(model, x, x[:, 0] > x[:, 1])
    assert verification.accuracy_keras == verification.accuracy_tflm == 1.0


def test_verification_sees_another_model(int8_cnn):
    model, result, x = int8_cnn
    other = keras.models.clone_model(model)
    verification = result.verify(other, x)
    assert verification.max_error_keras > 5 * result.outputs[0].scale


def test_verification_refuses_labels_of_another_length(int8_cnn):
    model, result, x = int8_cnn
    with pytest.raises(ValueError, match=r"220 samples in x, but 3 labels in y"):
        result.verify(model, x, [0, 1, 2])


def test_inputs_of_another_shape_or_none_are_refused(int8_cnn):
    _, result, x = int8_cnn
    with pytest.raises(ValueError, match=r"takes samples of shape \(8, 8, 1\)"):
        result.predict(x[..., 0])
    with pytest.raises(ValueError, match=r"no samples"):
        result.predict(x[:0])


def test_inputs_beyond_the_quantized_range_are_noted(int8_cnn):
    model, result, x = int8_cnn
    assert any("cut off" in note for note in result.verify(model, 3.0 * x).notes)
    assert result.verify(model, x).notes == ()


def test_a_model_that_tflm_cannot_run_is_noted_with_the_operator(tmp_path):
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, activation="gelu")])
    result = export_tflite(model, tmp_path / "m.tflite")
    verification = result.verify(model, random_inputs(model))
    assert verification.accuracy_tflm is None and not verification.passed
    assert any("GELU" in note for note in verification.notes)
    assert result.report().arena_bytes is None


def test_the_smallest_arena_works_and_64_bytes_less_fail(int8_cnn):
    _, result, _ = int8_cnn
    report = result.report()
    assert micro.runs_in_arena(result.content, report.arena_bytes)
    assert not micro.runs_in_arena(result.content, report.arena_bytes - 64)
    assert micro.runs_in_arena(result.content, report.arena_constant)
    assert report.arena_constant % 1024 == 0
    assert report.arena_constant >= 1.05 * report.arena_bytes + 1024


def test_multiplications_are_those_of_the_layers(int8_cnn, make_model, tmp_path):
    _, result, _ = int8_cnn
    assert result.report().macs == 8 * 8 * 6 * 9 + 6 * 4
    separable = export_tflite(make_model("separable"), tmp_path / "m.tflite")
    assert separable.report().macs == 10 * 6 * 9 + 10 * 6 * 8 + 8 * 3


def test_boards_fit_or_say_why(int8_cnn):
    _, result, _ = int8_cnn
    report = result.report()
    assert set(report.boards) == set(BOARDS) and not any(report.boards.values())
    nano = BOARDS["arduino_nano_33_ble"]
    assert "half of the SRAM" in nano.reason_against(129 * 1024, 1000)
    assert "flash" in nano.reason_against(1000, 1024 * 1024)
    assert nano.reason_against(128 * 1024, 800 * 1024) == ""


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


def test_every_micro_operator_has_a_resolver_method():
    methods = [resolver_method(name) for name in MICRO]
    assert len(set(methods)) == len(MICRO)
    assert resolver_method("MAX_POOL_2D") == "AddMaxPool2D"
    assert resolver_method("RESIZE_NEAREST_NEIGHBOR") == "AddResizeNearestNeighbor"
    with pytest.raises(ValueError, match=r"no operator 'GELU'"):
        resolver_method("GELU")


def test_without_tflite_micro_the_rest_goes_on(int8_cnn, monkeypatch):
    model, result, x = int8_cnn
    monkeypatch.setattr(micro, "is_available", lambda: False)
    verification = result.verify(model, x)
    assert verification.agreement_litert > 0.9 and verification.agreement_tflm is None
    assert any("extra `micro`" in note for note in verification.notes)
    assert result.report().arena_constant is None
    with pytest.raises(ImportError, match=r'pip install "keras_distill\[micro\]"'):
        micro.minimum_arena(result.content)


@pytest.mark.parametrize(
    ("steps", "share", "passed"),
    [(0, 0.0, True), (1, 0.0, True), (3, 0.01, True), (2, 0.02, False), (4, 1e-6, False)],
)
def test_single_roundings_may_add_up_and_nothing_more(int8_cnn, steps, share, passed):
    model, result, x = int8_cnn
    verification = result.verify(model, x[:5])
    assert verification.share_beyond_tflm == 0.0
    changed = dataclasses.replace(verification, max_steps_tflm=steps, share_beyond_tflm=share)
    assert changed.passed == passed


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


def test_what_litert_cannot_run_is_said_by_whom(perceptron_as, monkeypatch):
    result, x = perceptron_as(None)
    monkeypatch.setattr(result, "content", result.content[:-900])
    with pytest.raises(litert.LiteRTError, match="LiteRT can't run this model: "):
        result.predict(x)
