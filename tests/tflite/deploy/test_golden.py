"""Golden vectors: whose answers they are, and how far kernels may round from them."""

import keras
import numpy as np

from keras_distill.tflite import export_tflite
from keras_distill.tflite.deploy import golden
from keras_distill.tflite.runtime import litert


def test_golden_vectors_let_pass_what_fast_kernels_round(int8_cnn, perceptron_as):
    _, result, x = int8_cnn
    vectors = golden.on_litert(result, x[:5])
    assert vectors.samples.dtype == vectors.answers.dtype == np.int8
    assert 1 <= vectors.tolerance <= 5
    result, x = perceptron_as(None)
    assert 1e-4 <= golden.on_litert(result, x[:5]).tolerance < 1e-3
    assert golden.on_micro(*perceptron_as("int16x8")).tolerance == 1


def test_golden_answers_are_those_of_the_kernels_that_will_run(tmp_path):
    x = np.random.default_rng(0).standard_normal((100, 6, 4)).astype("float32")
    inputs = keras.Input((6, 4))
    model = keras.Model(inputs, keras.ops.sum(inputs, 1))
    result = export_tflite(model, tmp_path / "m.tflite", "int8", x)
    vectors = golden.on_litert(result, x[:10])
    by = {
        kernels: litert.run(result.content, result.graph, [vectors.samples], kernels)[0]
        for kernels in ("reference", "fast")
    }
    np.testing.assert_array_equal(vectors.answers, by["fast"])
    # The reference kernel of sums is wrong, and makes no tolerance wider.
    assert np.abs(by["reference"].astype(int) - by["fast"]).max() > 20
    assert vectors.tolerance <= 3


def test_wrong_fast_kernels_are_outvoted(int8_cnn, monkeypatch):
    _, result, x = int8_cnn
    right = litert.run

    def run(content, graph, inputs, kernels="reference"):
        answers = right(content, graph, inputs, kernels)
        return [np.roll(answers[0], 1, axis=-1)] if kernels == "fast" else answers

    monkeypatch.setattr(litert, "run", run)
    vectors = golden.on_litert(result, x[:5])
    expected = right(result.content, result.graph, [vectors.samples], "without XNNPACK")[0]
    np.testing.assert_array_equal(vectors.answers, expected)
    assert vectors.tolerance <= 5
