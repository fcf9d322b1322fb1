"""The result of a search for a student: the order, the trade-offs, what can't be loaded."""

import pytest

from keras_distill.comparison.metric import Metric
from keras_distill.tuning.student_search.memory import Memory
from keras_distill.tuning.student_search.result import Candidate, StudentSearchResult

ACCURACY = Metric("accuracy", True)


def candidate(name, score, arena, reason="", failure=None, scores=()):
    costs = (arena, arena, arena, arena)
    return Candidate(name, {"name": name}, score, *costs, reason, 0.0, failure, scores)


CANDIDATES = [
    candidate("small", 0.7, 10),
    candidate("worse", 0.6, 20),
    candidate("middle", 0.8, 20),
    candidate("best", 0.9, 40),
    candidate("equal", 0.9, 50),
    candidate("too large", None, 99, reason="arena 99 B is over the limit"),
]


def result(candidates=CANDIDATES, metric=ACCURACY, fits=lambda values: True):
    def load(values):
        (size,) = [each.parameters for each in candidates if each.values == values]
        return values, Memory(size, size, size, size, "" if fits(values) else "it grew")

    return StudentSearchResult(candidates, metric, "esp32", dict, load)


def test_the_best_is_the_cheaper_of_equals():
    found = result()
    assert [each.name for each in found.candidates][:3] == ["best", "equal", "middle"]
    assert found.best.name == "best" and found.student == {"name": "best"}
    assert found.candidates[-1].name == "too large"


def test_who_was_trained_again_comes_first():
    lucky = candidate("lucky", 0.95, 30, scores=(0.95,))
    finalist = candidate("finalist", 0.8, 30, scores=(0.7, 0.8, 0.9))
    broken = candidate("broken", 0.85, 30, failure="loss is NaN", scores=(0.9, 0.8))
    found = result([lucky, broken, finalist])
    assert [each.name for each in found.candidates] == ["finalist", "broken", "lucky"]
    assert found.best.name == "finalist"
    assert "80.0 ± 5.8" in str(found) and "95.0 ±" not in str(found)


def test_no_other_is_better_at_no_higher_cost():
    assert [each.name for each in result().pareto()] == ["small", "middle", "best"]
    loss = result(metric=Metric("loss", False))
    assert [each.name for each in loss.pareto("macs")] == ["small", "worse"]
    with pytest.raises(ValueError, match="cost must be one of"):
        result().pareto("price")


def test_a_student_that_no_longer_fits_with_its_weights_is_passed_over():
    found = result(fits=lambda values: values["name"] != "best")
    assert found.best.name == "equal"
    assert [each.name for each in found.pareto()] == ["small", "middle", "equal"]
    assert found.candidates[0].reason == "it grew"
    with pytest.raises(ValueError, match="with its trained weights: it grew"):
        result(fits=lambda values: False)


def test_the_table_tells_those_that_failed_from_those_whose_turn_did_not_come():
    others = [candidate("nan", None, 30, failure="loss is NaN"), candidate("waiting", None, 5)]
    found = result([*CANDIDATES, *others])
    assert [each.name for each in found.candidates][-3:] == ["nan", "waiting", "too large"]
    rows, words = str(found).splitlines(), " ".join(str(found).split())
    assert "not shown: 1 that weren't trained, 1 that don't fit" in words
    assert [row for row in rows if "failed" in row] == [row for row in rows if "nan" in row]
    assert not any("waiting" in row or "too large" in row for row in rows)
    assert "not shown" not in str(result(CANDIDATES[:-1]))


def test_where_none_was_trained_the_error_says_why():
    with pytest.raises(ValueError, match="None of 1 students fits"):
        result(CANDIDATES[-1:])
    with pytest.raises(ValueError, match="loss is NaN"):
        waiting = candidate("waiting", None, 5)
        result([waiting, candidate("nan", None, 10, failure="loss is NaN")])
