"""The plot of a trade-off."""

import itertools

import numpy as np
import pytest

from keras_distill.visualization import plot_tradeoff


def point(name, cost, score, **more):
    return {"name": name, "costs": {"KiB": cost, "MACs": 1000 * cost}, "score": score, **more}


POINTS = [
    point("a", 1, 0.5),
    point("b", 2, 0.4),
    point("c", 2, 0.7, is_chosen=True),
    point("d", 30, 0.6),
]


def test_the_line_has_what_no_other_beats_at_no_higher_cost():
    figure = plot_tradeoff(POINTS, "accuracy")
    assert [axis.get_xlabel() for axis in figure.axes] == ["KiB", "MACs"]
    lines = {line.get_label(): line for line in figure.axes[0].get_lines()}
    np.testing.assert_array_equal(lines["best at its cost"].get_xydata(), [[1, 0.5], [2, 0.7]])
    np.testing.assert_array_equal(lines["chosen"].get_xydata(), [[2, 0.7]])
    assert figure.axes[0].get_xscale() == "log"


def test_long_numbers_stay_apart():
    figure = plot_tradeoff([point(str(cost), cost, 0.5) for cost in (19, 157)])
    figure.canvas.draw()
    texts = [text for text in figure.axes[1].get_xticklabels() if text.get_text()]
    assert any("," in text.get_text() for text in texts)
    boxes = sorted((text.get_window_extent() for text in texts), key=lambda box: box.x0)
    assert all(left.x1 < right.x0 for left, right in itertools.pairwise(boxes))


def test_less_may_be_better():
    figure = plot_tradeoff(POINTS, "loss", higher_is_better=False)
    lines = {line.get_label(): line for line in figure.axes[0].get_lines()}
    np.testing.assert_array_equal(lines["best at its cost"].get_xydata(), [[1, 0.5], [2, 0.4]])


@pytest.mark.parametrize(
    ("points", "error"),
    [
        ([], ValueError),
        ([3], TypeError),
        ([{"name": "a"}], TypeError),
        ([point("a", 1, 0.5), {**POINTS[0], "costs": {"s": 1}}], ValueError),
    ],
)
def test_other_points_are_refused(points, error):
    with pytest.raises(error, match="points"):
        plot_tradeoff(points)
