"""Checks of a classifier, of its classes and of the range of its inputs."""

import keras
import numpy as np

from keras_distill.arguments import shown
from keras_distill.losses import schedule

# The range of images, where no other is given.
BOUNDS = (0.0, 1.0)


def check_bounds(bounds):
    """Checks the range of a model's inputs.

    Args:
        bounds: Pair of the smallest and the largest number, or `None`.

    Raises:
        TypeError: If it is neither.
        ValueError: If the first isn't below the second.
    """
    if bounds is None:
        return
    if not isinstance(bounds, (list, tuple)) or len(bounds) != 2:
        raise TypeError(
            "bounds must be a pair of the smallest and the largest number of an input, or None. "
            f"Received: bounds={shown(bounds)}"
        )
    low, high = (schedule.check_constant("bounds", bound) for bound in bounds)
    if low >= high:
        raise ValueError(
            "The first of bounds must be below the second, the smallest and the largest number of "
            f"an input. Received: bounds={shown(bounds)}"
        )


def class_array(name, value):
    """Returns an argument that holds classes as an array of integers.

    Args:
        name: The argument.
        value: What was given.

    Raises:
        ValueError: If it is something else, or empty.
    """
    try:
        classes = np.asarray(value)
        is_known = classes.dtype.kind in "iu" and classes.ndim == 1 and len(classes) > 0
    except (ValueError, TypeError, RecursionError, AttributeError):
        is_known = False
    if not is_known:
        raise ValueError(
            f"{name} must be an integer array of classes, of shape (samples,), of one sample or "
            f"more. Received: {name}={shown(value)}"
        )
    return classes.astype("int64")


def check_classes(name, output, labels_name, labels):
    """Checks that a model is a classifier of the classes in an array.

    Args:
        name: Name of the argument that is the model.
        output: Its output, a tensor, symbolic or not.
        labels_name: Name of the argument that holds the classes.
        labels: Array of integers.

    Raises:
        ValueError: If it isn't.
    """
    check_is_classifier(name, output)
    if labels.min() < 0 or labels.max() >= output.shape[-1]:
        raise ValueError(
            f"{labels_name} must be classes of the model, from 0 to {output.shape[-1] - 1}. "
            f"Received: {labels_name} from {labels.min()} to {labels.max()}"
        )


def check_is_classifier(name, output):
    """Checks that a model is a classifier.

    Args:
        name: Name of the argument that is the model.
        output: Its output, a tensor, symbolic or not.

    Raises:
        ValueError: If it isn't.
    """
    is_one = hasattr(output, "shape") and len(output.shape) == 2 and output.shape[-1] > 1
    if not is_one:
        shapes = keras.tree.map_structure(lambda part: tuple(part.shape), output)
        raise ValueError(
            f"{name} must be a classifier with one output of shape (batch, classes), two classes "
            f"or more. Received: {name} with an output of shape {shapes}"
        )
