"""A batch together with what the teacher said of it, and the pipelines that make such batches."""

import typing

import tensorflow as tf

from keras_distill.cache import shards
from keras_distill.cache.samples import seeded
from keras_distill.cache.sketch import differ, sketch


class Joined(typing.NamedTuple):
    """Inputs of a batch, and what a cache holds of them.

    Args:
        inputs: The inputs, as the data set gave them, augmented if it is to be.
        place: Number of each sample in the data set, shape `(batch,)`.
        taught: Dictionary from name to the cache's array, shape `(batch, ...)`.
    """

    inputs: typing.Any
    place: typing.Any
    taught: typing.Any


class Join:
    """Pairs the samples of a data set with the records of a cache, and checks each pair.

    Args:
        directory: Folder of the cache.
        files: List with a list of shard files per view.
        parts: List of parts.
        seed: Integer of the cache.
        shard: Tuple of a number and a count: the shards to read, as one of several workers.
        samples_per_shard: Samples of each shard but the last.
        count: Samples of the data set.
    """

    def __init__(self, directory, files, parts, seed, shard, samples_per_shard, count):
        self._directory = directory
        self._files = [view[shard[0] :: shard[1]] for view in files]
        self._parts = parts
        self._seed = seed
        self._shard = shard
        self._samples_per_shard = samples_per_shard
        owned = range(shard[0], -(-count // samples_per_shard), shard[1])
        self.count = sum(
            min(samples_per_shard, count - number * samples_per_shard) for number in owned
        )

    def in_order(self, samples, augment, block):
        """Joins samples in the data set's order, view after view.

        Args:
            samples: `Samples`.
            augment: Augmentation, or `None`.
            block: Samples per batch of the result.

        Returns:
            `tf.data.Dataset` of batches `(Joined, ...)`.
        """
        views = [
            self._in_order(samples, view, files, augment, block)
            for view, files in enumerate(self._files)
        ]
        dataset = views[0]
        for view in views[1:]:
            dataset = dataset.concatenate(view)
        batches = -(-self.count // block)
        if self._lacks_the_last(samples, augment):
            batches = self.count // block
        return dataset.apply(tf.data.experimental.assert_cardinality(len(views) * batches))

    def _lacks_the_last(self, samples, augment):
        """Whether a last batch that would be smaller than the others is missing."""
        return self._shard[1] == 1 and samples.drops_remainder and augment is None

    def _in_order(self, samples, view, files, augment, block):
        augment = seeded(augment, self._seed, view)
        size = block * samples.blocks_at_once(block)
        if self._shard[1] > 1:
            owned = samples.one_by_one(augment).enumerate()
            batches = owned.filter(self._owns).map(lambda _, sample: sample).batch(size)
        elif samples.is_batched and augment is None and size == block:
            batches = samples.batches()
        else:
            batches = samples.in_batches(size, augment)
        records = shards.read(files, self._parts)
        if self._lacks_the_last(samples, augment):
            records = records.rebatch(block).take(self.count // block)
        records = records.rebatch(size)
        # One record of no samples at the end, which no batch fits: zip alone would stop there.
        records = records.concatenate(_no_samples(records))
        joined = tf.data.Dataset.zip(batches, records).map(self._pair, tf.data.AUTOTUNE)
        return joined if size == block else joined.rebatch(block)

    def _owns(self, place, _):
        number, count = self._shard
        return (place // self._samples_per_shard) % count == number

    def shuffled(self, samples, augment, batch_size, buffer_size, seed):
        """Joins arrays in an order that is new each time.

        The shards are shuffled, the records of a few shards, and the samples of a buffer.

        Args:
            samples: `Samples` of arrays.
            augment: Augmentation, or `None`.
            batch_size: Samples per batch.
            buffer_size: Samples in the buffer.
            seed: Integer, or `None` for another order in each run.

        Returns:
            `tf.data.Dataset` of batches `(Joined, ...)`.
        """
        files = [file for view in self._files for file in view]
        records = shards.read(files, self._parts, shuffles=True, seed=seed).rebatch(buffer_size)
        seeds = tf.data.Dataset.random(seed=seed, rerandomize_each_iteration=True).batch(2)
        records = tf.data.Dataset.zip(records, seeds).map(_permuted, tf.data.AUTOTUNE)
        size = batch_size * samples.blocks_at_once(batch_size)
        joined = records.rebatch(size).map(
            lambda *record: self._pair(self._augmented(samples, augment, *record[:2]), record),
            tf.data.AUTOTUNE,
        )
        joined = joined if size == batch_size else joined.rebatch(batch_size)
        batches = -(-self.count * len(self._files) // batch_size)
        return joined.apply(tf.data.experimental.assert_cardinality(batches))

    def _augmented(self, samples, augment, views, places):
        """Returns samples of arrays, each in its view."""
        if augment is None:
            return samples.at(places)
        inputs, *others = samples.at(places)
        inputs = tf.map_fn(
            lambda one: seeded(augment, self._seed, one[1])(one[0], one[2]),
            (inputs, views, places),
            fn_output_signature=tf.nest.map_structure(
                lambda leaf: tf.TensorSpec(leaf.shape[1:], leaf.dtype), inputs
            ),
        )
        return inputs, *others

    def _pair(self, sample, record):
        inputs, *others = sample
        _, place, sketches, taught = record
        found = sketch(inputs)
        counts = tf.shape(found)[0], tf.shape(sketches)[0]
        both = tf.minimum(*counts)
        wrong = differ(found[:both], sketches[:both])
        wrong_place = tf.reduce_min(tf.where(wrong, place[:both], place.dtype.max))
        # Not tf.debugging.Assert, whose branches take a third of the start of an epoch.
        same = tf.raw_ops.Assert(
            condition=tf.logical_and(tf.equal(*counts), tf.logical_not(tf.reduce_any(wrong))),
            data=[
                f"The data set is not the one that the cache in {str(self._directory)!r} was made "
                "of, or in another order, or augmented in another way: shuffle and augment what "
                "join returns, or give augment= to both. Number in the data set of the first "
                "sample that differs, samples in the batch, samples left in the cache:",
                wrong_place,
                *counts,
            ],
        )
        with tf.control_dependencies([same]):
            inputs = tf.nest.map_structure(tf.identity, inputs)
        return (Joined(inputs, place, taught), *others)


def _no_samples(records):
    empty = [
        tf.zeros((0, *spec.shape[1:]), spec.dtype) for spec in tf.nest.flatten(records.element_spec)
    ]
    return tf.data.Dataset.from_tensors(tf.nest.pack_sequence_as(records.element_spec, empty))


def _permuted(records, seed):
    count = tf.shape(records[0])[0]
    order = tf.random.experimental.stateless_shuffle(tf.range(count), seed)
    return tf.nest.map_structure(lambda array: tf.gather(array, order), records)
