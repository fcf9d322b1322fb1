"""A learned temperature, by a curriculum that grows harder."""

import math
from typing import Any, Self

import keras
from keras import ops

from keras_distill.arguments import check_count
from keras_distill.losses import schedule
from keras_distill.losses.argument_types import Number
from keras_distill.losses.gradient_reversal import reverse_gradient


@keras.saving.register_keras_serializable("keras_distill")
class CurriculumTemperature(schedule.LearnedNumber):
    """Temperature of a response loss that is learned against the student.

    The temperature is `lowest + span · sigmoid(θ)`. θ, one number that starts at 1, is trained on
    the reversed gradient of the loss: the student makes the loss smaller, the temperature makes
    it larger, so that what is learned grows harder. What the reversed gradient is multiplied by
    grows from 0 along half a cosine, over the first `growth_steps` steps.

    It takes the place of the number in a response loss with a temperature:
    `SoftTargets(temperature=CurriculumTemperature())`, by name `"ctkd"`. Each loss makes one of its
    own of it, `loss.temperature`, which is trained and saved with the distiller. The published
    settings are 0.1 for the labels, 0.9 for the soft targets and a growth over 10 epochs, which
    `recipes.get("ctkd", steps_per_epoch=...)` has. This is the paper's global temperature, not the
    one of each sample.

    Args:
        lowest: The lowest temperature, a positive number.
        span: By how much it may be exceeded, a positive number.
        growth_steps: Steps over which the strength grows from 0, the paper's 10 epochs; 0 for the
            whole strength at once.
        strength: What the reversed gradient is multiplied by in the end, a number of 0 or more or
            a `keras.optimizers.schedules.LearningRateSchedule`.
        name: Name of the layer.

    Raises:
        TypeError: If a number isn't one.
        ValueError: If a number is out of bounds.

    Example:

    ```python
    loss = keras_distill.losses.SoftTargets(temperature=CurriculumTemperature(growth_steps=1000))
    value = loss.compute_loss(np.array([[2.0, 0.0, 1.0]]), np.array([[1.0, 0.5, 0.0]]))
    assert value > 0
    ```

    Reference:
        Li et al., "Curriculum Temperature for Knowledge Distillation", AAAI 2023.
    """

    def __init__(
        self,
        lowest: float = 1.0,
        span: float = 20.0,
        growth_steps: int = 0,
        strength: Number = 1.0,
        name: str | None = None,
    ):
        super().__init__(name=name, dtype="float32")
        # A name that Keras numbers isn't part of the settings.
        self._given_name = name
        self.lowest = schedule.check_constant("lowest", lowest, low=0, low_is_allowed=False)
        self.span = schedule.check_constant("span", span, low=0, low_is_allowed=False)
        self.growth_steps = check_count("growth_steps", growth_steps, low=0, high=2**31)
        self.strength = schedule.check_number("strength", strength, low=0)

    def build(self, input_shape: Any = None) -> None:
        """Creates θ."""
        self.theta = self.add_weight(shape=(), initializer="ones", name="theta")
        self.built = True

    def at(self, step: Any) -> Any:
        """Returns the temperature at a training step, a scalar whose gradient is reversed.

        Args:
            step: Number of optimizer updates made so far.
        """
        if not self.built:
            self.build()
        theta = reverse_gradient(ops.convert_to_tensor(self.theta), self.strength_at(step))
        return self.lowest + self.span * ops.sigmoid(theta)

    def strength_at(self, step: Any) -> Any:
        """Returns what the reversed gradient is multiplied by at a training step.

        Args:
            step: As for `at`.
        """
        strength = ops.cast(schedule.value_at(self.strength, step), "float32")
        if not self.growth_steps:
            return strength
        share = ops.minimum(ops.cast(step, "float32") / self.growth_steps, 1.0)
        return strength * 0.5 * (1.0 - ops.cos(math.pi * share))

    def clone(self) -> Self:
        """Returns a new layer with the same settings and no variables."""
        return type(self).from_config(self.get_config())

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        own = {name: getattr(self, name) for name in ("lowest", "span", "growth_steps")}
        strength = schedule.serialize(self.strength)
        return {"name": self._given_name, **own, "strength": strength}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """Returns the layer that `get_config` described."""
        return cls(**{**config, "strength": schedule.deserialize(config["strength"])})
