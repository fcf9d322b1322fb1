"""Arguments of plots that make no sense are refused by name."""

import numpy as np
import pytest

from keras_distill import visualization
from keras_distill.visualization import plot_data

pytest.importorskip("matplotlib")


@pytest.mark.parametrize(
    "features", [np.ones((2, 3, 4)), np.ones((0, 3, 3, 2)), np.full((1, 2, 2, 1), np.nan)]
)
def test_attention_map_refuses_what_is_no_feature_map(features):
    with pytest.raises(ValueError, match=r"features"):
        visualization.attention_map(features)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"maps": {}}, "maps"),
        ({"maps": np.ones((2, 4, 4))}, "dict"),
        ({"maps": {"m": np.ones((3, 4, 4))}}, "3 samples, but images has 2"),
        ({"maps": {"m": np.ones((2, 4))}}, r"maps\['m'\]"),
        ({"images": np.ones((2, 8, 8, 4))}, "1 or 3 channels"),
        ({"predictions": {"other": [0, 1]}}, "'other', which has no map"),
        ({"predictions": {"m": [0.5, 1]}}, "classes"),
        ({"predictions": {"m": [[0.5, np.nan], [0, 1]]}}, "finite"),
        ({"labels": [1]}, "1 samples"),
        ({"labels": ["yes", "no"]}, "Received: labels=<ndarray of shape"),
        ({"images": [[[1, 2]], [[1]]]}, "rows differ in length"),
        ({"images": np.full((2, 8, 8), "x")}, "something else than numbers"),
        ({"labels": [0, 2], "class_names": ["no", "yes"]}, "names the 2 classes"),
        ({"predictions": {"m": [0, -1]}, "class_names": ["no", "yes"]}, "names the 2 classes"),
    ],
)
def test_attention_arguments_that_do_not_fit_are_named(arguments, message):
    given = {"images": np.ones((2, 8, 8, 1)), "maps": {"m": np.ones((2, 4, 4))}} | arguments
    with pytest.raises(ValueError, match=message):
        visualization.plot_attention(**given)


@pytest.mark.parametrize(
    ("histories", "message"),
    [
        ({}, "histories"),
        ([{"acc": [1]}], "dict of model name"),
        ({"a": []}, "'a' has no histories"),
        ({"a": {"loss": [1]}}, "no values of 'acc'. It has: loss"),
        ({"a": {"acc": []}}, "no values"),
        ({"a": {"acc": ["x"]}}, "'acc' of 'a' must be one number per epoch"),
        ({"a": {"acc": [[1, 2]]}}, "one number per epoch"),
    ],
)
def test_histories_without_the_metric_are_named(histories, message):
    with pytest.raises(ValueError, match=message):
        visualization.plot_curves(histories, metric="acc")


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda draw: draw.png(None), "figure=None"),
        (lambda draw: draw.plot_curves({"a": {"acc": [1]}}, metric=["acc"]), r"metric=\['acc'\]"),
        (lambda draw: draw.plot_confusion([0], [0], ["a"], path=5), "path=5"),
        (
            lambda draw: draw.plot_attention(
                np.ones((1, 2, 2)), {"m": np.ones((1, 2, 2))}, predictions=[0]
            ),
            r"predictions=\[0\]",
        ),
    ],
)
def test_arguments_of_the_wrong_type_are_named(call, message):
    with pytest.raises(TypeError, match=f"Received: {message}"):
        call(visualization)


@pytest.mark.parametrize(
    ("y_true", "y_pred", "message"),
    [
        ([0, 1], [0], "2 and 1"),
        ([], [], "one or more"),
        ([0, 2], [0, 1], "y_true"),
        ([0], [-1], "y_pred"),
        ([0], [[np.nan, 1]], "y_pred"),
        (["yes"], [1], "y_true"),
    ],
)
def test_confusion_refuses_samples_that_do_not_pair_or_have_no_name(y_true, y_pred, message):
    with pytest.raises(ValueError, match=message):
        visualization.plot_confusion(y_true, y_pred, ["a", "b"])


@pytest.mark.parametrize(
    "names",
    [
        {"no", "yes"},
        {0: "no", 1: "yes"},
        iter(["no", "yes"]),
        [],
        "ny",
        b"ny",
        np.array(1.0),
        np.array([["no", "yes"]]),
        ["no", None],
        [0.5, 1.5],
    ],
)
def test_names_without_an_order_are_refused(names):
    with pytest.raises(TypeError, match=r"labels must be a sequence.* Received: labels="):
        visualization.plot_confusion([0, 1], [0, 1], labels=names)
    with pytest.raises(TypeError, match=r"class_names must be a sequence"):
        visualization.plot_attention(
            np.ones((1, 2, 2)), {"m": np.ones((1, 2, 2))}, class_names=names
        )


def test_numbers_name_classes_too():
    axis = visualization.plot_confusion([0, 1], [0, 1], labels=range(2)).axes[0]
    assert [text.get_text() for text in axis.get_xticklabels()] == ["0", "1"]


def test_a_picture_of_too_much_is_refused_before_memory_ends():
    with pytest.raises(ValueError, match=r"100,000 classes, and a plot holds at most 250"):
        visualization.plot_confusion([0], [0], labels=range(100_000))
    with pytest.raises(ValueError, match=r"300 samples, and a plot holds at most 250"):
        visualization.plot_attention(np.ones((300, 2, 2)), {"m": np.ones((300, 2, 2))})


@pytest.mark.parametrize(
    ("draw", "argument"),
    [
        (lambda draw, bad: draw.attention_map(bad.reshape(1, 2, 1, 1)), "features"),
        (lambda draw, bad: draw.plot_confusion(bad, [0, 1], ["a", "b"]), "y_true"),
        (
            lambda draw, bad: draw.plot_attention(bad.reshape(2, 1, 1), {"m": np.ones((2, 2, 2))}),
            "images",
        ),
    ],
)
def test_complex_numbers_are_refused(draw, argument):
    with pytest.raises(ValueError, match=argument):
        draw(visualization, np.array([0, 1 + 1j]))


def test_a_long_metric_is_cut_in_the_error():
    with pytest.raises(ValueError, match="histories:") as caught:
        visualization.plot_curves({"a": {"acc": [1]}}, metric="long" * 2_500)
    assert len(str(caught.value)) < 600


def test_a_column_of_classes_is_classes_and_one_of_scores_is_refused():
    column = np.array([[0.0], [1.0], [1.0]])
    np.testing.assert_array_equal(plot_data.class_numbers(column, "labels"), [0, 1, 1])
    with pytest.raises(ValueError, match="give classes, such as scores"):
        plot_data.class_numbers(0.3 * column, "predictions")
