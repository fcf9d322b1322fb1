"""The candidates of a search for a student: each measured, and trained where it fits."""

import dataclasses
import functools
import math
import time

import keras
import numpy as np

from keras_distill.arguments import check_model
from keras_distill.tuning.fold_training import DivergedError, FoldTraining
from keras_distill.tuning.settings import describe
from keras_distill.tuning.student_search.result import Candidate

# How often the best are trained again.
REPEATS = 2


@dataclasses.dataclass
class Setup:
    """How each candidate is trained.

    Args:
        data: `TrainingData`.
        fold: `Fold`: which samples train and which score.
        source: `TeacherSource`.
        make_settings: Function that returns the distiller's settings, with new losses.
        make_training: Function from a student to its `comparison.settings.Settings`.
        objective: As for `search_student`.
    """

    data: object
    fold: object
    source: object
    make_settings: object
    make_training: object
    objective: object

    def of(self, make_student):
        """Returns the `FoldTraining` of a student.

        Args:
            make_student: Function that returns a new one.
        """
        training = self.make_training(make_student())
        return FoldTraining(make_student, self.data, training, self.source, None, self.objective)


class Candidates:
    """Measures and trains candidates; what a folder has of one isn't done again.

    Args:
        space: Function from `keras_tuner.HyperParameters` to a student.
        setup: `Setup`.
        scales: `Scales`.
        record: `StudentRecord`.
        progress: `Progress`.
    """

    def __init__(self, space, setup, scales, record, progress):
        import keras_tuner

        self._space, self._setup, self._scales = space, setup, scales
        self._record, self.progress = record, progress
        self.known = keras_tuner.HyperParameters()
        self.example = check_model("what space returns", self._built(self.known))
        self.metric = setup.of(lambda: self._built(self.known.copy())).metric

    def make_student(self, values):
        """Returns a new student.

        Args:
            values: Values of its hyperparameters.
        """
        import keras_tuner

        hp = keras_tuner.HyperParameters()
        hp.values = dict(values)
        student = self._built(hp)
        self.known.merge(hp, overwrite=False)
        return student

    def size(self, values):
        """Returns the MACs of a candidate, having measured it if need be; `None` if it doesn't fit.

        Args:
            values: Values of its hyperparameters.
        """
        student, memory = self.make_student(values), self._record.memory(values)
        if memory is None:
            self.progress.begin(f"measures {describe(values)}", 0)
            _move(student)
            memory = self._scales.weigh(student)
            self._record.keep_memory(values, memory)
        return None if memory.reason else memory.macs

    def evaluate(self, values):
        """Trains a candidate, unless that was done, and returns its score.

        Args:
            values: Values of its hyperparameters.

        Returns:
            A number; NaN if the training diverged.
        """
        from keras_tuner.errors import FatalError

        outcome = self._record.outcome(values)
        self.progress.begin(describe(values), 0 if outcome is None else 1)
        if outcome is None:
            try:
                outcome = self._outcome(self._training_of(values), values)
            except Exception as error:
                error.add_note(f"While training {describe(values)!r}.")
                # KerasTuner goes on after any other, as if a bug were a bad student.
                raise FatalError(str(error)) from error
            self._record.keep_outcome(values, outcome)
            self.progress.advance()
        return math.nan if outcome["score"] is None else outcome["score"]

    def train_again(self, count):
        """Trains the best again with other seeds, as one training may be lucky.

        Args:
            count: How many of them; 1 for none, as there is nothing to choose from.
        """
        best = self._best(count)
        for values in best if len(best) > 1 else []:
            finished = len(self._record.outcomes(values)) - 1
            self.progress.begin(f"{describe(values)}, again", finished)
            if finished == REPEATS:
                continue
            training = self._training_of(values)
            for repeat in range(1 + finished, 1 + REPEATS):
                outcome = self._outcome(training, values, repeat)
                self._record.keep_outcome(values, outcome, repeat)
                self.progress.advance()

    def _best(self, count):
        """Returns the values of the best by their first training."""
        found = []
        for values, memory in self._record.measured():
            outcome = self._record.outcome(values)
            if outcome is not None and outcome["score"] is not None:
                found.append((self.metric.rank(outcome["score"]), memory.arena_bytes, values))
        return [values for *_, values in sorted(found, key=lambda each: each[:2])[:count]]

    def _training_of(self, values):
        return self._setup.of(functools.partial(self.make_student, values))

    def _outcome(self, training, values, repeat=0):
        """Trains a candidate, keeps its weights, and returns what came of it."""
        start, failure, score = time.perf_counter(), None, None
        fold = self._setup.fold
        try:
            score = training.score(
                self._setup.make_settings(),
                dataclasses.replace(fold, seed=fold.seed + repeat),
            )
            training.student.save_weights(self._record.student_file(values, repeat))
        except DivergedError as error:
            failure = str(error)
        seconds = time.perf_counter() - start
        return {"score": score, "seconds": seconds, "failure": failure}

    def all(self):
        """Returns all candidates that were measured, a list of `Candidate`."""
        found = []
        for values, memory in self._record.measured():
            outcomes = self._record.outcomes(values)
            scores = [each["score"] for each in outcomes if each["score"] is not None]
            failures = [each["failure"] for each in outcomes if each["failure"] is not None]
            found.append(
                Candidate(
                    describe(values),
                    values,
                    float(np.mean(scores)) if scores else None,
                    memory.parameters,
                    memory.arena_bytes,
                    memory.model_bytes,
                    memory.macs,
                    memory.reason,
                    sum(each["seconds"] for each in outcomes),
                    failures[0] if failures else None,
                    tuple(scores),
                )
            )
        return found

    def trained(self, values):
        """Returns the student of a candidate's best training, and the `Memory` that it takes.

        Args:
            values: Values of its hyperparameters.
        """
        ranks = {
            repeat: self.metric.rank(outcome["score"])
            for repeat, outcome in enumerate(self._record.outcomes(values))
            if outcome["score"] is not None
        }
        student = self.make_student(values)
        student.load_weights(self._record.student_file(values, min(ranks, key=ranks.get)))
        return student, self._scales.weigh(student)

    def _built(self, hp):
        student = self._space(hp)
        if isinstance(student, keras.Model) and not student.built:
            inputs = keras.tree.map_structure(lambda array: array[:1], self._setup.data.arrays[0])
            student(keras.tree.map_structure(np.asarray, inputs))
        return student


def _move(student):
    """Sets weights that aren't zero, as the untrained biases are, which no file would hold."""
    rng = np.random.default_rng(0)
    student.set_weights(
        [weight + rng.uniform(0.01, 0.02, weight.shape) for weight in student.get_weights()]
    )
