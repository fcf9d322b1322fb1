"""The arguments of a search, checked and understood before anything is trained."""

import contextlib
import dataclasses
import hashlib
import json
import types

import keras

from keras_distill.arguments import check_count
from keras_distill.cache.arguments import check_seed
from keras_distill.comparison.settings import Settings, described
from keras_distill.comparison.student import example_of, student_fingerprint
from keras_distill.comparison.teacher_outputs import teacher_fingerprint
from keras_distill.features.batches import check_input_function
from keras_distill.features.branch_kinds import branch_of
from keras_distill.tuning.fold_training import FoldTraining
from keras_distill.tuning.folds import folds_of
from keras_distill.tuning.settings import as_text, describe
from keras_distill.tuning.space import default_space, explore, space_of
from keras_distill.tuning.teacher_source import TeacherSource
from keras_distill.tuning.training_data import TrainingData


class Plan:
    """What a search does: its data, folds, training, space and algorithm.

    Args:
        teacher: As for `tune`, like all that follow.
        make_student: Function.
        data: Training data.
        space: Space, or `None` for the default one.
        division: Dictionary with `folds`, `repeats`, `groups` and `stratify`.
        setup: Dictionary with `epochs`, `batch_size`, `optimizer`, `loss` and `metrics`.
        objective: Objective.
        search: Name of the algorithm, or `None`.
        max_trials: Number of trials, or `None`.
        inputs: Dictionary with `teacher_input` and `student_input`.
        seed: Integer.

    Attributes:
        folds: List of `Fold`.
        training: `FoldTraining`.
        source: `TeacherSource`.
        space: Function of hyperparameters.
        known: `keras_tuner.HyperParameters` with the whole space.
        examples: List of settings that have every loss of the space.
        made_of: Dictionary, for `json`, of what tells this search from another.

    Raises:
        TypeError: If an argument is of the wrong type.
        ValueError: If one is out of bounds, or settings don't suit the models.
    """

    def __init__(
        self,
        teacher,
        make_student,
        data,
        space,
        division,
        setup,
        objective,
        search,
        max_trials,
        inputs,
        seed,
    ):
        self.seed = check_seed(seed)
        check_count("seed", seed, low=0)
        if max_trials is not None:
            check_count("max_trials", max_trials)
        for name, value in inputs.items():
            check_input_function(value, name)
        self.inputs = inputs
        space, is_list = (None, False) if space is None else space_of(space)
        # Not at the top, as it imports KerasTuner.
        from keras_distill.tuning.oracles import checked_trials

        self.search = ("grid" if is_list else "random") if search is None else search
        check_count("folds", division["folds"], low=2)
        check_count("repeats", division["repeats"])
        student = example_of(make_student)
        if student is teacher:
            raise ValueError("make_student returned the teacher: it must make a new student.")
        data = TrainingData(data, _ranks(student, inputs["student_input"]))
        self.folds = folds_of(data, **division, seed=seed)
        setup = Settings(
            student,
            types.SimpleNamespace(train=data),
            **setup,
            learning_rate=None,
            callbacks=None,
            compile_options={},
        )
        self.epochs = setup.epochs
        self.source = TeacherSource(teacher, data, setup.batch_size, **inputs)
        self.training = FoldTraining(
            make_student, data, setup, self.source, inputs["student_input"], objective
        )
        self.space = space or default_space(teacher, student, self._suits)
        self._check_space()
        self.max_trials = checked_trials(self.search, max_trials, self.known, is_list)
        self.made_of = {
            "student": student_fingerprint(make_student),
            "data": data.fingerprint(),
            **{name: described(value) for name, value in division.items()},
            "seed": seed,
            "teacher": teacher_fingerprint(teacher),
            "inputs": described(inputs),
            **setup.describe(),
            "objective": dataclasses.asdict(self.training.metric),
            "search": self.search,
            "space": self._space_text(),
        }

    def _suits(self, settings):
        try:
            self.training.check(settings)
        except ValueError:
            return False
        return True

    def _check_space(self):
        self.known, examples = explore(self.space)
        for values, settings in examples:
            with _named(f"The setting {describe(values)!r}"):
                self.training.check(settings)
        self.examples = [settings for _, settings in examples]

    def _space_text(self):
        hyperparameters = json.dumps(self.known.get_config(), sort_keys=True, default=str)
        texts = [hyperparameters, *map(as_text, self.examples)]
        return hashlib.sha256("\n".join(texts).encode()).hexdigest()


@contextlib.contextmanager
def _named(what):
    """Has errors say which setting they are of."""
    try:
        yield
    except (TypeError, ValueError) as error:
        raise type(error)(f"{what} can't be used. {error}") from error


def _ranks(student, student_input):
    branch = branch_of(student, "student", student_input)
    if student_input is not None or branch.symbolic_inputs is None:
        return None
    return [len(leaf.shape) - 1 for leaf in keras.tree.flatten(branch.symbolic_inputs)]
