"""Checked predictions of several models on the same labeled samples."""

import numpy as np

from keras_distill.arguments import check_flag, shown
from keras_distill.losses.logits import final_activation
from keras_distill.visualization.plot_data import class_numbers, finite_array

# How far float16 probabilities of many classes are off a sum of 1.
_ROUNDING = 0.01


def named(predictions, least=1):
    """Returns predictions by model's name.

    Args:
        predictions: What was given.
        least: Number of models that a plot needs.

    Raises:
        ValueError: If it isn't a dictionary of so many models.
    """
    if not isinstance(predictions, dict) or len(predictions) < least:
        many = "one model" if least == 1 else f"{least} models"
        raise ValueError(
            f"predictions must be a dict of model name to its predictions, of {many} or more. "
            f"Received: predictions={shown(predictions)}"
        )
    return {str(name): values for name, values in predictions.items()}


def true_classes(labels, name="labels"):
    """Returns the true classes, one per sample.

    Args:
        labels: Array (samples,) of classes, or (samples, classes) of scores.
        name: The argument.

    Raises:
        ValueError: If it is neither, is empty, or a sample has no label.
    """
    labels = class_numbers(labels, name)
    if not len(labels) or labels.min() < 0:
        raise ValueError(
            f"{name} must be one or more classes from 0 on: leave samples without a label out. "
            f"Received: {name}={shown(labels)}"
        )
    return labels


def probabilities(values, name, labels, from_logits=False):
    """Returns the probabilities of a model, an array (samples, classes) of float64.

    Args:
        values: Array (samples, classes) of probabilities, or of logits; (samples, 1) of the second
            of two classes.
        name: The argument.
        labels: True classes, as `true_classes` returns them.
        from_logits: Whether `values` are logits.

    Raises:
        TypeError: If `from_logits` isn't a boolean.
        ValueError: If the shape or the number of samples differs, there are too few classes, or
            the rows are no probabilities.
    """
    check_flag("from_logits", from_logits)
    values = np.asarray(finite_array(values, name, rank=2), "float64")
    if values.shape[1] == 1:
        values = _of_two_classes(values, from_logits)
    if len(values) != len(labels) or labels.max() >= values.shape[1] or values.shape[1] < 2:
        raise ValueError(
            f"{name} must be (samples, classes) with the {len(labels)} samples of labels, and at "
            f"least {max(2, labels.max() + 1)} classes. Received: {name} of shape {values.shape}"
        )
    if from_logits:
        powers = np.exp(values - values.max(axis=1, keepdims=True))
        return powers / powers.sum(axis=1, keepdims=True)
    if values.min() < 0 or np.abs(values.sum(axis=1) - 1).max() > _ROUNDING:
        raise ValueError(
            f"{name} must be probabilities, whose rows sum to 1. Of logits, say from_logits=True. "
            f"Received: {name}={shown(values)}"
        )
    return values


def _of_two_classes(values, from_logits):
    """Returns the scores of both classes: of a logit's sigmoid as two logits."""
    return np.hstack([np.zeros_like(values) if from_logits else 1 - values, values])


def as_probabilities(values, name, labels):
    """Returns the probabilities of a model, whether it gives these or logits.

    Args:
        values: Array (samples, classes).
        name: What gave it.
        labels: True classes, as `true_classes` returns them.

    Raises:
        ValueError: As for `probabilities`.
    """
    values = np.asarray(values)
    is_rows = values.ndim == 2 and values.min(initial=0) >= 0
    are_probabilities = is_rows and np.abs(values.sum(axis=1) - 1).max(initial=0) <= _ROUNDING
    return probabilities(values, name, labels, from_logits=not are_probabilities)


def answers_of_model(model, outputs, name, labels):
    """Returns the probabilities of a model, of two classes where it has one output number.

    Args:
        model: `keras.Model`.
        outputs: Array (samples, classes) of what it answers, or (samples, 1).
        name: What gave it.
        labels: True classes, as `true_classes` returns them.

    Raises:
        ValueError: As for `probabilities`.
    """
    if outputs.shape[1:] == (1,):
        # One number has no sum that would tell.
        return probabilities(outputs, name, labels, final_activation(model) != "sigmoid")
    return as_probabilities(outputs, name, labels)


def predicted_classes(values, name, labels):
    """Returns the classes that a model predicts for the labeled samples.

    Args:
        values: Array (samples,) of classes, or (samples, classes) of scores.
        name: The argument.
        labels: True classes, as `true_classes` returns them.

    Raises:
        ValueError: If it is neither, or the number of samples differs.
    """
    values = class_numbers(values, name)
    if len(values) != len(labels):
        raise ValueError(
            f"{name} must have the {len(labels)} samples of labels. "
            f"Received: {name} of {len(values)} samples"
        )
    return values
