"""Losses as configurations that `json` can write, and back."""

from collections.abc import Mapping
from typing import Any

import keras

from keras_distill.arguments import shown
from keras_distill.losses import registry


def serialize(loss: keras.distillation.DistillationLoss) -> dict[str, Any]:
    """Returns the configuration of a distillation loss.

    Args:
        loss: A loss of `keras_distill.losses`, of `keras.distillation`, or a subclass.

    Returns:
        Dictionary that `json` can write and `deserialize` reads. It holds the settings, not the
        variables.

    Raises:
        TypeError: If it is something else.

    Example:

    ```python
    config = serialize(keras_distill.losses.SoftTargets(temperature=2.0))
    assert deserialize(config).temperature == 2.0
    ```
    """
    if not isinstance(loss, keras.distillation.DistillationLoss):
        raise TypeError(
            "serialize takes a distillation loss, such as keras_distill.losses.SoftTargets(). "
            f"Received: loss={shown(loss)}"
        )
    return keras.saving.serialize_keras_object(loss)


def deserialize(
    config: Mapping[str, Any] | str, custom_objects: Mapping[str, Any] | None = None
) -> keras.distillation.DistillationLoss:
    """Returns the distillation loss of a configuration or of a name.

    Args:
        config: What `serialize` returned, or a name as of `get`.
        custom_objects: Dictionary from name to class, for classes that aren't registered with
            `keras.saving.register_keras_serializable`.

    Returns:
        A new distillation loss.

    Raises:
        TypeError: If `config` is neither a dictionary nor a name, or `custom_objects` isn't a
            dictionary.
        ValueError: If `config` describes no distillation loss, or if the name is unknown.

    Example:

    ```python
    assert deserialize("kd").temperature == 4.0
    ```
    """
    custom_objects = _checked_objects(custom_objects)
    if isinstance(config, str):
        return registry.get(custom_objects.get(config, config))
    if not isinstance(config, Mapping):
        raise TypeError(
            "config must be a dictionary that serialize returned, or the name of a loss. "
            f"Received: config={shown(config)}"
        )
    try:
        loss = keras.saving.deserialize_keras_object(dict(config), custom_objects)
    except Exception as error:  # What Keras raises depends on what is missing or wrong.
        # Keras wraps what a constructor raises in its own, much longer text.
        reason = str(error.__context__ or error).partition("\n")[0]
        raise ValueError(
            f"config can't be read as a distillation loss: {reason[:300]} "
            f"Received: config={shown(config)}"
        ) from error
    if not isinstance(loss, keras.distillation.DistillationLoss):
        raise ValueError(
            "config must describe a distillation loss, as serialize returns it. "
            f"Received: config={shown(config)}"
        )
    return loss


def _checked_objects(custom_objects):
    if custom_objects is None:
        return {}
    if not isinstance(custom_objects, Mapping):
        raise TypeError(
            "custom_objects must be a dictionary from name to class. "
            f"Received: custom_objects={shown(custom_objects)}"
        )
    return dict(custom_objects)
