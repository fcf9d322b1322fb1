"""A pruned student has the zeros that were asked for, where and when they were asked for."""

import keras
import numpy as np
import pytest

from keras_distill import AttentionTransfer, Distiller, SoftTargets
from keras_distill.compression import prune, quantize_aware
from keras_distill.losses import ClassAttentionTransfer
from tests.compression.models import (
    MODELS,
    compressed,
    crossentropy,
    data,
    fit,
    resumes_as_if_uninterrupted,
    sequential,
)

layers = keras.layers


def zeros(layer):
    return int(np.sum(np.asarray(layer.kernel) == 0))


def are_in_groups_of_four(kernel):
    """Whether no four input channels in a row, as TensorFlow Lite has them, keep more than two."""
    kernel = np.asarray(kernel)
    for channels in np.moveaxis(kernel, -2, -1).reshape(-1, kernel.shape[-2]):
        for start in range(0, len(channels), 4):
            if np.count_nonzero(channels[start : start + 4]) > 2:
                return False
    return True


@pytest.mark.parametrize("name", MODELS)
def test_it_begins_as_the_student_with_its_weights_and_names(name):
    student = MODELS[name]()
    pruned = prune(student)
    x, _ = data(student)
    np.testing.assert_allclose(
        pruned.predict(x, verbose=0), student.predict(x, verbose=0), atol=1e-6
    )
    assert [layer.name for layer in pruned.layers] == [
        layer.name for layer in (getattr(student, "_functional", None) or student).layers
    ]
    kernels = [weight for weight in student.weights if weight.name == "kernel"]
    assert len(compressed(pruned)) == len(kernels)


