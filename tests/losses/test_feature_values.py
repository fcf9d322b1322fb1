"""Values and invariances of the feature losses, against NumPy in float64."""

import numpy as np
import pytest
from scipy.special import log_softmax

from keras_distill.losses import (
    ActivationBoundary,
    ChannelWise,
    FactorTransfer,
    FlowOfSolution,
    HiddenStates,
    KnowledgeReview,
    MaskedGenerative,
    NeuronSelectivity,
    OverhaulFeature,
    SimpleKD,
    VariationalInformation,
    functional,
)
from tests.losses.feature_references import SHAPES, pool_to_smaller, random_features, unit

BOTH_SIDES = r"(?s)Teacher.*Student"


def channels_of(sample):
    """Each channel's values over the positions."""
    return np.float64(sample).reshape(-1, sample.shape[-1]).T


def reference_flow(first, second):
    first, second = pool_to_smaller(first, second)
    return np.array(
        [
            [[np.mean(a * b) for b in channels_of(y)] for a in channels_of(x)]
            for x, y in zip(first, second, strict=True)
        ]
    )


def reference_selectivity(teacher, student):
    teacher, student = pool_to_smaller(teacher, student)
    kernel = lambda xs, ys: np.mean([[(x @ y) ** 2 for y in ys] for x in xs])  # noqa: E731
    values = []
    for t, s in zip(teacher, student, strict=True):
        t, s = [unit(c) for c in channels_of(t)], [unit(c) for c in channels_of(s)]
        values.append(kernel(t, t) + kernel(s, s) - 2 * kernel(t, s))
    return np.mean(values)


def reference_hinge(teacher, student, margin):
    values = []
    for t, s in zip(teacher.flat, np.float64(student).flat, strict=True):
        should_be_on = t > 0
        values.append(max(0.0, margin - s if should_be_on else margin + s) ** 2)
    return np.mean(values)


def reference_margins(features):
    """The mean of each channel's negative values."""
    columns = np.float64(features).reshape(-1, features.shape[-1]).T
    return np.array([c[c < 0].mean() if (c < 0).any() else 0.0 for c in columns])


def reference_partial(teacher, student):
    values = []
    for t, s in zip(np.float64(teacher).flat, np.float64(student).flat, strict=True):
        values.append(0.0 if t <= 0 and s <= t else (t - s) ** 2)
    return np.mean(values)


def reference_overhaul(teacher, student, margins):
    return reference_partial(np.maximum(np.float64(teacher), margins), student)


def reference_channels(teacher, student, temperature):
    values = []
    for t, s in zip(teacher, student, strict=True):
        for a, b in zip(channels_of(t), channels_of(s), strict=True):
            log_p, log_q = log_softmax(a / temperature), log_softmax(b / temperature)
            values.append(temperature**2 * (np.exp(log_p) * (log_p - log_q)).sum())
    return np.mean(values)


@pytest.mark.parametrize(
    "shapes",
    [
        [(3, 4, 4, 5), (3, 4, 4, 2)],
        [(2, 8, 8, 3), (2, 4, 4, 4), (2, 2, 2, 5)],
        [(2, 3, 6, 4), (2, 6, 6, 3)],
        [(3, 12, 2), (3, 4, 6)],
    ],
)
def test_flow_of_solution_equals_numpy_and_is_zero_at_the_teacher(shapes):
    teacher, student = random_features(*shapes), random_features(*shapes, seed=1)
    names = [str(i) for i in range(len(shapes))]
    loss = FlowOfSolution(names, names, projector=None)
    expected = 0.0
    for i in range(len(shapes) - 1):
        flows = [reference_flow(side[i], side[i + 1]) for side in (teacher, student)]
        expected += np.mean((flows[0] - flows[1]) ** 2)
    np.testing.assert_allclose(loss.compute_loss(teacher, student), expected, rtol=1e-5)
    assert loss.compute_loss(teacher, teacher) == 0.0


def test_flow_of_solution_equals_numpy_through_its_projectors():
    teacher = random_features((2, 8, 8, 4), (2, 4, 4, 6))
    student = random_features((2, 8, 8, 3), (2, 4, 4, 5), seed=1)
    loss = FlowOfSolution(["a", "b"], ["c", "d"])
    loss.prepare([t.shape for t in teacher], [s.shape for s in student])
    projected = []
    for layer, features in zip(loss.own_layers, student, strict=True):
        kernel, bias = layer.get_weights()
        projected.append(np.float64(features) @ np.float64(kernel) + bias)
    expected = np.mean((reference_flow(*teacher) - reference_flow(*projected)) ** 2)
    np.testing.assert_allclose(loss.compute_loss(teacher, student), expected, rtol=1e-5)


