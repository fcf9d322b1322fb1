"""Layer paths: names joined by `/` through nested models; symbolic inputs and outputs."""

import difflib
from typing import Any

import keras

from keras_distill._compat import inner_layers
from keras_distill.arguments import shown


def layer_at(model: keras.layers.Layer, path: str, branch: str = "model") -> keras.layers.Layer:
    """Returns the layer that a path names.

    Args:
        model: A `keras.Model` or layer.
        path: A layer name, or names joined by `/` through nested models and layers; the name of
            the attribute works too in a subclassed model.
        branch: What to call the model in errors: `"teacher"` or `"student"`.

    Raises:
        ValueError: If there is none; the error lists the closest paths.
    """
    return layers_along(model, path, branch)[-1]


def layers_along(
    model: keras.layers.Layer, path: str, branch: str = "model"
) -> list[keras.layers.Layer]:
    """Returns the list of layers that the parts of a path name, from outer to inner.

    Args:
        model: As for `layer_at`.
        path: As for `layer_at`.
        branch: As for `layer_at`.

    Raises:
        ValueError: As for `layer_at`.
    """
    layers = [model]
    for part in path.split("/"):
        layer = children(layers[-1]).get(part) or _attribute_layer(layers[-1], part)
        if layer is None:
            raise ValueError(_unknown(model, path, branch))
        layers.append(layer)
    return layers[1:]


def layer_paths(model: keras.layers.Layer) -> list[str]:
    """Returns the path of every layer of a model, nested ones included.

    Args:
        model: A `keras.Model` or layer.

    Returns:
        List of paths, outer layers before what they contain.
    """
    return list(layers_by_path(model))


def layers_by_path(model: keras.layers.Layer, prefix: str = "") -> dict[str, keras.layers.Layer]:
    """Returns a dictionary from path to layer of every layer of a model, nested ones included.

    Args:
        model: A `keras.Model` or layer.
        prefix: Path of the model itself, ending in `/`.
    """
    found: dict[str, keras.layers.Layer] = {}
    for name, layer in children(model).items():
        if not isinstance(layer, keras.layers.InputLayer):
            found |= {prefix + name: layer, **layers_by_path(layer, f"{prefix}{name}/")}
    return found


def children(layer: keras.layers.Layer) -> dict[str, keras.layers.Layer]:
    """Returns a dictionary from name to layer of the layers directly inside a layer."""
    return {child.name: child for child in inner_layers(layer)}


def symbolic(model: keras.Model, what: str) -> Any:
    """Returns the structure of a model's symbolic inputs or outputs, `None` if it has none.

    Args:
        model: A `keras.Model`.
        what: `"input"` or `"output"`.
    """
    try:
        if isinstance(model, keras.Sequential):
            return getattr(model, f"{what}s")[0]
        return getattr(model, what)
    except (AttributeError, ValueError, TypeError):
        return None


def _attribute_layer(layer, name):
    child = getattr(layer, name, None) if name.isidentifier() else None
    return child if isinstance(child, keras.layers.Layer) else None


def _unknown(model, path, branch):
    known = layer_paths(model)
    close = difflib.get_close_matches(path, known, n=5, cutoff=0.5)
    close += [other for other in known if other.split("/")[-1] == path.split("/")[-1]]
    nearest = list(dict.fromkeys(close)) or known[:10]
    return (
        f"The {branch} model {model.name!r} has no such layer. "
        f"Closest: {', '.join(map(repr, nearest)) or 'it has no layers yet'}. "
        f"Received: layer path {shown(path)}"
    )


def output_names(model: keras.Model) -> list[str] | None:
    """Returns the names of a model's outputs in the order of `keras.tree.flatten`.

    Args:
        model: A `keras.Model`.

    Returns:
        List of names (the keys of a model that outputs a dictionary), or `None`.
    """
    try:
        output = None if isinstance(model, keras.Sequential) else model.output
    except (AttributeError, ValueError):
        return None
    if isinstance(output, dict):
        return sorted(output)
    names = getattr(model, "output_names", None)
    return list(names) if names else None
