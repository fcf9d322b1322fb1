"""Transformed teacher matching, the teacher's decisions, and standardized logits."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy.special import log_softmax, softmax

from keras_distill import Distiller, SoftTargets
from keras_distill.losses import DecoupledKD, HardLabels, MultiLevelLogits, TransformedTeacher
from tests.losses.numeric import assert_equal_to, by_tape, random_arrays


def reference_transformed(teacher, student, exponent, weighted):
    powers = softmax(teacher, -1) ** exponent
    total = powers.sum(-1, keepdims=True)
    p, log_q = powers / total, log_softmax(student, -1)
    values = (p * (np.log(p) - log_q)).sum(-1)
    return np.mean(values * total[..., 0] if weighted else values)


@pytest.mark.parametrize("weighted", [True, False])
@pytest.mark.parametrize("temperature", [1.0, 2.0, 10.0])
def test_transformed_teacher_equals_numpy(temperature, weighted):
    teacher, student = (2 * side for side in random_arrays((3, 5), (3, 5)))
    loss = TransformedTeacher(temperature, weighted)
    exponent = 1 / temperature
    calculate = lambda s: reference_transformed(teacher, s, exponent, weighted)  # noqa: E731
    assert_equal_to(loss, teacher, student, calculate)


def test_it_softens_the_teacher_alone_so_its_gradient_is_the_difference_of_probabilities():
    teacher, student = random_arrays((3, 5), (3, 5))
    _, gradient = by_tape(TransformedTeacher(4.0, weighted=False), teacher, student)
    expected = (softmax(student, -1) - softmax(teacher / 4, -1)) / 3
    np.testing.assert_allclose(gradient, expected, atol=1e-12)


def test_at_temperature_1_it_is_soft_targets_with_and_without_weights():
    sides = random_arrays((3, 5), (3, 5))
    values = [TransformedTeacher(1.0, w).compute_loss(*sides) for w in (True, False)]
    np.testing.assert_allclose(values, [SoftTargets(1.0).compute_loss(*sides)] * 2, rtol=1e-9)


def test_a_teacher_in_doubt_counts_more():
    student = np.zeros((1, 4))
    certain, in_doubt = np.array([[9.0, 0, 0, 0]]), np.array([[1.0, 0.5, 0, 0]])
    ratios = []
    for teacher in (certain, in_doubt):
        both = [TransformedTeacher(4.0, w).compute_loss(teacher, student) for w in (True, False)]
        ratios.append(float(both[0] / both[1]))
    assert 1 < ratios[0] < ratios[1] < 4**0.75


@pytest.mark.parametrize("scale", [1.0, 1e4])
def test_hard_labels_equal_the_cross_entropy_with_the_decisions(scale):
    teacher, student = (scale * side for side in random_arrays((2, 3, 5), (2, 3, 5)))
    expected = -np.take_along_axis(log_softmax(student, -1), teacher.argmax(-1)[..., None], -1)
    np.testing.assert_allclose(HardLabels().compute_loss(teacher, student), expected.mean())
    mask = np.array([[True, True, False], [True, False, False]])
    value = HardLabels().compute_loss(teacher, student, mask=mask)
    rows = [row[m].mean() for row, m in zip(expected[..., 0], mask, strict=True)]
    np.testing.assert_allclose(value, np.mean(rows))


def test_hard_labels_see_a_softmax_and_nothing_but_the_order_of_the_teacher():
    teacher, student = random_arrays((4, 5), (4, 5))
    expected, gradient = by_tape(HardLabels(), teacher, student)
    for other in (teacher**3, softmax(teacher, -1)):
        found = by_tape(HardLabels(), other, student)
        np.testing.assert_allclose(found[0], expected)
        np.testing.assert_allclose(found[1], gradient)
    one_hot = np.eye(5)[teacher.argmax(-1)]
    np.testing.assert_allclose(gradient, (softmax(student, -1) - one_hot) / 4, atol=1e-12)


def test_a_distillation_token_learns_the_decisions_and_the_class_token_the_labels(crossentropy):
    def two_tokens():
        inputs = keras.Input((6,))
        heads = [keras.layers.Dense(3, name=name)(inputs) for name in ("class", "distillation")]
        # DeiT's mean of both at inference needs both in the output's graph.
        return keras.Model(inputs, keras.layers.Average(name="mean")(heads))

    teacher = keras.Sequential([keras.Input((6,)), keras.layers.Dense(3)])
    x = np.random.default_rng(0).normal(size=(32, 6)).astype("float32")
    student = two_tokens()
    before = [np.array(w) for w in student.get_layer("class").weights]
    loss = HardLabels(student_layer_name="distillation")
    distiller = Distiller(teacher, student, loss, student_loss_weight=0.0)
    distiller.compile(keras.optimizers.SGD(1.0), crossentropy)
    distiller.fit(x, np.zeros(32), epochs=25, batch_size=32, verbose=0)
    tokens = keras.Model(student.inputs, student.get_layer("distillation").output)
    decisions = [np.argmax(model(x), -1) for model in (teacher, tokens)]
    assert np.mean(decisions[0] == decisions[1]) > 0.9
    for old, new in zip(before, student.get_layer("class").weights, strict=True):
        np.testing.assert_array_equal(old, new)


def standard(logits):
    deviation = logits.std(-1, keepdims=True, ddof=1)
    return (logits - logits.mean(-1, keepdims=True)) / (deviation + 1e-7)


def test_standardized_decoupled_kd_is_that_of_standardized_logits():
    teacher, student = random_arrays((4, 5), (4, 5))
    labels = np.arange(4)
    value = DecoupledKD(standardize=True).compute_loss(teacher, student, labels=labels)
    given = standard(teacher), standard(student)
    np.testing.assert_allclose(value, DecoupledKD().compute_loss(*given, labels=labels), rtol=1e-9)
    moved = 3 * teacher + 2, 0.5 * student - 1
    again = DecoupledKD(standardize=True).compute_loss(*moved, labels=labels)
    np.testing.assert_allclose(again, value, rtol=1e-6)


def test_multi_level_logits_standardize_the_instances_alone():
    teacher, student = random_arrays((4, 5), (4, 5))
    given = standard(teacher), standard(student)
    of_instances, of_others = (1.0, 0.0, 0.0), (0.0, 1.0, 1.0)
    for weights, sides in ((of_instances, given), (of_others, (teacher, student))):
        value = MultiLevelLogits([2.0, 3.0], *weights, standardize=True).compute_loss(
            teacher, student
        )
        expected = MultiLevelLogits([2.0, 3.0], *weights).compute_loss(*sides)
        np.testing.assert_allclose(value, expected, rtol=1e-9)


@pytest.mark.parametrize("make", [DecoupledKD, MultiLevelLogits])
def test_logits_without_spread_have_a_finite_gradient(make):
    variable = tf.Variable(np.ones((2, 4), "float32"))
    with tf.GradientTape() as tape:
        loss = make(standardize=True)
        value = loss.compute_loss(np.eye(2, 4), variable, labels=np.array([0, 1]))
    assert np.isfinite(tape.gradient(value, variable)).all()
