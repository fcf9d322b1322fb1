"""Records: a comparison that was stopped goes on, and another one's results are refused."""

import json

import keras
import numpy as np
import pytest

from keras_distill import compare, losses

SETTINGS = {"seeds": 2, "epochs": 1, "run_eagerly": True, "cache": False, "verbose": 0}


class StoppedError(Exception):
    """The process is killed."""


@pytest.fixture
def run(teacher, student_maker, data, tmp_path):
    """Returns a function that compares in a folder, and the runs that it began."""
    begun = []

    def compared(candidates=None, stop_at=None, **changes):
        def on_run(name, seed):
            begun.append((name, seed))
            if len(begun) == stop_at:
                raise StoppedError
            return []

        arguments = {"teacher": teacher, "make_student": student_maker, "data": data, **SETTINGS}
        arguments |= {"directory": tmp_path / "kept", "callbacks": on_run, **changes}
        return compare(candidates=candidates or {"kd": "kd"}, **arguments)

    return compared, begun


def test_a_run_that_is_finished_is_not_trained_again(untrained, run, student_maker, teacher, data):
    compared, begun = run
    with pytest.raises(StoppedError):
        compared(stop_at=3)
    assert begun == [("student alone", 0), ("kd", 0), ("student alone", 1)]
    made = compared()
    assert begun[3:] == [("student alone", 1), ("kd", 1)]
    at_once = compare(teacher, student_maker, data, {"kd": "kd"}, **SETTINGS)
    assert made.to_dict() == at_once.to_dict()
    compared(seeds=3)
    assert begun[5:] == [("student alone", 2), ("kd", 2)]
    compared({"kd": "kd", "logits": "logits"})
    assert begun[7:] == [("logits", 0), ("logits", 1)]
    compared()
    assert len(begun) == 9


def test_results_of_something_else_are_refused_by_name(untrained, run, data, student_maker):
    compared, begun = run
    compared(seeds=1)

    def wider():
        return keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])

    x, y = data["train"]
    other = {**data, "train": (np.flip(x, 0), np.flip(y, 0))}
    changes = {
        "epochs: 1 there, 2 now": {"epochs": 2},
        "training data: ": {"data": other},
        "student: ": {"make_student": wider},
        "teacher: ": {"teacher": student_maker()},
        "optimizer: ": {"learning_rate": 0.5},
        "callbacks: ": {"callbacks": lambda: []},
        "the candidate 'kd': ": {"candidates": {"kd": losses.SoftTargets(9.0)}},
    }
    for named, change in changes.items():
        with pytest.raises(ValueError, match=f"is of another comparison.*{named}"):
            compared(**{"seeds": 1, **change})
    assert len(begun) == 2


def test_a_damaged_file_is_refused(untrained, run, tmp_path):
    compared, begun = run
    file = tmp_path / "kept" / "comparison.json"
    compared(seeds=1)
    content = json.loads(file.read_text())
    del content["runs"][0]["results"]
    file.write_text(json.dumps(content))
    with pytest.raises(ValueError, match=r"comparison.json is damaged"):
        compared(seeds=1)
    file.write_text("{")
    with pytest.raises(ValueError, match=r"comparison.json is damaged"):
        compared(seeds=1)
    assert len(begun) == 2


def test_kept_students_come_back(run, data):
    compared, begun = run
    first = compared(seeds=1)
    kept = compared(seeds=1, keep_students=True)
    assert len(begun) == 4 and kept.values == first.values
    again = compared(seeds=1, keep_students=True)
    assert len(begun) == 4
    for made in (kept, again):
        right = made.students["kd"][0].predict(data["test"][0], verbose=0).argmax(-1)
        assert np.mean(right == data["test"][1]) == pytest.approx(made.values["kd"][0], abs=1e-6)
