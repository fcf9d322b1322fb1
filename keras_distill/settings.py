"""What may be set on a distiller after it was made, and what may not."""

from keras_distill.arguments import shown
from keras_distill.losses import schedule


class WithSettings:
    """Mixin for a `keras.Model` with a weighted list of distillation losses."""

    def __setattr__(self, name, value):
        """Sets an attribute; the models that everything else was made for stay."""
        if name in ("teacher", "student") and getattr(self, name, value) is not value:
            raise AttributeError(
                f"A distiller's taps, projectors and optimizer are made for its {name}: make a new "
                f"Distiller(...) for another one. Received: {name}={shown(value)}"
            )
        super().__setattr__(name, value)

    @property
    def distillation_losses(self):
        """List of the distillation losses, which are set when the distiller is made."""
        return self._objective.losses

    @distillation_losses.setter
    def distillation_losses(self, losses):
        raise AttributeError(
            "The distillation losses, with their layers and projectors, are set when a distiller "
            "is made: make a new Distiller(teacher, student, distillation_losses=...). Received: "
            f"distillation_losses={losses!r}"
        )

    @property
    def distillation_loss_weights(self):
        """List of the weights, one number or schedule per distillation loss.

        What is assigned counts from the next step that is made ready, as of the next `fit`.
        """
        return self._objective.weights

    @distillation_loss_weights.setter
    def distillation_loss_weights(self, weights):
        self._objective.weights = self._objective.checked_weights(weights)
        self._forget_steps()

    @property
    def student_loss_weight(self):
        """Weight of the student's loss: a number in [0, 1], a schedule, or `None`.

        What is assigned counts from the next step that is made ready, as of the next `fit`.
        """
        return self._student_loss_weight

    @student_loss_weight.setter
    def student_loss_weight(self, weight):
        self._student_loss_weight = checked_student_loss_weight(weight)
        self._forget_steps()

    def _forget_steps(self):
        """Has the next `fit` or `evaluate` trace its step again, with the settings as they are."""
        self.train_function = self.test_function = None


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
