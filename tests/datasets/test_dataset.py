"""Own data sets are checked part by part."""

import numpy as np
import pytest

from keras_distill import datasets


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("name", 3),
        ("x_train", np.full((4, 8, 8, 1), np.nan)),
        ("x_test", np.zeros((4, 8, 8))),
        ("y_train", np.array([0, 1, 2, 3])),
        ("y_train", np.array([0, 1, 0])),
        ("y_test", np.array([0.0, 1.0, 0.0, 1.0])),
        ("labels", {"no", "yes"}),
        ("labels", ()),
        ("range", (1.0, 0.0)),
        ("range", 255),
    ],
)
def test_a_wrong_part_of_an_own_data_set_is_named(argument, value):
    x, y = np.zeros((4, 8, 8, 1)), np.array([0, 1, 0, 1])
    right = {"name": "own", "x_train": x, "y_train": y, "x_test": x, "y_test": y}
    right["labels"] = ("no", "yes")
    assert datasets.Dataset(**right).num_classes == 2
    with pytest.raises((TypeError, ValueError), match=f"{argument} must be.*Received: {argument}="):
        datasets.Dataset(**{**right, argument: value})


def test_a_data_set_of_ones_own_may_have_a_validation_part():
    x, y = np.zeros((4, 8, 8, 1)), np.array([0, 1, 0, 1])
    arrays = {"x_train": x, "y_train": y, "x_test": x, "y_test": y}
    without = datasets.Dataset("own", labels=("no", "yes"), **arrays)
    assert without.validation_data is None
    part = {"x_val": x[:2], "y_val": y[:2]}
    given = datasets.Dataset("own", labels=("no", "yes"), **arrays, **part)
    assert given.validation_data[0] is part["x_val"] and given.validation_data[1] is part["y_val"]


@pytest.mark.parametrize(
    ("part", "message"),
    [
        ({"x_val": np.zeros((2, 8, 8, 1))}, "given together.*Received: y_val=None"),
        ({"y_val": np.zeros(2, int)}, "given together.*Received: x_val=None"),
        ({"x_val": np.zeros((2, 8, 8, 1)), "y_val": np.array([0, 7])}, "y_val must be"),
        ({"x_val": [[1.0]], "y_val": np.array([0])}, "x_val must be"),
    ],
)
def test_a_wrong_validation_part_is_named(part, message):
    x, y = np.zeros((4, 8, 8, 1)), np.array([0, 1, 0, 1])
    arrays = {"x_train": x, "y_train": y, "x_test": x, "y_test": y}
    with pytest.raises(ValueError, match=message):
        datasets.Dataset("own", labels=("no", "yes"), **arrays, **part)
