"""Divergences to a mixture of both sides: generalized Jensen-Shannon and skew KL."""

import keras
import numpy as np
import pytest
from scipy.special import softmax

from keras_distill import SoftTargets
from tests.losses.numeric import assert_equal_to, by_tape, random_arrays


def kl(p, q):
    return (p * np.log(p / q)).sum(-1).mean()


def reference(kind, teacher, student, beta, temperature=2.0):
    p, q = (softmax(side / temperature, -1) for side in (teacher, student))
    if kind == "skew_kl":
        value = kl(p, beta * p + (1 - beta) * q)
    elif kind == "skew_reverse_kl":
        value = kl(q, (1 - beta) * p + beta * q)
    else:
        mixture = beta * p + (1 - beta) * q
        value = beta * kl(p, mixture) + (1 - beta) * kl(q, mixture)
    return temperature**2 * value


@pytest.mark.parametrize("beta", [None, 0.1, 0.7])
@pytest.mark.parametrize("kind", ["generalized_js", "skew_kl", "skew_reverse_kl"])
def test_value_and_gradient_equal_numpy(kind, beta):
    teacher, student = random_arrays((3, 4), (3, 4))
    share = beta or {"generalized_js": 0.5}.get(kind, 0.1)
    loss = SoftTargets(2.0, kind, beta=beta)
    assert_equal_to(loss, teacher, student, lambda s: reference(kind, teacher, s, share))


def test_at_its_middle_the_generalized_divergence_is_jensen_shannons():
    sides = random_arrays((3, 4), (3, 4))
    values = [by_tape(SoftTargets(2.0, kind), *sides)[0] for kind in ("js", "generalized_js")]
    np.testing.assert_allclose(*values, rtol=1e-12)


def test_at_its_ends_the_gradient_is_that_of_a_kl():
    sides = random_arrays((3, 4), (3, 4))
    for beta, kind in ((1e-5, "kl"), (1 - 1e-5, "reverse_kl")):
        value, gradient = by_tape(SoftTargets(1.0, "generalized_js", beta=beta), *sides)
        expected, expected_gradient = by_tape(SoftTargets(1.0, kind), *sides)
        small = min(beta, 1 - beta)
        np.testing.assert_allclose(value / small, expected, rtol=1e-3)
        np.testing.assert_allclose(gradient / small, expected_gradient, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("kind", ["generalized_js", "skew_kl", "skew_reverse_kl"])
def test_they_are_bounded_where_the_sides_do_not_overlap(kind):
    teacher, student = np.float32([[1e4, 0.0]]), np.float32([[0.0, 1e4]])
    value = float(SoftTargets(1.0, kind, beta=0.25).compute_loss(teacher, student))
    entropy = -(0.25 * np.log(0.25) + 0.75 * np.log(0.75))
    expected = entropy if kind == "generalized_js" else -np.log(0.25)
    # Of logarithms of 1e4 in float32 four digits are left.
    assert value == pytest.approx(expected, rel=1e-4)


def test_a_share_that_is_scheduled_is_followed_and_stays_finite_at_the_ends():
    teacher, student = random_arrays((3, 4), (3, 4))
    ramp = keras.optimizers.schedules.PolynomialDecay(0.1, 10, 0.5)
    loss = SoftTargets(2.0, "generalized_js", beta=ramp)
    for step, beta in ((0, 0.1), (5, 0.3), (10, 0.5)):
        value = loss.compute_loss(teacher, student, step=step)
        expected = reference("generalized_js", teacher, student, beta)
        np.testing.assert_allclose(value, expected, rtol=1e-5)
    to_one = keras.optimizers.schedules.PolynomialDecay(0.5, 10, 1.0)
    loss = SoftTargets(2.0, "generalized_js", beta=to_one)
    assert np.isfinite(loss.compute_loss(teacher, student, step=20))


def test_independent_labels_have_them_too():
    teacher, student = random_arrays((3, 4), (3, 4))
    loss = SoftTargets(1.0, "skew_kl", beta=0.2)
    value = loss.compute_loss(teacher, student, kinds=["sigmoid"])
    p, q = (1 / (1 + np.exp(-side)) for side in (teacher, student))
    expected = 0
    for a, b in ((p, q), (1 - p, 1 - q)):
        expected += (a * np.log(a / (0.2 * a + 0.8 * b))).sum(-1).mean()
    np.testing.assert_allclose(value, expected, rtol=1e-9)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"beta": 0.5}, r"beta is the share in a mixture.*Received: beta=0.5, divergence='kl'"),
        ({"beta": 1, "divergence": "skew_kl"}, "beta must be below 1"),
        ({"beta": 0.0, "divergence": "skew_kl"}, "beta must be a finite number above 0"),
        ({"beta": 1.5, "divergence": "generalized_js"}, "beta must be .* at most 1"),
    ],
)
def test_a_share_that_can_not_be_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        SoftTargets(**arguments)
