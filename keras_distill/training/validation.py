"""Validation of the arguments of a distiller and of its `compile`."""

import warnings

import keras

from keras_distill.arguments import check_text, shown, takes
from keras_distill.losses import schedule
from keras_distill.losses.loss import same_shapes
from keras_distill.training.outputs import CHOSEN_BY_SHAPE


def check_arguments(is_tutorial_form, distillation_loss_weights, student_loss_weight):
    """Checks that nothing is given that the form without `distillation_losses` has no place for.

    Args:
        is_tutorial_form: Whether there are no `distillation_losses`.
        distillation_loss_weights: The distiller's argument.
        student_loss_weight: The distiller's argument.

    Raises:
        RuntimeError: If Keras runs on another backend than TensorFlow.
        ValueError: If something is.
    """
    if keras.backend.backend() != "tensorflow":
        raise RuntimeError(
            "Distiller trains on Keras's TensorFlow backend, and takes gradients and replicas from "
            "it: set KERAS_BACKEND=tensorflow. The losses alone run on every backend. "
            f"Received: KERAS_BACKEND={keras.backend.backend()}"
        )
    if not is_tutorial_form:
        return
    if distillation_loss_weights is not None:
        raise ValueError("distillation_loss_weights needs distillation_losses to weigh.")
    if student_loss_weight is None or student_loss_weight != 0.5:
        raise ValueError(
            "Without distillation_losses, the tutorial's form, compile(alpha=...) is the weight of "
            "the student's loss: give that in place of student_loss_weight. Received: "
            f"student_loss_weight={student_loss_weight!r}"
        )


def check_names(name, label_key):
    """Checks two names that a distiller is given.

    Args:
        name: The distiller's name.
        label_key: Key of a dictionary of labels, or `None`.

    Raises:
        TypeError: If one isn't a text.
        ValueError: If one is empty.
    """
    for argument, value in (("name", name), ("label_key", label_key)):
        if value is not None:
            check_text(argument, value)


def check_metrics(metrics):
    """Checks that the metrics of `compile` come in a list or by output.

    Args:
        metrics: `compile`'s argument.

    Raises:
        ValueError: If they don't.
    """
    if metrics is not None and not isinstance(metrics, (list, tuple, dict)):
        raise ValueError(
            "metrics must be a list, or a dictionary by output name. "
            f"Received: metrics={shown(metrics)}"
        )


def checked_loss(loss, student_loss_fn):
    """Returns the student's loss, under whichever name it was given.

    Args:
        loss: `compile`'s argument.
        student_loss_fn: The tutorial's name for it.

    Raises:
        TypeError: If it is no Keras loss.
        ValueError: If it is given twice.
    """
    if loss is not None and student_loss_fn is not None:
        raise ValueError("Give the student's loss once: `loss` or `student_loss_fn`.")
    name = "loss" if loss is not None else "student_loss_fn"
    given = student_loss_fn if loss is None else loss
    parts = keras.tree.flatten(given)
    is_loss = parts and all(part is None or is_keras_loss(part) for part in parts)
    if given is not None and (not is_loss or all(part is None for part in parts)):
        raise TypeError(
            f"{name} must be a keras.losses loss, its name, a function (y_true, y_pred), or a list "
            f"or dictionary of them by output. Received: {name}={shown(given)}"
        )
    return given


def check_losses_are_given(distillation_losses):
    """Checks that a list of distillation losses isn't empty.

    Args:
        distillation_losses: A loss, or a list of them.

    Raises:
        ValueError: If it is.
    """
    if isinstance(distillation_losses, (list, tuple)) and not distillation_losses:
        raise ValueError(
            "distillation_losses is empty: give at least one distillation loss. "
            f"Received: distillation_losses={distillation_losses}"
        )


def check_loss_is_given(loss, student_loss_weight):
    """Checks that there is a loss of the labels, if it counts.

    Args:
        loss: The student's loss, or `None`.
        student_loss_weight: Its weight.

    Raises:
        ValueError: If there is none.
    """
    if loss is None and student_loss_weight != 0:
        raise ValueError(
            "'loss' cannot be `None`: give the student's loss, or student_loss_weight=0 to learn "
            "from the teacher alone."
        )


