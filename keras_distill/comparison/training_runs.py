"""One run of a comparison: an arm, trained with one seed and measured on the test part."""

import dataclasses
import math
import re
import weakref

import keras
import numpy as np
import tensorflow as tf

from keras_distill.comparison.candidates import ALONE
from keras_distill.features.batches import take
from keras_distill.losses.logits import final_activation
from keras_distill.training.reuse import CompiledModels
from keras_distill.training.tracing import without_variables

_NOT_FINITE = re.compile(r"not finite|\bNaN\b|\bInf\b|infinit", re.IGNORECASE)
_LARGEST_BATCH = 256


@dataclasses.dataclass
class Run:
    """A finished run.

    Args:
        arm: Name of the arm.
        seed: Its seed.
        results: Dictionary from metric to its value on the test part.
        history: Dictionary from metric to its values, one per epoch.
        updates: Number of updates of the optimizer.
        failure: Why the run has no results, or `None`.
    """

    arm: str
    seed: int
    results: dict
    history: dict
    updates: int
    failure: str | None = None


class Trainer:
    """Trains the arms of a comparison.

    Args:
        make_student: Function without arguments that returns a new student.
        parts: `Parts`.
        outputs: `TeacherOutputs`.
        settings: `Settings`.
        student_input: As for `Distiller`.
        uses_again: Whether the models of a seed may train again with the next one, so that no
            trained student stays.
    """

    def __init__(self, make_student, parts, outputs, settings, student_input, uses_again):
        self.make_student = make_student
        self.outputs = outputs
        self.settings = settings
        self._student_input = student_input
        self._uses_again, self._used = uses_again, {}
        self._measured = weakref.WeakSet()
        seen = parts.train.seen_through(student_input)
        self._train = seen.only_labeled(settings.has_classes)
        self.sees_labeled_only = self._train is not seen
        self._first_inputs = parts.train.first_batch()[0]
        self._test_of_teacher = parts.test
        self._validation, self._test = parts.validation, parts.test.seen_through(student_input)
        self._validation_of_student = (
            None if self._validation is None else self._validation.seen_through(student_input)
        )

    def build(self, arm, teacher, teacher_input):
        """Returns a new student and the compiled model that trains it.

        Args:
            arm: The arm.
            teacher: The teacher.
            teacher_input: Its input function.
        """
        student = self.make_student()
        inputs = {"teacher_input": teacher_input, "student_input": self._student_input}
        inputs = {name: value for name, value in inputs.items() if value is not None}
        model = arm.build(teacher, student, **inputs)
        if model is student or not model.compiled:
            self.settings.compile(model, **arm.compile_options)
        return student, model

    def run(self, arm, seed):
        """Trains an arm with a seed.

        Args:
            arm: The arm.
            seed: The seed.

        Returns:
            Tuple of the `Run` and the trained student.
        """
        settings = self.settings
        if arm.name == ALONE:
            teacher = teacher_input = None
            data = self._train.fit_arguments(settings.batch_size, seed)
            validation = self._validation_of_student
        else:
            teacher, teacher_input, data = self.outputs.of(arm, settings.batch_size, seed)
            validation = self._validation
        validation = None if validation is None else validation.as_validation()
        keras.utils.set_random_seed(seed)
        made = self._made(arm, teacher, teacher_input)
        model = made.model
        callbacks = [_StopAtNaN(), *settings.callbacks(arm.name, seed)]
        # Again, so that what a candidate draws for itself doesn't change the order of the samples.
        keras.utils.set_random_seed(seed)
        try:
            with without_variables():
                history = model.fit(
                    **data,
                    epochs=settings.epochs,
                    validation_data=validation,
                    callbacks=callbacks,
                    verbose=0,
                ).history
        except (tf.errors.InvalidArgumentError, ValueError, FloatingPointError) as error:
            if not _NOT_FINITE.search(str(error)):
                raise
            return Run(arm.name, seed, {}, {}, _updates(model), _reason(error)), None
        # Measuring compiles the student again, which may be the model itself.
        trained, updates = getattr(model, "student", made.student), _updates(model)
        results = self.measure(arm, trained)
        history = {name: [float(value) for value in values] for name, values in history.items()}
        failure = _not_finite(history, results)
        return Run(arm.name, seed, results, history, updates, failure), trained

    def _made(self, arm, teacher, teacher_input):
        """Returns a new student and what trains it, in the models of the seed before if it can."""
        made = CompiledModels(teacher, *reversed(self.build(arm, teacher, teacher_input)))
        if not (self._uses_again and arm.is_defined_by_its_arguments):
            return made
        used = self._used.get(arm.name)
        if used is not None and used.start_as(made):
            return used
        self._used[arm.name] = made
        return made

    def measure(self, arm, student):
        """Returns a dictionary from metric to its value on the test part.

        Args:
            arm: The arm.
            student: Its trained student.
        """
        # A model that it has compiled before has its graphs.
        is_known = arm.is_defined_by_its_arguments and student in self._measured
        if not is_known:
            self.settings.compile(student)
            self._measured.add(student)
        return _evaluated(student, self._test, self.settings.batch_size)

    def measure_teacher(self, metric):
        """Returns the teacher's own value of a metric on the test part, `None` where it has none.

        Args:
            metric: `Metric`.
        """
        teacher = self.outputs.teacher
        if not isinstance(teacher, keras.Model) or not self._is_comparable(teacher, metric):
            return None
        model = _AsItIs(teacher, self.outputs.teacher_input)
        self.settings.compile(model)
        return _evaluated(model, self._test_of_teacher, self.settings.batch_size).get(metric.name)

    def _is_comparable(self, teacher, metric):
        """Returns whether a metric of the student's outputs means the same of the teacher's."""
        student = self.make_student()
        shapes = [_output_shapes(model) for model in (teacher, student)]
        if shapes[0] is None or shapes[0] != shapes[1]:
            return False
        has_threshold = isinstance(self.settings.loss, keras.losses.BinaryCrossentropy)
        is_same = final_activation(teacher) == final_activation(student)
        return is_same or (metric.is_share and not has_threshold)

    def check_builds(self, arm):
        """Checks that the model of an arm can be built, before anything is trained.

        Args:
            arm: The arm.
        """
        try:
            _, model = self.build(arm, self.outputs.teacher, self.outputs.teacher_input)
            if hasattr(model, "prepare"):
                model.prepare(self._first_inputs)
        except (TypeError, ValueError, KeyError, AttributeError) as error:
            raise type(error)(f"The candidate {arm.name!r} can't be built. {error}") from error

    def metrics_of(self, example):
        """Returns the metrics of a batch of test data, of an untrained student.

        Args:
            example: A student that isn't used otherwise.
        """
        # For one batch a graph isn't worth its making.
        self.settings.compile(example, run_eagerly=True, jit_compile=False)
        x, y = self._test.first_batch()
        return example.evaluate(x, y, verbose=0, return_dict=True)


