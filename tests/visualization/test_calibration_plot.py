"""Calibration: the error against a calculation of its own, and what is drawn."""

import numpy as np
import pytest

from keras_distill.visualization import calibration_error, plot_calibration

pytest.importorskip("matplotlib")


@pytest.fixture
def answers():
    rng = np.random.default_rng(0)
    logits = 2 * rng.normal(size=(200, 4))
    labels = np.where(rng.random(200) < 0.6, logits.argmax(1), rng.integers(0, 4, 200))
    return labels, logits, np.exp(logits) / np.exp(logits).sum(1, keepdims=True)


def slow_error(labels, probabilities, bins):
    error = 0.0
    for number in range(bins):
        confidence = probabilities.max(1)
        inside = (confidence > number / bins) & (confidence <= (number + 1) / bins)
        if inside.any():
            right = probabilities[inside].argmax(1) == labels[inside]
            error += inside.mean() * abs(right.mean() - confidence[inside].mean())
    return error


@pytest.mark.parametrize("bins", [1, 7, 15])
def test_the_error_is_that_of_a_loop_over_the_bins(answers, bins):
    labels, logits, probabilities = answers
    expected = slow_error(labels, probabilities, bins)
    assert expected > 0.001
    assert calibration_error(labels, probabilities, bins) == pytest.approx(expected)
    assert calibration_error(labels, logits, bins, from_logits=True) == pytest.approx(expected)


def test_a_sure_model_that_is_right_has_no_error_and_a_wrong_one_has_all():
    sure = np.eye(3)
    assert calibration_error([0, 1, 2], sure) == 0
    assert calibration_error([1, 2, 0], sure) == 1


def test_the_diagram_has_accuracy_over_confidence_and_the_error_in_the_legend(answers, tmp_path):
    labels, _, probabilities = answers
    path = tmp_path / "calibration.png"
    figure = plot_calibration(labels, {"$t": probabilities}, bins=2, path=path)
    upper, lower = figure.axes
    high = probabilities.max(1) > 0.5
    right = probabilities.argmax(1) == labels
    drawn = upper.lines[1].get_xydata()
    expected = [[probabilities.max(1)[half].mean(), right[half].mean()] for half in (~high, high)]
    np.testing.assert_allclose(drawn, expected)
    error = calibration_error(labels, probabilities, bins=2)
    assert upper.get_legend().get_texts()[0].get_text() == f"$t (ECE {error:.1%})"
    np.testing.assert_allclose(lower.patches[0].get_data().values, [1 - high.mean(), high.mean()])
    assert path.read_bytes()[1:4] == b"PNG"


@pytest.mark.parametrize(
    ("labels", "values", "message"),
    [
        ([0, 1], [[2.0, -1.0], [0.0, 1.0]], "from_logits=True"),
        ([0, 1], [[0.5, 0.5]], "the 2 samples of labels"),
        ([0, 2], [[0.5, 0.5], [0.5, 0.5]], "at least 3 classes"),
        ([0, -1], [[0.5, 0.5], [0.5, 0.5]], "without a label"),
        ([0, 1], [0.5, 0.5], "predictions must be an array"),
    ],
)
def test_what_has_no_calibration_is_refused(labels, values, message):
    with pytest.raises(ValueError, match=message):
        calibration_error(labels, values)


def test_one_score_per_sample_is_that_of_the_second_class():
    scores, labels = np.array([[0.2], [0.9], [0.6]]), [0, 1, 0]
    both = calibration_error(labels, np.hstack([1 - scores, scores]))
    assert calibration_error(labels, scores) == pytest.approx(both)
    logits = np.log(scores / (1 - scores))
    assert calibration_error(labels, logits, from_logits=True) == pytest.approx(both)
