"""Batches of labeled and unlabeled samples together: the teacher teaches both."""

from typing import TYPE_CHECKING, Any

import numpy as np

from keras_distill.arguments import check_count, check_samples

if TYPE_CHECKING:
    import tensorflow as tf

_BATCH_SIZE = 32


def with_unlabeled(
    labeled: "tf.data.Dataset | tuple[Any, Any]",
    unlabeled: "tf.data.Dataset | Any",
    batch_size: int | None = None,
    unlabeled_batch_size: int | None = None,
    seed: int | None = None,
) -> "tf.data.Dataset":
    """Data set whose batches hold labeled samples, then unlabeled ones.

    For `Distiller.fit`: the student learns the labels of the first part, and the teacher's answers
    to both, which is what helps most where labels are few. An epoch is one pass over the labeled
    samples; the unlabeled ones go on from epoch to epoch, round and round.

    Unlabeled samples get the class -1, or NaN where labels are floating point numbers, which
    `Distiller` takes for no label.

    Args:
        labeled: `tf.data.Dataset` of batches `(x, y)` or `(x, y, sample_weight)`, such as
            `cache.join` returns; or a tuple of arrays, which are shuffled in each epoch.
        unlabeled: `tf.data.Dataset` of batches `x`; where it holds `(x, y)`, `y` isn't used. Or
            arrays `x`, which are shuffled.
        batch_size: Labeled samples per batch, for arrays. Defaults to 32.
        unlabeled_batch_size: Unlabeled samples per batch, for arrays. Defaults to `batch_size`, or
            32.
        seed: Integer seed of the shuffling.

    Returns:
        `tf.data.Dataset` of batches, as many as `labeled` has.

    Raises:
        TypeError: If the data are of the wrong type.
        ValueError: If a batch size is given for a data set of batches, if labels are missing, or
            if the inputs of the two parts differ in structure, type or shape.

    Example:

    ```python
    x, y = np.zeros((10, 4), "float32"), np.zeros(10, "int32")
    dataset = with_unlabeled((x, y), np.ones((30, 4), "float32"), batch_size=5)
    batch, labels = next(iter(dataset))
    assert batch.shape == (10, 4) and list(labels[5:]) == [-1] * 5
    ```
    """
    import tensorflow as tf

    if seed is not None:
        check_count("seed", seed, low=0, high=2**63 - 1)
    sizes = {"batch_size": batch_size, "unlabeled_batch_size": unlabeled_batch_size}
    for name, value in sizes.items():
        if value is not None:
            check_count(name, value, high=2**31 - 1)
    size = batch_size or _BATCH_SIZE
    labeled = _batches("labeled", labeled, batch_size, _BATCH_SIZE, seed)
    unlabeled = _batches("unlabeled", unlabeled, unlabeled_batch_size, size, seed)
    spec = labeled.element_spec
    if not isinstance(spec, tuple) or hasattr(spec, "_fields") or len(spec) not in (2, 3):
        raise ValueError(
            "labeled must hold (x, y) or (x, y, sample_weight). Received: labeled with elements "
            f"{spec}"
        )
    unlabeled = unlabeled.map(_inputs_of, num_parallel_calls=tf.data.AUTOTUNE)
    _check_alike(spec[0], unlabeled.element_spec)
    both = tf.data.Dataset.zip(labeled, unlabeled.repeat())
    return both.map(_together, num_parallel_calls=tf.data.AUTOTUNE).prefetch(tf.data.AUTOTUNE)


def _batches(name, data, batch_size, default, seed):
    import tensorflow as tf

    if isinstance(data, tf.data.Dataset):
        if batch_size is not None:
            argument = "batch_size" if name == "labeled" else "unlabeled_batch_size"
            raise ValueError(
                f"{argument} is for arrays: {name} is a tf.data.Dataset, which has batches "
                f"already. Received: {argument}={batch_size}"
            )
        return data
    arrays = check_samples(name, data, "a tf.data.Dataset of batches, or arrays of numbers")
    samples = tf.data.Dataset.from_tensor_slices(arrays)
    samples = samples.shuffle(len(samples), seed=seed, reshuffle_each_iteration=True)
    return samples.batch(batch_size or default)


def _inputs_of(*batch):
    return batch[0]


def _check_alike(labeled, unlabeled):
    """Checks that two batches of inputs can be put together."""
    import tensorflow as tf

    try:
        tf.nest.assert_same_structure(labeled, unlabeled)
        pairs = zip(tf.nest.flatten(labeled), tf.nest.flatten(unlabeled), strict=True)
        is_alike = all(
            one.dtype == two.dtype and one.shape[1:].is_compatible_with(two.shape[1:])
            for one, two in pairs
        )
    except (TypeError, ValueError):
        is_alike = False
    if not is_alike:
        raise ValueError(
            "Labeled and unlabeled inputs must have the same structure, types and shapes. "
            f"Received: labeled inputs {labeled}, unlabeled inputs {unlabeled}"
        )


def _together(labeled, unlabeled):
    """Puts a labeled and an unlabeled batch together."""
    import tensorflow as tf

    x, y, *weights = labeled
    count = tf.shape(tf.nest.flatten(unlabeled)[0])[0]
    inputs = tf.nest.map_structure(lambda *parts: tf.concat(parts, 0), x, unlabeled)
    labels = tf.nest.map_structure(lambda part: _filled(part, count, None), y)
    weights = [tf.nest.map_structure(lambda part: _filled(part, count, 1), w) for w in weights]
    return (inputs, labels, *weights)


def _filled(labels, count, value):
    """Appends values for some samples: by default what stands for no label."""
    import tensorflow as tf

    if value is None:
        value = np.nan if labels.dtype.is_floating else -1
    if labels.dtype.is_unsigned or labels.dtype.is_bool:
        labels = tf.cast(labels, tf.int64)
    shape = tf.concat([[count], tf.shape(labels)[1:]], 0)
    return tf.concat([labels, tf.fill(shape, tf.cast(value, labels.dtype))], 0)
