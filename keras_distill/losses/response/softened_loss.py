"""Any Keras loss between softened probabilities."""

import inspect
from typing import Any, Self

import keras
from keras import ops

from keras_distill.arguments import shown
from keras_distill.losses import schedule
from keras_distill.losses.argument_types import Number, OutputNames
from keras_distill.losses.context import LossContext
from keras_distill.losses.response.response_loss import ResponseLoss, checked_temperature
from keras_distill.losses.tensors import as_float


@keras.saving.register_keras_serializable("keras_distill")
class SoftenedLoss(ResponseLoss):
    """Any Keras loss between the softened probabilities, times T²: the tutorial's form.

    `Distiller.compile(distillation_loss_fn=...)` makes one for a loss that `SoftTargets` does not
    cover. For the Kullback-Leibler divergence use `SoftTargets`, which doesn't clip.

    Args:
        loss: A `keras.losses.Loss`, its name, or a function `(y_true, y_pred)` that returns one
            value per sample.
        temperature: T, positive number or `keras.optimizers.schedules.LearningRateSchedule`.
        from_logits: `True`, `False`, or `"auto"` to recognize a model that ends in softmax.
        name: Name of the loss in the training history.
        outputs: Which outputs of models with several take part: a name, a position, or a list of
            them; by default all.

    Example:

    ```python
    loss = SoftenedLoss(keras.losses.MeanSquaredError(), temperature=2.0)
    value = loss.compute_loss(np.array([[2.0, 0.0]]), np.array([[1.0, 1.0]]))
    ```

    Reference:
        Hinton, Vinyals, Dean, "Distilling the Knowledge in a Neural Network", 2015.
    """

    def __init__(
        self,
        loss: Any,
        temperature: Number = 3.0,
        from_logits: bool | str = "auto",
        name: str | None = None,
        outputs: OutputNames = None,
    ):
        super().__init__(from_logits, name=name, outputs=outputs)
        self.loss = _keras_loss(loss)
        self.temperature = checked_temperature(temperature)

    def compare(self, teacher_logits: Any, student_logits: Any, context: LossContext) -> Any:
        """Computes T² times the given loss of the softened probabilities."""
        temperature = schedule.value_at(self.temperature, context.step)
        softened = [
            ops.softmax(as_float(logits) / temperature, axis=-1)
            for logits in (teacher_logits, student_logits)
        ]
        compare = getattr(self.loss, "call", self.loss)
        return compare(*softened) * temperature**2

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {**super().get_config(), "loss": keras.losses.serialize(self.loss)}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """Returns the loss that `get_config` described."""
        return super().from_config({**config, "loss": keras.losses.deserialize(config["loss"])})


def _keras_loss(loss):
    try:
        found = keras.losses.get(loss)
    except (ValueError, TypeError):
        found = None
    # Keras takes any callable, a class or a layer among them.
    is_function = callable(found) and not isinstance(found, (type, keras.Layer))
    if not is_function or not _takes_two(found):
        raise ValueError(
            "loss must be a keras.losses loss, its name, or a function (y_true, y_pred); it "
            f"compares the models' outputs, not layers. Received: loss={shown(loss)}"
        )
    return found


def _takes_two(function):
    try:
        inspect.signature(function).bind(None, None)
    except TypeError:
        return False
    return True
