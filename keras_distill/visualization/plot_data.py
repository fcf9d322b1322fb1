"""Checked arguments of the plots."""

import collections.abc
import numbers
from typing import Any

import numpy as np

from keras_distill.arguments import shown

# A plot of more would need gigabytes.
_MOST = 250


def finite_array(values, name, rank):
    """Returns finite numbers as an array of a rank.

    Args:
        values: What was given.
        name: The argument.
        rank: Number of axes, or `None` for any.

    Raises:
        ValueError: If the rank differs, there is nothing in it, or it holds something else than
            finite real numbers.
    """
    values = _array(values, name)
    if rank not in (None, values.ndim) or not values.size:
        shape = ("batch", "height", "width", "channels")[:rank]
        raise ValueError(
            f"{name} must be an array ({', '.join(shape)}) that is not empty. "
            f"Received: {name}={shown(values)}"
        )
    if not _are_finite(values):
        raise ValueError(
            f"{name} holds NaN or infinity, or something else than numbers. "
            f"Received: {name}={shown(values)}"
        )
    return values


def _array(values, name):
    try:
        return np.asarray(values)
    except ValueError:
        raise ValueError(
            f"{name} must be an array: its rows differ in length. Received: {name}={shown(values)}"
        ) from None


def _are_finite(values):
    try:
        return not np.iscomplexobj(values) and bool(np.isfinite(values).all())
    except TypeError:
        return False


def class_numbers(values, name):
    """Returns class numbers, whether given as such or as scores per class.

    Args:
        values: Array (samples,) or (samples, 1) of classes, or (samples, classes) of scores.
        name: The argument.

    Raises:
        ValueError: If it is neither.
    """
    values = _array(values, name)
    numeric = _are_finite(values)
    if numeric and values.ndim == 2 and values.shape[1] > 1:
        return values.argmax(axis=1)
    is_column = numeric and values.ndim == 2
    if is_column and np.array_equal(values, values.astype(int)):
        values = values[:, 0]
    elif is_column:
        raise ValueError(
            f"{name} has one score per sample: give classes, such as scores > 0.5 of a sigmoid, or "
            f"logits > 0. Received: {name}={shown(values)}"
        )
    if not numeric or values.ndim != 1 or not np.array_equal(values, values.astype(int)):
        raise ValueError(
            f"{name} must be classes (samples,) or finite scores (samples, classes). "
            f"Received: {name}={shown(values)}"
        )
    return values.astype(int)


def list_of_names(names: Any, argument: str) -> list[str]:
    """Returns the names of the classes as a list of strings.

    Args:
        names: List, tuple, range or array of strings or integers; with an order, so that each
            belongs to a class number.
        argument: The argument.

    Raises:
        TypeError: If it is something else. A single string is refused too: its letters would
            become the names.
        ValueError: If there are more than a plot can hold.
    """
    is_text = isinstance(names, (str, bytes, bytearray))
    is_ordered = isinstance(names, collections.abc.Sequence) or np.ndim(names) == 1
    if is_text or not is_ordered or not len(names) or not all(map(_is_class_name, names)):
        raise TypeError(
            f"{argument} must be a sequence of names, strings or integers, in the order of the "
            f"classes. Received: {argument}={shown(names)}"
        )
    if len(names) > _MOST:
        raise ValueError(
            f"{argument} names {len(names):,} classes, and a plot holds at most {_MOST}: "
            "draw a part of the classes."
        )
    return [str(name) for name in names]


def _is_class_name(name):
    return isinstance(name, (str, numbers.Integral)) and not isinstance(name, bool)


def check_named(values, argument, names, names_argument):
    """Checks that each class has a name.

    Args:
        values: Array of class numbers.
        argument: Their argument.
        names: List of the names.
        names_argument: Theirs.

    Raises:
        ValueError: If one has none.
    """
    if len(values) and (values.min() < 0 or values.max() >= len(names)):
        raise ValueError(
            f"{argument} has classes {values.min()} to {values.max()}, but {names_argument} "
            f"names the {len(names)} classes 0 to {len(names) - 1}."
        )


def image_array(images):
    """Returns images as an array with channels.

    Args:
        images: Array (samples, height, width, channels) of 1 or 3 channels, or without the
            channels.

    Raises:
        ValueError: If it is something else, or more than a plot holds.
    """
    images = _array(images, "images")
    if images.ndim == 3:
        images = images[..., None]
    images = finite_array(images, "images", rank=4)
    if images.shape[-1] not in (1, 3):
        raise ValueError(f"images must have 1 or 3 channels. Received: images={shown(images)}")
    check_drawable(len(images), "images")
    return images


def check_drawable(samples, argument):
    """Checks that a plot holds so many samples.

    Args:
        samples: Their number.
        argument: The argument.

    Raises:
        ValueError: If there are more.
    """
    if samples > _MOST:
        raise ValueError(
            f"{argument} has {samples:,} samples, and a plot holds at most {_MOST}: draw a "
            "part of them."
        )


