"""Gains by seed: what is drawn, and what can't be."""

import numpy as np
import pytest

from keras_distill import visualization

pytest.importorskip("matplotlib")


def test_gains_are_those_over_the_first_arm():
    values = {"alone": [0.5, 0.6, np.nan], "$x$": [0.7, 0.7, 0.9], "y": [0.4, 0.6, 0.8]}
    for higher, sign in ((True, 1), (False, -1)):
        _, right = visualization.plot_gains(values, higher_is_better=higher).axes
        means = [line.get_data() for line in right.lines if line.get_marker() == "D"]
        found = [float(x[0]) for x, _ in means]
        np.testing.assert_allclose(found, [sign * 0.15, sign * -0.05])
        assert [label.get_text() for label in right.get_yticklabels()] == ["$x$", "y"]


def test_one_seed_has_no_error_bar(tmp_path):
    figure = visualization.plot_gains({"a": [1.0], "b": [2.0]}, path=tmp_path / "gains.png")
    assert not figure.axes[1].collections
    assert (tmp_path / "gains.png").read_bytes()[1:4] == b"PNG"


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"a": [1.0]}, "two arms or more"),
        ([[1.0], [2.0]], "values must be a dict"),
        ({"a": [1.0, 2.0], "b": [1.0]}, "values\\['b'\\] must have a number for each of the 2"),
        ({"a": [1.0], "b": [np.nan]}, "one that is finite"),
        ({"a": [1.0], "b": ["x"]}, "values\\['b'\\] must be one number per seed"),
    ],
)
def test_values_that_cannot_be_paired_are_refused(values, message):
    with pytest.raises(ValueError, match=message):
        visualization.plot_gains(values)