@pytest.mark.parametrize(
    ("teacher_shape", "student_shape"),
    [((3, 4, 4, 6), (3, 4, 4, 3)), ((2, 6, 8, 2), (2, 3, 4, 5)), ((2, 5, 3), (2, 10, 4))],
)
def test_neuron_selectivity_equals_numpy(teacher_shape, student_shape):
    teacher, student = random_features(teacher_shape, student_shape)
    loss = NeuronSelectivity("t", "s")
    expected = reference_selectivity(teacher, student)
    np.testing.assert_allclose(loss.compute_loss(teacher, student), expected, rtol=1e-5)
    np.testing.assert_allclose(loss.compute_loss(teacher, teacher), 0.0, atol=1e-7)


def test_neuron_selectivity_ignores_the_order_and_the_scale_of_channels():
    teacher, student = random_features((2, 4, 4, 6), (2, 4, 4, 3))
    loss = NeuronSelectivity("t", "s")
    expected = loss.compute_loss(teacher, student)
    moved = loss.compute_loss(teacher[..., ::-1], np.float32([3, 0.5, 8]) * student)
    np.testing.assert_allclose(moved, expected, rtol=1e-5)


@pytest.mark.parametrize("shape", SHAPES)
def test_activation_boundary_equals_numpy(shape):
    teacher, student = random_features(shape, shape)
    for margin in (0.5, 1.0, 2.0):
        value = ActivationBoundary("t", "s", margin, projector=None).compute_loss(teacher, student)
        np.testing.assert_allclose(value, reference_hinge(teacher, student, margin), rtol=1e-5)


def test_activation_boundary_is_zero_beyond_the_margin_on_the_teachers_side():
    (teacher,) = random_features((3, 4, 5, 6))
    loss = ActivationBoundary("t", "s", margin=1.5, projector=None)
    assert loss.compute_loss(teacher, 1.5 * np.sign(teacher)) == 0.0
    assert loss.compute_loss(teacher, 9.0 * np.sign(teacher)) == 0.0
    assert loss.compute_loss(teacher, 1.4 * np.sign(teacher)) > 0.0


@pytest.mark.parametrize("shape", SHAPES)
def test_overhaul_equals_numpy_with_the_margins_of_the_batch(shape):
    teacher, student = random_features(shape, shape)
    teacher[..., 0] = np.abs(teacher[..., 0])
    value = OverhaulFeature("t", "s", projector=None).compute_loss(teacher, student)
    expected = reference_overhaul(teacher, student, reference_margins(teacher))
    np.testing.assert_allclose(value, expected, rtol=1e-5)


def test_overhaul_is_zero_where_the_teacher_is_not_positive_and_the_student_lies_below():
    teacher, gap = np.abs(random_features((3, 4, 5, 6), (3, 4, 5, 6)))
    loss = OverhaulFeature("t", "s", projector=None)
    assert loss.compute_loss(-teacher, -teacher.max() - gap) == 0.0
    assert loss.compute_loss(0.0 * teacher, -gap) == 0.0
    assert loss.compute_loss(teacher, -gap) > 0.0


def test_overhaul_margins_are_the_means_over_all_training_batches():
    first, second, student = random_features((4, 3, 3, 5), (4, 3, 3, 5), (4, 3, 3, 5))
    loss = OverhaulFeature("t", "s", projector=None)
    loss.prepare(first.shape, student.shape)
    for batch in (first, second):
        loss.compute_loss(batch, student, training=True)
    expected = reference_overhaul(first, student, reference_margins(np.stack([first, second])))
    np.testing.assert_allclose(loss.compute_loss(first, student), expected, rtol=1e-5)


@pytest.mark.parametrize("shape", SHAPES)
def test_margin_relu_is_the_larger_of_the_value_and_the_margin(shape):
    features, margin = random_features(shape, shape[-1:])
    margin = -np.abs(margin)
    expected = [
        max(x, m) for x, m in zip(features.flat, np.resize(margin, features.size), strict=True)
    ]
    actual = functional.margin_relu(features, margin)
    np.testing.assert_array_equal(actual, np.reshape(expected, shape))


@pytest.mark.parametrize("shape", SHAPES)
def test_partial_distance_equals_numpy(shape):
    teacher, student = random_features(shape, shape)
    teacher.flat[::5] = 0.0
    expected = [reference_partial(t, s) for t, s in zip(teacher, student, strict=True)]
    np.testing.assert_allclose(functional.partial_distance(teacher, student), expected, rtol=1e-5)


