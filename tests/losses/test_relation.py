"""Relation losses against plain NumPy calculations, and the properties their papers state."""

import math

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_distill.losses import (
    ContrastiveRepresentation,
    CorrelationCongruence,
    InterChannelCorrelation,
    ProbabilisticTransfer,
    RelationalKD,
    SimilarityPreserving,
    functional,
)
from tests.losses.relation_references import (
    GRAPH_SHAPES,
    graph_loss,
    random_features,
    rows_of,
    unit,
)

PAIRS = [((6, 16), (6, 5)), ((4, 3, 3, 2), (4, 7))]


RELATIONS = [RelationalKD, SimilarityPreserving, CorrelationCongruence, ProbabilisticTransfer]


def huber(a, b):
    difference = abs(a - b)
    return difference**2 / 2 if difference < 1 else difference - 0.5


def distances(features):
    rows = rows_of(features)
    return np.array([[np.linalg.norm(a - b) for b in rows] for a in rows])


def angles(features):
    rows = rows_of(features)
    return np.array([[[unit(a - v) @ unit(b - v) for a in rows] for b in rows] for v in rows])


def reference_relational(teacher, student, distance_weight=25.0, angle_weight=50.0):
    d_t, d_s = distances(teacher), distances(student)
    d_t, d_s = d_t / d_t[d_t > 0].mean(), d_s / d_s[d_s > 0].mean()
    of_distances = np.mean([huber(a, b) for a, b in zip(d_t.flat, d_s.flat, strict=True)])
    pairs = zip(angles(teacher).flat, angles(student).flat, strict=True)
    of_angles = np.mean([huber(a, b) for a, b in pairs])
    return distance_weight * of_distances + angle_weight * of_angles


def reference_similarity(teacher, student):
    matrices = []
    for rows in (rows_of(teacher), rows_of(student)):
        matrices.append([unit(np.array([a @ b for b in rows])) for a in rows])
    return np.sum(np.subtract(*matrices) ** 2) / len(teacher) ** 2


def reference_congruence(teacher, student, gamma=0.4, order=2):
    def kernel(a, b):
        terms = [(2 * gamma * (a @ b)) ** p / math.factorial(p) for p in range(order + 1)]
        return math.exp(-2 * gamma) * sum(terms)

    total, batch = 0.0, len(teacher)
    t, s = ([unit(row) for row in rows_of(features)] for features in (teacher, student))
    for i in range(batch):
        for j in range(batch):
            total += (kernel(t[i], t[j]) - kernel(s[i], s[j])) ** 2
    return total / batch**2


def reference_probabilistic(teacher, student):
    total, batch = 0.0, len(teacher)
    t, s = ([unit(row) for row in rows_of(features)] for features in (teacher, student))
    for i in range(batch):
        p, q = (np.array([(1 + rows[i] @ row) / 2 for row in rows]) for rows in (t, s))
        p, q = p / p.sum(), q / q.sum()
        total += sum(a * np.log(a / b) for a, b in zip(p, q, strict=True))
    return total / batch


def reference_channels(teacher, student):
    values = []
    for sample in range(len(teacher)):
        matrices = []
        for features in (teacher[sample], student[sample]):
            flat = np.float64(features).reshape(-1, features.shape[-1])
            patterns = [unit(flat[:, c]) for c in range(flat.shape[1])]
            matrices.append([[a @ b for b in patterns] for a in patterns])
        values.append(np.mean(np.subtract(*matrices) ** 2))
    return np.mean(values)


