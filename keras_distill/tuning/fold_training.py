"""One run of cross-validation: a new student, trained on a fold and scored on the others."""

import math

import keras
import numpy as np
import tensorflow as tf

from keras_distill.training.reuse import CompiledModels
from keras_distill.training.tracing import without_variables
from keras_distill.tuning.objective import metric_of_objective
from keras_distill.tuning.settings import as_text
from keras_distill.tuning.training_data import samples_at

# What the errors of a loss that isn't finite have in common, in a graph and under XLA.
_NOT_FINITE = ("Tensor had ", "is not finite")


class DivergedError(Exception):
    """A training whose loss or weights aren't finite."""


class FoldTraining:
    """Trains and scores students, each from the same start for the same fold.

    Args:
        make_student: Function that returns a new student.
        data: `TrainingData`.
        setup: Training settings: optimizer, loss, metrics, epochs, batch size.
        source: `TeacherSource`.
        student_input: As for the `Distiller`.
        objective: As for `tune`.

    Raises:
        ValueError: If the objective is none of what evaluating a student gives.
    """

    def __init__(self, make_student, data, setup, source, student_input, objective):
        self._make_student = make_student
        self._data = data
        self._setup = setup
        self._source = source
        self._scored = data.seen_through(student_input)
        self._last = None
        student = make_student()
        # For one batch a graph isn't worth its making.
        setup.compile(student, run_eagerly=True, jit_compile=False)
        batch = samples_at(self._scored, data.labeled[: setup.batch_size])
        self.metric = metric_of_objective(objective, self._evaluate(student, batch))

    @property
    def student(self):
        """The student that was trained last."""
        return self._last.student

    def check(self, settings):
        """Checks that settings suit teacher, student and loss.

        Args:
            settings: As `checked_settings` returns.

        Raises:
            TypeError: If one is of the wrong type.
            ValueError: If they don't.
        """
        distiller, _ = self._source.distiller(settings, self._make_student())
        self._setup.compile(distiller)

    def score(self, settings, fold, epochs=None):
        """Trains a student on a fold and returns its score on the fold's other samples.

        Args:
            settings: As `checked_settings` returns, or `None` for the student alone.
            fold: `Fold`.
            epochs: Number of epochs, if not the usual one.

        Raises:
            DivergedError: If loss or weights became NaN or infinite.
        """
        made, reads_cache = self._made(settings, fold.seed)
        samples = (
            self._source.fit_arguments_alone(fold)
            if settings is None
            else self._source.fit_arguments(fold, reads_cache)
        )
        # Again, since making a distiller may have drawn numbers.
        keras.utils.set_random_seed(fold.seed)
        try:
            with without_variables():
                made.model.fit(**samples, epochs=epochs or self._setup.epochs, verbose=0)
        except (tf.errors.InvalidArgumentError, ValueError) as error:
            if any(words in str(error) for words in _NOT_FINITE):
                raise DivergedError(_first_line(error)) from error
            raise
        if not all(np.isfinite(weight).all() for weight in made.student.get_weights()):
            raise DivergedError("the student's weights are NaN or infinite")
        if not made.student.compiled:
            self._setup.compile(made.student)
        logs = self._evaluate(made.student, samples_at(self._scored, fold.validation))
        score = float(logs[self.metric.name])
        if not math.isfinite(score):
            raise DivergedError(f"{self.metric.name} is {score}")
        return score

    def _made(self, settings, seed):
        """Returns a new student and what trains it, in the models of the fold before if it can.

        Returns:
            Tuple of `CompiledModels`, and whether they learn from a cache.
        """
        keras.utils.set_random_seed(seed)
        student, reads_cache = self._make_student(), False
        model = student
        if settings is not None:
            model, reads_cache = self._source.distiller(settings, student)
        self._setup.compile(model)
        text = None if settings is None else as_text(settings)
        made = CompiledModels((text, reads_cache), model, student)
        if self._last is None or not self._last.start_as(made):
            self._last = made
        return self._last, reads_cache

    def _evaluate(self, student, samples):
        names = ("x", "y", "sample_weight")
        with without_variables():
            return student.evaluate(
                **dict(zip(names, samples, strict=False)),
                batch_size=self._setup.batch_size,
                verbose=0,
                return_dict=True,
            )


def _first_line(error):
    lines = [line for line in str(error).splitlines() if any(w in line for w in _NOT_FINITE)]
    return lines[0].strip()[:200] if lines else str(error)[:200]
