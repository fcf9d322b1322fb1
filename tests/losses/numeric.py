"""Gradients: of a NumPy calculation by differences, of a loss by its tape, both in float64."""

import numpy as np
import tensorflow as tf


def by_differences(calculate, student, step=1e-5):
    """Returns the gradient of `calculate(student)`, a number, entry by entry."""
    gradient = np.zeros(student.shape)
    for index in np.ndindex(student.shape):
        moved = [student.copy(), student.copy()]
        moved[0][index] += step
        moved[1][index] -= step
        gradient[index] = (calculate(moved[0]) - calculate(moved[1])) / (2 * step)
    return gradient


def by_tape(loss, teacher, student, pick=None, **known):
    """Returns a loss's value and its gradient, with respect to one of the student's tensors."""
    tensors = list(student) if isinstance(student, list) else [student]
    index = pick or 0
    variable = tf.Variable(tensors[index])
    with tf.GradientTape() as tape:
        tensors[index] = variable.value()
        value = loss.compute_loss(
            teacher, tensors if isinstance(student, list) else tensors[0], **known
        )
    return float(value), np.array(tape.gradient(value, variable))


def random_arrays(*shapes, seed=0):
    """Returns normally distributed float64 arrays."""
    rng = np.random.default_rng(seed)
    return [rng.standard_normal(shape) for shape in shapes]


def assert_equal_to(loss, teacher, student, calculate, pick=None, **known):
    """Checks a loss's value and gradient against a NumPy calculation of the picked tensor."""
    value, gradient = by_tape(loss, teacher, student, pick, **known)
    array = student[pick or 0] if isinstance(student, list) else student
    np.testing.assert_allclose(value, calculate(array), rtol=1e-9)
    expected = by_differences(calculate, array)
    np.testing.assert_allclose(gradient, expected, rtol=1e-5, atol=1e-7 * np.abs(expected).max())