class _AsItIs(keras.Model):
    """A teacher in a model of its own, so that it isn't compiled."""

    def __init__(self, teacher, teacher_input):
        super().__init__(name="teacher_as_it_is")
        self._teacher = teacher
        self._input_function = teacher_input

    def call(self, inputs):
        return self._teacher(take(self._input_function, inputs, "teacher_input"), training=False)


class _StopAtNaN(keras.callbacks.Callback):
    """Ends a training whose loss isn't finite, which no update mends."""

    def on_epoch_end(self, epoch, logs=None):
        if not math.isfinite((logs or {}).get("loss", 0.0)):
            self.model.stop_training = True


def _evaluated(model, part, batch_size):
    data = part.fit_arguments(max(batch_size, _LARGEST_BATCH))
    data.pop("shuffle", None)
    with without_variables():
        results = model.evaluate(**data, verbose=0, return_dict=True)
    return {name: float(np.asarray(value)) for name, value in results.items()}


def _output_shapes(model):
    try:
        return [tuple(output.shape) for output in keras.tree.flatten(model.outputs)] or None
    except (AttributeError, ValueError):
        return None


def _updates(model):
    optimizer = getattr(model, "optimizer", None)
    return 0 if optimizer is None else int(optimizer.iterations)


def _reason(error):
    """Returns the sentence of an error that says what isn't finite."""
    lines = [line for line in str(error).splitlines() if _NOT_FINITE.search(line)]
    named = re.search(r"The distillation loss .*? is not finite", lines[0])
    return named[0] if named else lines[0].strip()[:200]


def _not_finite(history, results):
    """Returns in words what isn't finite in a run, or `None`."""
    for epoch, loss in enumerate(history.get("loss", ()), start=1):
        if not math.isfinite(loss):
            return f"The loss became {loss} in epoch {epoch}"
    for name, value in results.items():
        if not math.isfinite(value):
            return f"Its {name} on the test data is {value}"
    return None
