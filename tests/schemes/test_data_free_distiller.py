"""A generator and a student learn from a teacher alone, each by its own losses, in one update."""

import inspect
import re

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_distill import AttentionTransfer, SoftTargets
from keras_distill.losses import HintLearning, SimilarityPreserving
from keras_distill.schemes import DataFreeDistiller
from keras_distill.schemes.generated_images import (
    activation_loss,
    entropy_loss,
    image_generator,
    noise_of,
    one_hot_loss,
)
from keras_distill.tflite import export_tflite

layers = keras.layers
OWN = {"generator_loss", "generator_one_hot", "generator_entropy", "generator_activation"}


def cnn(channels=3, activation=None):
    return keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            layers.Conv2D(channels, 3, padding="same", activation="relu", name="stage1"),
            layers.MaxPooling2D(2),
            layers.Conv2D(channels + 1, 3, padding="same", activation="relu", name="stage2"),
            layers.GlobalAveragePooling2D(name="embedding"),
            layers.Dense(3, activation=activation),
        ]
    )


def small_generator():
    return keras.Sequential(
        [
            keras.Input((5,)),
            layers.Dense(64),
            layers.BatchNormalization(momentum=0.9),
            layers.Reshape((8, 8, 1)),
        ]
    )


def dense():
    return keras.Sequential([keras.Input((4,)), layers.Dense(3)])


def flat():
    return keras.Sequential([keras.Input((8, 8, 1)), layers.Flatten()])


def compiled(distiller, learning_rate=0.1, **settings):
    settings = {"run_eagerly": True, **settings}
    distiller.compile(keras.optimizers.SGD(learning_rate), **settings)
    return distiller


def test_the_generators_losses_are_those_of_numpy():
    rng = np.random.default_rng(0)
    logits, features = rng.normal(size=(6, 4)) * 3, rng.normal(size=(6, 2, 2, 5))
    answers = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    mean = answers.mean(0)
    expected = -np.log(answers.max(-1)).mean(), (mean * np.log10(mean)).sum()
    found = one_hot_loss(tf.constant(logits)), entropy_loss(tf.constant(logits))
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    found = activation_loss(tf.constant(features))
    np.testing.assert_allclose(found, -np.abs(features).mean(), rtol=1e-6)


def test_no_data_is_an_argument():
    taken = {*inspect.signature(DataFreeDistiller.fit).parameters}
    assert not taken & {"x", "y", "data", "dataset", "validation_data", "args", "kwargs"}


@pytest.mark.parametrize("activation", [None, "softmax"])
def test_one_update_is_that_of_two_tapes(activation):
    teacher, student, generator = cnn(5, activation), cnn(), small_generator()
    settings = {"one_hot_weight": 0.7, "entropy_weight": 3.0, "activation_weight": 0.4, "seed": 3}
    distiller = compiled(DataFreeDistiller(teacher, student, generator, **settings))
    of_teacher = teacher.get_weights()
    features = keras.Model(teacher.inputs, teacher.get_layer("embedding").output)
    noise = noise_of(generator, 6, (3, 0))
    with tf.GradientTape() as tape:
        images = generator(noise, training=True)
        # The first call has moved the statistics, which the second is to move alone.
        embedding = features(images)
        logits = embedding @ teacher.layers[-1].kernel + teacher.layers[-1].bias
        total = 0.7 * one_hot_loss(logits) + 3.0 * entropy_loss(logits)
        total += 0.4 * activation_loss(embedding)
    gradients = tape.gradient(total, generator.trainable_variables)
    of_generator = [
        w - 0.1 * g for w, g in zip(generator.trainable_variables, gradients, strict=True)
    ]
    with tf.GradientTape() as tape:
        answers = tf.nn.softmax(logits), tf.nn.softmax(student(images, training=True))
        divergence = tf.reduce_mean(keras.losses.kl_divergence(*answers))
    gradients = tape.gradient(divergence, student.trainable_variables)
    of_student = [w - 0.1 * g for w, g in zip(student.trainable_variables, gradients, strict=True)]

    history = distiller.fit(steps_per_epoch=1, batch_size=6, verbose=0).history
    np.testing.assert_allclose(history["generator_loss"], [float(total)], rtol=1e-5)
    np.testing.assert_allclose(history["soft_targets"], [float(divergence)], rtol=1e-4)
    np.testing.assert_allclose(history["loss"], [float(total + divergence)], rtol=1e-5)
    for model, expected in ((generator, of_generator), (student, of_student)):
        for one, other in zip(model.trainable_variables, expected, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6)
    for one, other in zip(teacher.get_weights(), of_teacher, strict=True):
        np.testing.assert_array_equal(one, other)


