"""The form of the Keras tutorial: `compile(student_loss_fn, distillation_loss_fn, alpha, ...)`."""

import keras

from keras_distill.arguments import shown
from keras_distill.losses import SoftenedLoss, SoftTargets, schedule
from keras_distill.training.validation import is_keras_loss

_KL_NAMES = ("kl_divergence", "kullback_leibler_divergence", "kld", "KLD", "KLDivergence")


def refuse_tutorial_arguments(**arguments):
    """Refuses arguments of the tutorial's form beside `distillation_losses`.

    Args:
        **arguments: What `compile` was given, `None` for nothing.

    Raises:
        ValueError: If one is given.
    """
    for name, value in arguments.items():
        if value is not None:
            raise ValueError(
                f"This distiller already has distillation_losses, so {name} has no place: leave "
                "one of them out. A loss has its own temperature, and student_loss_weight and "
                f"distillation_loss_weights its share. Received: {name}={shown(value)}"
            )


def tutorial_settings(distillation_loss_fn, alpha=None, temperature=None):
    """Returns what the tutorial's arguments of `compile` mean.

    Args:
        distillation_loss_fn: A Keras loss, its name, or a function of probabilities.
        alpha: Weight of the student's loss, in [0, 1]; by default 0.1.
        temperature: T; by default 3.

    Returns:
        Tuple of a dictionary of the arguments as they count, and of the distillation loss.

    Raises:
        TypeError: If one is of the wrong type.
        ValueError: If one is missing or out of bounds.
    """
    if distillation_loss_fn is None:
        raise ValueError(
            "This distiller has no distillation loss. Give Distiller(distillation_losses=...), "
            "for example SoftTargets(temperature=4.0), or compile(distillation_loss_fn=...)."
        )
    settings = {
        "distillation_loss_fn": distillation_loss_fn,
        "alpha": 0.1 if alpha is None else schedule.check_number("alpha", alpha, low=0, high=1),
        "temperature": 3.0 if temperature is None else temperature,
    }
    return settings, soft_targets_from_keras_loss(distillation_loss_fn, settings["temperature"])


def soft_targets_from_keras_loss(loss, temperature):
    """Returns the distillation loss for the tutorial's `distillation_loss_fn`.

    Args:
        loss: A Keras loss, its name, or a function `(y_true, y_pred)` of probabilities.
        temperature: T.

    Returns:
        `SoftTargets` for the Kullback-Leibler divergence, in any of its forms, and for the
        categorical cross-entropy; else `SoftenedLoss`.
    """
    if not is_keras_loss(loss):
        raise TypeError(
            "distillation_loss_fn must be a keras.losses loss, its name, or a function "
            f"(y_true, y_pred). Received: distillation_loss_fn={shown(loss)}"
        )
    if isinstance(loss, keras.losses.KLDivergence) or loss is keras.losses.kl_divergence:
        return SoftTargets(temperature)
    if isinstance(loss, str) and loss in _KL_NAMES:
        return SoftTargets(temperature)
    if isinstance(loss, keras.losses.CategoricalCrossentropy) and not loss.label_smoothing:
        return SoftTargets(temperature, divergence="cross_entropy")
    return SoftenedLoss(loss, temperature)
