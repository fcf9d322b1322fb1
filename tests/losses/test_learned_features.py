"""Values of the feature losses with regressors, fusions and generators, against NumPy."""

import numpy as np
import pytest
import tensorflow as tf

from keras_distill.losses import (
    HiddenStates,
    KnowledgeReview,
    MaskedGenerative,
    VariationalInformation,
    functional,
)
from tests.losses.feature_references import SHAPES, pool_to_smaller, random_features, unit


def reference_likelihood(teacher, means, variances):
    squares = (np.float64(teacher) - means) ** 2
    values = (np.log(np.float64(variances)) + squares / variances) / 2
    return values.reshape(len(teacher), -1).mean(1)


def adaptive_pool(features, size):
    """The authors' pooling: bin i of n covers floor(i·N/n) to ceil((i + 1)·N/n)."""
    features = np.float64(features)
    for axis in range(1, features.ndim - 1):
        total = features.shape[axis]
        bins = [range(i * total // size, -(-(i + 1) * total // size)) for i in range(size)]
        features = np.stack([features.take(list(b), axis).mean(axis) for b in bins], axis)
    return features


def reference_context(teacher, student):
    distance = lambda t, s: ((t - s) ** 2).reshape(len(t), -1).mean(1)  # noqa: E731
    teacher, student = np.float64(teacher), np.float64(student)
    total, weight, weights = distance(teacher, student), 1.0, 1.0
    for grid in (4, 2, 1):
        if grid < min(teacher.shape[1:-1]):
            weight /= 2
            weights += weight
            grids = adaptive_pool(teacher, grid), adaptive_pool(student, grid)
            total = total + weight * distance(*grids)
    return total / weights


@pytest.mark.parametrize("shape", SHAPES)
def test_the_gaussian_negative_log_likelihood_equals_numpy(shape):
    teacher, means, variances = random_features(shape, shape, shape[-1:])
    variances = np.exp(variances)
    values = functional.variational_information(teacher, means, variances)
    expected = reference_likelihood(teacher, means, variances)
    np.testing.assert_allclose(values, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    "shape",
    [(3, 8, 8, 4), (2, 8, 16, 3), (2, 4, 4, 3), (2, 2, 2, 5), (2, 1, 1, 5), (2, 12, 4)],
)
def test_hierarchical_context_equals_numpy_and_is_zero_at_the_teacher(shape):
    teacher, student = random_features(shape, shape)
    values = functional.hierarchical_context(teacher, student)
    np.testing.assert_allclose(values, reference_context(teacher, student), rtol=1e-5)
    assert not np.any(functional.hierarchical_context(teacher, teacher))


@pytest.mark.parametrize("shape", [(2, 7, 7, 3), (2, 3, 3, 4)])
def test_hierarchical_context_averages_adaptively_where_sizes_do_not_divide(shape):
    teacher, student = random_features(shape, shape)
    values = functional.hierarchical_context(teacher, student)
    np.testing.assert_allclose(values, reference_context(teacher, student), rtol=1e-5)


@pytest.mark.parametrize(
    ("teacher_shape", "student_shape"),
    [((3, 4, 4, 6), (3, 4, 4, 3)), ((2, 8, 8, 4), (2, 4, 4, 5)), ((2, 6, 3), (2, 12, 2))],
)
def test_variational_information_equals_numpy_through_its_variables(teacher_shape, student_shape):
    teacher, student, scale = random_features(teacher_shape, student_shape, teacher_shape[-1:])
    loss = VariationalInformation("t", "s")
    loss.prepare(teacher.shape, student.shape)
    regressor, variance = loss.own_layers
    variance.set_weights([scale])
    teacher, means = pool_to_smaller(teacher, student)
    first, second, third = (np.float64(w).reshape(w.shape[-2:]) for w in regressor.get_weights())
    means = np.maximum(np.maximum(means @ first, 0) @ second, 0) @ third
    expected = reference_likelihood(teacher, means, np.log1p(np.exp(scale)) + 1e-5).mean()
    value = loss.compute_loss(np.float32(teacher), student)
    np.testing.assert_allclose(value, expected, rtol=1e-5)


@pytest.mark.parametrize("variance", [0.01, 5.0])
def test_variational_information_starts_at_its_initial_variance(variance):
    teacher, student = np.zeros((2, 4, 4, 3), "float32"), np.zeros((2, 4, 4, 5), "float32")
    loss = VariationalInformation("t", "s", initial_variance=variance)
    loss.prepare(teacher.shape, student.shape)
    value = loss.compute_loss(teacher, student)
    np.testing.assert_allclose(value, np.log(variance) / 2, rtol=1e-5)


def masked_generative(mask_ratio, shape=(3, 6, 5, 4), weights=None, **kwargs):
    loss = MaskedGenerative("t", "s", mask_ratio, projector=None, **kwargs)
    loss.prepare(shape, shape)
    generator = loss.own_layers[1]
    if weights is not None:
        generator.set_weights(weights)
    return loss, generator


@pytest.mark.parametrize("shape", [(3, 6, 5, 4), (2, 9, 3)])
def test_masked_generative_without_and_with_a_full_mask_equals_its_generators_error(shape):
    teacher, student = random_features(shape, shape)
    for mask_ratio, features in ((0.0, student), (1.0, 0 * student)):
        loss, generator = masked_generative(mask_ratio, shape)
        generator.set_weights(random_features(*(w.shape for w in generator.weights), seed=1))
        expected = np.mean((np.float64(teacher) - generator(features)) ** 2)
        np.testing.assert_allclose(loss.compute_loss(teacher, student), expected, rtol=1e-5)


def test_masked_generative_evaluation_is_deterministic_and_depends_on_ratio_and_seed():
    teacher, student = random_features((3, 6, 5, 4), (3, 6, 5, 4))
    loss, generator = masked_generative(0.3)
    weights = generator.get_weights()
    value = float(loss.compute_loss(teacher, student))
    assert float(loss.compute_loss(teacher, student)) == value
    assert float(masked_generative(0.3, weights=weights)[0].compute_loss(teacher, student)) == value
    for other in (
        masked_generative(0.8, weights=weights),
        masked_generative(0.3, weights=weights, seed=7),
    ):
        assert float(other[0].compute_loss(teacher, student)) != value


def test_masked_generative_draws_new_masks_in_training():
    teacher, student = random_features((3, 6, 5, 4), (3, 6, 5, 4))
    loss, _ = masked_generative(0.5)
    values = {float(loss.compute_loss(teacher, student, training=True)) for _ in range(3)}
    assert len(values) == 3


def reference_hidden_states(teacher, student, form, mask=None):
    mask = np.ones(teacher.shape[:2], bool) if mask is None else mask
    values = []
    for t, s, counts in zip(np.float64(teacher), np.float64(student), mask, strict=True):
        if form == "mse":
            of_positions = [np.mean((a - b) ** 2) for a, b in zip(t, s, strict=True)]
        else:
            of_positions = [1 - unit(a) @ unit(b) for a, b in zip(t, s, strict=True)]
        values.append(np.sum(of_positions * counts) / max(counts.sum(), 1))
    return np.mean(values)


@pytest.mark.parametrize("form", ["mse", "cosine"])
def test_hidden_states_equal_numpy_and_sum_over_layers(form):
    teacher = random_features((3, 5, 6), (3, 5, 6))
    student = random_features((3, 5, 6), (3, 5, 6), seed=1)
    loss = HiddenStates(["a", "b"], ["c", "d"], form=form, projector=None)
    expected = sum(
        reference_hidden_states(*pair, form) for pair in zip(teacher, student, strict=True)
    )
    np.testing.assert_allclose(loss.compute_loss(teacher, student), expected, rtol=1e-5)
    assert loss.clone().form == form
    with pytest.raises(ValueError, match=r"form must be one of 'mse', 'cosine'\. Received"):
        HiddenStates(form="l1")
    assert abs(float(loss.compute_loss(teacher, teacher))) < 1e-6


def test_hidden_states_of_unlike_widths_are_mapped_position_by_position():
    teacher, student = random_features((3, 5, 6), (3, 5, 4))
    loss = HiddenStates("t", "s")
    loss.prepare((None, None, 6), (None, None, 4))
    kernel, bias = loss.own_layers[0].get_weights()
    expected = reference_hidden_states(teacher, student @ kernel + bias, "mse")
    np.testing.assert_allclose(loss.compute_loss(teacher, student), expected, rtol=1e-5)


@pytest.mark.parametrize("form", ["mse", "cosine"])
def test_padding_is_no_part_of_hidden_states(form):
    teacher, student = random_features((3, 5, 6), (3, 5, 6))
    mask = np.array([[1, 1, 1, 0, 0], [1, 1, 1, 1, 1], [0, 0, 0, 0, 0]], bool)
    expected = reference_hidden_states(teacher, student, form, mask)
    student[~mask] = np.nan
    loss = HiddenStates("t", "s", form=form, projector=None)
    variable = tf.Variable(student)
    with tf.GradientTape() as tape:
        value = loss.compute_loss(teacher, variable, mask=mask)
    np.testing.assert_allclose(value, expected, rtol=1e-5)
    gradient = np.array(tape.gradient(value, variable))
    assert np.all(gradient[~mask] == 0)
    assert np.all(np.isfinite(gradient))


@pytest.mark.parametrize("ratio", [0.25, 0.65])
def test_masked_generative_masks_whole_positions_at_its_ratio(ratio):
    features = np.ones((4, 32, 32, 3), "float32")
    masks = MaskedGenerative("t", "s", ratio, projector=None).own_layers[-1]
    masked = np.array(masks(features, training=True))
    np.testing.assert_array_equal(masked, np.repeat(masked[..., :1], 3, -1))
    np.testing.assert_allclose(1 - masked.mean(), ratio, atol=0.03)


def test_masked_generative_masks_whole_channels_where_told_to():
    features = np.ones((64, 4, 5, 16), "float32")
    loss = MaskedGenerative("t", "s", 0.4, projector=None, masked="channels")
    masked = np.array(loss.own_layers[-1](features, training=True))
    np.testing.assert_array_equal(masked, masked[:, :1, :1] * features)
    np.testing.assert_allclose(1 - masked.mean(), 0.4, atol=0.04)
    assert loss.clone().masked == "channels"
    with pytest.raises(ValueError, match=r"'positions', 'channels'\. Received: masked='pixels'"):
        MaskedGenerative(masked="pixels")


@pytest.mark.parametrize(
    ("teacher_shapes", "student_shapes"),
    [
        ([(2, 8, 8, 4), (2, 4, 4, 6), (2, 2, 2, 7)], [(2, 8, 8, 3), (2, 4, 4, 5), (2, 2, 2, 6)]),
        ([(2, 8, 8, 3), (2, 4, 4, 4)], [(2, 4, 4, 3), (2, 2, 2, 2)]),
        ([(3, 16, 4), (3, 8, 3)], [(3, 16, 2), (3, 8, 5)]),
    ],
)
def test_knowledge_review_sums_the_contexts_of_its_fusions_from_the_deepest(
    teacher_shapes, student_shapes
):
    teacher = random_features(*teacher_shapes)
    student = random_features(*student_shapes, seed=1)
    names = [str(i) for i in range(len(teacher))]
    loss = KnowledgeReview(names, names)
    loss.prepare(teacher_shapes, student_shapes)
    expected, below = 0.0, None
    for index in reversed(range(len(teacher))):
        fused, below = loss.own_layers[index](student[index], below)
        expected += reference_context(teacher[index], fused).mean()
    np.testing.assert_allclose(loss.compute_loss(teacher, student), expected, rtol=1e-5)
