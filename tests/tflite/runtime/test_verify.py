"""Verification: accuracies, agreement, notes and what passes."""

import dataclasses
import re

import keras
import numpy as np
import pytest

from keras_distill import datasets
from keras_distill.tflite import export_tflite
from keras_distill.tflite.deploy import golden
from keras_distill.tflite.runtime import litert, micro, sample_notes
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


@pytest.fixture(scope="module")
def confident(tmp_path_factory):
    """A classifier of digits that is trained and sure of itself: (model, TFLiteModel, data)."""
    keras.utils.set_random_seed(5)
    digits = datasets.load("digits")
    inputs = keras.Input((8, 8, 1))
    x = keras.layers.Conv2D(16, 3, activation="relu")(inputs)
    x = keras.layers.Conv2D(32, 3, activation="relu")(x)
    logits = keras.layers.Dense(10)
    x = keras.layers.Softmax()(logits(keras.layers.GlobalAveragePooling2D()(x)))
    model = keras.Model(inputs, x)
    model.compile(keras.optimizers.Adam(0.01), "sparse_categorical_crossentropy")
    model.fit(digits.x_train, digits.y_train, epochs=12, batch_size=64, verbose=0)
    # The same decisions; the softmax turns a step of a logit into many of a probability.
    logits.set_weights([4.0 * weight for weight in logits.get_weights()])
    path = tmp_path_factory.mktemp("confident") / "m.tflite"
    return model, export_tflite(model, path, "int8", digits.x_train, target="mcu"), digits


@pytest.mark.skipif(not micro.is_available(), reason="needs TensorFlow Lite Micro")
def test_a_trained_softmax_is_judged_at_its_logits(confident):
    model, result, digits = confident
    verification = result.verify(model, digits.x_test, digits.y_test)
    assert verification.accuracy_keras > 0.8
    assert verification.max_steps_tflm > 3
    assert verification.max_steps_logits <= 1 and verification.share_beyond_logits == 0.0
    assert verification.passed and verification.notes == ()
    assert abs(verification.accuracy_litert - verification.accuracy_keras) <= 0.005
    wrong = dataclasses.replace(verification, max_steps_logits=4)
    assert not wrong.passed


def test_without_labels_a_trained_softmax_agrees_with_keras_too(confident):
    model, result, digits = confident
    verification = result.verify(model, digits.x_test)
    assert verification.agrees_with_keras and verification.share_off_keras <= 0.002


def test_accuracy_at_chance_is_noted(confident):
    model, result, digits = confident
    x, shifted = digits.x_test[:100], (digits.y_test[:100] + 1) % 10
    verification = result.verify(model, x, shifted)
    assert any("no better than the most frequent class" in note for note in verification.notes)
    assert not any(
        "no better" in note for note in result.verify(model, x, digits.y_test[:100]).notes
    )


@pytest.mark.parametrize(
    ("rescaling", "scale", "cause"),
    [
        ([], 255, r"looks like raw pixels, .*such as x / 255\?$"),
        (
            [keras.layers.Rescaling(1 / 255, name="to_one")],
            1,
            r"only to 1, .* in 'to_one'\. Was it",
        ),
        ([], 1, r"scaled as in training, are the labels numbered as the outputs are"),
    ],
)
def test_the_likely_cause_of_chance_is_the_scale(rescaling, scale, cause):
    model = keras.Sequential([keras.Input((4, 4, 1)), *rescaling, keras.layers.Flatten()])
    x = scale * np.random.default_rng(0).integers(0, 2, (40, 4, 4, 1))
    (note,) = sample_notes.of_chance(model, [x], 0.1, np.arange(40) % 10)
    assert note.startswith("The Keras model itself is right on 10.00 % of x") and re.search(
        cause, note
    )
    assert sample_notes.of_chance(model, [x], 0.5, np.arange(40) % 10) == []


def exported(function, data, path):
    inputs = keras.Input(data.shape[1:])
    model = keras.Model(inputs, function(inputs))
    return model, export_tflite(model, path, "int8", data)


