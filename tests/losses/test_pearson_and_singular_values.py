"""Pearson correlation and singular vectors of feature maps, against NumPy."""

import numpy as np
import pytest
import tensorflow as tf

from keras_distill.losses import PearsonFeatures, SingularVectors, functional
from tests.losses.numeric import assert_equal_to, by_tape, random_arrays


def reference_pearson(teacher, student):
    correlations = []
    for channel in range(teacher.shape[-1]):
        t, s = teacher[..., channel].ravel(), student[..., channel].ravel()
        correlations.append(np.corrcoef(t, s)[0, 1])
    # The deviations divide by one less than the number of values, the mean by all.
    values = teacher[..., 0].size
    return (1 - np.mean(correlations)) * (values - 1) / values


@pytest.mark.parametrize("shape", [(2, 3, 3, 2), (3, 4, 2), (5, 3)])
def test_pearson_features_are_one_minus_the_correlation(shape):
    teacher, student = random_arrays(shape, shape)
    loss = PearsonFeatures("t", "s", projector=None)
    value, gradient = by_tape(loss, teacher, student)
    # The authors' epsilon of 1e-6 is in the deviations.
    np.testing.assert_allclose(value, reference_pearson(teacher, student), rtol=1e-5)
    _, of_scaled = by_tape(loss, 3 * teacher + 1, student)
    np.testing.assert_allclose(gradient, of_scaled, rtol=1e-5, atol=1e-8)


def test_pearson_features_ignore_scale_and_shift_of_each_channel():
    teacher, student = random_arrays((2, 3, 3, 2), (2, 3, 3, 2))
    loss = PearsonFeatures("t", "s", projector=None)
    expected = loss.compute_loss(teacher, student)
    moved = np.array([3.0, 0.5]) * student + np.array([-1.0, 7.0])
    np.testing.assert_allclose(loss.compute_loss(teacher, moved), expected, rtol=1e-5)
    np.testing.assert_allclose(loss.compute_loss(teacher, -teacher), 2 * 17 / 18, rtol=1e-5)


def test_a_channel_without_spread_has_a_finite_gradient():
    variable = tf.Variable(np.ones((2, 3, 3, 2), "float32"))
    with tf.GradientTape() as tape:
        loss = PearsonFeatures("t", "s", projector=None)
        value = loss.compute_loss(random_arrays((2, 3, 3, 2))[0], variable)
    assert np.isfinite(value) and np.isfinite(tape.gradient(value, variable)).all()


def leading(sample, count):
    """Right singular vectors of positions × channels, each with a sum of 0 or more."""
    _, values, rows = np.linalg.svd(sample.reshape(-1, sample.shape[-1]))
    vectors = rows.T * np.where(rows.sum(1) < 0, -1, 1)
    return values[:count], vectors[:, :count]


def reference_singular(teacher, student, count):
    total = 0.0
    for sample in range(len(teacher[0])):
        kept = []
        for t, s in zip(teacher, student, strict=True):
            values, of_teacher = leading(t[sample], count)
            _, candidates = leading(s[sample], count + 3)
            weights = values / np.linalg.norm(values)
            matched = []
            for vector in of_teacher.T:
                cosines = candidates.T @ vector
                best = np.abs(cosines).argmax()
                matched.append(candidates[:, best] * np.sign(cosines[best]))
            kept.append((of_teacher * weights, np.array(matched).T * weights))
        for k in range(count):
            t, s = ([layer[side][:, k] for layer in kept] for side in (0, 1))
            radial = [np.exp(-((v[1][:, None] - v[0][None]) ** 2) / 8) for v in (s, t)]
            total += ((radial[0] - radial[1]) ** 2).sum()
    return total / len(teacher[0])


@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("layer", [0, 1])
def test_singular_vectors_equal_numpy(count, layer):
    shapes = [(2, 4, 4, 3), (2, 3, 2, 4)]
    teacher, student = random_arrays(*shapes), random_arrays(*shapes, seed=1)
    loss = SingularVectors(["a", "b"], ["c", "d"], count, projector=None)

    def calculate(array):
        layers = [array if index == layer else s for index, s in enumerate(student)]
        return reference_singular(teacher, layers, count)

    assert_equal_to(loss, teacher, student, calculate, pick=layer)


def test_singular_vectors_are_orthonormal_and_of_any_scale():
    (features,) = random_arrays((2, 5, 5, 4))
    squares, vectors = functional.singular_vectors(features, 3)
    np.testing.assert_allclose(np.swapaxes(vectors, 1, 2) @ vectors, [np.eye(3)] * 2, atol=1e-9)
    assert np.all(np.diff(squares, axis=-1) <= 0)
    for scale in (1e-12, 1e12):
        _, again = functional.singular_vectors(scale * features, 3)
        np.testing.assert_allclose(again, vectors, atol=1e-7)


@pytest.mark.parametrize("features", [np.zeros((2, 3, 3, 4)), np.ones((2, 3, 3, 4))])
def test_equal_singular_values_have_a_finite_gradient(features):
    teacher = random_arrays((2, 3, 3, 4), (2, 3, 3, 4))
    loss = SingularVectors(["a", "b"], ["c", "d"], projector=None)
    value, gradient = by_tape(loss, teacher, [features, features + 0.0])
    assert np.isfinite(value) and np.isfinite(gradient).all()


def test_more_vectors_than_there_are_count_as_all():
    shapes = [(2, 2, 1, 4), (2, 4, 4, 3)]
    sides = random_arrays(*shapes), random_arrays(*shapes, seed=1)
    few, many = (
        SingularVectors(["a", "b"], ["c", "d"], count, projector=None).compute_loss(*sides)
        for count in (2, 7)
    )
    assert few == many > 0


def test_the_relation_of_one_layer_is_refused():
    with pytest.raises(ValueError, match="two layers or more"):
        SingularVectors("a", "b").compute_loss(np.ones((2, 4, 4, 3)), np.ones((2, 4, 4, 3)))
