"""A fold's score is that of new models, also where the compiled models of another fold are used."""

import types

import keras
import numpy as np
import pytest

from keras_distill import losses
from keras_distill.comparison.settings import Settings
from keras_distill.training.reuse import CompiledModels
from keras_distill.tuning.fold_training import FoldTraining
from keras_distill.tuning.folds import make_folds
from keras_distill.tuning.settings import checked_settings
from keras_distill.tuning.teacher_source import TeacherSource
from keras_distill.tuning.training_data import TrainingData

SETTINGS = {
    "distillation_losses": ["kd", losses.HintLearning("hidden", "hidden")],
    "distillation_loss_weights": ["balanced", 1.0],
}


RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(40, 6)).astype("float32"), np.arange(40) % 2


def make_model(width):
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((6,)),
            layers.Dense(width, name="hidden"),
            layers.BatchNormalization(),
            layers.Dropout(0.3),
            layers.Dense(2),
        ]
    )


@pytest.fixture
def training():
    data = TrainingData((X, Y))
    optimizer = keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(0.01, 8))
    train = types.SimpleNamespace(train=data)
    setup = Settings(make_model(2), train, 2, 10, optimizer, None, None, None, None, {})
    source = TeacherSource(make_model(8), data, 10)
    return FoldTraining(lambda: make_model(2), data, setup, source, None, "loss")


def test_models_that_are_used_again_score_like_new_ones(training, monkeypatch):
    settings = checked_settings(SETTINGS, "settings")
    folds = make_folds(40, Y, folds=2)
    again = [training.score(settings, fold) for fold in folds]
    monkeypatch.setattr(CompiledModels, "start_as", lambda *args: False)
    assert training.score(settings, folds[1]) == again[1]


def test_models_of_other_settings_are_not_used_again(training):
    one, other = (checked_settings({"distillation_losses": name}, name) for name in ("kd", "dist"))
    first, _ = training._made(one, 0)
    assert training._made(one, 1)[0] is first
    assert training._made(other, 1)[0] is not first
    assert training._made(None, 1)[0].settings[0] is None
