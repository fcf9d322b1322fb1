"""Checks of the arguments that building a cache and joining with it share."""

import os
import re

import keras
import numpy as np
import tensorflow as tf

from keras_distill.arguments import check_count, check_directory, check_path, shown

_SEED_LIMIT = 2**31
_SIZE_LIMIT = 2**31 - 1


def local_directory(directory):
    """Returns the folder of a cache as a path that holds in every working directory.

    Args:
        directory: What was given.

    Raises:
        TypeError: If it is no path.
        ValueError: If it is an address of a remote file system.
    """
    # A drive of Windows has one letter.
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]+:/", os.fspath(check_path("directory", directory))):
        raise ValueError(
            "directory must be a folder of this machine: a cache is written and checked as local "
            "files. Build it in a local folder and copy that to the remote place and back, or "
            f"mount the remote place (for gs://, with gcsfuse). Received: directory={directory!r}"
        )
    return check_directory("directory", directory)


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
            "seed, as in tf.image.stateless_random_flip_left_right. A layer's can't be repeated "
            f"for the student. Received: augment={shown(augment)}"
        )


def check_seed(seed):
    """Checks that a seed is an integer that TensorFlow takes, and returns it as an `int`.

    Args:
        seed: What was given.

    Raises:
        TypeError: If it isn't an integer.
        ValueError: If it is out of bounds.
    """
    return check_count("seed", seed, low=-_SEED_LIMIT, high=_SEED_LIMIT - 1)


def check_size(name, size):
    """Checks that a number of samples, views or values is at least 1, and returns it as an `int`.

    Args:
        name: The argument.
        size: What was given.

    Raises:
        TypeError: If it isn't an integer.
        ValueError: If it is out of bounds.
    """
    return check_count(name, size, high=_SIZE_LIMIT)


def check_order(shuffle, buffer_size, seed):
    """Checks the arguments that say how samples are shuffled.

    Args:
        shuffle: Whether they are.
        buffer_size: Samples in the buffer, or `None` for the usual number.
        seed: Integer, or `None`.

    Returns:
        Tuple of the buffer's size and the seed; `None` if nothing is shuffled.

    Raises:
        TypeError: If one is of the wrong type.
        ValueError: If one is out of bounds, or has nothing to do.
    """
    given = {"buffer_size": buffer_size, "seed": seed}
    given = {name: value for name, value in given.items() if value is not None}
    if not shuffle:
        for name, value in given.items():
            raise ValueError(
                f"{name} has nothing to do where join doesn't shuffle: leave it out, or give "
                f"arrays or single samples and shuffle=True. Received: {name}={shown(value)}"
            )
        return None
    size = check_size("buffer_size", 8192 if buffer_size is None else buffer_size)
    return size, None if seed is None else check_seed(seed)


def chosen_of(indices, count):
    """Returns which samples are chosen.

    Args:
        indices: Numbers of samples in the data set's order, in any order, each once; or `None`
            for all.
        count: Samples of the data set.

    Returns:
        Boolean array of shape `(count,)`, or `None` for all.

    Raises:
        TypeError: If they aren't integers.
        ValueError: If they are out of bounds, none, or not in a row, or one comes twice.
    """
    if indices is None:
        return None
    if isinstance(indices, dict):
        raise TypeError(f"indices must be integers. Received: indices={shown(indices)}")
    try:
        numbers = np.asarray(list(indices) if not hasattr(indices, "shape") else indices)
    except (TypeError, ValueError):
        numbers = np.empty(0, object)
    if numbers.size and numbers.dtype.kind not in "iu":
        hint = " Of a mask give np.flatnonzero(mask)." if numbers.dtype.kind == "b" else ""
        raise TypeError(
            f"indices must be integers, the numbers of samples.{hint} "
            f"Received: indices={shown(indices)}"
        )
    if numbers.ndim != 1 or not numbers.size:
        raise ValueError(
            "indices must be a row of one sample's number or more. "
            f"Received: indices={shown(indices)}"
        )
    wrong = numbers[(numbers < 0) | (numbers >= count)]
    if len(wrong):
        raise ValueError(
            f"indices must be numbers of samples, from 0 to {count - 1}. "
            f"Received: indices with {wrong[0]}"
        )
    numbers = numbers.astype("int64")
    chosen = np.bincount(numbers, minlength=count)
    if chosen.max() > 1:
        raise ValueError(
            f"indices must name each sample once. Received: indices with {chosen.argmax()} "
            f"{chosen.max()} times"
        )
    return chosen.astype(bool)


def check_timeout(timeout):
    """Checks that a time to wait is a number of seconds.

    Args:
        timeout: What was given.

    Raises:
        TypeError: If it isn't a number.
        ValueError: If it is negative.
    """
    is_number = isinstance(timeout, (int, float, np.number)) and not isinstance(timeout, bool)
    if not is_number:
        raise TypeError(f"timeout must be a number. Received: timeout={shown(timeout)}")
    if not 0 <= timeout < float("inf"):
        raise ValueError(
            f"timeout must be a finite number of seconds, at least 0. Received: timeout={timeout!r}"
        )


def another_sample(directory, what, number):
    """Returns the error for a sample that isn't what the teacher saw.

    Args:
        directory: Folder of the cache.
        what: Whose sample it is: `"the data set's"` or `"the augmented"`.
        number: Its number in the data set.
    """
    return ValueError(
        f"The cache in {str(directory)!r} is of something else: {what} sample {number} is not what "
        "the teacher saw. The order must be the same too: shuffle what join returns."
    )


def spec_text(spec):
    """Returns the shapes and types of one sample's inputs as text.

    Args:
        spec: Structure of `tf.TensorSpec`.
    """
    return str(tf.nest.map_structure(lambda leaf: f"{leaf.dtype.name} {tuple(leaf.shape)}", spec))
