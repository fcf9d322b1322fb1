"""Models of the commands that train: those that are named have quick batch normalizations."""

import types

import keras
import numpy as np
import pytest

from keras_distill import architectures
from keras_distill.cli.training_models import check_knows_the_data, function_of


def momenta(model):
    normalizations = keras.layers.BatchNormalization
    return {layer.momentum for layer in model.layers if isinstance(layer, normalizations)}


def test_a_named_architecture_is_right_after_few_updates():
    data = types.SimpleNamespace(input_shape=(8, 8, 1), labels=["a", "b", "c"])
    model = function_of("digits_student", data)()
    assert model.input_shape == (None, 8, 8, 1) and model.output_shape == (None, 3)
    assert momenta(architectures.digits_student()) == {0.99}
    assert momenta(model) == {0.9}


def test_a_file_keeps_its_own(tmp_path):
    path = str(tmp_path / "student.keras")
    architectures.digits_student().save(path)
    assert momenta(function_of(path, None)()) == {0.99}


def test_a_teacher_that_was_trained_too_little_needs_more_epochs():
    x, y = np.zeros((6, 4), "float32"), np.array([0, 0, 0, 0, 1, 2])
    data = types.SimpleNamespace(parts={"train": (x, y)}, labels=("a", "b", "c"))
    teacher = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
    with pytest.raises(ValueError, match=r"66.7 %. Its inputs may be scaled"):
        check_knows_the_data(teacher, data)
    with pytest.raises(ValueError, match=r"more --teacher-epochs.* 2 epochs of 6 samples"):
        check_knows_the_data(teacher, data, epochs=2)
