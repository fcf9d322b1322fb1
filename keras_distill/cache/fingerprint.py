"""Fingerprints of samples: a few numbers each, by which a cache knows what the teacher saw."""

import functools
import math

import tensorflow as tf

# Four sums with random signs and the length of what may round; the hash of the rest, in pieces.
_ROUNDED, _PIECE_BITS = 5, (21, 21, 22)
WIDTH = _ROUNDED + len(_PIECE_BITS)
# Between the same pixels computed in another order, and two samples that differ.
TOLERANCE = 1e-4

_MULTIPLIERS = (2654435761, 2246822519, 3266489917, 668265263)
_HASH_MULTIPLIERS = (0x2545F4914F6CDD1D, 0x1B873593CC9E2D51)
_WORD_BYTES = 8


def fingerprints_of(inputs):
    """Returns the fingerprint of each sample of a batch.

    Floating point numbers give four sums with random signs and a length, which are compared with
    a tolerance for rounding. Integers, booleans and strings give a hash of 64 bits, in which any
    one value that changes is seen.

    Args:
        inputs: Structure of tensors of shape `(batch, ...)`, numbers or strings.

    Returns:
        float32 tensor of shape `(batch, 8)`.
    """
    leaves = [tf.convert_to_tensor(leaf) for leaf in tf.nest.flatten(inputs)]
    rounded = [leaf for leaf in leaves if _may_round(leaf)]
    exact = [leaf for leaf in leaves if not _may_round(leaf)]
    batch = tf.shape(leaves[0])[0]
    return tf.concat([_sums(rounded, batch), _hash(exact, batch)], axis=1)


def differ(first, second):
    """Tells which samples are not the same.

    Args:
        first: Fingerprints, tensor of shape `(batch, 8)`.
        second: The same.

    Returns:
        Boolean tensor of shape `(batch,)`.
    """
    distance = tf.abs(first - second)
    length = tf.maximum(first[..., _ROUNDED - 1], second[..., _ROUNDED - 1])
    is_close = tf.reduce_max(distance[..., :_ROUNDED], axis=-1) <= TOLERANCE * length
    is_equal = tf.reduce_max(distance[..., _ROUNDED:], axis=-1) == 0
    return tf.logical_not(tf.logical_and(is_close, is_equal))


def _may_round(leaf):
    return leaf.dtype.is_floating or leaf.dtype.is_complex


def _sums(leaves, batch):
    if not leaves:
        return tf.zeros((batch, _ROUNDED))
    rows = [_as_rows(_as_float(leaf)) for leaf in leaves]
    rows = tf.concat(rows, axis=1) if len(rows) > 1 else rows[0]
    count = tf.shape(rows)[1] if rows.shape[1] is None else rows.shape[1]
    sums = tf.matmul(rows, _signs(count) if tf.is_tensor(count) else _known(_signs, count))
    length = tf.sqrt(tf.reduce_sum(tf.square(rows), axis=1, keepdims=True))
    return tf.concat([sums, length], axis=1)


def _as_float(leaf):
    if leaf.dtype.is_complex:
        leaf = tf.stack([tf.math.real(leaf), tf.math.imag(leaf)], axis=-1)
    return tf.cast(leaf, "float32")


def _hash(leaves, batch):
    """Returns the hash as three integers that float32 holds exactly."""
    total = tf.zeros((batch,), "int64")
    for number, leaf in enumerate(leaves):
        words = _as_words(leaf)
        count = tf.shape(words)[1] if words.shape[1] is None else words.shape[1]
        # By their position alone, so that padding, which is 0, changes nothing.
        if tf.is_tensor(count):
            factors = _factors(count, number)
        else:
            factors = _known(_factors, count, number)
        total += tf.reduce_sum(words * factors, axis=1)
    pieces = []
    for bits in _PIECE_BITS:
        pieces.append(tf.bitwise.bitwise_and(total, tf.constant(2**bits - 1, "int64")))
        total = tf.bitwise.right_shift(total, tf.constant(bits, "int64"))
    return tf.cast(tf.stack(pieces, axis=1), "float32")


def _as_words(leaf):
    """Returns the bytes of integers, or hashes of strings, as int64 of shape `(batch, n)`."""
    if leaf.dtype == tf.string:
        return _as_rows(tf.strings.to_hash_bucket_fast(leaf, 2**63 - 1))
    leaf = tf.cast(leaf, "uint8") if leaf.dtype == tf.bool else leaf
    rows = _as_rows(leaf)
    if leaf.dtype.size == _WORD_BYTES:
        return tf.bitcast(rows, "int64")
    in_word = _WORD_BYTES // leaf.dtype.size
    size = tf.shape(rows)[1] if rows.shape[1] is None else rows.shape[1]
    rows = tf.pad(rows, [[0, 0], [0, -size % in_word]])
    words = (size + in_word - 1) // in_word
    return tf.bitcast(tf.reshape(rows, (tf.shape(rows)[0], words, in_word)), "int64")


def _as_rows(leaf):
    # The number of axes isn't known either to a tf.function that has seen several.
    sides = (None,) if leaf.shape.rank is None else leaf.shape[1:]
    size = tf.size(leaf) // tf.maximum(tf.shape(leaf)[0], 1)
    size = size if None in sides else math.prod(sides)
    return tf.reshape(leaf, (tf.shape(leaf)[0], size))


@functools.lru_cache(16)
def _known(make, *sizes):
    # Computed once, not in each pipeline: it is made at the start of each epoch.
    with tf.init_scope():
        return make(*sizes).numpy()


def _signs(count):
    """Random signs that are the same everywhere, as integers don't round."""
    places = tf.cast(tf.range(1, count + 1), "int64")
    columns = []
    for multiplier in _MULTIPLIERS:
        mixed = _folded(places * multiplier, 15)
        bit = tf.bitwise.bitwise_and(
            tf.bitwise.right_shift(mixed * 2246822519, tf.constant(17, "int64")), 1
        )
        columns.append(2.0 * tf.cast(bit, "float32") - 1.0)
    return tf.stack(columns, axis=1)


def _factors(count, number):
    """Random odd numbers of 64 bits: a multiple of one is 0 only for what is 0."""
    mixed = tf.cast(tf.range(1, count + 1), "int64") + (number + 1) * 2**40
    for multiplier in _HASH_MULTIPLIERS:
        mixed = _folded(mixed * tf.constant(multiplier, "int64"), 31)
    return tf.bitwise.bitwise_or(mixed, tf.constant(1, "int64"))


def _folded(numbers, bits):
    shifted = tf.bitwise.right_shift(numbers, tf.constant(bits, "int64"))
    return tf.bitwise.bitwise_xor(numbers, shifted)
