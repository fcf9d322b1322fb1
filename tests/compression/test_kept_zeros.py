"""Zeros of a pruned student stay zeros while it is quantized or clustered, and in its file."""

import keras
import numpy as np
import pytest

from keras_distill import Distiller, SoftTargets
from keras_distill.compression import (
    QuantizedDense,
    cluster,
    prune,
    quantize_aware,
    strip,
    summarize,
)
from keras_distill.tflite import export_tflite
from tests.compression.models import crossentropy, data, fit, resumes_as_if_uninterrupted

layers = keras.layers
OPTIMIZERS = {
    "AdamW": lambda: keras.optimizers.AdamW(0.01, weight_decay=0.1),
    "momentum": lambda: keras.optimizers.SGD(0.05, momentum=0.9),
}


def images():
    inputs = keras.Input((8, 8, 4))
    x = layers.Conv2D(8, 3, use_bias=False, name="conv", kernel_regularizer="l2")(inputs)
    x = layers.ReLU()(layers.BatchNormalization()(x))
    x = layers.Flatten()(layers.Conv2D(8, 3, strides=2, activation="relu", name="next")(x))
    return keras.Model(inputs, layers.Dense(3, name="logits")(x), name="images")


def rows():
    inputs = keras.Input((12, 4))
    x = layers.Conv1D(8, 3, padding="causal", activation="relu", name="conv")(inputs)
    return keras.Model(inputs, layers.Dense(3, name="logits")(layers.Flatten()(x)), name="rows")


MODELS = {"images": images, "rows": rows}


def pruned_student(make, pattern=None, sparsity=0.6):
    keras.utils.set_random_seed(3)
    student = make()
    settings = {"pattern": "2:4"} if pattern else {"sparsity": sparsity}
    pruned = prune(student, **settings)
    pruned(data(student, 4)[0], training=True)
    return strip(pruned)


def kernels(model):
    return [
        np.asarray(layer.kernel) for layer in model._flatten_layers() if hasattr(layer, "kernel")
    ]


def kernels_of_file(result):
    """Returns the int8 kernels of a file, in the order of its operators, the outputs last."""
    litert = pytest.importorskip("ai_edge_litert.interpreter")
    interpreter = litert.Interpreter(str(result.path))
    weights = [
        operator.inputs[1]
        for operator in result.graph.operators
        if operator.name in ("CONV_2D", "FULLY_CONNECTED")
    ]
    assert {tensor.dtype for tensor in weights} == {"int8"}
    interpreter.allocate_tensors()
    return [np.moveaxis(interpreter.get_tensor(tensor.index), 0, -1) for tensor in weights]


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("name", MODELS)
def test_quantized_training_keeps_the_zeros_and_the_file_has_them(name, optimizer, tmp_path):
    student = pruned_student(MODELS[name])
    x, y = data(student)
    quantized = quantize_aware(student, x, keep_zeros=True)
    before = kernels(student)
    fit(quantized, x, y, OPTIMIZERS[optimizer]())
    after = kernels(quantized)
    for old, new in zip(before, after, strict=True):
        np.testing.assert_array_equal(new == 0, old == 0)
        assert np.mean(new == 0) == pytest.approx(0.6, abs=0.01)
        assert np.mean((new != old)[old != 0]) > 0.5
    result = export_tflite(quantized, tmp_path / "model.tflite", "int8", target="mcu")
    for kernel, values in zip(after, kernels_of_file(result), strict=True):
        values = values.reshape(kernel.shape)
        assert not np.any(values[kernel == 0])
        # What is below half a step is zero too.
        assert np.mean(kernel == 0) <= np.mean(values == 0) < np.mean(kernel == 0) + 0.05
    assert result.verify(quantized, x).passed


def test_without_it_training_fills_the_zeros():
    student = pruned_student(images)
    x, y = data(student)
    quantized = quantize_aware(student, x)
    fit(quantized, x, y, epochs=1)
    assert all(np.mean(kernel == 0) < 0.1 for kernel in kernels(quantized))


