"""Attention along sequences: what stands in the figure."""

import numpy as np
import pytest

from keras_distill.visualization import plot_sequence_attention

pytest.importorskip("matplotlib")

MAPS = {"teacher": np.array([[0.1, 0.9, 0.2], [0.3, 0.1, 0.6]]), "student": np.eye(2)}


def texts_of(figure):
    return [text.get_text() for axis in figure.get_axes() for text in axis.texts]


def test_each_sample_of_a_series_has_its_lines_and_a_strip_per_model():
    series = np.random.default_rng(0).random((2, 12, 3))
    figure = plot_sequence_attention(series, MAPS)
    lines, strips, *others = figure.get_axes()
    assert len(others) == 2 and len(lines.lines) == 3
    assert [text.get_text() for text in strips.get_yticklabels()] == ["teacher", "student"]
    assert [image.get_array().shape for image in strips.images] == [(1, 3), (1, 2)]
    # Each over the whole sequence, however many positions it has.
    assert all(image.get_extent()[:2] == [-0.5, 11.5] for image in strips.images)
    np.testing.assert_array_equal(strips.images[0].get_array(), MAPS["teacher"][:1])


@pytest.mark.parametrize("as_numbers", [False, True])
def test_tokens_stand_below_the_strips(as_numbers):
    words = [["5", "7", "5"], ["1", "0", "8"]]
    given = np.array(words, int) if as_numbers else words
    figure = plot_sequence_attention(given, {"teacher": MAPS["teacher"]})
    found = [[text.get_text() for text in axis.get_xticklabels()] for axis in figure.get_axes()]
    assert found == words


def test_right_and_wrong_answers_differ_in_their_mark():
    answers = {"teacher": [1, 0], "student": np.eye(2)}
    names = ["no", "$yes"]
    figure = plot_sequence_attention(
        [["a", "b", "c"]] * 2, MAPS, None, answers, [1, 1], class_names=names
    )
    expected = ["\u2713 $yes", "\u2717 no", "\u2717 no", "\u2713 $yes"]
    assert texts_of(figure) == expected
    assert [axis.get_title(loc="left") for axis in figure.get_axes()] == ["$yes", "$yes"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"sequences": np.zeros((2, 3, 4, 1))}, "sequences must be series"),
        ({"sequences": []}, "not empty"),
        ({"sequences": np.zeros((3, 4))}, "has 2 samples, but sequences has 3"),
        ({"maps": {}}, "maps must be a dict"),
        ({"maps": {"teacher": np.ones((2, 3, 3))}}, r"maps\['teacher'\]"),
        ({"predictions": {"other": [0, 1]}}, "which has no map"),
        ({"labels": [0, 3], "class_names": ["no", "yes"]}, "class_names names the 2 classes"),
        ({"sequences": [["a"]] * 251}, "at most 250"),
    ],
)
def test_wrong_arguments_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        plot_sequence_attention(**{"sequences": [["a", "b", "c"]] * 2, "maps": MAPS, **arguments})
