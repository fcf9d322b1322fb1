"""The result of a search: statistics against NumPy and SciPy, rules, table, picture."""

import json

import numpy as np
import pytest
from scipy import stats

from keras_distill.comparison.metric import Metric
from keras_distill.tuning.result import Trial, TuningResult
from keras_distill.tuning.space import DefaultSpace

ALONE = np.array([0.80, 0.82, 0.78, 0.81, 0.79])
SPACE = DefaultSpace(["kd", "dist"])


def trial(name, scores, loss="kd", weight=1.0, epochs=5, failure=None):
    values = {"loss": loss, "temperature": 4.0, "weight": weight}
    return Trial(name, values, np.array(scores), epochs, 1.0, failure)


def result(*trials, rule="best", higher_is_better=True):
    alone = Trial("student alone", {}, ALONE, 5, 1.0)
    metric = Metric("accuracy" if higher_is_better else "loss", higher_is_better)
    return TuningResult(list(trials), alone, metric, SPACE, rule)


GOOD = trial("good", ALONE + np.array([0.10, 0.11, 0.09, 0.10, 0.12]), weight=50.0)
CLOSE = trial("close", GOOD.scores - np.array([2, 1, 3, 2, 1]) / 1000, weight=2.0)
BAD = trial("bad", ALONE - 0.3, "dist", weight=0.1)
NOISY = trial("noisy", ALONE + np.array([0.02, -0.01, 0.03, 0.0, 0.01]))
FAILED = trial("failed", [], failure="loss is NaN")


def test_mean_and_standard_error_equal_numpys():
    assert GOOD.mean == np.mean(GOOD.scores)
    np.testing.assert_allclose(GOOD.standard_error, np.std(GOOD.scores, ddof=1) / np.sqrt(5))


def test_gains_are_paired_by_fold():
    made = result(GOOD)
    np.testing.assert_allclose(made.gains(GOOD), [0.10, 0.11, 0.09, 0.10, 0.12])
    np.testing.assert_allclose(made.gain, 0.104)
    of_loss = result(GOOD, BAD, higher_is_better=False)
    np.testing.assert_allclose(of_loss.gains(BAD), np.full(5, 0.3))
    assert of_loss.best_trial is BAD


def test_the_p_value_is_that_of_the_paired_t_test_corrected_by_holm():
    made = result(GOOD, NOISY)
    expected = [stats.ttest_rel(each.scores, ALONE).pvalue for each in (GOOD, NOISY)]
    np.testing.assert_allclose(made.p_values, [2 * expected[0], expected[1]])


def test_the_best_comes_first_and_what_failed_comes_last():
    made = result(FAILED, BAD, GOOD, CLOSE)
    assert [each.name for each in made.trials] == ["good", "close", "bad", "failed"]
    assert made.best["distillation_loss_weights"] == [50.0]


def test_one_standard_error_chooses_the_simplest_of_those_that_are_as_good():
    assert result(BAD, GOOD, CLOSE, rule="one_standard_error").best_trial is CLOSE
    assert result(BAD, GOOD, rule="one_standard_error").best_trial is GOOD
    far = trial("far", GOOD.scores - 2 * GOOD.standard_error, weight=0.5)
    assert result(GOOD, CLOSE, far, rule="one_standard_error").best_trial is CLOSE


def test_a_trial_of_fewer_epochs_is_not_chosen_and_has_no_gain():
    short = trial("short", GOOD.scores + 0.05, epochs=2)
    made = result(short, GOOD)
    assert made.best_trial is GOOD
    assert made.gains(short).size == 0
    assert "short (2 epochs)" in str(made)


def test_the_verdict_tells_a_gain_from_chance_and_from_nothing():
    assert "good: +10.4 ± 0.5 points over the student alone" in result(GOOD, BAD).verdict
    assert result(BAD).verdict.startswith("Nothing to gain here")
    assert result(NOISY).verdict.startswith("No gain is shown")


def test_where_all_failed_the_result_says_why():
    made = result(FAILED)
    assert "failed: loss is NaN" in str(made)
    with pytest.raises(ValueError, match="loss is NaN"):
        _ = made.best


def test_the_table_has_every_trial_and_the_student_alone():
    text = str(result(FAILED, BAD, GOOD))
    rows = [line.split() for line in text.splitlines() if "±" in line and line.startswith("│")]
    assert [" ".join(row[1:3]).rstrip(" │") for row in rows] == ["good", "student alone", "bad"]


def test_the_dictionary_is_what_json_can_write():
    made = json.loads(json.dumps(result(FAILED, BAD, GOOD).to_dict(), allow_nan=False))
    assert made["best"] == "good"
    assert made["student_alone"]["scores"] == ALONE.tolist()
    assert made["trials"][0]["gain"] == pytest.approx(0.104)
    assert made["trials"][2]["failure"] == "loss is NaN"


def test_the_picture_has_a_panel_per_number_and_the_student_alone(tmp_path):
    figure = result(GOOD, CLOSE, BAD).plot(tmp_path / "search.png")
    assert [axis.get_xlabel() for axis in figure.axes] == ["weight"]
    drawn = {container.get_label() for container in figure.axes[0].containers}
    assert drawn == {"kd", "dist"}
    np.testing.assert_allclose(figure.axes[0].lines[-1].get_ydata(), ALONE.mean())
    assert (tmp_path / "search.png").read_bytes()[1:4] == b"PNG"