def test_a_file_that_lost_what_keras_computes_does_not_pass(tmp_path):
    x = np.random.default_rng(0).standard_normal((200, 16)).astype("float32")
    half = lambda x: keras.ops.maximum(x, 0.5 * x)  # noqa: E731
    with pytest.warns(UserWarning, match=r"though representative_data reaches from -3\.9 to"):
        model, result = exported(half, x, tmp_path / "m.tflite")
    verification = result.verify(model, x)
    assert result.lint() == []
    assert verification.max_error_keras > 0.1 * np.ptp(model.predict(x, verbose=0))
    assert not verification.agrees_with_keras and not verification.passed
    assert any("maximum, minimum" in note for note in verification.notes)
    # Labels that nothing was learned of excuse nothing.
    assert not result.verify(model, x, np.arange(200) % 16).agrees_with_keras


@pytest.fixture(scope="module")
def sums(tmp_path_factory):
    x = np.random.default_rng(0).standard_normal((200, 6, 6, 4)).astype("float32")
    function = lambda x: keras.ops.sum(x, (1, 2))  # noqa: E731
    return *exported(function, x, tmp_path_factory.mktemp("sums") / "m.tflite"), x


def test_the_reference_kernel_of_sums_is_known_to_be_wrong(sums):
    model, result, x = sums
    expected = model.predict(x, verbose=0)
    raw = litert.run(result.content, result.graph, result.quantize_inputs(x), "reference")[0]
    wrong = result.outputs[0].dequantize(raw)
    assert np.abs(wrong - expected).max() > 0.3 * np.ptp(expected)
    assert np.abs(result.predict(x) - expected).max() < 0.02 * np.ptp(expected)


@pytest.mark.skipif(not micro.is_available(), reason="needs TensorFlow Lite Micro")
def test_who_is_alone_is_said_and_not_followed(sums):
    model, result, x = sums
    verification = result.verify(model, x)
    assert verification.passed and verification.max_steps_tflm <= 1
    assert (verification.kernels, verification.alone) == ("fast", "LiteRT's reference kernels")
    assert "LiteRT fast" in str(verification)
    assert any("reference kernels alone compute something else" in n for n in verification.notes)


def test_without_tflite_micro_keras_tells_which_kernels_are_right(sums, monkeypatch):
    model, result, x = sums
    monkeypatch.setattr(micro, "is_available", lambda: False)
    verification = result.verify(model, x)
    assert verification.kernels == "fast" and verification.agrees_with_keras
    assert verification.alone == "LiteRT's reference kernels"


def test_runtimes_that_all_differ_are_said_to(sums, monkeypatch):
    model, result, x = sums
    on_board = lambda content, graph, inputs: [  # noqa: E731
        np.full((len(inputs[0]), 4), 100, "int8")
    ]
    monkeypatch.setattr(micro, "is_available", lambda: True)
    monkeypatch.setattr(micro, "run", on_board)
    verification = result.verify(model, x)
    assert verification.kernels == "fast" and verification.alone is None
    assert not verification.passed
    assert any("each compute something else" in note for note in verification.notes)


def test_operators_without_a_reference_kernel_are_verified_on_the_fast_ones(tmp_path):
    x = np.random.default_rng(0).standard_normal((50, 8)).astype("float32")
    function = lambda x: keras.ops.elu(x) + keras.ops.round(x)  # noqa: E731
    inputs = keras.Input((8,))
    model = keras.Model(inputs, function(inputs))
    result = export_tflite(model, tmp_path / "m.tflite")
    assert golden.on_litert(result, x[:5]).tolerance < 1e-3
    np.testing.assert_allclose(result.predict(x), model.predict(x, verbose=0), atol=1e-5)
    verification = result.verify(model, x)
    assert verification.kernels == "fast" and verification.max_error_tflm < 1e-5
    assert any("reference kernels can't run this model: Didn't" in n for n in verification.notes)
