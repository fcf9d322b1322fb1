"""Settings of a distillation: arguments of the `Distiller` that a search may choose."""

import json
from collections.abc import Mapping

import keras

from keras_distill import losses
from keras_distill.arguments import closest, shown
from keras_distill.losses import schedule
from keras_distill.training.loss_weights import checked_weights

CHOSEN = ("distillation_losses", "distillation_loss_weights", "student_loss_weight")


def checked_settings(settings, where):
    """Returns arguments of the `Distiller` with a list of losses that no distiller owns yet.

    Args:
        settings: Mapping with `distillation_losses`, and `distillation_loss_weights` and
            `student_loss_weight` where they aren't the distiller's own.
        where: What to call them in errors.

    Returns:
        Dictionary of the arguments that were given.

    Raises:
        TypeError: If it isn't a mapping, or a loss is of the wrong type.
        ValueError: If there is another key, or no loss.
    """
    if not isinstance(settings, Mapping) and not hasattr(settings, "keys"):
        raise TypeError(
            f"{where} must be a dictionary with arguments of the Distiller: {', '.join(CHOSEN)}. "
            f"Received: {shown(settings)}"
        )
    settings = dict(**settings)
    unknown = [key for key in settings if key not in CHOSEN]
    if unknown:
        raise ValueError(
            f"{where} has {unknown[0]!r}, which a search can't choose.{closest(unknown[0], CHOSEN)}"
            f" It may have: {', '.join(CHOSEN)}."
        )
    given = settings.get("distillation_losses")
    given = list(given) if isinstance(given, (list, tuple)) else [given]
    if not given or given == [None]:
        raise ValueError(
            f"{where} must have distillation_losses; the student alone is tried in any case. "
            f"Received: {shown(settings)}"
        )
    return {**settings, "distillation_losses": [_own(loss) for loss in given]}


def _own(loss):
    """Returns a new loss of the same settings: a distiller keeps the variables of its losses."""
    loss = losses.get(loss)
    return losses.deserialize(losses.serialize(loss), {type(loss).__name__: type(loss)})


def as_text(settings):
    """Returns settings as text by which they can be compared.

    Args:
        settings: As `checked_settings` returns.
    """

    def written(value):
        if isinstance(value, keras.distillation.DistillationLoss):
            return losses.serialize(value)
        if isinstance(value, losses.Balanced):
            return value.get_config()
        if isinstance(value, keras.optimizers.schedules.LearningRateSchedule):
            return keras.optimizers.schedules.serialize(value)
        return str(value)

    return json.dumps(settings, default=written, sort_keys=True)


def complexity(settings):
    """Returns how far settings are from training the student alone, as a tuple to sort by.

    Args:
        settings: As `checked_settings` returns.

    Returns:
        Tuple of the number of losses, and the sum of their weights or shares, of which schedules
        count with their first value.
    """
    weights = settings.get("distillation_loss_weights")
    weights = checked_weights(weights, len(settings["distillation_losses"]))
    return len(weights), sum(map(_size, weights))


def _size(weight):
    weight = weight.share if isinstance(weight, losses.Balanced) else weight
    return float(schedule.value_at(weight, 0))


def settings_of(space, values):
    """Returns the settings of some values of the hyperparameters.

    Args:
        space: Function of hyperparameters.
        values: Dictionary from hyperparameter to value, of the active ones.
    """
    import keras_tuner

    hp = keras_tuner.HyperParameters()
    hp.values = dict(values)
    return checked_settings(space(hp), "What space returns")


def describe(values):
    """Returns the values of hyperparameters in words.

    Args:
        values: Dictionary of values.
    """
    words = []
    for name, value in values.items():
        if isinstance(value, bool):
            words += [name] if value else []
        elif isinstance(value, str) and not words:
            words.append(value)
        else:
            words.append(f"{name} {value:.3g}" if isinstance(value, float) else f"{name} {value}")
    return ", ".join(words) or json.dumps(values)
