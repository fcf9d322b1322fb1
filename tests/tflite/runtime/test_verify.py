"""Verification: accuracies, agreement, notes and what passes."""

import dataclasses

import keras
import numpy as np
import pytest

from keras_distill.tflite import export_tflite
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
    with pytest.raises(ValueError, match=r"one label per sample.*Received: 220 samples, 3 labels"):
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


def test_what_litert_cannot_run_is_said_by_whom(perceptron_as, monkeypatch):
    result, x = perceptron_as(None)
    monkeypatch.setattr(result, "content", result.content[:-900])
    with pytest.raises(litert.LiteRTError, match="LiteRT can't run this model: "):
        result.predict(x)
