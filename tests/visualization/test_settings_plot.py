"""The plot of a search: a panel per number, a color per kind, rows where there are no numbers."""

import numpy as np
import pytest

from keras_distill.visualization import plot_settings


def point(name, values, mean):
    return {"name": name, "values": values, "mean": mean, "error": 0.01}


POINTS = [
    point("a", {"loss": "kd", "T": 1.0, "weight": 0.1, "balanced": True}, 0.8),
    point("b", {"loss": "dist", "T": 2.0, "weight": 100.0, "balanced": False}, 0.9),
    point("c", {"loss": "kd", "T": 4.0, "balanced": False}, 0.85),
]


def test_each_number_has_a_panel_with_the_points_that_have_it():
    figure = plot_settings(POINTS, "accuracy", baseline=(0.7, 0.02))
    panels = {axis.get_xlabel(): axis for axis in figure.axes}
    assert set(panels) == {"T", "weight"}
    assert panels["T"].get_xscale() == "linear"
    assert panels["weight"].get_xscale() == "log"
    drawn = {line.get_label(): line.lines[0].get_xydata() for line in panels["T"].containers}
    np.testing.assert_array_equal(drawn["kd"], [[1.0, 0.8], [4.0, 0.85]])
    np.testing.assert_array_equal(drawn["dist"], [[2.0, 0.9]])
    texts = [text.get_text() for text in figure.legends[0].get_texts()]
    assert texts == ["kd", "dist", "student alone"]


def test_settings_without_numbers_are_rows():
    named = [point("kd", {"candidate": "kd"}, 0.8), point("$x$", {"candidate": "$x$"}, 0.9)]
    (axis,) = plot_settings(named).axes
    assert [text.get_text() for text in axis.get_yticklabels()] == ["kd", "$x$"]
    np.testing.assert_array_equal(axis.containers[0].lines[0].get_xdata(), [0.8, 0.9])


@pytest.mark.parametrize(
    ("points", "error"), [([], ValueError), ([3], TypeError), ([{"name": "a"}], TypeError)]
)
def test_other_points_are_refused(points, error):
    with pytest.raises(error, match="points"):
        plot_settings(points)
