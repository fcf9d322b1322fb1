"""Loading: scale, subsets, sizes, bad arguments."""

import numpy as np
import pytest

from keras_distill import datasets


def test_digits_have_the_documented_form():
    digits = datasets.load("digits")
    assert digits.x_train.shape == (1038, 8, 8, 1) and digits.x_test.shape == (500, 8, 8, 1)
    assert digits.x_val.shape == (259, 8, 8, 1) and digits.y_val.shape == (259,)
    assert digits.x_train.dtype == np.float32 and digits.y_train.dtype == np.int32
    assert digits.x_train.min() == 0 and digits.x_train.max() == 1
    assert digits.range == (0.0, 1.0)
    assert digits.input_shape == (8, 8, 1) and digits.num_classes == 10
    assert digits.labels == tuple("0123456789")


def test_subset_is_balanced_seeded_and_from_the_whole_part():
    whole = datasets.load("digits")
    some = datasets.load("digits", max_train=200, max_test=50)
    other = datasets.load("digits", max_train=200, seed=1)
    assert np.ptp(np.bincount(some.y_train)) <= 1 and len(some.y_train) == 200
    assert len(some.y_test) == 50
    np.testing.assert_array_equal(
        some.x_train, datasets.load("digits", max_train=200, max_test=9).x_train
    )
    assert not np.array_equal(some.x_train, other.x_train)
    known = {x.tobytes(): y for x, y in zip(whole.x_train, whole.y_train, strict=True)}
    assert all(known[x.tobytes()] == y for x, y in zip(some.x_train, some.y_train, strict=True))


def test_limit_above_the_set_keeps_all():
    assert len(datasets.load("digits", max_train=5000).x_train) == 1038


def test_images_can_be_resized():
    digits = datasets.load("digits", max_train=20, image_size=(12, 16))
    assert digits.input_shape == (12, 16, 1)
    assert digits.x_train.min() >= 0 and digits.x_train.max() <= 1


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"max_train": 0}, ValueError, "max_train"),
        ({"max_test": -5}, ValueError, "max_test"),
        ({"max_train": 10.0}, TypeError, "max_train"),
        ({"max_train": True}, TypeError, "max_train"),
        ({"max_val": 0}, ValueError, "max_val"),
        ({"validation_split": 1.0}, ValueError, "validation_split"),
        ({"validation_split": float("nan")}, ValueError, "validation_split"),
        ({"validation_split": "0.1"}, TypeError, "validation_split"),
        ({"validation_split": 0.9999}, ValueError, "validation_split leaves no training image"),
        ({"validation_split": 0, "max_val": 5}, ValueError, "max_val has nothing to choose from"),
        ({"image_size": 8}, TypeError, "image_size"),
        ({"image_size": (8, 0)}, ValueError, "image_size"),
    ],
)
def test_bad_arguments_are_named(arguments, error, message):
    with pytest.raises(error, match=message):
        datasets.load("digits", **arguments)


def test_name_must_be_a_string():
    with pytest.raises(TypeError, match=r"name=7"):
        datasets.load(7)


@pytest.mark.parametrize(
    ("argument", "value"),
    [("seed", -1), ("seed", "a"), ("download", 1), ("data_dir", 3), ("image_size", (8, 2**40))],
)
def test_a_wrong_setting_of_load_is_named(argument, value):
    with pytest.raises((TypeError, ValueError), match=f"{argument} must be.*Received: {argument}="):
        datasets.load("digits", **{argument: value})