@pytest.mark.parametrize(
    ("name", "sparsity"), [("residual", 0.5), ("two_inputs", 0.9), ("sequential", 0.75)]
)
def test_each_kernel_has_the_share_of_zeros_that_was_asked_for(name, sparsity):
    student = MODELS[name]()
    before = student.get_weights()
    pruned = prune(student, sparsity, end_step=6)
    fit(pruned, *data(student), keras.optimizers.AdamW(0.01, weight_decay=0.1))
    for layer in compressed(pruned):
        size = np.size(layer.kernel)
        assert zeros(layer) == size - round(size * (1 - sparsity)), layer.name
        assert int(layer.pruning_step) == 8, layer.name
    for old, new in zip(before, student.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


@pytest.mark.parametrize("name", MODELS)
def test_two_of_four_input_channels_are_zero(name):
    student = MODELS[name]()
    pruned = prune(student, pattern="2:4")
    x, y = data(student)
    if name == "two_inputs":
        fit(pruned, x, y)
    else:
        pruned(x, training=True)
    for layer in compressed(pruned):
        assert are_in_groups_of_four(layer.kernel), layer.name
        # Beyond the last full four there are two channels at most, which stay.
        groups = layer.kernel.shape[-2] // 4
        assert zeros(layer) == groups * 2 * np.size(layer.kernel) // layer.kernel.shape[-2]
    original = np.abs(np.asarray(student.get_layer("logits").kernel))
    kept = np.asarray(pruned.get_layer("logits").pruning_mask).astype(bool)
    for group in range(len(original) // 4):
        rows = slice(4 * group, 4 * group + 4)
        largest = np.sort(original[rows], axis=0)[2:]
        np.testing.assert_array_equal(
            np.sort(original[rows].T[kept[rows].T].reshape(-1, 2).T, axis=0), largest
        )


def test_sparsity_follows_the_schedule_step_by_step():
    student = sequential()
    pruned = prune(
        student, 0.8, begin_step=2, end_step=8, frequency=3, initial_sparsity=0.2, layers=["first"]
    )
    pruned.compile(keras.optimizers.SGD(0.01), "mse")
    x, _ = data(student, 8)
    size = 160
    shares = []
    for _ in range(10):
        pruned.train_on_batch(x, np.zeros((8, 3), "float32"))
        shares.append(zeros(pruned.get_layer("first")) / size)
    at_2, at_5, at_8 = (0.8 - 0.6 * (1 - (step - 2) / 6) ** 3 for step in (2, 5, 8))
    # Steps are counted from 1. A choice is kept until the next one.
    expected = [0.0] + 3 * [at_2] + 3 * [at_5] + 3 * [at_8]
    np.testing.assert_allclose(shares, expected, atol=0.51 / size)


def test_the_smallest_weights_go_and_none_moves_afterwards():
    student = sequential()
    kernel = np.abs(student.get_layer("first").get_weights()[0])
    pruned = prune(student, 0.75, end_step=1)
    x, y = data(student)
    layer = pruned.get_layer("first")
    pruned(x, training=True)
    kept = np.asarray(layer.kernel) != 0
    assert kept.sum() == 40 and kernel[kept].min() >= kernel[~kept].max()
    fit(pruned, x, y, keras.optimizers.SGD(0.1, 0.9, weight_decay=0.01))
    np.testing.assert_array_equal(np.asarray(layer.kernel) != 0, kept)


def test_a_weight_that_grows_comes_back_while_choices_are_made():
    student = keras.Sequential([keras.Input((2,)), layers.Dense(1, use_bias=False)])
    student.set_weights([np.float32([[1.0], [0.9]])])
    pruned = prune(student, 0.5)
    pruned.compile(keras.optimizers.SGD(1.0), "mse")
    # The gradient is -2 (5 - 1) of the second weight alone, and pulls it far beyond the first.
    pruned.train_on_batch(np.float32([[0.0, 1.0]]), np.float32([[5.0]]))
    np.testing.assert_array_equal(np.asarray(pruned.layers[1].kernel).ravel(), [1.0, 0.0])
    pruned.train_on_batch(np.float32([[0.0, 0.0]]), np.float32([[0.0]]))
    np.testing.assert_array_equal(np.asarray(pruned.layers[1].kernel).ravel(), [0.0, 10.0])


def test_evaluation_moves_nothing():
    student = sequential()
    pruned = prune(student, 0.5, end_step=8)
    x, y = data(student)
    pruned(x, training=True)
    pruned.compile("sgd", crossentropy())
    before = pruned.get_weights()
    pruned.evaluate(x, y, verbose=0)
    pruned.predict(x, verbose=0)
    for old, new in zip(before, pruned.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_a_frozen_layer_is_left_alone():
    student = sequential()
    student.get_layer("first").trainable = False
    pruned = prune(student, 0.5)
    pruned(data(student)[0], training=True)
    assert zeros(pruned.get_layer("first")) == 0
    assert zeros(pruned.get_layer("second")) == 64


def test_only_the_layers_that_were_named_are_pruned():
    pruned = prune(MODELS["residual"](), layers=["backbone/inner", "logits"])
    assert [layer.name for layer in compressed(pruned)] == ["inner", "logits"]


@pytest.mark.parametrize("jit_compile", [False, True])
def test_in_graphs_and_compiled_by_xla_it_prunes_the_same(jit_compile):
    student = MODELS["two_inputs"]()
    x, y = data(student)
    results = []
    for settings in ({}, {"run_eagerly": False, "jit_compile": jit_compile}):
        keras.utils.set_random_seed(1)
        pruned = prune(student, 0.5, end_step=6)
        fit(pruned, x, y, "sgd", epochs=1, **settings)
        results.append([np.asarray(layer.kernel) for layer in compressed(pruned)])
    for first, second in zip(*results, strict=True):
        assert 0 < np.mean(first == 0) < 1
        np.testing.assert_array_equal(first == 0, second == 0)


def test_mixed_precision_prunes_the_float32_weights():
    keras.config.set_dtype_policy("mixed_float16")
    student = sequential()
    pruned = prune(student, 0.75, end_step=6)
    fit(pruned, *data(student))
    assert pruned.compute_dtype == "float16"
    for layer in compressed(pruned):
        assert layer.kernel.dtype == "float32"
        assert zeros(layer) == 0.75 * np.size(layer.kernel)


def test_a_distiller_prunes_saves_and_resumes_in_the_middle_of_the_schedule(tmp_path):
    teacher, student = MODELS["residual"](), MODELS["residual"]()
    x, y = data(student)

    def make():
        losses = [
            SoftTargets(4.0),
            AttentionTransfer("backbone/last", "backbone/last"),
            AttentionTransfer("sum", "sum", name="of_sums"),
        ]
        return Distiller(teacher, prune(student, 0.5, end_step=7), losses)

    loaded = resumes_as_if_uninterrupted(make, x, y, tmp_path / "distiller.keras")
    for layer in compressed(loaded.student):
        assert zeros(layer) == np.size(layer.kernel) // 2
        assert int(layer.pruning_step) == 8


def test_a_tapped_kernel_is_the_pruned_one():
    inputs = keras.Input((8, 8, 4))
    x = layers.Conv2D(8, 3, activation="relu", name="maps")(inputs)
    x = layers.Dense(3, name="logits")(layers.GlobalAveragePooling2D()(x))
    student = keras.Model(inputs, x)
    x, y = data(student)
    pruned = prune(student, 0.5)
    paths = ["maps", "logits:kernel"]
    taps = {"teacher_layer_name": paths, "student_layer_name": paths}
    distiller = Distiller(student, pruned, ClassAttentionTransfer(**taps), student_loss_weight=0.5)
    fit(distiller, x, y, epochs=1)
    found = distiller.evaluate(x, y, verbose=0, return_dict=True)["class_attention_transfer"]
    plain = keras.models.clone_model(student)
    plain.set_weights([weight for layer in pruned.layers for weight in effective(layer)])
    again = Distiller(student, plain, ClassAttentionTransfer(**taps), student_loss_weight=0.5)
    again.compile("sgd", distiller.loss, run_eagerly=True)
    expected = again.evaluate(x, y, verbose=0, return_dict=True)["class_attention_transfer"]
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def effective(layer):
    return [np.asarray(layer.kernel), np.asarray(layer.bias)] if layer.weights else []


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"sparsity": 1.0}, ValueError, r"sparsity must be in \(0, 1\)\. Received: sparsity=1.0"),
        ({"sparsity": "half"}, TypeError, r"sparsity must be a number\. Received: sparsity='half'"),
        (
            {"pattern": "4:8"},
            ValueError,
            "pattern must be one of None, '2:4'. Received: pattern='4:8'",
        ),
        ({"pattern": "2:4", "end_step": 5}, ValueError, "leave sparsity and the schedule out"),
        ({"pattern": "2:4", "sparsity": 0.75}, ValueError, "has a sparsity of 0.5"),
        (
            {"begin_step": -1},
            ValueError,
            r"begin_step must be at least 0\. Received: begin_step=-1",
        ),
        (
            {"begin_step": 5, "end_step": 5},
            ValueError,
            r"end_step must be at least 6\. Received: end_step=5",
        ),
        ({"end_step": 5.5}, TypeError, r"end_step must be an integer\. Received: end_step=5.5"),
        ({"frequency": 0}, ValueError, r"frequency must be at least 1\. Received: frequency=0"),
        ({"frequency": 3, "end_step": 10}, ValueError, "no choice is made at end_step=10"),
        ({"initial_sparsity": 0.1}, ValueError, "initial_sparsity needs end_step"),
        ({"initial_sparsity": 0.6, "end_step": 9}, ValueError, r"initial_sparsity must be in \[0"),
        ({"layers": ["frist"]}, ValueError, "no such layer. Closest: 'first'"),
        ({"layers": ["dropout"]}, ValueError, "'dropout' is a Dropout, whose kernel can't be"),
        ({"layers": "first"}, TypeError, "layers must be a list of names"),
        ({"layers": []}, ValueError, "layers must name at least one layer"),
    ],
)
def test_bad_arguments_are_refused(settings, error, message):
    student = sequential()
    with pytest.raises(error, match=message):
        prune(student, **settings)


def test_bad_models_are_refused():
    class Subclassed(keras.Model):
        def call(self, inputs):
            return inputs

    with pytest.raises(TypeError, match=r"student must be a keras\.Model\. Received: stu"):
        prune("student")
    with pytest.raises(ValueError, match="doesn't show its graph"):
        prune(keras.Sequential([layers.Dense(2)]))
    inputs = keras.Input((4,))
    inner = keras.Model(inputs, layers.Dense(3)(Subclassed(name="opaque")(inputs)))
    with pytest.raises(ValueError, match=r"'opaque' \(Subclassed\) doesn't show its graph"):
        prune(inner)
    with pytest.raises(ValueError, match="has no layer of these kinds: Conv1D, Conv2D, Dense"):
        prune(keras.Model(inputs, layers.ReLU()(inputs)))
    with pytest.raises(ValueError, match="has no layer of these kinds"):
        prune(quantize_aware(sequential()))
    with pytest.raises(ValueError, match=r"'first' .* is pruned already.*strip"):
        prune(prune(sequential()))
