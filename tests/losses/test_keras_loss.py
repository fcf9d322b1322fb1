"""Losses of `keras.distillation` in the distiller."""

import keras
import numpy as np
import pytest

from keras_distill import Distiller, SoftTargets
from keras_distill.losses.keras_loss import distillation_loss


def test_losses_of_keras_are_accepted(make_cnn, images, crossentropy):
    keras_losses = [
        # Its default, a string, makes Keras forget the softmax and T².
        keras.distillation.LogitsDistillation(2.0, keras.losses.KLDivergence()),
        keras.distillation.FeatureDistillation("mse", "pool2", "pool2"),
    ]
    distiller = Distiller(make_cnn(8), make_cnn(8), keras_losses, [1.0, 0.5])
    distiller.compile("sgd", crossentropy)
    logs = distiller.evaluate(*images, verbose=0, return_dict=True)
    assert logs["logits_distillation"] > 0 and logs["feature_distillation"] > 0
    # Keras clips its probabilities at 1e-7, ours are exact.
    ours = Distiller(distiller.teacher, distiller.student, SoftTargets(2.0))
    ours.compile("sgd", crossentropy)
    exact = ours.evaluate(*images, verbose=0, return_dict=True)["soft_targets"]
    np.testing.assert_allclose(logs["logits_distillation"], exact, rtol=1e-3)


def test_the_adapter_shows_the_loss_that_was_given(make_cnn):
    given = keras.distillation.FeatureDistillation("mse", "pool2", "pool2")
    assert distillation_loss(given).original is given
    distiller = Distiller(make_cnn(8), make_cnn(8), given)
    assert distiller.distillation_losses == [given]
    assert "feature_distillation (FeatureDistillation, weight 1.0)" in distiller.describe()
    ours = SoftTargets(2.0)
    assert distillation_loss(ours) is ours


def test_a_loss_that_is_no_scalar_is_refused(make_cnn, images, crossentropy):
    class Rows(keras.distillation.DistillationLoss):
        def validate_model_compatibility(self, teacher, student):
            pass

        def compute_loss(self, teacher_outputs, student_outputs, **kwargs):
            return keras.ops.mean(teacher_outputs - student_outputs, axis=-1)

    distiller = Distiller(make_cnn(8), make_cnn(8), Rows())
    distiller.compile("sgd", crossentropy)
    with pytest.raises(ValueError, match=r"Rows.compute_loss must return a scalar"):
        distiller.fit(*images, verbose=0)