def is_keras_loss(value):
    """Returns whether a value is a loss of `keras.losses`, its name, or a function of two."""
    if isinstance(value, str):
        return value.lower() in CHOSEN_BY_SHAPE or _is_known(value)
    if isinstance(value, keras.losses.Loss):
        return True
    is_function = callable(value) and not isinstance(
        value, (type, keras.layers.Layer, keras.optimizers.schedules.LearningRateSchedule)
    )
    return is_function and takes(value, 2)


def _is_known(name):
    try:
        return keras.losses.get(name) is not None
    except ValueError:
        return False


def checked_student_loss_weight(weight):
    """Returns the weight of the student's loss.

    Args:
        weight: Number in [0, 1], schedule, or `None`.

    Raises:
        TypeError: If it is something else.
        ValueError: If it is out of bounds.
    """
    if weight is None:
        return None
    return schedule.check_number("student_loss_weight", weight, low=0, high=1)


def check_branches(source, target, teacher_is_optional=False):
    """Checks that a teacher and a student go together.

    Args:
        source: `Branch` of the teacher.
        target: `Branch` of the student.
        teacher_is_optional: Whether there may be no teacher.

    Raises:
        ValueError: If the teacher is missing, the student isn't a Keras model, both are the same
            model, or they take different inputs and nothing says how these are made.
    """
    if source.source is None and not teacher_is_optional:
        raise ValueError("Teacher must be a keras.Model. Received: teacher=None")
    if target.model is None:
        raise ValueError(f"Student must be a keras.Model. Received: student={shown(target.source)}")
    if source.source is target.source:
        raise ValueError(
            "Teacher and student are the same model. The teacher gets frozen: give a copy, for "
            "example keras.models.clone_model(...) with the weights set."
        )
    if source.input_function is not None or target.input_function is not None:
        return
    shapes = [_input_shapes(branch.model) for branch in (source, target)]
    if None not in shapes and not same_shapes(*shapes):
        raise ValueError(
            "Teacher and student take inputs of different shapes. "
            f"Teacher: {shapes[0]}, Student: {shapes[1]}. Use teacher_input= or student_input= "
            "to say how each model's inputs are made from a batch."
        )


def check_jit(jit_compile, source):
    """Checks that XLA isn't asked to compile a teacher that runs outside of TensorFlow.

    Args:
        jit_compile: `compile`'s argument, or `None`.
        source: `Branch` of the teacher.

    Raises:
        ValueError: If it is.
    """
    if jit_compile is True and not source.supports_jit:
        raise ValueError(
            "XLA can't compile a step whose teacher is a function outside of TensorFlow: leave "
            "jit_compile out, or build a TeacherCache of this teacher. Received: jit_compile=True"
        )


def _input_shapes(model):
    try:
        return [tuple(tensor.shape) for tensor in keras.tree.flatten(model.inputs)] or None
    except (AttributeError, ValueError):
        return None


def warn_about_from_logits(loss, output_activation):
    """Warns where the student's output doesn't suit its loss's `from_logits`.

    Args:
        loss: The student's loss, in any form that `compile` takes.
        output_activation: `"softmax"`, `"sigmoid"`, `"linear"`, or `None` if it isn't known.
    """
    losses = keras.tree.flatten(loss)
    if output_activation is None or len(losses) != 1:
        return
    # Keras chooses by the shapes what "crossentropy" means, and get doesn't know it.
    is_chosen = isinstance(losses[0], str) and losses[0].lower() in CHOSEN_BY_SHAPE
    loss = None if is_chosen else keras.losses.get(losses[0])
    name = losses[0] if is_chosen else getattr(loss, "name", None) or getattr(loss, "__name__", "")
    if "crossentropy" not in name and not is_chosen:
        return
    from_logits = bool(getattr(loss, "from_logits", False))
    outputs_probabilities = output_activation in ("softmax", "sigmoid")
    if outputs_probabilities == from_logits:
        has = (
            f"probabilities (it ends in {output_activation})" if outputs_probabilities else "logits"
        )
        takes = "logits (from_logits=True)" if from_logits else "probabilities (from_logits=False)"
        warnings.warn(
            f"The student outputs {has}, but its loss {name!r} takes {takes}. "
            f"Set from_logits={not from_logits} in the loss.",
            stacklevel=3,
        )
