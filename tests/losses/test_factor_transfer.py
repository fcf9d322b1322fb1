"""Factor transfer: its distance, and the paraphraser that learns beside it or before."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_distill import Distiller
from keras_distill.losses import (
    FactorTransfer,
    functional,
)
from tests.losses.feature_references import SHAPES, pool_to_smaller, random_features, unit


def reference_factors(teacher, student):
    pairs = zip(teacher, student, strict=True)
    return np.array([np.abs(unit(t) - unit(s)).mean() for t, s in pairs])


@pytest.mark.parametrize("shape", SHAPES)
def test_factor_distance_equals_numpy(shape):
    teacher, student = random_features(shape, shape)
    values = functional.factor_distance(teacher, student)
    np.testing.assert_allclose(values, reference_factors(teacher, student), rtol=1e-5)
    assert not np.any(functional.factor_distance(teacher, teacher))


@pytest.mark.parametrize("name", ["ab", "ofd", "reviewkd", "simkd"])
def test_batch_normalizations_beside_the_student_have_the_methods_constants(name, make_cnn):
    student = make_cnn(3)
    known = {layer.name for layer in student.layers}
    distiller = Distiller(make_cnn(6), student, name)
    layers = [layer for owner in distiller.distillation_layers for layer in owner._flatten_layers()]
    layers += [layer for layer in distiller.student.layers if layer.name.startswith("simkd")]
    norms = [layer for layer in layers if isinstance(layer, keras.layers.BatchNormalization)]
    assert norms
    assert all(layer.name not in known for layer in norms)
    assert {(layer.epsilon, layer.momentum) for layer in norms} == {(1e-5, 0.9)}


def prepared_factor_transfer(teacher, student):
    loss = FactorTransfer("t", "s")
    loss.prepare(teacher.shape, student.shape)
    return loss, *loss.own_layers


@pytest.mark.parametrize(
    ("teacher_shape", "student_shape"),
    [((3, 4, 4, 6), (3, 4, 4, 3)), ((2, 8, 8, 4), (2, 4, 4, 5)), ((2, 6, 4), (2, 6, 2))],
)
def test_factor_transfer_is_the_distance_and_keeps_the_relative_reconstruction_error_apart(
    teacher_shape, student_shape
):
    teacher, student = random_features(teacher_shape, student_shape)
    loss, paraphraser, translator = prepared_factor_transfer(teacher, student)
    factors = paraphraser.encoder(teacher)
    restored = paraphraser.decoder(factors)
    distance = reference_factors(*pool_to_smaller(factors.numpy(), translator(student).numpy()))
    error = np.mean((np.float64(teacher) - restored) ** 2) / np.mean(np.float64(teacher) ** 2)
    value = loss.compute_loss(teacher, student)
    np.testing.assert_allclose(value, distance.mean(), rtol=1e-5)
    np.testing.assert_allclose(paraphraser.losses, [error], rtol=1e-5)
    loss.pretrained = True
    np.testing.assert_allclose(loss.compute_loss(teacher, student), distance.mean(), rtol=1e-5)
    assert not paraphraser.losses


def test_the_distance_of_factors_does_not_reach_the_paraphraser():
    teacher, student = random_features((3, 4, 4, 6), (3, 4, 4, 3))
    loss, paraphraser, translator = prepared_factor_transfer(teacher, student)
    variables = [v.value for v in paraphraser.trainable_variables]
    with tf.GradientTape(persistent=True) as tape:
        value = loss.compute_loss(teacher, student)
    gradients = tape.gradient(value, variables, unconnected_gradients="zero")
    assert not any(np.any(g) for g in gradients)
    kernels = [v.value for v in translator.trainable_variables if v.name == "kernel"]
    assert all(np.any(g) for g in tape.gradient(value, kernels))


@pytest.mark.parametrize("scale", [1.0, 30.0])
def test_the_paraphraser_learns_by_sgd_whatever_the_weight_and_the_features_scale(
    scale, images, crossentropy
):
    def cnn(channels):
        return keras.Sequential(
            [
                keras.Input((8, 8, 1)),
                keras.layers.Conv2D(channels, 3, activation="relu", name="conv"),
                keras.layers.GlobalAveragePooling2D(),
                keras.layers.Dense(3),
            ]
        )

    teacher = cnn(6)
    kernel, bias = teacher.get_layer("conv").get_weights()
    teacher.get_layer("conv").set_weights([scale * kernel, bias])
    trained = []
    for weight in (1.0, 500.0):
        keras.utils.set_random_seed(0)
        distiller = Distiller(
            teacher,
            cnn(3),
            FactorTransfer("conv", "conv"),
            distillation_loss_weights=[weight],
            student_loss_weight=None,
        )
        (loss,) = distiller.distillation_losses
        paraphraser = loss.own_layers[0]
        features = teacher.layers[0](images[0])
        before = float(np.mean(paraphraser(features)[1]))
        distiller.compile(keras.optimizers.SGD(0.05), crossentropy)
        validation = {"validation_data": images}
        history = distiller.fit(*images, batch_size=8, epochs=2, verbose=0, **validation).history
        assert float(np.mean(paraphraser(features)[1])) < before
        assert history["loss"][0] > history["student_loss"][0] + (
            weight * history["factor_transfer"][0]
        )
        trained.append(paraphraser.get_weights())
    for one, other in zip(*trained, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6)


def test_evaluation_without_the_teacher_has_no_error_of_a_paraphraser(
    make_cnn, images, crossentropy
):
    distiller = Distiller(make_cnn(6), make_cnn(3), "ft", student_loss_weight=None)
    distiller.compile("sgd", crossentropy, validate_with_teacher=False)
    history = distiller.fit(*images, validation_data=images, verbose=0).history
    assert history["val_loss"] == history["val_student_loss"]


def test_a_pretrained_paraphraser_is_left_as_it_is_while_the_student_trains(
    make_cnn, images, crossentropy, tmp_path
):
    teacher, student = make_cnn(6), make_cnn(3)
    distiller = Distiller(teacher, student, "ft")
    (loss,) = distiller.distillation_losses
    errors = loss.pretrain(teacher, images[0], epochs=3, verbose=0).history["loss"]
    assert errors[-1] < errors[0]
    before = loss.own_layers[0].get_weights()
    distiller.compile(keras.optimizers.AdamW(0.01, weight_decay=0.1), crossentropy)
    distiller.fit(*images, verbose=0)
    distiller.save(tmp_path / "distiller.keras")
    restored = keras.models.load_model(tmp_path / "distiller.keras")
    restored.fit(*images, verbose=0)
    for one in (distiller, restored):
        for old, new in zip(before, one.distillation_layers[0].get_weights(), strict=True):
            np.testing.assert_array_equal(new, old)