def reference_graph(teacher, student, weights=(0.1, 5.0, 5.0)):
    """As in the paper: squared distances, each divided by the largest."""
    (*layers_t, embedding_t, logits_t), (*layers_s, embedding_s, logits_s) = teacher, student
    vertices = np.mean((np.float64(logits_t) - logits_s) ** 2)
    edges = [distances(embedding) ** 2 for embedding in (embedding_t, embedding_s)]
    edges = np.mean((edges[0] / edges[0].max() - edges[1] / edges[1].max()) ** 2)
    transformations = 0.0
    for layer in range(len(layers_t) - 1):
        moves = []
        for layers in (layers_t, layers_s):
            moved = np.sum((rows_of(layers[layer]) - rows_of(layers[layer + 1])) ** 2, axis=1)
            moves.append(moved / moved.max())
        transformations += np.mean((moves[0] - moves[1]) ** 2)
    return np.dot(weights, [vertices, edges, transformations])


@pytest.mark.parametrize("shapes", PAIRS)
def test_relational_kd_equals_numpy(shapes):
    teacher, student = random_features(*shapes)
    student[0] *= 10.0
    for weights in ((25.0, 50.0), (1.0, 0.0), (0.0, 1.0)):
        loss = RelationalKD(distance_weight=weights[0], angle_weight=weights[1])
        expected = reference_relational(teacher, student, *weights)
        np.testing.assert_allclose(loss.compute_loss(teacher, student), expected, rtol=1e-5)


def test_relational_kd_leaves_equal_samples_out_of_the_mean_distance():
    teacher, student = random_features((6, 4), (6, 3))
    teacher[1] = teacher[0]
    student[3] = student[2]
    value = RelationalKD().compute_loss(teacher, student)
    np.testing.assert_allclose(value, reference_relational(teacher, student), rtol=1e-5)


@pytest.mark.parametrize("shapes", PAIRS)
def test_similarity_preserving_equals_numpy(shapes):
    teacher, student = random_features(*shapes)
    value = SimilarityPreserving().compute_loss(teacher, student)
    np.testing.assert_allclose(value, reference_similarity(teacher, student), rtol=1e-5)


@pytest.mark.parametrize("shapes", PAIRS)
def test_correlation_congruence_equals_numpy(shapes):
    teacher, student = random_features(*shapes)
    for settings in ((0.4, 2), (1.5, 1), (0.2, 5)):
        value = CorrelationCongruence(*settings).compute_loss(teacher, student)
        expected = reference_congruence(teacher, student, *settings)
        np.testing.assert_allclose(value, expected, rtol=1e-5, err_msg=str(settings))


def test_correlation_congruence_of_high_order_compares_gaussian_kernels():
    teacher, student = random_features((5, 4), (5, 3))
    kernels = []
    for features in (teacher, student):
        rows = [unit(row) for row in rows_of(features)]
        kernels.append([[np.exp(-0.4 * np.sum((a - b) ** 2)) for b in rows] for a in rows])
    value = CorrelationCongruence(0.4, 12).compute_loss(teacher, student)
    np.testing.assert_allclose(value, np.mean(np.subtract(*kernels) ** 2), rtol=1e-5)


@pytest.mark.parametrize("shapes", PAIRS)
def test_probabilistic_transfer_equals_numpy(shapes):
    teacher, student = random_features(*shapes)
    value = ProbabilisticTransfer().compute_loss(teacher, student)
    np.testing.assert_allclose(value, reference_probabilistic(teacher, student), rtol=1e-5)


@pytest.mark.parametrize("shape", [(3, 4, 4, 8), (4, 7, 6)])
def test_inter_channel_correlation_equals_numpy(shape):
    teacher, student = random_features(shape, shape)
    value = InterChannelCorrelation("t", "s").compute_loss(teacher, student)
    np.testing.assert_allclose(value, reference_channels(teacher, student), rtol=1e-5)


def test_inter_channel_correlation_allows_spaces_of_different_size():
    teacher, student = random_features((3, 4, 4, 5), (3, 6, 7, 5))
    values = functional.inter_channel_correlation(teacher, student)
    expected = reference_channels(teacher, student)
    np.testing.assert_allclose(np.mean(values), expected, rtol=1e-5)


