"""The samples and losses that a report shows."""

import keras
import numpy as np

from keras_distill.cli import report_models


def test_images_are_the_first_and_others_that_are_wrong():
    y = np.zeros(20, int)
    answers = np.tile([0.9, 0.1], (20, 1))
    answers[[0, 1, 2, 7, 11, 12, 15]] = [0.1, 0.9]
    assert report_models._shown(y, answers).tolist() == [0, 1, 2, 7, 11, 12]
    answers[3:] = [0.9, 0.1]
    assert report_models._shown(y, answers).tolist() == [0, 1, 2, 3, 4, 5]
    assert report_models._shown(y[:2], answers[:2]).tolist() == [0, 1]


def test_losses_are_without_the_total_and_the_metric():
    history = {key: [1.0] for key in ("accuracy", "kd", "loss", "student_loss", "val_loss")}
    assert report_models.losses_of([history]) == ["kd", "student_loss"]


def test_one_output_is_the_probability_of_the_second_class():
    x = np.array([[-2.0], [3.0]])
    wanted = 1 / (1 + np.exp(-x[:, 0]))
    for activation in (None, "sigmoid"):
        model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, activation)])
        model.layers[0].set_weights([np.ones((1, 1)), np.zeros(1)])
        [answers] = report_models.answers_of({"one": model}, x, np.array([0, 1])).values()
        np.testing.assert_allclose(answers, np.stack([1 - wanted, wanted], 1), rtol=1e-6)
