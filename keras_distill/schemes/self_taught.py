"""Students that are taught by what they were: the teacher has their layers and earlier weights."""

import keras

from keras_distill._compat import functional_of
from keras_distill.arguments import check_model, shown
from keras_distill.distiller import Distiller
from keras_distill.features.batches import check_input_function

# What the scheme makes of the student.
_MADE = ("teacher", "teacher_input")


class SelfTaught(Distiller):
    """A `Distiller` whose teacher is a copy of the student, which gets its weights over and over.

    Args:
        student: `keras.Model` to train, which is built.
        distillation_losses: As for `Distiller`.
        distillation_loss_weights: As for `Distiller`.
        student_loss_weight: As for `Distiller`.
        student_input: As for `Distiller`, for both models.
        sample_index: As for `Distiller`.
        label_key: As for `Distiller`.
        name: Name of the model.
        **kwargs: Arguments of `keras.Model`.
    """

    _kept = "A student that teaches itself"

    def __init__(
        self,
        student,
        distillation_losses,
        distillation_loss_weights,
        student_loss_weight,
        student_input,
        sample_index,
        label_key,
        name,
        **kwargs,
    ):
        check_input_function(student_input, "student_input")
        teacher = copy_of(check_model("student", student))
        super().__init__(
            teacher,
            student,
            distillation_losses,
            distillation_loss_weights,
            student_loss_weight,
            student_input,
            student_input,
            sample_index,
            label_key,
            name,
            **kwargs,
        )

    def get_config(self):
        """Returns the constructor's arguments, the student among them."""
        return {name: value for name, value in super().get_config().items() if name not in _MADE}


def copy_of(student, name="student"):
    """Returns a model with the student's layers and weights.

    Args:
        student: `keras.Model`.
        name: The argument that it was given as, for the error.

    Raises:
        ValueError: If it isn't built, or can't be copied.
    """
    if not student.built:
        raise ValueError(
            f"{name} must be built, so that it can be copied: call it on a batch first. "
            f"Received: {name}={shown(student)}"
        )
    try:
        if functional_of(student) is not None:
            made = keras.models.clone_model(student)
        else:
            made = type(student).from_config(student.get_config())
            made.build_from_config(student.get_build_config())
        made.set_weights(student.get_weights())
    except Exception as error:
        raise ValueError(
            f"{name} must be a model that can be copied: a Functional or Sequential one, or one "
            f"whose get_config and from_config make its like. Received: {name}={shown(student)}, "
            f"and {type(error).__name__}: {error}"
        ) from error
    return made
