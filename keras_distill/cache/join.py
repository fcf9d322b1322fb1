"""Pipelines that pair the samples of a data set with the teacher's cached outputs."""

import numpy as np
import tensorflow as tf

from keras_distill.cache import shards
from keras_distill.cache.fingerprint import differ, fingerprints_of
from keras_distill.cache.samples import as_written, seeded, untuned
from keras_distill.features.batches import CachedBatch


class Join:
    """Pairs the samples of a data set with the records of a cache, and checks each pair.

    Args:
        directory: Folder of the cache.
        files: List with a dictionary per view, from each shard's path to its number of records.
        targets: List of `Target`.
        seed: Integer of the cache.
        shard: Tuple of a number and a count: the shards to read, as one of several workers.
        samples_per_shard: Samples of each shard but the last.
        count: Samples of the data set.
        chosen: Which samples to give, boolean array of shape `(count,)`, or `None` for all.
        block: Samples to read at once where the user names no batch size.
    """

    def __init__(
        self, directory, files, targets, seed, shard, samples_per_shard, count, chosen, block
    ):
        self._block = block
        self._directory = directory
        self._targets = targets
        self._seed = seed
        self._shard = shard
        self._samples_per_shard = samples_per_shard
        self._chosen = chosen
        of_shards = np.arange(count) // samples_per_shard
        self._gives = of_shards % shard[1] == shard[0]
        self._files = [dict(list(view.items())[shard[0] :: shard[1]]) for view in files]
        if chosen is not None:
            self._gives &= chosen
        needed = np.unique(of_shards[self._gives])
        self._needed = [{list(view)[n]: list(view.values())[n] for n in needed} for view in files]

    @property
    def count(self):
        """Samples that come, once per view."""
        return int(self._gives.sum())

    def dataset(self, samples, augment, batch_size, order):
        """Returns the pairs as a `tf.data.Dataset` for `Distiller.fit`.

        Args:
            samples: `Samples`.
            augment: Augmentation, or `None`.
            batch_size: Samples per batch, or `None` for single samples.
            order: Tuple of the shuffling buffer's size and the seed, or `None` for none.
        """
        if samples.is_arrays and order is not None:
            batches = self.shuffled(samples, augment, batch_size, *order)
        else:
            batches = self.in_order(samples, augment, batch_size or self._block)
            if batch_size is None or order is not None:
                count = self.count * len(self._files)
                cardinality = tf.data.experimental.assert_cardinality(count)
                batches = batches.unbatch().apply(cardinality)
            if order is not None:
                size, seed = order
                batches = batches.shuffle(size, seed=seed)
                batches = batches if batch_size is None else batches.batch(batch_size)
        options = tf.data.Options()
        policies = tf.data.experimental.AutoShardPolicy
        options.experimental_distribute.auto_shard_policy = (
            policies.DATA if self._shard[1] == 1 else policies.OFF
        )
        return untuned(batches.with_options(options).prefetch(tf.data.AUTOTUNE))

    def in_order(self, samples, augment, block):
        """Joins samples in the data set's order, view after view.

        Args:
            samples: `Samples`.
            augment: Augmentation, or `None`.
            block: Samples per batch of the result.

        Returns:
            `tf.data.Dataset` of batches `(CachedBatch, ...)`.
        """
        if samples.is_arrays and self._chosen is not None:
            views = [
                self._of_arrays(samples, augment, self._records(files), block)
                for files in self._needed
            ]
        else:
            views = [
                self._in_order(samples, view, files, augment, block)
                for view, files in enumerate(self._files)
            ]
        dataset = views[0]
        for view in views[1:]:
            dataset = dataset.concatenate(view)
        batches = len(views) * self._batches(samples, augment, block)
        return dataset.apply(tf.data.experimental.assert_cardinality(batches))

    def _batches(self, samples, augment, block):
        """Returns the number of batches of a view."""
        indices = np.flatnonzero(self._gives)
        if self._chosen is not None and not samples.has_one_shape:
            return len(np.unique(indices // block))
        if self._lacks_the_last(samples, augment):
            return int((indices < len(self._gives) // block * block).sum()) // block
        return -(-len(indices) // block)

    def _lacks_the_last(self, samples, augment):
        """Whether a last batch that would be smaller than the others is missing."""
        return self._shard[1] == 1 and samples.drops_remainder and augment is None

    def _in_order(self, samples, view, files, augment, block):
        augment = seeded(augment, self._seed, view)
        size = block * samples.blocks_at_once(block)
        lacks_the_last = self._lacks_the_last(samples, augment)
        if self._shard[1] > 1:
            owned = samples.one_by_one(augment).enumerate()
            batches = owned.filter(self._owns).map(as_written(lambda _, sample: sample)).batch(size)
        elif samples.is_batched and augment is None and size == block:
            batches = samples.batches()
        else:
            batches = samples.in_batches(size, augment)
        records = shards.read(files, self._targets)
        if lacks_the_last:
            records = records.rebatch(block).take(len(self._gives) // block)
        records = records.rebatch(size)
        # One record of no samples at the end, which no batch fits: zip alone would stop there.
        records = records.concatenate(_no_samples(records))
        joined = tf.data.Dataset.zip(batches, records).map(as_written(self._pair), tf.data.AUTOTUNE)
        if self._chosen is None:
            return joined if size == block else joined.rebatch(block)
        joined = joined.map(as_written(lambda *batch: self._only_chosen(batch[0].index, batch)))
        joined = joined.filter(lambda batch, *_: tf.size(batch.index) > 0)
        # Batches that differ in shape can't be rebatched.
        if not samples.has_one_shape:
            return joined
        return joined.rebatch(block, drop_remainder=lacks_the_last)

    def _owns(self, index, _):
        number, count = self._shard
        return (index // self._samples_per_shard) % count == number

    def _records(self, files, **order):
        """Returns the records of shards, of chosen samples only."""
        records = shards.read(files, self._targets, **order)
        if self._chosen is None:
            return records
        records = records.map(as_written(lambda *record: self._only_chosen(record[1], record)))
        return records.filter(lambda views, *_: tf.size(views) > 0)

    def _only_chosen(self, indices, batch):
        kept = tf.where(tf.gather(self._chosen, indices))[:, 0]
        return tf.nest.map_structure(lambda array: tf.gather(array, kept), batch)

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
            `tf.data.Dataset` of batches `(CachedBatch, ...)`.
        """
        files = {path: records for view in self._needed for path, records in view.items()}
        records = self._records(files, shuffles=True, seed=seed).rebatch(buffer_size)
        seeds = tf.data.Dataset.random(seed=seed, rerandomize_each_iteration=True).batch(2)
        records = tf.data.Dataset.zip(records, seeds).map(as_written(_permuted), tf.data.AUTOTUNE)
        joined = self._of_arrays(samples, augment, records, batch_size)
        batches = -(-self.count * len(self._files) // batch_size)
        return joined.apply(tf.data.experimental.assert_cardinality(batches))

    def _of_arrays(self, samples, augment, records, batch_size):
        """Joins records with the samples of arrays that they belong to."""
        size = batch_size * samples.blocks_at_once(batch_size)

        def of_record(*record):
            return self._pair(self._augmented(samples, augment, *record[:2]), record)

        # An augmentation may hold Python conditions on tensors.
        of_record = as_written(of_record) if augment is None else of_record
        joined = records.rebatch(size).map(of_record, tf.data.AUTOTUNE)
        return joined if size == batch_size else joined.rebatch(batch_size)

    def _augmented(self, samples, augment, views, indices):
        """Returns samples of arrays, each in its view."""
        if augment is None:
            return samples.at(indices)
        inputs, *others = samples.at(indices)
        spec, *_ = samples.one_by_one(seeded(augment, self._seed, 0)).element_spec
        inputs = tf.map_fn(
            lambda one: seeded(augment, self._seed, one[1])(one[0], one[2]),
            (inputs, views, indices),
            fn_output_signature=spec,
        )
        return inputs, *others

    def _pair(self, sample, record):
        inputs, *others = sample
        _, index, fingerprints, targets = record
        found = fingerprints_of(inputs)
        counts = tf.shape(found)[0], tf.shape(fingerprints)[0]
        both = tf.minimum(*counts)
        wrong = differ(found[:both], fingerprints[:both])
        wrong_index = tf.reduce_min(tf.where(wrong, index[:both], index.dtype.max))
        # Not tf.debugging.Assert, whose branches take a third of the start of an epoch.
        same = tf.raw_ops.Assert(
            condition=tf.logical_and(tf.equal(*counts), tf.logical_not(tf.reduce_any(wrong))),
            data=[
                f"The data set is not the one that the cache in {str(self._directory)!r} was made "
                "of, or in another order, or augmented in another way: shuffle and augment what "
                "join returns, or give augment= to both. Number in the data set of the first "
                "sample that differs, samples in the batch, samples left in the cache:",
                wrong_index,
                *counts,
            ],
        )
        with tf.control_dependencies([same]):
            inputs = tf.nest.map_structure(tf.identity, inputs)
        return (CachedBatch(inputs, index, targets), *others)


def _no_samples(records):
    empty = [
        tf.zeros((0, *spec.shape[1:]), spec.dtype) for spec in tf.nest.flatten(records.element_spec)
    ]
    return tf.data.Dataset.from_tensors(tf.nest.pack_sequence_as(records.element_spec, empty))


def _permuted(records, seed):
    count = tf.shape(records[0])[0]
    order = tf.random.experimental.stateless_shuffle(tf.range(count), seed)
    return tf.nest.map_structure(lambda array: tf.gather(array, order), records)