def test_it_saves_loads_goes_on_and_its_student_exports(tmp_path):
    of_layers = (AttentionTransfer, HintLearning, SimilarityPreserving)
    losses = [SoftTargets(2.0), *(each("stage2", "stage2") for each in of_layers)]
    student = cnn()
    model = DataFreeDistiller(cnn(5), student, small_generator(), losses, features="stage1")
    model.compile(keras.optimizers.Adam(0.01), metrics=["accuracy"], run_eagerly=True)
    settings = {"steps_per_epoch": 2, "batch_size": 6, "verbose": 0}
    history = model.fit(**settings, epochs=2).history
    assert OWN | {"total_loss", "hint_learning"} <= {*history}
    assert all(np.isfinite(values).all() for values in history.values())

    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    expected, found = (each.fit(**settings).history for each in (model, loaded))
    assert {*found} == {*expected}
    for key, values in expected.items():
        np.testing.assert_allclose(found[key], values, rtol=1e-5, atol=1e-6, err_msg=key)
        # New noise, not that of the beginning.
        assert key == "student_loss" or values[0] != history[key][0]
    for one, other in zip(loaded.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)

    x = model.generate(8)
    assert model.student is student
    exported = export_tflite(loaded.student, tmp_path / "student.tflite", "int8", x)
    np.testing.assert_allclose(exported.predict(x), student.predict(x, verbose=0), atol=0.2)


def test_real_images_are_only_looked_at():
    distiller = DataFreeDistiller(cnn(5), cnn())
    distiller.compile("sgd", metrics=["accuracy"])
    history = distiller.fit(steps_per_epoch=2, batch_size=4, verbose=0).history
    assert {*history} >= OWN
    models = (distiller.student, distiller.generator, distiller.teacher)
    before = [weight for model in models for weight in model.get_weights()]
    x, y = np.random.default_rng(0).random((6, 8, 8, 1), "float32"), np.arange(6) % 3
    logs = distiller.evaluate(x, y, verbose=0, return_dict=True)
    assert {"accuracy", "soft_targets", "distillation_loss"} <= {*logs}
    assert not OWN & {*logs}
    assert distiller.predict(x, verbose=0).shape == (6, 3)
    assert distiller.diagnose(batches=1).terms[1].name == "soft_targets"
    after = [weight for model in models for weight in model.get_weights()]
    for one, other in zip(before, after, strict=True):
        np.testing.assert_array_equal(one, other)
    images = distiller.generate(40, seed=1)
    assert images.shape == (40, 8, 8, 1)
    assert images.dtype == np.float32
    assert images.min() >= 0
    assert images.max() <= 1
    np.testing.assert_array_equal(images, distiller.generate(40, seed=1))
    assert (images != distiller.generate(40, seed=2)).any()


@pytest.mark.parametrize(("shape", "bounds"), [((6, 7, 3), (-1, 3)), ((8, 4, 1), None)])
def test_the_default_generator_makes_what_the_teacher_takes(shape, bounds):
    generator = image_generator(shape, bounds)
    images = generator(noise_of(generator, 16, (0, 0)), training=True).numpy()
    assert images.shape == (16, *shape)
    if bounds is None:
        np.testing.assert_allclose(images.mean((0, 1, 2)), 0, atol=1e-4)
        np.testing.assert_allclose(images.var((0, 1, 2)), 1, atol=0.05)
    else:
        assert -1 <= images.min() < 0
        assert 2 < images.max() <= 3


class Subclassed(keras.Model):
    def __init__(self):
        super().__init__()
        self.layer = layers.Dense(3)

    def call(self, x):
        return self.layer(x)


def test_inputs_that_are_no_images_take_a_generator_of_ones_own():
    generator = keras.Sequential([keras.Input((2,)), layers.Dense(4, kernel_regularizer="l2")])
    student = Subclassed()
    distiller = DataFreeDistiller(Subclassed(), student, generator, activation_weight=0.0)
    compiled(distiller)
    history = distiller.fit(steps_per_epoch=1, batch_size=4, verbose=0).history
    assert "generator_activation" not in history
    parts = history["generator_one_hot"][0] + 5 * history["generator_entropy"][0]
    assert history["generator_loss"][0] > parts
    assert student.built


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"teacher": dense(), "student": dense()}, "one input of images"),
        ({"features": "nowhere"}, "nowhere"),
        (
            {"teacher": flat(), "student": flat()},
            "name the layer of the features, or leave their loss out with activation_weight=0",
        ),
        ({"teacher": keras.Sequential([keras.Input((8, 8, 1)), layers.ReLU()])}, "a classifier"),
        ({"teacher": cnn(activation="sigmoid")}, "exclusive classes"),
        ({"generator": dense()}, "inputs of shape (8, 8, 1). Received: generator"),
        ({"generator": small_generator(), "bounds": (0, 2)}, "bounds=(0, 2)"),
        ({"entropy_weight": -1}, "entropy_weight"),
    ],
)
def test_what_cannot_teach_without_data_is_refused(change, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        DataFreeDistiller(**{"teacher": cnn(5), "student": cnn(), **change})


def test_what_is_no_number_of_steps_is_refused():
    distiller = compiled(DataFreeDistiller(cnn(5), cnn()))
    with pytest.raises(TypeError, match="steps_per_epoch"):
        distiller.fit(np.zeros((2, 8, 8, 1)))
    with pytest.raises(ValueError, match="batch_size"):
        distiller.fit(2, batch_size=0)