def test_inter_channel_correlation_maps_the_students_channels():
    teacher, student = random_features((3, 4, 4, 8), (3, 4, 4, 5))
    loss = InterChannelCorrelation("t", "s")
    value = loss.compute_loss(teacher, student)
    kernel, bias = loss.own_layers[0].get_weights()
    expected = reference_channels(teacher, np.float64(student) @ kernel + bias)
    np.testing.assert_allclose(value, expected, rtol=1e-5)


@pytest.mark.parametrize(
    ("teacher_shapes", "student_shapes"),
    [
        (GRAPH_SHAPES, [(5, 6, 6, 2), (5, 6, 6, 2), (5, 7), (5, 3)]),
        ([*[(3, 2, 5, 1)] * 3, (3, 4), (3, 10)], [*[(3, 6, 3)] * 3, (3, 2), (3, 10)]),
        ([(5, 8), (5, 3)], [(5, 4), (5, 3)]),
    ],
)
def test_instance_graph_equals_numpy(teacher_shapes, student_shapes):
    teacher, student = random_features(*teacher_shapes), random_features(*student_shapes, seed=1)
    for weights in ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0), (0.1, 5.0, 5.0)):
        value = graph_loss(*weights, layers=len(teacher)).compute_loss(teacher, student)
        expected = reference_graph(teacher, student, weights)
        np.testing.assert_allclose(value, expected, rtol=1e-5, err_msg=str(weights))


def test_instance_graph_brings_layers_of_different_shape_together():
    teacher = random_features((4, 8, 8, 3), (4, 4, 4, 6), (4, 6), (4, 3))
    student = random_features((4, 4, 4, 6), (4, 4, 4, 2), (4, 5), (4, 3), seed=1)
    pooled = teacher[0].reshape(4, 4, 2, 4, 2, 3).mean((2, 4))
    halved = (teacher[1][..., 0::2] + teacher[1][..., 1::2]) / 2
    grouped = np.stack([student[0][..., 0:3].mean(-1), student[0][..., 3:6].mean(-1)], -1)
    expected = reference_graph([pooled, halved, *teacher[2:]], [grouped, *student[1:]])
    np.testing.assert_allclose(graph_loss().compute_loss(teacher, student), expected, rtol=1e-5)


@pytest.mark.parametrize("make", RELATIONS)
def test_a_permutation_of_the_batch_changes_nothing(make):
    teacher, student = random_features((6, 16), (6, 5))
    order = np.random.default_rng(1).permutation(6)
    expected = float(make().compute_loss(teacher, student))
    value = make().compute_loss(teacher[order], student[order])
    np.testing.assert_allclose(value, expected, rtol=1e-5)
    assert float(make().compute_loss(teacher, student[order])) != pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize("make", RELATIONS)
def test_loss_and_gradient_are_zero_for_equal_embeddings(make):
    (teacher,) = random_features((6, 4))
    student = tf.Variable(teacher)
    with tf.GradientTape() as tape:
        value = make().compute_loss(teacher, student)
    np.testing.assert_allclose(value, 0.0, atol=1e-7)
    np.testing.assert_allclose(tape.gradient(value, student), 0.0, atol=1e-7)


def test_graphs_and_channels_are_zero_for_equal_features():
    features = random_features(*GRAPH_SHAPES)
    np.testing.assert_allclose(graph_loss().compute_loss(features, features), 0.0, atol=1e-12)
    value = InterChannelCorrelation("t", "s").compute_loss(features[0], features[0])
    np.testing.assert_allclose(value, 0.0, atol=1e-12)


@pytest.mark.parametrize("side", [0, 1])
def test_relational_kd_ignores_scale_and_translation(side):
    pair = random_features((6, 16), (6, 5))
    expected = RelationalKD().compute_loss(*pair)
    pair[side] = 3.0 * pair[side] + 2.0
    np.testing.assert_allclose(RelationalKD().compute_loss(*pair), expected, rtol=1e-5)


