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
