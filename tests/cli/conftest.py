"""A teacher, a student and data in files, for the commands that train."""

import keras
import numpy as np
import pytest


def samples(count, seed):
    """Images with a bright row, whose number is the class."""
    rng = np.random.default_rng(seed)
    y = np.arange(count) % 3
    x = 0.3 * rng.random((count, 8, 8, 1), "float32")
    x[np.arange(count), 2 * y] += 0.7
    return x, y


def make_model(filters):
    return keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            keras.layers.Conv2D(filters, 3, activation="relu"),
            keras.layers.MaxPooling2D(),
            keras.layers.Flatten(),
            keras.layers.Dense(3),
        ]
    )


@pytest.fixture(scope="session")
def place(tmp_path_factory):
    """A folder with data.npz, a trained teacher.keras and a student.keras."""
    folder = tmp_path_factory.mktemp("place")
    (x, y), (x_test, y_test) = samples(90, 0), samples(30, 1)
    np.savez(folder / "data.npz", x_train=x, y_train=y, x_test=x_test, y_test=y_test)
    keras.utils.set_random_seed(0)
    teacher = make_model(8)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    teacher.compile(keras.optimizers.Adam(0.02), loss)
    teacher.fit(x, y, epochs=6, verbose=0)
    teacher.save(folder / "teacher.keras")
    make_model(2).save(folder / "student.keras")
    teacher.layers[-1].set_weights([np.zeros((72, 3)), np.zeros(3)])
    teacher.save(folder / "constant.keras")
    return folder
