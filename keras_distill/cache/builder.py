"""The making of a cache: the teacher runs once over a data set, and its outputs go into shards."""

import contextlib
import pathlib
import time

import keras
import numpy as np
import tensorflow as tf

from keras_distill.cache import manifest, shards
from keras_distill.cache.arguments import another_sample
from keras_distill.cache.fingerprint import differ, fingerprints_of
from keras_distill.cache.samples import seeded, untuned

# As Keras runs models: what autograph would convert holds no Python conditions on tensors.
_AS_WRITTEN = {"autograph": False, "reduce_retracing": True}
fingerprints = tf.function(fingerprints_of, **_AS_WRITTEN)
_SHARD_BYTES = 16 * 2**20
_WAIT_SECONDS = 0.5
# Samples whose fingerprints the manifest keeps, to tell at once whether a data set is the same.
_FIRST = 8


class Builder:
    """Writes the shards of a cache that are still missing, and checks the others' samples.

    Args:
        directory: Folder of the cache.
        content: Its manifest.
        spec: `CacheSpec`: the samples, the augmentation, and what gives the rows to store.
        worker: Tuple of this worker's number and the number of workers.
        timeout: Seconds to wait for the shards of the other workers.
        verbose: Whether to show a progress bar.
    """

    def __init__(self, directory, content, spec, worker, timeout, verbose):
        self._directory = pathlib.Path(directory)
        self._content = content
        self._samples = spec.samples
        self._augment = spec.augment
        self._spec = spec
        self._worker = worker
        self._timeout = timeout
        self._progress = keras.utils.Progbar(self._most_batches, unit_name="batch")
        self._verbose = verbose
        self._batches = 0

    @property
    def _views(self):
        return self._content["made_of"]["views"]

    @property
    def _most_batches(self):
        count = self._content["made_of"]["samples"] or self._samples.most
        if count is None:
            return None
        return self._views * -(-count // self._content["batch_size"])

    def finish(self):
        """Writes what is missing, waits for other workers, and completes the manifest.

        Raises:
            ValueError: If the data set is empty or isn't that of the shards that there are, or
                the teacher's output isn't finite.
            TimeoutError: If other workers' shards don't come.
        """
        count = self.go_through()
        names = [
            shards.file_name(view, shard)
            for view in range(self._views)
            for shard in range(-(-count // self._samples_per_shard))
        ]
        self._await(names)
        shards.remove_partial(self._directory)
        files = {
            name: {
                "checksum": manifest.file_checksum(self._directory / name),
                "bytes": (self._directory / name).stat().st_size,
                "records": shards.number_of_records(self._directory / name),
            }
            for name in names
        }
        made_of = {**self._content["made_of"], "samples": count}
        content = {**self._content, "made_of": made_of, "files": files, "complete": True}
        manifest.write(self._directory, content)

    def go_through(self):
        """Reads the data set once per view: writes what is missing, and checks what is there.

        Returns:
            The number of samples.

        Raises:
            ValueError: As for `finish`.
        """
        with contextlib.ExitStack() as stack:
            counts = [self._go_through_view(view, stack) for view in range(self._views)]
        if self._verbose:
            # The last batch of a data set of batches may have been smaller than was to be expected.
            self._progress.target = self._batches
            self._progress.update(self._batches, finalize=True)
        return counts[0]

    @property
    def _samples_per_shard(self):
        return self._content["batch_size"] * self._content["batches_per_shard"]

    def _go_through_view(self, view, stack):
        """Writes the shards of one view that are this worker's and missing, counting samples."""
        size = self._content["batch_size"]
        augment = seeded(self._augment, self._content["made_of"]["seed"], view)
        batches = untuned(self._samples.in_batches(size, augment).prefetch(2))
        count, shard, take = 0, None, None
        for number, (inputs, *_) in enumerate(batches):
            if number // self._content["batches_per_shard"] != shard:
                stack.pop_all().close()
                shard = number // self._content["batches_per_shard"]
                take = self._open(view, shard, stack)
            self._check_count(count + len(tf.nest.flatten(inputs)[0]), at_least=True)
            if take is not None:
                take(count, inputs)
            count += len(tf.nest.flatten(inputs)[0])
            if self._verbose:
                self._batches += 1
                self._progress.update(self._batches, finalize=False)
        stack.pop_all().close()
        if not count:
            raise ValueError("The data set holds no samples.")
        self._check_count(count)
        return count

    def _check_count(self, count, at_least=False):
        expected = self._content["made_of"]["samples"]
        if expected is not None and (count > expected if at_least else count != expected):
            found = f"{count} or more" if at_least else count
            self._spec.check_count(self._directory, self._content["made_of"], found)

    def _open(self, view, shard, stack):
        """Returns what takes the batches of a shard: a writer, a check, or `None`."""
        number, workers = self._worker
        path = self._directory / shards.file_name(view, shard)
        if shard % workers != number:
            return None
        if path.exists():
            return stack.enter_context(self._comparing(path))
        write = stack.enter_context(shards.writing(path, view))
        return lambda start, inputs: write(start, self._spec.rows(start, inputs))

    @contextlib.contextmanager
    def _comparing(self, path):
        """Compares the samples of a shard that is there with those of the data set."""
        recorded, index = shards.fingerprints_in(path), 0

        def compare(start, inputs):
            nonlocal index
            found = fingerprints(inputs).numpy()
            expected = recorded[index : index + len(found)]
            count = min(len(found), len(expected))
            wrong = np.flatnonzero(differ(found[:count], expected[:count]))
            if len(wrong) or count < len(found):
                what = "the data set's" if self._augment is None else "the augmented"
                number = start + (wrong[0] if len(wrong) else count)
                raise another_sample(self._directory, what, number)
            index += len(found)

        yield compare
        if index < len(recorded):
            raise ValueError(
                f"The cache in {str(self._directory)!r} is of something else: the data set has "
                f"fewer samples than {path.name} was made of. Give another directory, or delete "
                "this one to build it again."
            )

    def _await(self, names):
        """Waits until all shards are there, as long as new ones come."""
        waiting_for, deadline = None, 0
        while missing := [name for name in names if not (self._directory / name).exists()]:
            if len(missing) != waiting_for:
                waiting_for, deadline = len(missing), time.monotonic() + self._timeout
            if time.monotonic() > deadline:
                raise TimeoutError(
                    f"{len(missing)} of {len(names)} shards of {str(self._directory)!r} are "
                    f"missing, {missing[0]} the first, and none came for {self._timeout} s: "
                    "another worker stopped. Start it again with the same arguments; it goes on "
                    "where it was."
                )
            time.sleep(_WAIT_SECONDS)


class RunningTeacher:
    """Runs the teacher on a batch, and names what isn't finite.

    Args:
        run: Function from a batch of inputs to a dictionary of tensors.
    """

    def __init__(self, run):
        def checked(inputs):
            tensors = run(inputs)
            floats = [tensor for tensor in tensors.values() if tensor.dtype.is_floating]
            finite = [tf.reduce_all(tf.math.is_finite(tf.cast(t, "float32"))) for t in floats]
            return {**tensors, "fingerprint": fingerprints_of(inputs)}, tf.reduce_all(finite)

        self._run = tf.function(checked, **_AS_WRITTEN)
        self._has_graph = False
        self._strategy = tf.distribute.get_strategy() if tf.distribute.has_strategy() else None
        self._replicas = len(self._strategy.extended.worker_devices) if self._strategy else 1

    def _on_replicas(self, inputs):
        """Runs each replica on its share of the batch."""
        count = len(tf.nest.flatten(inputs)[0])
        ends = [replica * count // self._replicas for replica in range(self._replicas + 1)]

        def share(context):
            # Replicas are numbered over all workers.
            replica = context.replica_id_in_sync_group % self._replicas
            rows = slice(ends[replica], ends[replica + 1])
            return tf.nest.map_structure(lambda tensor: tensor[rows], inputs)

        shares = self._strategy.experimental_distribute_values_from_function(share)
        tensors, is_finite = self._strategy.run(self._run, args=(shares,))
        local = self._strategy.experimental_local_results
        arrays = {
            name: np.concatenate([tensor.numpy() for tensor in local(value)])
            for name, value in tensors.items()
        }
        return arrays, all(local(is_finite))

    def answers(self, inputs):
        """Returns a dictionary of tensors for a batch of inputs, and whether all are finite."""
        if not self._has_graph:
            # One graph for all batches, the smaller last one too.
            self._run.get_concrete_function(tf.nest.map_structure(_of_any_size, inputs))
            self._has_graph = True
        return self._run(inputs)

    def __call__(self, inputs):
        """Returns a dictionary of arrays for a batch of inputs, their fingerprints among them.

        Raises:
            ValueError: If one isn't finite.
        """
        if self._replicas == 1 or len(tf.nest.flatten(inputs)[0]) < self._replicas:
            tensors, is_finite = self.answers(inputs)
            arrays = {name: tensor.numpy() for name, tensor in tensors.items()}
        else:
            arrays, is_finite = self._on_replicas(inputs)
        if not is_finite:
            broken = [
                f"{name} in {array.dtype}"
                for name, array in arrays.items()
                if array.dtype.kind not in "ub" and not np.isfinite(array.astype("float32")).all()
            ]
            raise ValueError(
                f"The teacher's {', '.join(broken)} holds NaN or infinity. float16 ends at 65,504: "
                'dtype="float32" or "bfloat16" keeps larger values.'
            )
        return arrays


def batches_per_shard(bytes_per_sample, batch_size, shard_size):
    """Returns how many batches go into one shard.

    Args:
        bytes_per_sample: Bytes that a sample takes.
        batch_size: Samples per batch.
        shard_size: Samples per shard, or `None` for shards of about 16 MiB.
    """
    if shard_size is None:
        shard_size = _SHARD_BYTES // bytes_per_sample
    return max(1, shard_size // batch_size)


def _of_any_size(tensor):
    return tf.TensorSpec((None, *tensor.shape[1:]), tensor.dtype)


def first_fingerprints(samples, augment=None):
    """Returns the fingerprints of the first samples, array of shape `(samples, 8)`.

    Args:
        samples: `Samples`.
        augment: Function of inputs and the sample's number, or `None`.
    """
    return fingerprints(samples.first(_FIRST, augment)).numpy()


def check_reproducible(samples, augment):
    """Checks that an augmentation does the same each time.

    Args:
        samples: `Samples`.
        augment: Function of inputs and the sample's number, or `None`.

    Raises:
        ValueError: If it doesn't.
    """
    if augment is None or samples.count == 0:
        return

    def twice(inputs, index):
        return augment(inputs, index), augment(inputs, index)

    first, second = samples.first(_FIRST, twice)
    if np.any(differ(fingerprints_of(first), fingerprints_of(second))):
        raise ValueError(
            "augment(inputs, seed) gave two different results for the same sample and seed, so "
            "that the student would not see what the teacher saw. Take all its randomness from "
            "the seed, for example with tf.image.stateless_random_flip_left_right(inputs, seed)."
        )
