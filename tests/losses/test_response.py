import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy.special import log_softmax, softmax

from keras_distill import Distiller, SoftTargets
from keras_distill.losses import LogitMatching, SoftenedLoss


def reference_kl(teacher, student, temperature):
    """T² · KL from float64 log-softmax, averaged over the samples."""
    log_t = log_softmax(np.float64(teacher) / temperature, -1)
    log_s = log_softmax(np.float64(student) / temperature, -1)
    return temperature**2 * (np.exp(log_t) * (log_t - log_s)).sum(-1).mean()


def random_logits(scale=3.0, shape=(6, 10), seed=0):
    rng = np.random.default_rng(seed)
    return tuple((scale * rng.standard_normal(shape)).astype("float32") for _ in range(2))


@pytest.mark.parametrize("shape", [(6, 10), (3, 4)])
@pytest.mark.parametrize("temperature", [0.5, 1.0, 4.0, 20.0])
def test_soft_targets_equal_numpy(shape, temperature):
    teacher, student = random_logits(shape=shape)
    value = SoftTargets(temperature).compute_loss(teacher, student)
    np.testing.assert_allclose(value, reference_kl(teacher, student, temperature), rtol=1e-5)


def test_soft_targets_of_huge_logits_are_exact_and_finite():
    teacher, student = random_logits(1e4)
    value = SoftTargets(4.0).compute_loss(teacher, student)
    np.testing.assert_allclose(value, reference_kl(teacher, student, 4.0), rtol=1e-5)


@pytest.mark.parametrize("divergence", ["kl", "reverse_kl", "js"])
def test_soft_targets_and_gradient_are_zero_where_the_student_knows_as_much(divergence):
    teacher, _ = random_logits()
    student = tf.Variable(teacher + np.arange(6, dtype="float32")[:, None])
    with tf.GradientTape() as tape:
        value = SoftTargets(4.0, divergence).compute_loss(teacher, student)
    assert abs(float(value)) < 1e-5
    assert np.abs(tape.gradient(value, student)).max() < 1e-6


def test_soft_targets_gradient_is_temperature_times_the_probability_difference():
    teacher, student = random_logits()
    variable = tf.Variable(student)
    with tf.GradientTape() as tape:
        value = SoftTargets(4.0).compute_loss(teacher, variable)
    expected = 4.0 * (softmax(student / 4.0, -1) - softmax(teacher / 4.0, -1)) / len(teacher)
    np.testing.assert_allclose(tape.gradient(value, variable), expected, atol=1e-6)


def test_soft_targets_gradient_tends_to_logit_matching_over_classes_at_high_temperature():
    teacher, student = (z - z.mean(-1, keepdims=True) for z in random_logits())
    variable = tf.Variable(student)
    with tf.GradientTape() as tape:
        value = SoftTargets(1000.0).compute_loss(teacher, variable)
    expected = (student - teacher) / student.shape[1] / len(student)
    np.testing.assert_allclose(tape.gradient(value, variable), expected, rtol=0.02, atol=1e-4)


def test_divergences_equal_numpy():
    teacher, student = random_logits()
    p_t, p_s = softmax(np.float64(teacher) / 2, -1), softmax(np.float64(student) / 2, -1)
    middle = (p_t + p_s) / 2
    kl = lambda p, q: (p * np.log(p / q)).sum(-1).mean()  # noqa: E731
    expected = {
        "kl": kl(p_t, p_s),
        "reverse_kl": kl(p_s, p_t),
        "js": (kl(p_t, middle) + kl(p_s, middle)) / 2,
        "cross_entropy": -(p_t * np.log(p_s)).sum(-1).mean(),
    }
    for divergence, value in expected.items():
        actual = SoftTargets(2.0, divergence).compute_loss(teacher, student)
        np.testing.assert_allclose(actual, 4.0 * value, rtol=1e-5, err_msg=divergence)


def test_js_is_finite_where_the_distributions_do_not_overlap():
    teacher, student = np.float32([[1e4, 0.0]]), np.float32([[0.0, 1e4]])
    value = SoftTargets(1.0, "js").compute_loss(teacher, student)
    np.testing.assert_allclose(value, np.log(2.0), rtol=1e-6)


def test_standardized_soft_targets_equal_numpy_and_ignore_scale_and_shift():
    teacher, student = random_logits()

    def standard(logits):
        # As the authors' torch: the deviation divides by one less than the number of classes.
        deviation = logits.std(-1, keepdims=True, ddof=1)
        return (logits - logits.mean(-1, keepdims=True)) / (deviation + 1e-7)

    expected = reference_kl(standard(teacher), standard(student), 2.0)
    loss = SoftTargets(2.0, standardize=True)
    np.testing.assert_allclose(loss.compute_loss(teacher, student), expected, rtol=1e-5)
    np.testing.assert_allclose(loss.compute_loss(5 * teacher + 3, student), expected, rtol=1e-4)


def test_standardized_logits_without_spread_have_a_finite_gradient():
    variable = tf.Variable(np.ones((2, 4), "float32"))
    with tf.GradientTape() as tape:
        loss = SoftTargets(2.0, standardize=True)
        value = loss.compute_loss(random_logits(shape=(2, 4))[0], variable)
    assert np.isfinite(tape.gradient(value, variable)).all()


def test_probabilities_give_the_value_of_their_logits():
    teacher, student = random_logits()
    expected = reference_kl(teacher, student, 4.0)
    loss = SoftTargets(4.0, from_logits=False)
    value = loss.compute_loss(softmax(teacher, -1), softmax(student, -1))
    np.testing.assert_allclose(value, expected, rtol=1e-5)


