"""Keras's own distillation losses, in the form of ours."""

from keras_distill.losses import registry
from keras_distill.losses.loss import DistillationLoss, to_snake_case


class KerasLoss(DistillationLoss):
    """Adapter of a loss of `keras.distillation`.

    Args:
        loss: The loss, any `keras.distillation.DistillationLoss`.
    """

    def __init__(self, loss):
        super().__init__(name=getattr(loss, "name", None) or to_snake_case(type(loss).__name__))
        self._loss = loss
        self.teacher_layer_name = getattr(loss, "teacher_layer_name", None)
        self.student_layer_name = getattr(loss, "student_layer_name", None)

    @property
    def original(self):
        """The loss of `keras.distillation`."""
        return self._loss

    def check_models(self, teacher, student):
        """Has the loss check the two models."""
        if teacher is not None:
            self._loss.validate_model_compatibility(teacher, student)

    def check_batches(self, teacher_shapes, student_shapes):
        """Leaves the shapes to the loss's own check."""

    def call(self, teacher, student, context):
        """Computes the loss of the batch, a scalar."""
        self._loss.validate_outputs(teacher, student)
        value = self._loss.compute_loss(teacher, student)
        if len(value.shape):
            raise ValueError(
                f"{type(self._loss).__name__}.compute_loss must return a scalar. "
                f"Received: shape {value.shape}"
            )
        return value


def distillation_loss(identifier):
    """Returns a distillation loss in the form in which the library calls it.

    Args:
        identifier: As for `keras_distill.losses.get`.

    Returns:
        `DistillationLoss`; a loss of `keras.distillation` in its adapter, whose `original` it is.
    """
    loss = registry.get(identifier)
    return loss if isinstance(loss, DistillationLoss) else KerasLoss(loss)
