"""A data set in an order of its own: single samples or batches, as they are or augmented."""

import keras
import numpy as np
import tensorflow as tf

from keras_distill.arguments import shown

# What is done at once when it is small, as it takes its time however small it is.
_SAMPLES_AT_ONCE = 512
_BYTES_AT_ONCE = 2**20
# For functions of ours in a data set: what autograph would convert, at the cost of most of the time
# that a small data set takes, holds no Python conditions on tensors.
as_written = tf.autograph.experimental.do_not_convert


class Samples:
    """A data set whose samples are numbered in its order.

    Args:
        dataset: `tf.data.Dataset` of `(inputs, labels)`, `(inputs, labels, weights)` or inputs,
            single samples or batches, whose order is the same each time that it is read; or such a
            tuple of arrays.
        ranks: Ranks of one sample's inputs, flattened, where they are known; they tell batches from
            samples.

    Raises:
        TypeError: If the data set is of another type.
        ValueError: If the arrays differ in length, or the data set never ends or is neither samples
            nor batches.
    """

    def __init__(self, dataset, ranks=None):
        self.is_arrays = not isinstance(dataset, tf.data.Dataset)
        if self.is_arrays:
            self._arrays = _as_arrays(dataset)
            self._dataset = tf.data.Dataset.from_tensor_slices(self._arrays)
            self.is_batched = False
        else:
            spec = dataset.element_spec
            is_tuple = isinstance(spec, tuple) and not hasattr(spec, "_fields")
            self._dataset = (
                dataset if is_tuple else dataset.map(as_written(lambda inputs: (inputs,)))
            )
            self.is_batched = _is_batched(self._dataset.element_spec[0], ranks)
        if int(self._dataset.cardinality()) == tf.data.INFINITE_CARDINALITY:
            raise ValueError(
                "The data set never ends: leave .repeat() out, fit reads it once per epoch."
            )
        self.inputs_spec = self._sample_spec()

    def _sample_spec(self):
        spec = self._dataset.element_spec[0]
        if self.is_batched:
            spec = tf.nest.map_structure(lambda s: tf.TensorSpec(s.shape[1:], s.dtype), spec)
        return spec

    @property
    def count(self):
        """Number of samples, or `None` if only reading them all would tell."""
        if self.is_batched:
            return None
        count = int(self._dataset.cardinality())
        return count if count >= 0 else None

    @property
    def most(self):
        """The most samples that there can be, or `None` if only reading them all would tell.

        Of batches it is known how many there are, and the last one may be smaller.
        """
        if not self.is_batched:
            return self.count
        count = int(self._dataset.cardinality())
        return count * self.batch_length() if count > 0 else None

    def batch_length(self):
        """Returns how many samples the first of the data set's batches has.

        Raises:
            ValueError: If there is none.
        """
        for inputs, *_ in self._dataset.take(1):
            return len(tf.nest.flatten(inputs)[0])
        raise ValueError("The data set holds no samples.")

    @property
    def drops_remainder(self):
        """Whether it has batches, all of one size, so that the last samples may be missing."""
        leaves = tf.nest.flatten(self._dataset.element_spec[0])
        return self.is_batched and all(leaf.shape[0] is not None for leaf in leaves)

    @property
    def ranks(self):
        """Ranks of one sample's inputs, flattened; `None` for an unknown one."""
        return [leaf.shape.rank for leaf in tf.nest.flatten(self.inputs_spec)]

    def first(self, count, augment=None):
        """Returns the inputs of the first samples.

        Args:
            count: How many, at most; there may be fewer in the first batch.
            augment: As for `one_by_one`.

        Raises:
            ValueError: If there are none.
        """
        samples = self._dataset.take(1).unbatch() if self.is_batched else self._dataset
        if augment is not None:
            samples = _augmented(samples, augment)
        for inputs, *_ in samples.batch(count).take(1):
            return inputs
        raise ValueError("The data set holds no samples.")

    def check_batch_size(self, size):
        """Checks that batches can be made of a data set whose batches differ in shape.

        Args:
            size: Samples per batch.

        Raises:
            ValueError: If they can't.
        """
        if self.is_batched and not self.has_one_shape:
            found = self.batch_length()
            if found != size:
                raise ValueError(
                    f"The data set's batches differ in shape, {self._dataset.element_spec}, so "
                    f"they can't be rebatched: give batch_size={found}, which they have, "
                    f"and not {size}."
                )

    @property
    def has_one_shape(self):
        """Whether all samples have one shape, so that they can be put into other batches."""
        specs = tf.nest.flatten(self._dataset.element_spec)
        return all(
            spec.shape.rank is not None and spec.shape[self.is_batched :].is_fully_defined()
            for spec in specs
        )

    def blocks_at_once(self, block):
        """Returns how many batches to join at once: one, unless they are small and of one shape.

        Args:
            block: Samples per batch.
        """
        if not self.has_one_shape:
            return 1
        sizes = [
            spec.shape[self.is_batched :].num_elements() * spec.dtype.size
            for spec in tf.nest.flatten(self._dataset.element_spec)
        ]
        return max(1, min(_SAMPLES_AT_ONCE, _BYTES_AT_ONCE // max(1, sum(sizes))) // block)

    def at(self, indices):
        """Returns the samples of arrays with some numbers.

        Args:
            indices: Integer tensor.
        """
        return tf.nest.map_structure(lambda array: tf.gather(array, indices), self._arrays)

    def batches(self):
        """Returns the data set of batches as it came."""
        return self._dataset

    def one_by_one(self, augment=None):
        """Returns a `tf.data.Dataset` of `(inputs, ...)`, one sample each.

        Args:
            augment: Function from inputs and the sample's number to inputs, or `None`.
        """
        samples = self._dataset.unbatch() if self.is_batched else self._dataset
        if augment is None:
            return samples
        return _augmented(samples, augment)

    def in_batches(self, size, augment=None):
        """Returns a `tf.data.Dataset` of batches `(inputs, ...)`.

        Args:
            size: Samples per batch; the last one may be smaller.
            augment: As for `one_by_one`.
        """
        if augment is not None:
            return self.one_by_one(augment).batch(size)
        if self.is_batched:
            return self._dataset.rebatch(size)
        if not self.is_arrays:
            return self._dataset.batch(size)
        # Slices of arrays, as batching them sample by sample would cost more than a small teacher.
        count = self.count
        return tf.data.Dataset.range(0, count, size).map(
            as_written(
                lambda start: tf.nest.map_structure(
                    lambda array: array[start : tf.minimum(start + size, count)], self._arrays
                )
            )
        )


def seeded(augment, seed, view):
    """Returns an augmentation as a function of inputs and the sample's number.

    Args:
        augment: Function from a sample's inputs and a seed, an integer tensor of shape `(2,)`, to
            inputs; or `None`.
        seed: Integer of the cache.
        view: Number of the view.

    Returns:
        The function, or `None`.
    """
    if augment is None:
        return None

    def of_sample(inputs, index):
        base = tf.stack([seed, tf.cast(view, "int32")])
        return augment(inputs, tf.random.experimental.stateless_fold_in(base, index))

    return of_sample


def untuned(dataset):
    """Returns a data set whose end doesn't wait for tf.data's tuner, at times as long as an epoch.

    The tuner wakes up after 0.01, 0.02, 0.04... seconds, and some ends of data sets wait for that.

    Args:
        dataset: `tf.data.Dataset`.
    """
    options = tf.data.Options()
    options.autotune.enabled = False
    return dataset.with_options(options)


def _augmented(samples, augment):
    return samples.enumerate().map(
        lambda index, sample: (augment(sample[0], index), *sample[1:]),
        num_parallel_calls=tf.data.AUTOTUNE,
    )


def _as_arrays(dataset):
    arrays = dataset if isinstance(dataset, tuple) else (dataset,)
    try:
        arrays = keras.tree.map_structure(_as_tensor, arrays)
        counts = {len(array) for array in keras.tree.flatten(arrays)}
    except (TypeError, ValueError, RecursionError) as error:
        raise TypeError(
            "The data set must be a tf.data.Dataset or a tuple of arrays, (inputs, labels). "
            f"Received: dataset={shown(dataset)}"
        ) from error
    if len(counts) != 1:
        raise ValueError(
            f"The arrays of the data set differ in length: {sorted(counts)}. "
            f"Received: dataset={shown(dataset)}"
        )
    return arrays


def _as_tensor(array):
    if not hasattr(array, "shape") or not hasattr(array, "dtype"):
        raise TypeError(f"not an array: {shown(array)}")
    return tf.convert_to_tensor(np.asarray(array) if not tf.is_tensor(array) else array)


def _is_batched(inputs_spec, ranks):
    leaves = tf.nest.flatten(inputs_spec)
    found = [leaf.shape.rank for leaf in leaves]
    if ranks is not None and None not in ranks and None not in found:
        extra = {have - of_sample for have, of_sample in zip(found, ranks, strict=False)}
        if len(found) != len(ranks) or extra - {0, 1} or len(extra) != 1:
            raise ValueError(
                f"The data set's inputs, {[tuple(leaf.shape) for leaf in leaves]}, are neither "
                f"samples nor batches: a sample has {ranks} axes."
            )
        return extra == {1}
    return all(leaf.shape.rank and leaf.shape[0] is None for leaf in leaves)
