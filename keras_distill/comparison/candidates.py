"""Candidates of a comparison: what the caller names becomes a model to fit."""

import inspect

import keras

from keras_distill import recipes
from keras_distill.arguments import shown, takes
from keras_distill.comparison.settings import described, function_fingerprint
from keras_distill.distiller import Distiller
from keras_distill.features.branch import beyond_tensors
from keras_distill.losses.keras_loss import distillation_loss
from keras_distill.losses.loss import DistillationLoss

ALONE = "student alone"
_OF_COMPILE = ("alpha", "temperature", "distillation_loss_fn", "validate_with_teacher")
_OF_COMPARE = ("student", "loss", "optimizer", "metrics", "name")


class StudentAlone:
    """The control arm: the student, on the labels alone."""

    name = ALONE
    losses = ()
    can_be_cached = False
    is_defined_by_its_arguments = True

    def build(self, teacher, student, **inputs):
        """Returns the model to fit."""
        return student

    @property
    def compile_options(self):
        """Further arguments of `compile`."""
        return {}

    def describe(self):
        """Returns what tells the arm from another, for `json`."""
        return ALONE


class DistillerCandidate:
    """A `Distiller` with given arguments.

    Args:
        name: The candidate's name.
        arguments: Dictionary of arguments of `Distiller`, and of its `compile` for the form without
            distillation losses.

    Raises:
        TypeError: If a loss is of the wrong type.
        ValueError: If an argument has no place here.
    """

    # Whether models of other seeds are made in the same way, and compiled by `compare`.
    is_defined_by_its_arguments = True

    def __init__(self, name, arguments):
        self.name = name
        for key in arguments:
            if key in _OF_COMPARE:
                raise ValueError(
                    f"The candidate {name!r} can't have a {key!r} of its own: every arm has the "
                    f"same. Give it to compare. Received: {', '.join(map(str, arguments))}"
                )
        known = set(inspect.signature(Distiller).parameters) - {"kwargs"}
        unknown = sorted(map(str, set(arguments) - known - set(_OF_COMPILE)))
        if unknown:
            raise ValueError(
                f"The candidate {name!r} has an argument that Distiller doesn't: {unknown[0]!r}."
            )
        self._arguments = {k: v for k, v in arguments.items() if k not in _OF_COMPILE}
        self.compile_options = {
            "validate_with_teacher": False,
            **{k: v for k, v in arguments.items() if k in _OF_COMPILE},
        }
        given = self._arguments.pop("distillation_losses", None)
        several = given if isinstance(given, (list, tuple)) else [given]
        self._is_list = isinstance(given, (list, tuple))
        self.losses = [] if given is None else [_original(name, loss) for loss in several]

    @property
    def can_be_cached(self):
        """Whether a `TeacherCache` may take the teacher's place."""
        own = {"teacher", "teacher_input"} & set(self._arguments)
        return bool(self.losses) and not own and not any(map(_is_beyond, self.losses))

    def build(self, teacher, student, **inputs):
        """Returns the model to fit.

        Args:
            teacher: The teacher.
            student: A new student.
            **inputs: `teacher_input` and `student_input` of the comparison.
        """
        arguments = {"teacher": teacher, **inputs, **self._arguments}
        if self.losses or self._is_list:
            # Losses keep what they learned; each run has its own.
            arguments["distillation_losses"] = [_fresh(loss) for loss in self.losses]
        return Distiller(student=student, **arguments)

    def describe(self):
        """Returns what tells the candidate from another, for `json`."""
        arguments = {k: v for k, v in self._arguments.items() if k != "teacher"}
        return described([self.losses, arguments, self.compile_options])


class FunctionCandidate:
    """A function of teacher and student that returns the model to fit.

    Args:
        name: The candidate's name.
        function: The function.
    """

    losses = ()
    can_be_cached = False
    is_defined_by_its_arguments = False

    def __init__(self, name, function):
        self.name = name
        self._function = function

    @property
    def compile_options(self):
        """Further arguments of `compile`."""
        return {}

    def build(self, teacher, student, **inputs):
        """Returns the model to fit."""
        made = self._function(teacher, student)
        if not isinstance(made, keras.Model):
            raise TypeError(f"it must return a keras.Model to fit. Received: {shown(made)}")
        if made is teacher:
            raise ValueError("it returned the teacher, which isn't to be trained.")
        return made

    def describe(self):
        """Returns the function's name and a checksum of its source."""
        return function_fingerprint(self._function)


def candidates_of(candidates):
    """Returns the list of the candidates that a caller names.

    Args:
        candidates: As for `compare`.

    Raises:
        TypeError: If one is of the wrong type.
        ValueError: If there are none, or a name is unknown or taken.
    """
    if not isinstance(candidates, dict):
        raise TypeError(
            "candidates must be a dictionary from a name to what is compared, such as "
            f"{{'soft targets': 'kd'}}. Received: candidates={shown(candidates)}"
        )
    if not candidates:
        raise ValueError("candidates is empty: give at least one. Received: candidates={}")
    for name in candidates:
        if not isinstance(name, str) or not name or name == ALONE:
            raise ValueError(
                "The names of candidates must be texts that aren't empty, and "
                f"{ALONE!r} is the control arm's. Received: {shown(name)}"
            )
    return [_candidate(name, given) for name, given in candidates.items()]


def _candidate(name, given):
    if isinstance(given, recipes.Recipe):
        return DistillerCandidate(name, dict(given))
    if isinstance(given, str):
        # A recipe has a loss's name and its published weights beside.
        is_recipe = given in recipes.names()
        recipe = dict(recipes.get(given)) if is_recipe else {"distillation_losses": given}
        return DistillerCandidate(name, recipe)
    if isinstance(given, dict):
        return DistillerCandidate(name, given)
    is_loss = isinstance(given, (list, tuple, keras.distillation.DistillationLoss))
    if is_loss or (isinstance(given, type) and issubclass(given, DistillationLoss)):
        return DistillerCandidate(name, {"distillation_losses": given})
    if callable(given) and not isinstance(given, (type, keras.layers.Layer)) and takes(given, 2):
        return FunctionCandidate(name, given)
    raise TypeError(
        f"The candidate {name!r} must be a distillation loss, a list of them, the name of a recipe "
        "or loss, a recipe, a dictionary of arguments of Distiller, or a function (teacher, "
        f"student) that returns the model to fit. Received: {shown(given)}"
    )


def _original(name, loss):
    """Returns a loss as `Distiller` takes it, for a name, a class or a loss."""
    try:
        return distillation_loss(loss).original
    except (TypeError, ValueError) as error:
        raise type(error)(f"The candidate {name!r} can't be built. {error}") from error


def _is_beyond(loss):
    loss = distillation_loss(loss)
    return not loss.needs_teacher or beyond_tensors(loss) is not None


def _fresh(loss):
    return loss.clone() if isinstance(loss, DistillationLoss) else loss
