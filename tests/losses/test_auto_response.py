"""The response loss for those who name none, against the losses that it stands for."""

import keras
import numpy as np
import pytest

from keras_distill import Distiller, losses
from keras_distill.losses import LogitMatching, SigmoidTargets, SoftTargets

RNG = np.random.default_rng(0)
TEACHER, STUDENT = RNG.normal(size=(2, 6, 3)).astype("float32")


def linear(seed, outputs, activation=None):
    keras.utils.set_random_seed(seed)
    x = keras.Input((5,))
    heads = [keras.layers.Dense(n, activation, name=f"head_{n}")(x) for n in outputs]
    return keras.Model(x, heads if len(heads) > 1 else heads[0])


def value_of(loss, labels, outputs=(3,), activation=None, target=None):
    """Returns what a distiller computes for a loss, and for `auto` in its place."""
    x = np.random.default_rng(1).normal(size=(8, 5)).astype("float32")
    targets = [np.zeros((8, n) if target is None else (8,)) for n in outputs]
    values = []
    for each in (loss, "auto"):
        distiller = Distiller(linear(0, outputs, activation), linear(1, outputs, activation), each)
        distiller.compile("sgd", labels, run_eagerly=True)
        logs = distiller.evaluate(
            x, targets if len(targets) > 1 else targets[0], verbose=0, return_dict=True
        )
        values.append(logs["distillation_loss"])
    return values


CLASSES = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
BINARY = keras.losses.BinaryCrossentropy(from_logits=True)


@pytest.mark.parametrize("classes", [2, 3])
def test_exclusive_classes_have_soft_targets(classes):
    expected, found = value_of(SoftTargets(4.0), CLASSES, (classes,), target="sparse")
    np.testing.assert_allclose(found, expected, rtol=1e-6)


@pytest.mark.parametrize("activation", [None, "sigmoid"])
@pytest.mark.parametrize("labels", [1, 3])
def test_independent_labels_have_the_mean_of_their_divergences(labels, activation):
    loss = "binary_crossentropy" if activation else BINARY
    expected, found = value_of(SigmoidTargets(4.0), loss, (labels,), activation)
    np.testing.assert_allclose(found, expected / labels, rtol=1e-5)


def test_numbers_have_the_squared_error():
    expected, found = value_of(LogitMatching(), "mse")
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_each_output_has_its_own():
    labels = [keras.losses.CategoricalCrossentropy(from_logits=True), "mse"]
    parts = [
        value_of(loss, labels, (3, 1))[0]
        for loss in (SoftTargets(4.0, outputs=0), LogitMatching(outputs=1))
    ]
    np.testing.assert_allclose(value_of("auto", labels, (3, 1))[1], sum(parts), rtol=1e-5)


def test_what_is_unknown_is_taken_for_classes_and_one_value_for_a_number():
    auto = losses.get("auto")
    np.testing.assert_allclose(
        auto.compute_loss(TEACHER, STUDENT), SoftTargets(4.0).compute_loss(TEACHER, STUDENT)
    )
    one = auto.compute_loss(TEACHER[:, :1], STUDENT[:, :1])
    np.testing.assert_allclose(one, np.mean((TEACHER - STUDENT)[:, 0] ** 2), rtol=1e-6)


def test_a_softmax_beside_a_sigmoid_is_refused():
    with pytest.raises(ValueError, match=r"Teacher: softmax, Student: sigmoid"):
        Distiller(linear(0, (3,), "softmax"), linear(1, (3,), "sigmoid"), "auto")
