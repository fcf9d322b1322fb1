"""The models of a seed train again with the next one, as new ones would."""

import keras
import numpy as np
import pytest

from keras_distill import compare, losses
from keras_distill.comparison.training_runs import Trainer
from keras_distill.training.reuse import CompiledModels

ARGUMENTS = {"seeds": 2, "epochs": 2, "batch_size": 45, "cache": False, "verbose": 0}


def balanced():
    return {
        "distillation_losses": ["kd", losses.HintLearning("hidden", "hidden")],
        "distillation_loss_weights": [1.0, "balanced"],
    }


@pytest.fixture
def built(monkeypatch):
    """The arms that models were built for, in their order."""
    names, build = [], Trainer.build

    def recorded(self, arm, *given):
        names.append(arm.name)
        return build(self, arm, *given)

    monkeypatch.setattr(Trainer, "build", recorded)
    return names


def test_results_are_those_of_new_models(teacher, student_maker, data, monkeypatch):
    # With momentum, so that an optimizer that isn't set back would show.
    options = {**ARGUMENTS, "optimizer": keras.optimizers.SGD(0.05, momentum=0.9)}
    # The test of tuning has graphs.
    options["run_eagerly"] = True
    again = compare(teacher, student_maker, data, {"both": balanced()}, **options)
    monkeypatch.setattr(CompiledModels, "start_as", lambda *args: False)
    new = compare(teacher, student_maker, data, {"both": balanced()}, **options)
    for arm in ("student alone", "both"):
        losses_of = [[run["loss"] for run in made.results[arm]] for made in (again, new)]
        np.testing.assert_allclose(*losses_of, rtol=1e-6)
        assert losses_of[0][0] != losses_of[0][1]


def test_students_that_are_kept_are_models_of_their_own(teacher, student_maker, data):
    options = {**ARGUMENTS, "run_eagerly": True, "keep_students": True, "epochs": 1}
    made = compare(teacher, student_maker, data, {"kd": "kd"}, **options)
    for students in made.students.values():
        weights = [student.get_weights()[0] for student in students]
        assert not np.array_equal(*weights)


def test_what_a_function_makes_is_made_for_each_seed(teacher, student_maker, data, built):
    used = []
    compare(
        teacher,
        student_maker,
        data,
        {"function": lambda teacher, student: used.append(student) or student},
        **{**ARGUMENTS, "run_eagerly": True, "epochs": 1},
    )
    # Once to see that it can be built.
    assert len(used) == 3 == built.count("function")
    assert len(set(map(id, used))) == 3
