"""Layers as other layers of the same outputs, for which a microcontroller has the operators."""

import keras

from keras_distill._compat import all_layers, functional_of, nodes_into


def for_boards(model):
    """Returns a model of the same outputs whose layers a microcontroller can run.

    Nearest `UpSampling2D` becomes TILE, which TensorFlow Lite Micro lacks; `Resizing` by whole
    factors gives the same and becomes RESIZE_NEAREST_NEIGHBOR.

    Args:
        model: Built `keras.Model`, which stays as it is.

    Returns:
        `model` itself, or a copy of it where layers are replaced.
    """
    layers = all_layers(model)
    is_plain = functional_of(model) is not None and all(map(_can_be_copied, layers))
    if not is_plain or not any(map(_is_repeating, layers)):
        return model
    copy = keras.models.clone_model(model, clone_function=_replaced, recursive=True)
    copy.set_weights(model.get_weights())
    return copy


def _can_be_copied(layer):
    """Whether a copy is sure to be the same, which the code of others needn't be."""
    is_own = type(layer).__module__.startswith("keras.")
    return is_own and not isinstance(layer, keras.layers.Lambda)


def _is_repeating(layer):
    if not isinstance(layer, keras.layers.UpSampling2D) or layer.interpolation != "nearest":
        return False
    # One that is called on several shapes has no fixed result.
    shapes = {tuple(node.input_tensors[0].shape) for node in nodes_into(layer)}
    is_fixed = len(shapes) == 1 and None not in next(iter(shapes))[1:]
    return layer.data_format == "channels_last" and is_fixed


def _replaced(layer):
    if not _is_repeating(layer):
        return layer.__class__.from_config(layer.get_config())
    _, height, width, _ = layer.input.shape
    rows, columns = layer.size
    return keras.layers.Resizing(
        height * rows, width * columns, "nearest", data_format="channels_last", name=layer.name
    )
