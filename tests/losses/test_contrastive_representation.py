"""Contrastive representation: in the batch, with a memory bank, against NumPy."""

import numpy as np
import pytest
import tensorflow as tf
from scipy.special import log_softmax

from keras_distill.losses import (
    ContrastiveRepresentation,
    InterChannelCorrelation,
    functional,
)
from tests.losses.relation_references import (
    GRAPH_SHAPES,
    graph_loss,
    random_features,
    rows_of,
    unit,
)


def reference_contrast(teacher, student, temperature=0.07):
    t, s = ([unit(row) for row in rows_of(features)] for features in (teacher, student))
    values = []
    for i in range(len(t)):
        forth = log_softmax([s[i] @ row / temperature for row in t])[i]
        back = log_softmax([t[i] @ row / temperature for row in s])[i]
        values.append(-forth - back)
    return np.array(values)


def reference_noise(positive, negatives, normalizer, samples):
    values = []
    for score, others in zip(np.float64(positive), np.float64(negatives), strict=True):
        noise = len(others) / samples
        p = np.exp(score - normalizer)
        value = -np.log(p / (p + noise))
        for other in others:
            p = np.exp(other - normalizer)
            value -= np.log(1 - p / (p + noise))
        values.append(value)
    return np.array(values)


@pytest.mark.parametrize("shape", [(6, 8), (3, 2)])
def test_in_batch_contrast_equals_numpy(shape):
    teacher, student = random_features(shape, shape)
    for temperature in (0.07, 1.0):
        values = functional.in_batch_contrast(teacher, student, temperature)
        expected = reference_contrast(teacher, student, temperature)
        np.testing.assert_allclose(values, expected, rtol=1e-5, atol=1e-5)


def test_contrastive_representation_contrasts_the_mapped_embeddings():
    teacher, student = random_features((6, 8), (6, 3, 2))
    loss = ContrastiveRepresentation(temperature=0.5, size=4)
    value = loss.compute_loss(teacher, student)
    maps = [head.get_weights() for head in loss.own_layers]
    rows = zip((teacher, student), maps, strict=True)
    mapped = [rows_of(features) @ kernel + bias for features, (kernel, bias) in rows]
    np.testing.assert_allclose(value, reference_contrast(*mapped, 0.5).mean(), rtol=1e-5)


@pytest.mark.parametrize(("batch", "drawn"), [(4, 7), (2, 30)])
def test_noise_contrast_equals_numpy(batch, drawn):
    positive, negatives = random_features((batch,), (batch, drawn))
    negatives[0, 1] = -np.inf
    for normalizer, samples in ((0.0, 50), (5.5, 1000)):
        values = functional.noise_contrast(3 * positive, 3 * negatives, normalizer, samples)
        expected = reference_noise(3 * positive, 3 * negatives, normalizer, samples)
        np.testing.assert_allclose(values, expected, rtol=1e-5)


def test_noise_contrast_of_extreme_scores_is_finite():
    positive, negatives = np.float32([1e4, -1e4]), np.float32([[1e4, -1e4], [-np.inf, 3.0]])
    assert np.isfinite(functional.noise_contrast(positive, negatives, 2.0, 100)).all()


def test_contrast_with_the_memory_bank_equals_numpy():
    teacher, student = random_features((3, 8), (3, 5))
    indices = np.array([0, 2, 4])
    loss = ContrastiveRepresentation(samples=5, negatives=4, temperature=0.5, size=4)
    value = loss.compute_loss(teacher, student, indices=indices)
    *heads, bank = loss.own_layers
    maps = zip((teacher, student), [head.get_weights() for head in heads], strict=True)
    t, s = ([unit(row) for row in features @ w + b] for features, (w, b) in maps)
    drawn = bank.draw(indices)
    expected = 0.0
    for anchors, partners, side in ((s, t, "teacher"), (t, s, "student")):
        vectors, own = (np.array(part) for part in drawn[side])
        positive = [a @ b / 0.5 for a, b in zip(anchors, partners, strict=True)]
        negatives = np.array([v @ a / 0.5 for v, a in zip(vectors, anchors, strict=True)])
        normalizer = np.log(5 * np.mean(np.exp(negatives)))
        negatives[own] = -np.inf
        expected += reference_noise(positive, negatives, normalizer, 5).mean()
    assert own.any()
    np.testing.assert_allclose(value, expected, rtol=1e-5)


