"""Samples of any accepted form, as arrays in the order of a model's inputs."""

import keras
import numpy as np
import tensorflow as tf

from keras_distill.arguments import check_finite, shown
from keras_distill.features.layer_paths import symbolic

MAX_SAMPLES = 500


def samples_of(model, data, name, count=None):
    """Returns samples as arrays, checked.

    Args:
        model: `keras.Model`.
        data: Array of shape `(samples, ...)`, a list or dictionary of arrays for several inputs, or
            a batched `tf.data.Dataset` of `x` or `(x, y)`, of which the first 500 samples are
            taken.
        name: Name of the argument.
        count: How many samples to take at most; `None` for all of an array.

    Returns:
        List of arrays, one per input.

    Raises:
        ValueError: If there are no samples, or they aren't finite numbers; the error names the
            argument and the sample.
    """
    is_dataset = isinstance(data, tf.data.Dataset)
    return arrays_of(model, _first_batches(data) if is_dataset else data, name, count)


def arrays_of(model, data, name, count=None):
    """Returns samples that aren't a data set as arrays, checked; see `samples_of`.

    Args:
        model: `keras.Model`.
        data: Array of shape `(samples, ...)`, or a list or dictionary of arrays.
        name: Name of the argument.
        count: How many samples to take at most; `None` for all.

    Returns:
        List of arrays, one per input.

    Raises:
        ValueError: If there are no samples, or they aren't finite numbers.
    """
    arrays = flat_arrays(name, _in_order(model, data, name))
    if not arrays or any(array.size == 0 for array in arrays):
        raise ValueError(
            f"{name} is empty: give some hundred inputs. Received: arrays of the shapes "
            f"{[array.shape for array in arrays]}"
        )
    counts = [array.shape[:1] for array in arrays]
    if len(set(counts)) > 1:
        raise ValueError(
            f"{name} must have as many samples for each input. Received: arrays of the shapes "
            f"{[array.shape for array in arrays]}"
        )
    arrays = [array[:count] if array.ndim else array for array in arrays]
    check_finite(name, arrays)
    return arrays


def flat_arrays(name, x):
    """Returns all arrays of a structure.

    Args:
        name: Name of the argument.
        x: Array, or a structure of arrays.

    Raises:
        ValueError: If it holds what is no array.
    """
    try:
        return [np.asarray(array) for array in keras.tree.flatten(x)]
    except (TypeError, ValueError, RecursionError) as error:
        raise ValueError(
            f"{name} must be arrays of numbers, one per input. Received: {name}={shown(x)}"
        ) from error


def _first_batches(data):
    batches, count = [], 0
    for batch in data:
        x = batch[0] if isinstance(batch, tuple) else batch
        batches.append(keras.tree.map_structure(lambda tensor: np.atleast_1d(tensor), x))
        count += len(keras.tree.flatten(batches[-1])[0])
        if count >= MAX_SAMPLES:
            break
    if not batches:
        return []
    return keras.tree.map_structure(lambda *parts: np.concatenate(parts), *batches)


def check_shapes(name, shapes, arrays):
    """Checks that samples suit the inputs of a model.

    Args:
        name: Name of the argument that holds them.
        shapes: Shapes of the inputs, batch included; `None` for a size that is left open.
        arrays: List of arrays of shape `(samples, ...)`.

    Raises:
        ValueError: If number or shapes differ.
    """
    if len(arrays) != len(shapes):
        raise ValueError(
            f"The model has {len(shapes)} inputs: give one array for each. "
            f"Received: {name} with {len(arrays)} arrays"
        )
    for index, (shape, array) in enumerate(zip(shapes, arrays, strict=True)):
        wanted = tuple(shape)[1:]
        fits = len(wanted) == array.ndim - 1 and all(
            want in (None, have) for want, have in zip(wanted, array.shape[1:], strict=True)
        )
        if not fits:
            raise ValueError(
                f"{name} must suit the model, whose input {index} is of shape {tuple(shape)}. "
                f"Received: an array of shape {array.shape}"
            )


def _in_order(model, x, name):
    """Returns inputs in the order of a model's own; those of a dictionary by their names."""
    names = [tensor.name for tensor in getattr(model, "inputs", None) or ()]
    takes_names = isinstance(symbolic(model, "input"), dict)
    if not isinstance(x, dict) or takes_names or not names:
        return x
    missing = [name for name in names if name not in x]
    if missing:
        raise ValueError(
            f"The dictionary {name} must hold each input of the model {model.name!r}: "
            f"{', '.join(names)}; {', '.join(missing)} is missing. "
            f"Received: {name} with {shown(list(x))}"
        )
    return [x[name] for name in names]
