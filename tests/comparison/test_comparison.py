"""Results: gains, p-values and verdicts of given values, the table, the picture."""

import json
import math
import re

import numpy as np
import pytest
from scipy import stats

from keras_distill.comparison import Comparison
from keras_distill.comparison.metric import Metric, metric_of
from keras_distill.comparison.training_runs import Run

ACCURACY = Metric("accuracy", higher_is_better=True)
ERROR = Metric("mse", higher_is_better=False)
ALONE = [0.90, 0.91, 0.89, 0.92, 0.90]


def comparison(metric=ACCURACY, failures=(), teacher=None, **values):
    runs = {}
    for arm, numbers in {"student alone": ALONE, **values}.items():
        runs[arm] = [
            Run(arm, seed, {metric.name: value}, {"loss": [1.0]}, 10)
            if (arm, seed) not in failures
            else Run(arm, seed, {}, {}, 3, "The loss became nan in epoch 2")
            for seed, value in enumerate(numbers)
        ]
        count = len(numbers)
    runs["student alone"] = runs["student alone"][:count]
    return Comparison(metric, range(count), runs, teacher)


def test_a_teacher_that_is_no_better_than_the_student_is_noted():
    assert not comparison(teacher=0.95, x=ALONE).notes
    assert "The teacher itself (85.0) is no better" in comparison(teacher=0.85, x=ALONE).notes[0]
    assert not comparison(ERROR, teacher=0.1, x=ALONE).notes
    assert comparison(ERROR, teacher=3.0, x=ALONE).notes
    assert "teacher" in comparison(teacher=0.95, x=ALONE).table()


def test_gains_and_p_values_are_paired_by_seed():
    kd = [0.93, 0.92, 0.93, 0.94, 0.91]
    made = comparison(kd=kd)
    np.testing.assert_allclose(made.gains["kd"], np.subtract(kd, ALONE))
    assert made.mean_gains["kd"] == pytest.approx(0.022)
    assert made.standard_errors["kd"] == pytest.approx(stats.sem(np.subtract(kd, ALONE)))
    assert made.p_values["kd"] == pytest.approx(stats.ttest_rel(kd, ALONE).pvalue)
    assert made.adjusted_p_values == made.p_values


def test_a_gain_is_less_of_a_metric_of_which_less_is_better():
    made = comparison(ERROR, better=[0.8, 0.82, 0.81, 0.80, 0.81])
    assert (made.gains["better"] > 0).all()
    assert made.verdicts["better"].startswith("better helped: a gain of +0.0")
    assert "+ is less mse, better" in str(made)


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ([0.93, 0.94, 0.93, 0.95, 0.92], r"x helped: a gain of \+3.0 ± 0.3 points in accuracy \(5"),
        ([0.87, 0.88, 0.85, 0.88, 0.87], r"x hurt: a gain of -3.4 ± 0.2 points in accuracy"),
        ([0.91, 0.90, 0.90, 0.91, 0.91], r"With 5 seeds it can't be told whether x helps: a gain"),
        (ALONE, r"x changed nothing: accuracy was the same with each of 5 seeds"),
        ([a + 0.01 for a in ALONE], r"It can't be told .* \+1.0 points .* as if there were one"),
        ([0.95], r"With 1 seed it can't be told .* of \+5.0 points .* no standard error"),
    ],
)
def test_the_verdict_says_helped_hurt_or_that_it_cannot_be_told(values, sentence):
    assert re.match(sentence, comparison(x=values).verdicts["x"])


def test_many_candidates_need_more_than_a_lucky_one():
    lucky = [0.93, 0.91, 0.92, 0.94, 0.91]
    alone = comparison(lucky=lucky)
    assert 0.02 < alone.p_values["lucky"] < 0.05
    assert alone.verdicts["lucky"].startswith("lucky helped")
    rng = np.random.default_rng(0)
    others = {f"c{n}": list(np.add(ALONE, rng.normal(0, 0.01, 5))) for n in range(3)}
    among = comparison(lucky=lucky, **others)
    assert among.p_values["lucky"] == alone.p_values["lucky"]
    assert "can't be told" in among.verdicts["lucky"]
    assert "corrected for 4 candidates" in among.verdicts["lucky"]


