"""The scale that a model takes its inputs in."""

import keras
import numpy as np

_RESCALING = (keras.layers.Rescaling, keras.layers.Normalization, keras.layers.BatchNormalization)


def rescaling_layer(model):
    """Returns the layer that scales a model's inputs, or `None`.

    Layers without weights may come before it, such as augmentation, resizing or cropping.

    Args:
        model: `keras.Model`.
    """
    for layer in _in_order(model):
        if isinstance(layer, _RESCALING):
            return layer
        if layer.weights and not isinstance(layer, keras.Model):
            return None
    return None


def _in_order(model):
    """Yields the layers of a model as they follow each other, those of nested models too."""
    for layer in model.layers:
        yield layer
        if isinstance(layer, keras.Model):
            yield from _in_order(layer)


def looks_like_pixels(array):
    """Says whether samples look like images of raw pixels, whole numbers up to 255.

    Args:
        array: Array of shape `(samples, ...)`.
    """
    is_image = array.ndim >= 3 and array.min() >= 0 and array.max() > 100
    return is_image and np.array_equal(array, np.round(array))
