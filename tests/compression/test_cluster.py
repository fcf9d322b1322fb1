"""A clustered student has few different weights, which it learns."""

import keras
import numpy as np
import pytest

from keras_distill import AttentionTransfer, Distiller, SoftTargets
from keras_distill.compression import cluster, prune
from tests.compression.models import (
    MODELS,
    compressed,
    data,
    fit,
    resumes_as_if_uninterrupted,
    sequential,
)

layers = keras.layers


def values(layer):
    return np.unique(np.asarray(layer.kernel))


@pytest.mark.parametrize("initialization", ["kmeans++", "linear", "density", "random"])
def test_each_weight_is_the_centroid_nearest_to_it(initialization):
    student = sequential()
    clustered = cluster(student, 5, initialization, layers=["first"])
    layer = clustered.get_layer("first")
    weights, centroids = student.get_layer("first").get_weights()[0], np.asarray(layer.centroids)
    assert len(centroids) == 5
    lowest, highest = weights.min() - 0.02, weights.max() + 0.02
    assert np.all((lowest <= centroids) & (centroids <= highest))
    nearest = centroids[np.abs(weights[..., None] - centroids).argmin(axis=-1)]
    np.testing.assert_array_equal(layer.kernel, nearest)


def test_linear_centroids_are_spaced_evenly():
    student = sequential()
    layer = cluster(student, 5, "linear").get_layer("first")
    weights = student.get_layer("first").get_weights()[0]
    np.testing.assert_allclose(
        layer.centroids, np.linspace(weights.min(), weights.max(), 5), atol=1e-6
    )


def test_a_centroid_learns_from_all_its_weights_and_they_from_their_own():
    student = keras.Sequential([keras.Input((3,)), layers.Dense(1, use_bias=False, name="sum")])
    student.set_weights([np.float32([[0.0], [0.2], [1.0]])])
    clustered = cluster(student, 2, "linear")
    clustered.compile(keras.optimizers.SGD(0.1), "mse")
    x = np.float32([[1.0, 2.0, 3.0]])
    clustered.train_on_batch(x, np.float32([[4.0]]))
    # Centroids 0 and 1: the output is 3, and the gradient of the kernel -2 (4 - 3) x.
    layer = clustered.get_layer("sum")
    np.testing.assert_allclose(layer.centroids, [0.1 * 2 * (1 + 2), 1 + 0.1 * 2 * 3], atol=1e-6)
    np.testing.assert_allclose(
        np.ravel(layer.get_weights()[0]),
        [0.1 * 2 * 1, 0.2 + 0.1 * 2 * 2, 1 + 0.1 * 2 * 3],
        atol=1e-6,
    )


@pytest.mark.parametrize("name", MODELS)
def test_trained_kernels_hold_no_more_values_than_clusters(name):
    student = MODELS[name]()
    before = student.get_weights()
    clustered = cluster(student, 4)
    first = [values(layer) for layer in compressed(clustered)]
    fit(clustered, *data(student), keras.optimizers.AdamW(0.01), epochs=1)
    assert len(first) == len([weight for weight in student.weights if weight.name == "kernel"])
    for layer, earlier in zip(compressed(clustered), first, strict=True):
        assert 2 <= len(values(layer)) <= 4
        assert not set(values(layer)) & set(earlier), layer.name
    for old, new in zip(before, student.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_kernels_with_no_more_weights_than_clusters_stay():
    student = sequential()
    clustered = cluster(student, 24)
    assert [layer.name for layer in compressed(clustered)] == ["first", "second"]
    assert type(clustered.get_layer("logits")) is layers.Dense


def test_evaluation_moves_nothing():
    student = sequential()
    clustered = cluster(student, 4)
    x, y = data(student)
    before = clustered.get_weights()
    clustered.compile("sgd", "sparse_categorical_crossentropy")
    clustered.evaluate(x, y, verbose=0)
    for old, new in zip(before, clustered.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_compiled_by_xla_it_learns_the_same():
    student = MODELS["two_inputs"]()
    x, y = data(student)
    results = []
    for settings in ({}, {"run_eagerly": False, "jit_compile": True}):
        clustered = cluster(student, 4)
        fit(clustered, x, y, "sgd", epochs=1, **settings)
        results.append(clustered.get_weights())
    for first, second in zip(*results, strict=True):
        np.testing.assert_allclose(first, second, atol=1e-5)


def test_mixed_precision_learns_in_float32():
    keras.config.set_dtype_policy("mixed_float16")
    student = sequential()
    clustered = cluster(student, 4)
    before = [np.asarray(layer.centroids) for layer in compressed(clustered)]
    fit(clustered, *data(student), epochs=1)
    for layer, old in zip(compressed(clustered), before, strict=True):
        assert layer.centroids.dtype == layer.kernel.dtype == "float32"
        assert not np.array_equal(layer.centroids, old)


def test_a_distiller_clusters_saves_and_resumes(tmp_path):
    teacher, student = MODELS["two_inputs"](), MODELS["two_inputs"]()
    x, y = data(student)

    def make():
        losses = [SoftTargets(4.0), AttentionTransfer("conv", "conv")]
        return Distiller(teacher, cluster(student, 4), losses)

    loaded = resumes_as_if_uninterrupted(make, x, y, tmp_path / "distiller.keras")
    assert len(compressed(loaded.student)) == 2


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"clusters": 1}, ValueError, r"clusters must be at least 2\. Received: clusters=1"),
        ({"layers": []}, ValueError, "layers must name at least one layer"),
        ({"clusters": 4.0}, TypeError, r"clusters must be an integer\. Received: clusters=4.0"),
        (
            {"initialization": "best"},
            ValueError,
            r"kmeans.*'random'\. Received: initialization='best'",
        ),
        ({"layers": ["dropout"]}, ValueError, "'dropout' is a Dropout, whose kernel can't be"),
    ],
)
def test_bad_arguments_are_refused(settings, error, message):
    with pytest.raises(error, match=message):
        cluster(sequential(), **settings)


def test_what_is_compressed_already_is_refused():
    with pytest.raises(ValueError, match=r"is pruned already.*strip"):
        cluster(prune(sequential()))
    with pytest.raises(ValueError, match=r"is clustered already.*strip"):
        prune(cluster(sequential()))