@pytest.mark.parametrize("compiled", [False, True])
def test_a_softmax_that_keras_remembers_is_not_applied_twice(compiled):
    teacher, student = random_logits()
    function = lambda t, s: SoftTargets(4.0).compute_loss(tf.nn.softmax(t), keras.ops.softmax(s))  # noqa: E731
    if compiled:
        value = tf.function(function)(teacher, student)
        np.testing.assert_allclose(value, reference_kl(teacher, student, 4.0), rtol=1e-5)
    else:
        value = SoftTargets(4.0).compute_loss(teacher, keras.ops.softmax(student))
        np.testing.assert_allclose(value, reference_kl(teacher, student, 4.0), rtol=1e-5)


def test_softmax_ended_huge_logits_are_exact_through_the_remembered_logits():
    teacher, student = random_logits(1e4)
    value = SoftTargets(4.0).compute_loss(keras.ops.softmax(teacher), keras.ops.softmax(student))
    np.testing.assert_allclose(value, reference_kl(teacher, student, 4.0), rtol=1e-5)


def test_float16_logits_are_compared_in_float32():
    teacher, student = random_logits(1e4)
    value = SoftTargets(1.0).compute_loss(np.float16(teacher), np.float16(student))
    assert value.dtype == "float32"
    expected = reference_kl(np.float16(teacher), np.float16(student), 1.0)
    np.testing.assert_allclose(value, expected, rtol=1e-5)


def test_masked_positions_do_not_count():
    teacher, student = random_logits(shape=(2, 3, 4))
    mask = np.array([[True, True, False], [True, False, False]])
    teacher[~mask] = np.nan
    value = SoftTargets(2.0).compute_loss(teacher, student, mask=mask)
    rows = [reference_kl(t[m], s[m], 2.0) for t, s, m in zip(teacher, student, mask, strict=True)]
    np.testing.assert_allclose(value, np.mean(rows), rtol=1e-5)


def test_several_outputs_are_summed():
    first, second = random_logits(), random_logits(seed=1)
    value = SoftTargets(2.0).compute_loss([first[0], second[0]], [first[1], second[1]])
    np.testing.assert_allclose(value, reference_kl(*first, 2) + reference_kl(*second, 2), rtol=1e-5)


def test_temperature_follows_its_schedule():
    teacher, student = random_logits()
    schedule = keras.optimizers.schedules.PolynomialDecay(8.0, 10, end_temperature := 2.0)
    loss = SoftTargets(schedule)
    for step, temperature in ((0, 8.0), (10, end_temperature)):
        value = loss.compute_loss(teacher, student, step=step)
        np.testing.assert_allclose(value, reference_kl(teacher, student, temperature), rtol=1e-5)


@pytest.mark.parametrize("temperature", [0, -1.0, float("nan"), float("inf")])
def test_a_temperature_that_is_not_positive_is_refused(temperature):
    with pytest.raises(ValueError, match=r"temperature must be a finite number above 0"):
        SoftTargets(temperature)


def test_a_temperature_that_is_no_number_is_refused():
    with pytest.raises(
        TypeError, match=r"temperature must be a number or a .*LearningRateSchedule"
    ):
        SoftTargets("hot")


def test_an_unknown_divergence_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match=r"'kl', 'reverse_kl', 'js', 'cross_entropy'"):
        SoftTargets(divergence="hellinger")


def test_different_numbers_of_classes_name_both_sides():
    with pytest.raises(ValueError, match=r"Teacher: \(2, 3\), Student: \(2, 4\)"):
        SoftTargets().compute_loss(np.zeros((2, 3)), np.zeros((2, 4)))


def test_logit_matching_equals_numpy():
    teacher, student = random_logits()
    value = LogitMatching().compute_loss(teacher, student)
    np.testing.assert_allclose(value, np.mean((teacher - student) ** 2), rtol=1e-6)


def test_softened_loss_is_the_tutorials_form():
    teacher, student = random_logits()
    value = SoftenedLoss("mse", temperature=5.0).compute_loss(teacher, student)
    difference = softmax(teacher / 5, -1) - softmax(student / 5, -1)
    np.testing.assert_allclose(value, 25.0 * np.mean(difference**2), rtol=1e-5)


@pytest.mark.parametrize(
    "loss",
    [
        SoftTargets(3.0, "js", standardize=True, from_logits=False, name="kd"),
        SoftTargets(keras.optimizers.schedules.ExponentialDecay(4.0, 10, 0.5)),
        SoftTargets(teacher_layer_name="head", student_layer_name="exit/head"),
        LogitMatching(from_logits=True),
        SoftenedLoss(keras.losses.MeanAbsoluteError(), 2.0),
    ],
)
def test_serialization_round_trip(loss):
    config = keras.saving.serialize_keras_object(loss)
    copy = keras.saving.deserialize_keras_object(config)
    assert type(copy) is type(loss)
    assert keras.saving.serialize_keras_object(copy) == config


def test_an_output_of_one_value_is_refused():
    with pytest.raises(ValueError, match=r"two classes or more.*use SigmoidTargets"):
        SoftTargets().compute_loss(np.zeros((2, 1)), np.zeros((2, 1)))


def test_a_sigmoid_is_refused_at_construction():
    models = [
        keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, activation="sigmoid")])
        for _ in range(2)
    ]
    with pytest.raises(ValueError, match=r"ends in sigmoid. Teacher: sigmoid, Student: sigmoid"):
        Distiller(*models, "dist")