def test_two_of_four_stay_two_of_four():
    student = pruned_student(images, "2:4")
    x, y = data(student)
    for made in (
        quantize_aware(student, x, keep_zeros=True),
        cluster(student, 8, "linear", keep_zeros=True),
    ):
        fit(made, x, y, epochs=1)
        assert [one.is_2_4 for one in summarize(made).kernels] == [True] * 3


def test_a_distiller_saves_and_resumes_it(tmp_path):
    student, teacher = pruned_student(rows), rows()
    x, y = data(student)
    loaded = resumes_as_if_uninterrupted(
        lambda: Distiller(
            teacher, quantize_aware(student, x, keep_zeros=True), SoftTargets(temperature=2.0)
        ),
        x,
        y,
        tmp_path / "distiller.keras",
    )
    for old, new in zip(kernels(student), kernels(loaded.student), strict=True):
        np.testing.assert_array_equal(new == 0, old == 0)


@pytest.mark.parametrize("initialization", ["kmeans++", "linear", "density", "random"])
def test_clusters_keep_the_zeros_and_no_weight_becomes_one(initialization):
    student = pruned_student(images)
    x, y = data(student)
    clustered = cluster(student, 5, initialization, keep_zeros=True)
    fit(clustered, x, y, OPTIMIZERS["AdamW"](), epochs=1)
    plain = strip(clustered)
    assert type(plain.get_layer("conv")) is layers.Conv2D
    for old, new in zip(kernels(student), kernels(plain), strict=True):
        np.testing.assert_array_equal(new == 0, old == 0)
        assert 3 <= len(np.unique(new)) <= 5


def test_clustered_zeros_are_in_the_file(tmp_path):
    student = pruned_student(rows)
    x, y = data(student)
    clustered = cluster(student, 8, keep_zeros=True)
    fit(clustered, x, y)
    plain = strip(clustered)
    result = export_tflite(plain, tmp_path / "model.tflite", "int8", x, target="mcu")
    for kernel, values in zip(kernels(plain), kernels_of_file(result), strict=True):
        np.testing.assert_array_equal(values.reshape(kernel.shape) == 0, kernel == 0)
        assert np.mean(kernel == 0) == pytest.approx(0.6, abs=0.01)


def test_kernels_of_few_weights_or_of_zeros_can_be_clustered():
    student = pruned_student(rows)
    conv, logits = (student.get_layer(name).kernel for name in ("conv", "logits"))
    conv.assign(np.zeros(conv.shape))
    few = np.zeros(logits.shape)
    few[0, 0], few[1, 1] = 2.0, 3.0
    logits.assign(few)
    clustered = cluster(student, 8, "linear", keep_zeros=True)
    np.testing.assert_array_equal(clustered.get_layer("conv").kernel, conv)
    np.testing.assert_allclose(clustered.get_layer("logits").kernel, few)


def test_a_student_without_zeros_is_refused():
    student = rows()
    x, _ = data(student, 4)
    for call in (
        lambda: quantize_aware(student, x, keep_zeros=True),
        lambda: cluster(student, 4, keep_zeros=True),
    ):
        with pytest.raises(ValueError, match=r"no zeros to keep.*Received: keep_zeros=True"):
            call()
    with pytest.raises(TypeError, match="keep_zeros"):
        quantize_aware(student, x, keep_zeros="yes")
    with pytest.raises(TypeError, match="keeps_zeros"):
        QuantizedDense(3, keeps_zeros=1)


def test_a_loaded_model_still_keeps_its_zeros(tmp_path):
    student = pruned_student(rows)
    x, y = data(student)
    for made in (
        quantize_aware(student, x, keep_zeros=True),
        cluster(student, 4, "linear", keep_zeros=True),
    ):
        made.save(tmp_path / "model.keras")
        loaded = keras.models.load_model(tmp_path / "model.keras")
        loaded.compile("adam", crossentropy(), run_eagerly=True)
        loaded.fit(x, y, batch_size=16, verbose=0)
        for old, new in zip(kernels(student), kernels(loaded), strict=True):
            np.testing.assert_array_equal(new == 0, old == 0)