@pytest.mark.parametrize("shape", SHAPES[:2])
def test_channel_wise_equals_numpy_and_is_zero_at_the_teacher(shape):
    teacher, student = (3 * f for f in random_features(shape, shape))
    for temperature in (1.0, 4.0):
        loss = ChannelWise("t", "s", temperature, projector=None)
        expected = reference_channels(teacher, student, temperature)
        np.testing.assert_allclose(loss.compute_loss(teacher, student), expected, rtol=1e-5)
        assert loss.compute_loss(teacher, teacher) == 0.0


def test_channel_wise_ignores_a_shift_of_each_channel():
    teacher, student = random_features((2, 4, 4, 3), (2, 4, 4, 3))
    loss = ChannelWise("t", "s", projector=None)
    expected = loss.compute_loss(teacher, student)
    moved = loss.compute_loss(teacher, student + np.float32([1, -2, 5]))
    np.testing.assert_allclose(moved, expected, rtol=1e-4)


@pytest.mark.parametrize(
    ("loss", "teacher_shape", "student_shape"),
    [
        (NeuronSelectivity("t", "s"), (2, 4, 4, 3), (2, 8)),
        (ActivationBoundary("t", "s", projector=None), (2, 4, 4, 3), (2, 4, 4, 5)),
        (ActivationBoundary("t", "s"), (2, 4, 4, 3), (2, 8)),
        (OverhaulFeature("t", "s", projector=None), (2, 4, 4, 3), (2, 2, 2, 3)),
        (ChannelWise("t", "s", projector=None), (2, 4, 4, 3), (2, 4, 4, 5)),
        (ChannelWise("t", "s"), (2, 8), (2, 8)),
        (MaskedGenerative("t", "s", projector=None), (2, 4, 4, 3), (2, 4, 4, 5)),
        (MaskedGenerative("t", "s"), (2, 4, 4, 3), (2, 3)),
        (HiddenStates("t", "s"), (2, 5, 4), (2, 6, 4)),
        (HiddenStates("t", "s"), (2, 4), (2, 4)),
        (HiddenStates("t", "s", projector=None), (2, 5, 4), (2, 5, 3)),
        (VariationalInformation("t", "s"), (2, 4, 4, 3), (2, 3)),
        (FactorTransfer("t", "s"), (2, 4, 4, 3), (2, 4, 3)),
        (FactorTransfer("t", "s"), (2, 8), (2, 8)),
    ],
)
def test_features_that_do_not_fit_are_refused_with_both_sides(loss, teacher_shape, student_shape):
    with pytest.raises(ValueError, match=BOTH_SIDES):
        loss.compute_loss(np.zeros(teacher_shape), np.zeros(student_shape))


@pytest.mark.parametrize(
    ("loss", "student_shapes"),
    [
        (FlowOfSolution(["a", "b"], ["c", "d"], projector=None), [(2, 4, 4, 3), (2, 4, 4, 6)]),
        (FlowOfSolution(["a", "b"], ["c", "d"]), [(2, 4, 4, 3), (2, 5)]),
        (KnowledgeReview(["a", "b"], ["c", "d"]), [(2, 4, 4, 3), (2, 4, 5)]),
        (KnowledgeReview(["a", "b"], ["c", "d"]), [(2, 4, 4, 3), (2, 5)]),
    ],
)
def test_lists_of_features_that_do_not_fit_are_refused_with_both_sides(loss, student_shapes):
    teacher = [np.zeros((2, 4, 4, 3)), np.zeros((2, 4, 4, 5))]
    with pytest.raises(ValueError, match=BOTH_SIDES):
        loss.compute_loss(teacher, [np.zeros(shape) for shape in student_shapes])


def test_the_flow_of_one_layer_is_refused():
    with pytest.raises(ValueError, match=r"two layers"):
        FlowOfSolution("a", "b").compute_loss(np.zeros((2, 4, 4, 3)), np.zeros((2, 4, 4, 3)))


@pytest.mark.parametrize(
    ("teacher_shape", "student_shape"),
    [((3, 4, 4, 6), (3, 4, 4, 6)), ((2, 8, 8, 3), (2, 4, 4, 3)), ((2, 6, 4), (2, 6, 4))],
)
def test_simkd_is_the_mean_squared_error_at_the_smaller_size(teacher_shape, student_shape):
    teacher, student = random_features(teacher_shape, student_shape)
    expected = np.mean(np.square(np.subtract(*pool_to_smaller(teacher, student))))
    value = SimpleKD("t", "s").compute_loss(teacher, student)
    np.testing.assert_allclose(value, expected, rtol=1e-5)


def test_simkd_without_its_projector_names_both_shapes():
    with pytest.raises(ValueError, match=BOTH_SIDES):
        SimpleKD("t", "s").compute_loss(*random_features((2, 4, 4, 6), (2, 4, 4, 3)))
