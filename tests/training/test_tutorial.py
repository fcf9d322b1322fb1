"""The form of the Keras tutorial."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_distill import Distiller, SoftTargets


def test_the_tutorial_form_weighs_the_student_by_alpha(make_cnn, images, crossentropy):
    teacher, student = make_cnn(8), make_cnn(2)
    distiller = Distiller(student=student, teacher=teacher)
    distiller.compile(
        optimizer=keras.optimizers.Adam(),
        metrics=[keras.metrics.SparseCategoricalAccuracy()],
        student_loss_fn=crossentropy,
        distillation_loss_fn=keras.losses.KLDivergence(),
        alpha=0.1,
        temperature=10,
    )
    logs = distiller.evaluate(*images, verbose=0, return_dict=True)
    soft = lambda model: tf.nn.softmax(model(images[0]) / 10.0)  # noqa: E731
    divergence = keras.losses.KLDivergence()(soft(teacher), soft(student))
    np.testing.assert_allclose(logs["distillation_loss"], 100 * divergence, rtol=1e-3)
    expected = 0.1 * logs["student_loss"] + 0.9 * logs["distillation_loss"]
    np.testing.assert_allclose(logs["loss"], expected, rtol=1e-5)
    assert "sparse_categorical_accuracy" in logs


@pytest.mark.parametrize(
    "loss",
    ["kl_divergence", "KLDivergence", keras.losses.kl_divergence, keras.losses.KLDivergence()],
)
def test_every_spelling_of_the_divergence_keeps_softmax_and_t_squared(
    make_cnn, images, crossentropy, loss
):
    teacher, student = make_cnn(8), make_cnn(2)
    distiller = Distiller(student=student, teacher=teacher)
    distiller.compile(student_loss_fn=crossentropy, distillation_loss_fn=loss, temperature=5.0)
    logs = distiller.evaluate(*images, verbose=0, return_dict=True)
    expected = SoftTargets(5.0).compute_loss(teacher(images[0]), student(images[0]))
    np.testing.assert_allclose(logs["distillation_loss"], expected, rtol=1e-5)
