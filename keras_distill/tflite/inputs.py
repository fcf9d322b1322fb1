"""Inputs of models that take several, in the order of the exported file."""

import keras


def in_order(model, x):
    """Returns inputs in the order of a model's own.

    Args:
        model: `keras.Model`.
        x: Array, or a structure of arrays. A dictionary for a model that takes a list is read by
            the names of the model's inputs.

    Returns:
        List of what `x` holds.

    Raises:
        ValueError: If a dictionary lacks an input.
    """
    if not isinstance(x, dict) or isinstance(getattr(model, "_inputs_struct", None), dict):
        return keras.tree.flatten(x)
    names = [tensor.name for tensor in getattr(model, "inputs", None) or ()]
    missing = [name for name in names if name not in x]
    if missing:
        raise ValueError(
            f"The model {model.name!r} has the inputs {', '.join(names)}, the dictionary has "
            f"{', '.join(x)}: {', '.join(missing)} is missing."
        )
    return [x[name] for name in names] if names else keras.tree.flatten(x)
