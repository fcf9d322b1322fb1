"""A small task that trains in a second: three Gaussian clusters."""

import keras
import numpy as np
import pytest

from keras_distill.comparison.training_runs import Run, Trainer


def clusters(count, seed):
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 3, count)
    x = rng.normal(size=(count, 4)) + 1.5 * np.eye(3, 4)[y]
    return x.astype("float32"), y


def make_student():
    return keras.Sequential(
        [
            keras.Input((4,)),
            keras.layers.GaussianNoise(0.1),
            keras.layers.Dense(6, activation="relu", name="hidden"),
            keras.layers.Dropout(0.2),
            keras.layers.Dense(3, name="logits"),
        ]
    )


@pytest.fixture
def student_maker():
    return make_student


@pytest.fixture(scope="module")
def data():
    return {"train": clusters(90, 0), "test": clusters(60, 2)}


@pytest.fixture(scope="module")
def with_validation(data):
    return {**data, "validation": clusters(30, 1)}


@pytest.fixture(scope="module")
def teacher(data):
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input((4,)),
            keras.layers.Dense(16, activation="relu", name="hidden"),
            keras.layers.Dense(3, name="logits"),
        ]
    )
    adam = keras.optimizers.Adam(0.03)
    model.compile(adam, keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    model.fit(*data["train"], epochs=10, verbose=0)
    return model


@pytest.fixture
def untrained(monkeypatch):
    """Runs are recorded as if they had been trained."""

    def run(self, arm, seed):
        self.settings.callbacks(arm.name, seed)
        results = {"loss": 1.0, "accuracy": 0.5 + 0.01 * seed + 0.1 * (arm.name == "kd")}
        return Run(arm.name, seed, results, {"loss": [2.0, 1.0 + seed]}, 3), None

    monkeypatch.setattr(Trainer, "run", run)