def test_the_students_gradient_takes_the_positives_partner_as_fixed():
    teacher, student = random_features((3, 8), (3, 5))
    indices = np.array([0, 2, 4])
    loss = ContrastiveRepresentation(samples=5, negatives=4, temperature=0.5, size=4)
    variable = tf.Variable(student)
    loss.compute_loss(teacher, student, indices=indices, training=True)  # sets the constants
    with tf.GradientTape() as tape:
        value = loss.compute_loss(teacher, variable, indices=indices)
    gradient = np.array(tape.gradient(value, variable))
    *heads, bank = loss.own_layers
    (w_t, b_t), (w_s, b_s) = (map(np.float64, head.get_weights()) for head in heads)
    partners = [unit(row) for row in teacher @ w_t + b_t]
    vectors, own = (np.array(part) for part in bank.draw(indices)["teacher"])
    normalizer = float(bank.log_constants["teacher"])

    def as_anchor(features):
        anchors = [unit(row) for row in features @ w_s + b_s]
        positive = [a @ p / 0.5 for a, p in zip(anchors, partners, strict=True)]
        negatives = np.array([v @ a / 0.5 for v, a in zip(vectors, anchors, strict=True)])
        negatives[own] = -np.inf
        return reference_noise(positive, negatives, normalizer, 5).mean()

    for place in ((0, 0), (1, 3), (2, 4)):
        step = np.zeros(student.shape)
        step[place] = 1e-5
        numeric = (as_anchor(student + step) - as_anchor(student - step)) / 2e-5
        np.testing.assert_allclose(gradient[place], numeric, rtol=1e-3, atol=1e-6)


def test_the_memory_bank_moves_towards_the_embeddings_in_training_only():
    teacher, student = random_features((3, 8), (3, 5))
    indices = np.array([0, 2, 4])
    loss = ContrastiveRepresentation(samples=6, negatives=4, momentum=0.7, size=4)
    loss.compute_loss(teacher, student, indices=indices)
    *heads, bank = loss.own_layers
    before = {side: memory.numpy() for side, memory in bank.memory.items()}
    loss.compute_loss(teacher, student, indices=indices)
    np.testing.assert_array_equal(bank.memory["teacher"], before["teacher"])
    loss.compute_loss(teacher, student, indices=indices, training=True)
    for side, features, head in zip(("teacher", "student"), (teacher, student), heads, strict=True):
        kernel, bias = head.get_weights()
        expected = before[side].copy()
        for index, row in zip(indices, features @ kernel + bias, strict=True):
            expected[index] = unit(0.7 * expected[index] + 0.3 * unit(row))
        np.testing.assert_allclose(bank.memory[side], expected, atol=1e-6)


def test_the_constant_of_the_first_training_batch_is_kept():
    loss = ContrastiveRepresentation(samples=6, negatives=4, size=4)
    constants = []
    for seed in range(2):
        teacher, student = random_features((3, 8), (3, 5), seed=seed)
        loss.compute_loss(teacher, student, indices=np.arange(3), training=True)
        constants.append([float(c) for c in loss.own_layers[2].log_constants.values()])
    assert constants[0] == constants[1]
    assert all(constant != 0 for constant in constants[0])


def test_a_memory_bank_without_indices_is_an_error():
    loss = ContrastiveRepresentation(samples=20, negatives=5, size=4)
    with pytest.raises(ValueError, match="needs the index of each sample"):
        loss.compute_loss(*random_features((4, 8), (4, 5)))


def test_a_permutation_of_the_batch_changes_neither_graphs_nor_channels_nor_contrast():
    teacher, student = random_features(*GRAPH_SHAPES), random_features(*GRAPH_SHAPES, seed=1)
    order = np.random.default_rng(1).permutation(5)
    moved_t, moved_s = ([features[order] for features in side] for side in (teacher, student))
    value = graph_loss().compute_loss(moved_t, moved_s)
    np.testing.assert_allclose(value, graph_loss().compute_loss(teacher, student), rtol=1e-5)
    channels = InterChannelCorrelation("t", "s")
    value = channels.compute_loss(moved_t[0], moved_s[0])
    np.testing.assert_allclose(value, channels.compute_loss(teacher[0], student[0]), rtol=1e-5)
    values = functional.in_batch_contrast(moved_t[2], moved_s[2])
    expected = functional.in_batch_contrast(teacher[2], student[2]).numpy()[order]
    np.testing.assert_allclose(values, expected, rtol=1e-5, atol=1e-5)
