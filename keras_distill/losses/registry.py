"""Losses by name: the class name, its snake case, or the field's abbreviation."""

import difflib

import keras

from keras_distill.losses.attention import AttentionTransfer
from keras_distill.losses.feature import HintLearning
from keras_distill.losses.loss import to_snake_case
from keras_distill.losses.response import LogitMatching, SoftTargets

ABBREVIATIONS = {
    "kd": SoftTargets,
    "logits": LogitMatching,
    "at": AttentionTransfer,
    "fitnet": HintLearning,
}


def get(identifier, **kwargs):
    """Returns a distillation loss for a name, a class or a loss.

    Args:
        identifier: A loss, returned as it is; a class; or a name: the class name
            (`"SoftTargets"`), its snake case (`"soft_targets"`) or the field's abbreviation
            (`"kd"`).
        **kwargs: Arguments of the loss that is made.

    Returns:
        A distillation loss.

    Raises:
        TypeError: If it is something else.
        ValueError: If the name is unknown, or if the loss needs arguments that weren't given.

    Example:

    ```python
    assert get("kd", temperature=2.0).temperature == 2.0
    assert get("at", teacher_layer_name="conv4", student_layer_name="conv2").p == 2.0
    ```
    """
    if isinstance(identifier, keras.distillation.DistillationLoss):
        return identifier
    if isinstance(identifier, str):
        return _create(_class_of(identifier), identifier, kwargs)
    if isinstance(identifier, type) and issubclass(identifier, keras.distillation.DistillationLoss):
        return _create(identifier, identifier.__name__, kwargs)
    raise TypeError(
        "A distillation loss must be a keras_distill.losses or keras.distillation loss, its class "
        f"or its name, got {identifier!r}. A keras.losses loss compares predictions with labels; "
        "for soft targets use SoftTargets()."
    )


def _class_of(name):
    known = dict(ABBREVIATIONS)
    for loss_class in ABBREVIATIONS.values():
        known[loss_class.__name__] = loss_class
        known[to_snake_case(loss_class.__name__)] = loss_class
    if name not in known:
        close = difflib.get_close_matches(name, known, n=3, cutoff=0.4)
        nearest = f" Closest: {', '.join(map(repr, close))}." if close else ""
        raise ValueError(
            f"Unknown distillation loss {name!r}.{nearest} Known: {', '.join(sorted(known))}."
        )
    return known[name]


def _create(loss_class, name, kwargs):
    try:
        return loss_class(**kwargs)
    except TypeError as error:
        if "required positional argument" not in str(error):
            raise
        raise ValueError(
            f"The distillation loss {name!r} can't be made from its name alone ({error}): "
            f"pass {loss_class.__name__}(...) with its arguments."
        ) from error
