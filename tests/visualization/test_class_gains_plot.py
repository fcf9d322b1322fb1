"""Gains by class: the bars and their errors."""

import numpy as np
import pytest

from keras_distill.visualization import plot_class_gains

pytest.importorskip("matplotlib")

LABELS = [0, 0, 2, 2]


def bars(figure):
    groups = figure.axes[0].containers
    return [[bar.get_width() for bar in group] for group in groups if hasattr(group, "patches")]


def test_a_bar_is_the_gain_in_accuracy_on_the_class(tmp_path):
    path = tmp_path / "gains.png"
    answers = {"alone": [0, 1, 2, 2], "$a": [0, 0, 2, 0], "b": np.eye(3)[[1, 1, 2, 2]]}
    figure = plot_class_gains(LABELS, answers, ["x", "y", "$z"], path)
    np.testing.assert_allclose(bars(figure), [[50, -50], [-50, 0]])
    axis = figure.axes[0]
    # The class that no sample has is left out.
    assert [label.get_text() for label in axis.get_yticklabels()] == ["x", "$z"]
    assert [text.get_text() for text in axis.get_legend().get_texts()] == ["$a", "b"]
    assert "seeds" not in axis.get_xlabel()
    assert path.read_bytes()[1:4] == b"PNG"


def test_seeds_are_paired_and_have_a_standard_error():
    alone = [np.array([0, 1, 2, 2]), np.array([0, 0, 2, 2])]
    distilled = [np.array([0, 0, 2, 0]), np.array([0, 0, 2, 2])]
    figure = plot_class_gains(LABELS, {"alone": alone, "distilled": distilled})
    np.testing.assert_allclose(bars(figure), [[25, -25]])
    axis = figure.axes[0]
    # Gains of 50 and 0: a standard deviation of 35.4, over the root of 2.
    segments = axis.collections[0].get_segments()
    np.testing.assert_allclose([each[:, 0] for each in segments], [[0, 50], [-50, 0]], atol=1e-9)
    assert "standard error of 2 seeds" in axis.get_xlabel()


@pytest.mark.parametrize(
    ("distilled", "message"),
    [
        ([np.array([0, 0, 2, 0])] * 3, "as many seeds as 'alone', which has 1"),
        ([0, 0, 2], "the 4 samples of labels"),
        ([[[0.1, 0.9]], [[0.2, 0.8]]], "one array, or a list of arrays"),
    ],
)
def test_what_cannot_be_paired_is_refused(distilled, message):
    with pytest.raises(ValueError, match=message):
        plot_class_gains(LABELS, {"alone": [0, 1, 2, 2], "distilled": distilled})