@pytest.mark.parametrize("make", RELATIONS[1:])
def test_only_the_directions_of_embeddings_count(make):
    teacher, student = random_features((6, 16), (6, 5))
    expected = make().compute_loss(teacher, student)
    for factor in (0.01, 3.0, 1e4):
        value = make().compute_loss(teacher, np.float32(factor) * student)
        np.testing.assert_allclose(value, expected, rtol=1e-5)


@pytest.mark.parametrize("make", [*RELATIONS, ContrastiveRepresentation])
def test_value_and_gradient_are_finite(make):
    for batch, scale in ((1, 1.0), (1, 1e4), (6, 1e4), (6, 1e-12), (6, 0.0)):
        teacher, student = random_features((batch, 8), (batch, 5))
        variable = tf.Variable(np.float32(scale) * student)
        with tf.GradientTape() as tape:
            value = make().compute_loss(np.float32(scale) * teacher, variable)
        assert np.isfinite(value), (batch, scale)
        assert np.isfinite(tape.gradient(value, variable)).all(), (batch, scale)


def test_values_and_gradients_of_graphs_and_channels_are_finite():
    for batch, scale in ((1, 1.0), (1, 1e4), (5, 1e4), (5, 1e-12), (5, 0.0)):
        shapes = [(batch, *shape[1:]) for shape in GRAPH_SHAPES]
        teacher = [np.float32(scale) * features for features in random_features(*shapes)]
        start = random_features(*shapes, seed=1)
        student = [tf.Variable(np.float32(scale) * features) for features in start]
        with tf.GradientTape() as tape:
            graphs = graph_loss().compute_loss(teacher, student)
            channels = InterChannelCorrelation("t", "s").compute_loss(teacher[0], student[0])
        assert np.isfinite([graphs, channels]).all(), (batch, scale)
        gradients = tape.gradient([graphs, channels], student)
        assert all(np.isfinite(gradient).all() for gradient in gradients), (batch, scale)


@pytest.mark.parametrize(
    ("make", "reference"),
    [
        (RelationalKD, reference_relational),
        (SimilarityPreserving, reference_similarity),
        (CorrelationCongruence, reference_congruence),
        (ProbabilisticTransfer, reference_probabilistic),
        (InterChannelCorrelation, reference_channels),
    ],
)
def test_lists_of_layers_are_summed(make, reference):
    first = random_features((4, 3, 3, 2), (4, 3, 3, 2))
    second = random_features((4, 2, 2, 5), (4, 2, 2, 5), seed=1)
    loss = make(teacher_layer_name=["a", "b"], student_layer_name=["c", "d"])
    value = loss.compute_loss([first[0], second[0]], [first[1], second[1]])
    np.testing.assert_allclose(value, reference(*first) + reference(*second), rtol=1e-5)


def test_weights_of_relational_kd_follow_their_schedules():
    teacher, student = random_features((6, 16), (6, 5))
    for argument in ("distance_weight", "angle_weight"):
        loss = RelationalKD(**{argument: keras.optimizers.schedules.PolynomialDecay(0.0, 10, 1.0)})
        for step in (0, 5, 10):
            value = loss.compute_loss(teacher, student, step=step)
            expected = reference_relational(teacher, student, **{argument: step / 10})
            np.testing.assert_allclose(value, expected, rtol=1e-5, err_msg=argument)


def test_weights_of_instance_graph_follow_their_schedules():
    teacher, student = random_features(*GRAPH_SHAPES), random_features(*GRAPH_SHAPES, seed=1)
    for position in range(3):
        weights = [0.1, 5.0, 5.0]
        weights[position] = keras.optimizers.schedules.PolynomialDecay(0.0, 10, 1.0)
        scheduled = graph_loss(*weights)
        for step in (0, 5, 10):
            weights[position] = step / 10
            value = scheduled.compute_loss(teacher, student, step=step)
            expected = graph_loss(*weights).compute_loss(teacher, student)
            np.testing.assert_allclose(value, expected, rtol=1e-5, err_msg=str(position))
