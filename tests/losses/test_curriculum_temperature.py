"""A temperature that is learned against the student."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_distill import Distiller, SoftTargets, recipes
from keras_distill.losses import (
    ChannelWise,
    CurriculumTemperature,
    DecoupledKD,
    MultiLevelLogits,
    TransformedTeacher,
)
from tests.losses.numeric import random_arrays


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def test_the_loss_is_that_of_the_temperature_of_its_start():
    sides = random_arrays((3, 5), (3, 5))
    loss = SoftTargets(CurriculumTemperature(lowest=2.0, span=6.0))
    expected = SoftTargets(2.0 + 6.0 * float(sigmoid(1.0))).compute_loss(*sides)
    np.testing.assert_allclose(loss.compute_loss(*sides), expected, rtol=1e-6)


@pytest.mark.parametrize(("step", "strength"), [(0, 0.0), (25, 0.1464466), (50, 0.5), (100, 1.0)])
def test_its_gradient_is_reversed_and_grows_along_half_a_cosine(step, strength):
    teacher, student = random_arrays((3, 5), (3, 5))
    loss = SoftTargets(CurriculumTemperature(growth_steps=100))
    loss.prepare((None, 5), (None, 5))
    (learned,) = loss.own_layers
    variables = [learned.theta.value, tf.Variable(student)]
    with tf.GradientTape() as tape:
        value = loss.compute_loss(teacher, variables[1], step=step)
    gradient, of_student = tape.gradient(value, variables)
    at = lambda theta: float(  # noqa: E731
        SoftTargets(1.0 + 20.0 * float(sigmoid(theta))).compute_loss(teacher, student)
    )
    slope = (at(1.001) - at(0.999)) / 0.002
    np.testing.assert_allclose(gradient, -strength * slope, rtol=1e-3, atol=1e-9)
    assert np.abs(of_student).max() > 0


def test_the_recipe_grows_over_10_epochs():
    assert (
        recipes.get("ctkd", steps_per_epoch=7).distillation_losses[0].temperature.growth_steps == 70
    )
    (loss,) = recipes.get("ctkd").distillation_losses
    assert (loss.temperature.lowest, loss.temperature.span, loss.temperature.growth_steps) == (
        1,
        20,
        0,
    )
    given = CurriculumTemperature(span=5.0)
    (loss,) = recipes.get("ctkd", steps_per_epoch=7, temperature=given).distillation_losses
    assert loss.temperature.span == 5.0


def test_each_loss_has_one_of_its_own(make_cnn, images, crossentropy):
    given = CurriculumTemperature()
    losses = [SoftTargets(given), DecoupledKD(temperature=given)]
    losses.append(MultiLevelLogits([given, 2.0]))
    owned = [layer for loss in losses for layer in loss.own_layers]
    assert len({id(layer) for layer in [given, *owned]}) == 4
    distiller = Distiller(make_cnn(3), make_cnn(2), losses)
    distiller.compile("sgd", crossentropy, run_eagerly=True)
    distiller.fit(*images, batch_size=64, verbose=0)
    assert all(layer.weights for layer in owned) and not given.weights
    assert any(float(layer.theta) != 1.0 for layer in owned)


def test_other_losses_and_kerass_distiller_refuse_it():
    for make in (ChannelWise, keras.layers.Dropout):
        with pytest.raises((TypeError, ValueError)):
            make(temperature=CurriculumTemperature())
    assert TransformedTeacher(CurriculumTemperature()).own_layers
    loss = SoftTargets(CurriculumTemperature())
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
    loss.validate_model_compatibility(model, model)  # as keras.distillation.Distiller does
    with pytest.raises(ValueError, match=r"only keras_distill\.Distiller trains and saves them"):
        loss.compute_loss(np.zeros((2, 2)), np.zeros((2, 2)))


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"lowest": 0.0}, ValueError),
        ({"span": -1.0}, ValueError),
        ({"growth_steps": 1.5}, TypeError),
        ({"strength": "strong"}, TypeError),
    ],
)
def test_wrong_settings_are_refused_by_name(arguments, error):
    with pytest.raises(error, match=next(iter(arguments))):
        CurriculumTemperature(**arguments)
