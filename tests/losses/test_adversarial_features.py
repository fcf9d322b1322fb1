"""The discriminator descends its loss, and the student ascends it, in one step."""

import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from keras_distill.losses import AdversarialFeatures, functional


def built(teacher, student, **arguments):
    loss = AdversarialFeatures("a", "b", units=5, **arguments)
    loss.prepare(teacher.shape, student.shape)
    return loss


def features(*shapes):
    rng = np.random.default_rng(0)
    return [rng.standard_normal(shape).astype("float32") for shape in shapes]


def through(discriminator, x):
    """The discriminator in NumPy: three linear maps with leaky ReLU between."""
    weights = [np.float64(w) for w in discriminator.get_weights()]
    for index in range(0, len(weights), 2):
        x = x @ weights[index].reshape(weights[index].shape[-2:]) + weights[index + 1]
        if index + 2 < len(weights):
            x = np.where(x > 0, x, 0.2 * x)
    return x


def test_the_value_is_the_discriminators_cross_entropy():
    teacher, student = features((3, 4, 4, 6), (3, 4, 4, 6))
    loss = built(teacher, student)
    *_, discriminator = loss.own_layers
    probabilities = [1 / (1 + np.exp(-through(discriminator, x))) for x in (teacher, student)]
    expected = np.mean(-np.log(probabilities[0])) + np.mean(-np.log(1 - probabilities[1]))
    np.testing.assert_allclose(loss.compute_loss(teacher, student), expected, rtol=1e-5)


@pytest.mark.parametrize("strength", [1.0, 0.25])
def test_the_discriminator_descends_the_loss_and_the_student_and_projector_ascend_it(strength):
    teacher, student = features((3, 4, 4, 6), (3, 4, 4, 2))
    loss = built(teacher, student, strength=strength)
    projector, discriminator = loss.own_layers
    variable = tf.Variable(student)
    own = [*projector.trainable_weights, *discriminator.trainable_weights]
    weights = [variable, *(w.value for w in own)]
    with tf.GradientTape() as tape:
        value = loss.compute_loss(teacher, variable)
    found = tape.gradient(value, weights)
    with tf.GradientTape() as tape:
        made = projector(tf.convert_to_tensor(variable))
        real, guessed = discriminator(teacher), discriminator(made)
        plain = tf.reduce_mean(tf.nn.softplus(-real)) + tf.reduce_mean(tf.nn.softplus(guessed))
    expected = tape.gradient(plain, weights)
    np.testing.assert_allclose(value, plain, rtol=1e-6)
    signs = [-strength] * (1 + len(projector.trainable_weights))
    signs += [1.0] * len(discriminator.trainable_weights)
    for gradient, of_plain, sign in zip(found, expected, signs, strict=True):
        assert np.abs(of_plain).max() > 0
        np.testing.assert_allclose(gradient, sign * of_plain.numpy(), rtol=1e-4, atol=1e-7)


def test_a_reversed_gradient_has_the_same_value_and_the_negative_gradient():
    variable = tf.Variable([1.0, -2.0])
    with tf.GradientTape() as tape:
        value = functional.reverse_gradient(variable * 3.0, 0.5)
        total = ops.sum(ops.square(value))
    np.testing.assert_array_equal(value, [3.0, -6.0])
    # By hand: 2 · 3x · (-0.5) · 3.
    np.testing.assert_allclose(tape.gradient(total, variable), [-9.0, 18.0])


def test_a_discriminator_that_can_not_tell_has_the_value_of_two_coins():
    zeros = np.zeros((2, 3, 1))
    values = functional.discrimination(zeros, zeros)
    np.testing.assert_allclose(values, [2 * np.log(2)] * 2, rtol=1e-6)