def attended(samples, argument, maps, predictions, labels, rank):
    """Returns the maps, predictions and labels of a plot of attention as arrays.

    Args:
        samples: Number of the samples that they are of.
        argument: The argument that has these samples.
        maps: As for `visualization.plot_attention`.
        predictions: As there.
        labels: As there.
        rank: Number of axes of the maps.

    Returns:
        Tuple of dictionaries of the maps and of the predicted classes by model, and the true
        classes or `None`.

    Raises:
        TypeError: If `predictions` isn't a dictionary.
        ValueError: If a shape or a number of samples is not as described there.
    """
    check_drawable(samples, argument)
    if not isinstance(maps, dict) or not maps:
        axes = "height, width" if rank == 3 else "positions"
        raise ValueError(
            f"maps must be a dict of model name to maps (samples, {axes}). "
            f"Received: maps={shown(maps)}"
        )
    if predictions is not None and not isinstance(predictions, dict):
        raise TypeError(
            "predictions must be a dict of model name to predicted classes or scores. "
            f"Received: predictions={shown(predictions)}"
        )
    maps = {name: finite_array(values, f"maps[{name!r}]", rank) for name, values in maps.items()}
    predictions = {
        name: class_numbers(values, f"predictions[{name!r}]")
        for name, values in (predictions or {}).items()
    }
    unknown = [name for name in predictions if name not in maps]
    if unknown:
        raise ValueError(
            f"predictions names {unknown[0]!r}, which has no map. Maps: {', '.join(maps)}"
        )
    labels = None if labels is None else class_numbers(labels, "labels")
    given = {f"maps[{name!r}]": values for name, values in maps.items()}
    given |= {f"predictions[{name!r}]": values for name, values in predictions.items()}
    given |= {} if labels is None else {"labels": labels}
    for name, values in given.items():
        if len(values) != samples:
            raise ValueError(f"{name} has {len(values)} samples, but {argument} has {samples}.")
    return maps, predictions, labels


def names_of_classes(class_names, labels, predictions):
    """Returns the names of a plot's classes as a list, or `None` where none are given.

    Args:
        class_names: What was given.
        labels: True classes, or `None`.
        predictions: Dictionary from model to its predicted classes.

    Raises:
        TypeError: If they are no list of names.
        ValueError: If a class has no name.
    """
    if class_names is None:
        return None
    class_names = list_of_names(class_names, "class_names")
    for name, values in {"labels": labels, **predictions}.items():
        if values is not None:
            check_named(values, name, class_names, "class_names")
    return class_names


def values_of_runs(name, runs, metric):
    """Returns a metric of each run as an array (runs, epochs), masked after a run's end.

    Args:
        name: The model's name.
        runs: A history, or a list of them.
        metric: Name of the metric.

    Raises:
        ValueError: If a run lacks the metric, or it isn't a number per epoch.
    """
    runs = runs if isinstance(runs, list | tuple) else [runs]
    series = []
    for run in runs:
        run = getattr(run, "history", run)
        if not isinstance(run, dict) or not len(run.get(metric, ())):
            known = ", ".join(run) if isinstance(run, dict) else type(run).__name__
            raise ValueError(
                f"histories: a history of {shown(name)} has no values of {shown(metric)}. "
                f"It has: {known or 'nothing'}"
            )
        series.append(_numbers(run[metric], f"{shown(metric)} of {shown(name)}"))
    if not series:
        raise ValueError(f"histories: {shown(name)} has no histories.")
    table = np.full((len(series), max(map(len, series))), np.nan)
    for row, values in zip(table, series, strict=True):
        row[: len(values)] = values
    return np.ma.masked_invalid(table)


def values_of_arms(values):
    """Returns the values of the arms of a comparison as arrays of the same length.

    Args:
        values: As for `visualization.plot_gains`.

    Raises:
        ValueError: If it isn't a dictionary of two or more, they differ in length, or one has no
            number.
    """
    if not isinstance(values, dict) or len(values) < 2:
        raise ValueError(
            "values must be a dict of arm to its values, one per seed, of two arms or more. "
            f"Received: values={shown(values)}"
        )
    arrays = {
        str(name): _numbers(given, f"values[{name!r}]", "seed") for name, given in values.items()
    }
    count = len(next(iter(arrays.values())))
    for name, array in arrays.items():
        if len(array) != count or not np.isfinite(array).any():
            raise ValueError(
                f"values[{name!r}] must have a number for each of the {count} seeds, as the first "
                f"arm has, and one that is finite. Received: {shown(array)}"
            )
    return arrays


def _numbers(values, name, each="epoch"):
    try:
        numbers = np.asarray(values, dtype="float64")
    except (TypeError, ValueError):
        numbers = None
    if numbers is None or numbers.ndim != 1:
        raise ValueError(f"{name} must be one number per {each}. Received: {shown(values)}")
    return numbers