def test_a_candidate_that_failed_says_why_and_counts_with_the_seeds_that_finished():
    values = [0.93, 0.94, 0.93, 0.95, 0.92]
    made = comparison(failures={("x", 1)}, x=values, y=ALONE)
    assert made.failures["x"] == {1: "The loss became nan in epoch 2"}
    assert made.verdicts["x"].startswith(
        "x failed with 1 of 5 seeds (seed 1: The loss became nan in epoch 2). Of the others: x"
    )
    assert math.isnan(made.gains["x"][1]) and np.isfinite(made.mean_gains["x"])
    never = comparison(failures={("x", seed) for seed in range(5)}, x=values)
    assert never.verdicts["x"].startswith("x failed with 5 of 5 seeds")
    assert "failed" in never.table() and math.isnan(never.mean_gains["x"])


def test_the_table_has_a_row_per_arm_and_is_what_is_printed():
    made = comparison(**{"kd [T=4]": [0.93, 0.94, 0.93, 0.95, 0.92]})
    rows = made.rows
    assert [row[""] for row in rows] == ["student alone", "kd [T=4]"]
    assert rows[0]["accuracy %"] == "90.4 ± 0.5" and rows[1]["gain points"] == "+3.0 ± 0.3"
    assert "kd [T=4]" in made.table() and made.table() in str(made)
    assert made.verdicts["kd [T=4]"] in str(made)


def test_the_numbers_can_be_written_as_json():
    made = comparison(failures={("x", 0)}, x=[0.93, 0.94, 0.93, 0.95, 0.92])
    content = json.loads(json.dumps(made.to_dict(), allow_nan=False))
    assert content["values"]["x"][0] is None
    assert content["mean_gains"]["x"] == made.mean_gains["x"]


def test_the_picture_has_each_seed_and_the_means():
    pytest.importorskip("matplotlib")
    made = comparison(x=[0.93, 0.94, 0.93, 0.95, 0.92])
    left, right = made.plot().axes
    np.testing.assert_allclose(left.lines[0].get_ydata(), [90, 93])
    points = [line.get_xdata()[0] for line in right.lines if line.get_marker() == "o"]
    np.testing.assert_allclose(sorted(points), sorted(100 * made.gains["x"]))
    means = [line.get_xdata()[0] for line in right.lines if line.get_marker() == "D"]
    np.testing.assert_allclose(means, [100 * made.mean_gains["x"]])


@pytest.mark.parametrize(
    ("results", "given", "name", "higher"),
    [
        ({"loss": 1.0, "accuracy": 0.5}, None, "accuracy", True),
        ({"loss": 1.0, "mae": 0.5}, None, "mae", False),
        ({"loss": 1.0}, None, "loss", False),
        ({"loss": 1.0, "a_loss": 1.0, "b_loss": 1.0, "a_auc": 0.5}, None, "a_auc", True),
        ({"loss": 1.0, "a_accuracy": 0.5, "b_accuracy": 0.5}, "b_accuracy", "b_accuracy", True),
    ],
)
def test_the_metric_follows_from_what_the_student_is_measured_by(results, given, name, higher):
    assert metric_of(results, given) == Metric(name, higher)


def test_a_metric_that_is_not_plain_is_asked_for():
    with pytest.raises(ValueError, match=r"several metrics, a_acc, b_acc: say with metric="):
        metric_of({"loss": 1.0, "a_acc": 0.5, "b_acc": 0.5})
    with pytest.raises(ValueError, match=r"Closest: 'accuracy'.*Received: metric='acuracy'"):
        metric_of({"loss": 1.0, "accuracy": 0.5}, "acuracy")
    with pytest.raises(ValueError, match=r"'glow' doesn't tell whether more"):
        metric_of({"loss": 1.0, "glow": 0.5})
    assert metric_of({"loss": 1.0, "glow": 0.5}, higher_is_better=True).higher_is_better
