"""The weights of an edge's losses: numbers, schedules, and those that follow the gradients."""

import keras
from keras import ops

from keras_distill.arguments import shown
from keras_distill.losses import schedule
from keras_distill.losses.balanced import Balanced
from keras_distill.training.gradient_ratios import GradientRatios

BALANCED = "balanced"
# Steps over which weights that follow the gradients come up. The first batches may find a loss
# without a gradient, and the weight that this would give it fills the averages of an optimizer.
_WARM_UP = 10


def checked_weights(weights, count):
    """Returns a list with the weight of each loss: a number, a schedule or a `Balanced`.

    Args:
        weights: `None` for 1 each, `"balanced"` for all, or a weight, or a list of them.
        count: Number of losses.

    Raises:
        TypeError: If a weight is of the wrong type.
        ValueError: If a weight is negative, or if their number isn't that of the losses.
    """
    if weights is None:
        return [1.0] * count
    if isinstance(weights, str) and weights == BALANCED:
        return [Balanced() for _ in range(count)]
    if isinstance(weights, dict):
        raise TypeError(
            "distillation_loss_weights must be a list with one number per loss, in the order "
            f"of distillation_losses. Received: distillation_loss_weights={weights!r}"
        )
    weights = list(weights) if isinstance(weights, (list, tuple)) else [weights]
    if len(weights) != count:
        raise ValueError(
            f"Number of distillation_loss_weights ({len(weights)}) must match number of "
            f"distillation_losses ({count}). Received: distillation_loss_weights={weights!r}"
        )
    names = [f"distillation_loss_weights[{index}]" for index in range(count)]
    return [checked_weight(name, weight) for name, weight in zip(names, weights, strict=True)]


def checked_weight(name, weight):
    """Returns a weight of a loss: a number, a schedule or a `Balanced`.

    Args:
        name: The argument, for the error.
        weight: What was given.

    Raises:
        TypeError: If it is of the wrong type.
        ValueError: If it is negative.
    """
    if isinstance(weight, Balanced):
        return weight
    if isinstance(weight, str):
        if weight == BALANCED:
            return Balanced()
        raise TypeError(
            f'{name} must be a number, a schedule, "balanced" or a losses.Balanced. '
            f"Received: {name}={shown(weight)}"
        )
    return schedule.check_number(name, weight, low=0)


def serialize(weight):
    """Returns a weight in a form that `json` can write."""
    if isinstance(weight, Balanced):
        return keras.saving.serialize_keras_object(weight)
    return schedule.serialize(weight)


class LossWeights:
    """The weights of the losses of one edge, and what they need to know of the gradients.

    Args:
        weights: As for `checked_weights`.
        count: Number of losses.

    Attributes:
        ratios: `GradientRatios`, or `None` where no weight follows the gradients.
    """

    def __init__(self, weights, count):
        self.values = checked_weights(weights, count)
        self.ratios = GradientRatios(count) if self.is_balanced else None

    @property
    def is_balanced(self):
        """Whether a weight follows the gradients."""
        return any(isinstance(weight, Balanced) for weight in self.values)

    def replace(self, weights):
        """Sets other weights.

        Args:
            weights: As for `checked_weights`.

        Raises:
            ValueError: If they are the first that follow the gradients.
        """
        weights = checked_weights(weights, len(self.values))
        if self.ratios is None and any(isinstance(weight, Balanced) for weight in weights):
            raise ValueError(
                "Balanced weights measure gradients, for which this distiller has no variables: "
                "make a new Distiller with them. Received: "
                f"distillation_loss_weights={weights!r}"
            )
        self.values = weights

    def at(self, step):
        """Returns the weights at a training step, a list of numbers or scalar tensors in float32.

        Args:
            step: Number of optimizer updates made so far.
        """
        return [self._at(index, step) for index in range(len(self.values))]

    def _at(self, index, step):
        weight = self.values[index]
        if not isinstance(weight, Balanced):
            return ops.cast(schedule.value_at(weight, step), "float32")
        share = ops.cast(schedule.value_at(weight.share, step), "float32")
        warm_up = ops.minimum((ops.cast(step, "float32") + 1.0) / _WARM_UP, 1.0)
        return warm_up * share * self.ratios.at(index)

    def describe(self, index):
        """Returns the weight of a loss in a few words.

        Args:
            index: Number of the loss.
        """
        weight = self.values[index]
        if isinstance(weight, Balanced):
            share = weight.share
            share = f"by {type(share).__name__}" if schedule.is_schedule(share) else f"{share:g}"
            now = f", {float(self.ratios.at(index)):.3g} of it" if self.ratios.are_known else ""
            return f"balanced to a share of {share}{now}"
        return f"by {type(weight).__name__}" if schedule.is_schedule(weight) else str(weight)
