"""A few numbers that tell one sample from another: how a cache knows what the teacher saw."""

import functools
import math

import tensorflow as tf

WIDTH = 5
# Between the same pixels computed in another order, and two samples that differ.
TOLERANCE = 1e-4

_MULTIPLIERS = (2654435761, 2246822519, 3266489917, 668265263)


def sketch(inputs):
    """Returns the sketch of each sample of a batch: four sums with random signs, and its length.

    Args:
        inputs: Structure of tensors of shape `(batch, ...)`, numbers or strings.

    Returns:
        float32 tensor of shape `(batch, 5)`.
    """
    rows = [_as_rows(leaf) for leaf in tf.nest.flatten(inputs)]
    rows = tf.concat(rows, axis=1) if len(rows) > 1 else rows[0]
    count = tf.shape(rows)[1] if rows.shape[1] is None else rows.shape[1]
    sums = tf.matmul(rows, _signs(count) if tf.is_tensor(count) else _known_signs(count))
    length = tf.sqrt(tf.reduce_sum(tf.square(rows), axis=1, keepdims=True))
    return tf.concat([sums, length], axis=1)


def differ(first, second):
    """Tells which samples are not the same.

    Args:
        first: Sketches, tensor of shape `(batch, 5)`.
        second: The same.

    Returns:
        Boolean tensor of shape `(batch,)`.
    """
    distance = tf.reduce_max(tf.abs(first - second), axis=-1)
    length = tf.maximum(first[..., -1], second[..., -1])
    return tf.logical_not(distance <= TOLERANCE * length)


def _as_rows(leaf):
    if leaf.dtype == tf.string:
        leaf = tf.strings.to_hash_bucket_fast(leaf, 2**20)
    leaf = tf.cast(leaf, "float32")
    # The number of axes isn't known either to a tf.function that has seen several.
    sides = (None,) if leaf.shape.rank is None else leaf.shape[1:]
    size = -1 if None in sides else math.prod(sides)
    return tf.reshape(leaf, (tf.shape(leaf)[0], size))


@functools.lru_cache(8)
def _known_signs(count):
    # Not computed anew in each pipeline: it is made at the start of each epoch.
    with tf.init_scope():
        return _signs(count).numpy()


def _signs(count):
    """Random signs that are the same everywhere, as integers don't round."""
    places = tf.cast(tf.range(1, count + 1), "int64")
    columns = []
    for multiplier in _MULTIPLIERS:
        mixed = places * multiplier
        mixed = tf.bitwise.bitwise_xor(
            mixed, tf.bitwise.right_shift(mixed, tf.constant(15, "int64"))
        )
        bit = tf.bitwise.bitwise_and(
            tf.bitwise.right_shift(mixed * 2246822519, tf.constant(17, "int64")), 1
        )
        columns.append(2.0 * tf.cast(bit, "float32") - 1.0)
    return tf.stack(columns, axis=1)
