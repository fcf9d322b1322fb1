"""Response losses against plain NumPy calculations, and the properties their papers state."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy.special import expit, log_softmax, logsumexp, softmax

from keras_distill.losses import (
    DIST,
    DecoupledKD,
    MultiLevelLogits,
    NormalizedKD,
    SigmoidTargets,
    SoftTargets,
    VirtualTeacher,
)

SHAPES = [(6, 10), (2, 3, 5)]
ROW_SHAPES = [(6, 10), (9, 3)]


def random_logits(shape=(6, 10), scale=3.0, seed=0):
    rng = np.random.default_rng(seed)
    return tuple((scale * rng.standard_normal(shape)).astype("float32") for _ in range(2))


def random_labels(shape=(6, 10), seed=1):
    return np.random.default_rng(seed).integers(0, shape[-1], shape[:-1])


def samples_of(teacher, student, labels=None):
    classes = teacher.shape[-1]
    rows = [np.float64(z).reshape(-1, classes) for z in (teacher, student)]
    return zip(*rows, *([] if labels is None else [labels.reshape(-1)]), strict=True)


def kl(log_p, log_q):
    return sum(np.exp(a) * (a - b) for a, b in zip(log_p, log_q, strict=True))


def reference_decoupled(teacher, student, labels, alpha=1.0, beta=8.0, temperature=4.0):
    values = []
    for t, s, y in samples_of(teacher, student, labels):
        binary, others = [], []
        for z in (t / temperature, s / temperature):
            rest = np.delete(z, y)
            total = logsumexp(z)
            binary.append([z[y] - total, logsumexp(rest) - total])
            others.append(rest - logsumexp(rest))
        values.append(temperature**2 * (alpha * kl(*binary) + beta * kl(*others)))
    return np.mean(values)


def reference_normalized(teacher, student, labels, gamma=1.5, temperature=1.0):
    values = []
    for t, s, y in samples_of(teacher, student, labels):
        target = -softmax(t)[y] * log_softmax(s)[y]
        n_t = softmax(np.delete(t, y) / temperature)
        log_n_s = log_softmax(np.delete(s, y) / temperature)
        other = -sum(a * b for a, b in zip(n_t, log_n_s, strict=True))
        values.append(target + gamma * temperature**2 * other)
    return np.mean(values)


def reference_sigmoid(teacher, student, temperature=1.0):
    values = []
    for t, s in samples_of(teacher, student):
        p, q = expit(t / temperature), expit(s / temperature)
        value = 0.0
        for a, b in zip(p, q, strict=True):
            value += a * np.log(a / b) + (1 - a) * np.log((1 - a) / (1 - b))
        values.append(temperature**2 * value)
    return np.mean(values)


def reference_virtual(student, labels, correct_prob=0.99, temperature=20.0):
    values = []
    for s, _, y in samples_of(student, student, labels):
        design = np.full(len(s), (1 - correct_prob) / (len(s) - 1))
        design[y] = correct_prob
        log_p = log_softmax(design / temperature)
        values.append(temperature**2 * kl(log_p, log_softmax(s / temperature)))
    return np.mean(values)


def reference_multi_level(teacher, student, temperatures, weights=(1.0, 1.0, 1.0)):
    total = 0.0
    for temperature in temperatures:
        p, q = (softmax(np.float64(z) / temperature, -1) for z in (teacher, student))
        batch, classes = p.shape
        instance = np.mean([kl(np.log(a), np.log(b)) for a, b in zip(p, q, strict=True)])
        samples = sum((p[i] @ p[j] - q[i] @ q[j]) ** 2 for i in range(batch) for j in range(batch))
        columns = sum(
            (p[:, i] @ p[:, j] - q[:, i] @ q[:, j]) ** 2
            for i in range(classes)
            for j in range(classes)
        )
        levels = (temperature**2 * instance, samples / batch, columns / classes)
        total += sum(w * level for w, level in zip(weights, levels, strict=True))
    return total


def reference_dist(teacher, student, beta=1.0, gamma=1.0, temperature=1.0):
    p, q = (softmax(np.float64(z) / temperature, -1) for z in (teacher, student))
    rows = np.mean([1 - np.corrcoef(a, b)[0, 1] for a, b in zip(p, q, strict=True)])
    columns = np.mean([1 - np.corrcoef(a, b)[0, 1] for a, b in zip(p.T, q.T, strict=True)])
    return temperature**2 * (beta * rows + gamma * columns)


@pytest.mark.parametrize("shape", SHAPES)
def test_decoupled_kd_equals_numpy(shape):
    teacher, student = random_logits(shape)
    labels = random_labels(shape)
    for settings in ((1.0, 8.0, 4.0), (0.3, 2.0, 1.0), (2.0, 0.0, 0.5)):
        value = DecoupledKD(*settings).compute_loss(teacher, student, labels=labels)
        expected = reference_decoupled(teacher, student, labels, *settings)
        np.testing.assert_allclose(value, expected, rtol=1e-5, err_msg=str(settings))


@pytest.mark.parametrize("shape", SHAPES)
def test_normalized_kd_equals_numpy(shape):
    teacher, student = random_logits(shape)
    labels = random_labels(shape)
    for settings in ((1.5, 1.0), (0.7, 3.0), (0.0, 2.0)):
        value = NormalizedKD(*settings).compute_loss(teacher, student, labels=labels)
        expected = reference_normalized(teacher, student, labels, *settings)
        np.testing.assert_allclose(value, expected, rtol=1e-5, err_msg=str(settings))


@pytest.mark.parametrize("shape", [*SHAPES, (5, 1)])
def test_sigmoid_targets_equal_numpy(shape):
    teacher, student = random_logits(shape)
    for temperature in (0.5, 1.0, 4.0):
        value = SigmoidTargets(temperature).compute_loss(teacher, student)
        expected = reference_sigmoid(teacher, student, temperature)
        np.testing.assert_allclose(value, expected, rtol=1e-5, err_msg=str(temperature))


@pytest.mark.parametrize("shape", SHAPES)
def test_virtual_teacher_equals_numpy(shape):
    _, student = random_logits(shape)
    labels = random_labels(shape)
    for settings in ((0.99, 20.0), (0.9, 0.25), (0.5, 1.0)):
        value = VirtualTeacher(*settings).compute_loss(None, student, labels=labels)
        expected = reference_virtual(student, labels, *settings)
        np.testing.assert_allclose(value, expected, rtol=1e-5, err_msg=str(settings))


@pytest.mark.parametrize("shape", ROW_SHAPES)
def test_multi_level_logits_equal_numpy(shape):
    teacher, student = random_logits(shape)
    temperatures = [1.0, 3.0, 5.5]
    for weights in ((1.0, 1.0, 1.0), (9.0, 0.5, 2.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)):
        value = MultiLevelLogits(temperatures, *weights).compute_loss(teacher, student)
        expected = reference_multi_level(teacher, student, temperatures, weights)
        np.testing.assert_allclose(value, expected, rtol=1e-5, err_msg=str(weights))


@pytest.mark.parametrize("shape", ROW_SHAPES)
def test_dist_equals_numpy(shape):
    teacher, student = random_logits(shape)
    for settings in ((1.0, 1.0, 1.0), (2.0, 0.5, 4.0), (0.0, 1.0, 2.0)):
        value = DIST(*settings).compute_loss(teacher, student)
        expected = reference_dist(teacher, student, *settings)
        np.testing.assert_allclose(value, expected, rtol=1e-5, err_msg=str(settings))


def test_defaults_are_the_documented_ones():
    teacher, student = random_logits()
    labels = random_labels()
    expected = {
        DecoupledKD: reference_decoupled(teacher, student, labels, 1.0, 8.0, 4.0),
        NormalizedKD: reference_normalized(teacher, student, labels, 1.5, 1.0),
        SigmoidTargets: reference_sigmoid(teacher, student, 1.0),
        VirtualTeacher: reference_virtual(student, labels, 0.99, 20.0),
        MultiLevelLogits: reference_multi_level(teacher, student, range(2, 7)),
        DIST: reference_dist(teacher, student, 1.0, 1.0, 1.0),
    }
    for make, value in expected.items():
        actual = make().compute_loss(teacher, student, labels=labels)
        np.testing.assert_allclose(actual, value, rtol=1e-5, err_msg=make.__name__)


@pytest.mark.parametrize("make", [DecoupledKD, NormalizedKD, VirtualTeacher])
def test_every_form_of_labels_gives_the_same_value(make):
    teacher, student = random_logits()
    labels = random_labels()
    expected = make().compute_loss(teacher, student, labels=labels)
    one_hot = np.eye(10, dtype="float32")[labels]
    smoothed = 0.9 * one_hot + 0.01
    for form in (labels[:, None], labels.astype("float32"), one_hot, np.int64(one_hot), smoothed):
        value = make().compute_loss(teacher, student, labels=form)
        np.testing.assert_allclose(value, expected, rtol=1e-6)


@pytest.mark.parametrize("make", [DecoupledKD, NormalizedKD, VirtualTeacher])
def test_missing_labels_are_an_error(make):
    with pytest.raises(ValueError, match="needs labels"):
        make().compute_loss(*random_logits())


@pytest.mark.parametrize(
    ("make", "shifts"),
    [
        (DecoupledKD, (0.0, 5.0)),
        (DIST, (0.0, 5.0)),
        (MultiLevelLogits, (0.0, 5.0)),
        (SigmoidTargets, (0.0,)),
    ],
)
def test_loss_and_gradient_are_zero_where_the_student_knows_as_much(make, shifts):
    teacher, _ = random_logits()
    for shift in shifts:
        student = tf.Variable(teacher + shift * np.arange(6, dtype="float32")[:, None])
        with tf.GradientTape() as tape:
            value = make().compute_loss(teacher, student, labels=random_labels())
        np.testing.assert_allclose(value, 0.0, atol=1e-5)
        np.testing.assert_allclose(tape.gradient(value, student), 0.0, atol=1e-5)


def test_the_other_classes_of_normalized_kd_teach_nothing_where_the_student_knows_as_much():
    teacher, _ = random_logits()
    gradients = []
    for gamma in (1.5, 0.0):
        student = tf.Variable(teacher)
        with tf.GradientTape() as tape:
            value = NormalizedKD(gamma).compute_loss(teacher, student, labels=random_labels())
        gradients.append(tape.gradient(value, student))
    np.testing.assert_allclose(*gradients, atol=1e-6)


@pytest.mark.parametrize(
    "make", [DecoupledKD, NormalizedKD, VirtualTeacher, DIST, MultiLevelLogits]
)
def test_softmax_ended_outputs_give_the_value_of_their_logits(make):
    teacher, student = random_logits()
    labels = random_labels()
    expected = make().compute_loss(teacher, student, labels=labels)
    loss = make(from_logits=False)
    value = loss.compute_loss(softmax(teacher, -1), softmax(student, -1), labels=labels)
    np.testing.assert_allclose(value, expected, rtol=1e-5)


def test_sigmoid_ended_outputs_give_the_value_of_their_logits():
    teacher, student = random_logits()
    loss = SigmoidTargets(2.0, from_logits=False)
    value = loss.compute_loss(expit(teacher), expit(student))
    np.testing.assert_allclose(value, reference_sigmoid(teacher, student, 2.0), rtol=1e-5)


@pytest.mark.parametrize("temperature", [1.0, 4.0])
def test_decoupled_kd_weighed_by_the_teachers_doubt_equals_soft_targets(temperature):
    teacher, student = random_logits((1, 10))
    expected = SoftTargets(temperature).compute_loss(teacher, student)
    for label, sureness in enumerate(softmax(np.float64(teacher) / temperature, -1)[0]):
        loss = DecoupledKD(1.0, float(1.0 - sureness), temperature)
        value = loss.compute_loss(teacher, student, labels=np.array([label]))
        np.testing.assert_allclose(value, expected, rtol=1e-5)


@pytest.mark.parametrize(
    "make", [DecoupledKD, NormalizedKD, SigmoidTargets, VirtualTeacher, DIST, MultiLevelLogits]
)
def test_value_and_gradient_are_finite(make):
    for shape, scale in (((1, 5), 1.0), ((1, 5), 1e4), ((6, 10), 1e4), ((6, 2), 0.0)):
        teacher, student = random_logits(shape, scale)
        variable = tf.Variable(student)
        with tf.GradientTape() as tape:
            value = make().compute_loss(teacher, variable, labels=random_labels(shape))
        assert np.isfinite(value), (shape, scale)
        assert np.isfinite(tape.gradient(value, variable)).all(), (shape, scale)


@pytest.mark.parametrize("temperature", [1.0, 4.0])
def test_values_of_huge_logits_are_exact(temperature):
    teacher, student = random_logits(scale=1e4)
    labels = random_labels()
    settings = {"temperature": temperature}
    value = DecoupledKD(**settings).compute_loss(teacher, student, labels=labels)
    expected = reference_decoupled(teacher, student, labels, **settings)
    np.testing.assert_allclose(value, expected, rtol=1e-5)
    value = NormalizedKD(**settings).compute_loss(teacher, student, labels=labels)
    expected = reference_normalized(teacher, student, labels, **settings)
    np.testing.assert_allclose(value, expected, rtol=1e-5)
    value = VirtualTeacher(**settings).compute_loss(None, student, labels=labels)
    expected = reference_virtual(student, labels, **settings)
    np.testing.assert_allclose(value, expected, rtol=1e-5)


def test_values_of_huge_logits_of_independent_labels_are_exact():
    teacher, student = np.float32([[1e4, -1e4, 2e4]]), np.float32([[-1e4, -2e4, 1e4]])
    value = SigmoidTargets().compute_loss(teacher, student)
    np.testing.assert_allclose(value, 1e4, rtol=1e-6)


def test_several_outputs_are_summed():
    first, second = random_logits(), random_logits(seed=1)
    value = DIST(temperature=2.0).compute_loss([first[0], second[0]], [first[1], second[1]])
    expected = reference_dist(*first, temperature=2) + reference_dist(*second, temperature=2)
    np.testing.assert_allclose(value, expected, rtol=1e-5)


@pytest.mark.parametrize(
    ("make", "starts"),
    [
        (DecoupledKD, {"alpha": 0.0, "beta": 0.0, "temperature": 8.0}),
        (NormalizedKD, {"gamma": 0.0, "temperature": 8.0}),
        (SigmoidTargets, {"temperature": 8.0}),
        (VirtualTeacher, {"temperature": 8.0}),
        (MultiLevelLogits, {"instance_weight": 0.0, "batch_weight": 0.0, "class_weight": 0.0}),
        (DIST, {"beta": 0.0, "gamma": 0.0, "temperature": 8.0}),
    ],
)
def test_schedules_are_followed(make, starts):
    teacher, student = random_logits()
    labels = random_labels()
    for argument, start in starts.items():
        scheduled = make(**{argument: keras.optimizers.schedules.PolynomialDecay(start, 10, 1.0)})
        for step in (0, 5, 20):
            constant = make(**{argument: start + (1.0 - start) * min(step, 10) / 10})
            value = scheduled.compute_loss(teacher, student, labels=labels, step=step)
            expected = constant.compute_loss(teacher, student, labels=labels)
            np.testing.assert_allclose(value, expected, rtol=1e-5, err_msg=argument)
