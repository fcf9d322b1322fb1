"""Checks of the arguments that building a cache and joining with it share."""

import keras
import tensorflow as tf


def check_augment(augment):
    """Checks that an augmentation is a function, and no layer.

    Args:
        augment: What was given.

    Raises:
        TypeError: If it isn't.
    """
    if augment is None:
        return
    if isinstance(augment, keras.Layer) or not callable(augment):
        raise TypeError(
            "augment must be a function (inputs, seed) of one sample, whose randomness comes from "
            f"seed, as in tf.image.stateless_random_flip_left_right, got {augment!r}. A layer's "
            "can't be repeated for the student."
        )


def check_count(name, value):
    """Checks that an argument is a positive integer.

    Args:
        name: The argument.
        value: What was given.

    Raises:
        TypeError: If it isn't an integer.
        ValueError: If it isn't positive.
    """
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise TypeError(f"{name} must be an integer, got {value!r}.")
    if value < 1:
        raise ValueError(f"{name} must be at least 1, got {value!r}.")


def spec_text(spec):
    """Returns the shapes and types of one sample's inputs as text.

    Args:
        spec: Structure of `tf.TensorSpec`.
    """
    return str(tf.nest.map_structure(lambda leaf: f"{leaf.dtype.name} {tuple(leaf.shape)}", spec))
