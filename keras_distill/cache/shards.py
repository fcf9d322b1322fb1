"""The files of a cache: TFRecord shards, each written whole or not at all."""

import contextlib
import glob
import os
import pathlib
import struct

import numpy as np
import tensorflow as tf

from keras_distill.cache import fingerprint
from keras_distill.cache.samples import as_written
from keras_distill.files import new_temporary

# Of a record in a TFRecord file: its length, a checksum of that, its content, a checksum of that.
_FRAME = struct.Struct("<QI")
_FRAME_END = 4
_VIEW = "view"
_START = "start"
FINGERPRINT = "fingerprint"
# In caches of format 2.
_OLD_FINGERPRINT = "sketch"
_FILES_AT_ONCE = 16
_MEND = (
    "Delete that file and call TeacherCache.build, or from_outputs, again with the same "
    "arguments, which makes it again."
)
# Reading a record takes a tenth of a millisecond, however small it is.
_RECORD_SAMPLES = 512
_RECORD_BYTES = 2**18
_BUFFER_BYTES = 2**18


def file_name(view, shard):
    """Returns the name of a shard.

    Args:
        view: Number of the view.
        shard: Number of the shard within the view.
    """
    return f"{view_prefix(view)}{shard:05d}.tfrecord"


def view_prefix(view):
    """Returns how the names of a view's shards begin.

    Args:
        view: Number of the view.
    """
    return f"view{view:03d}-"


@contextlib.contextmanager
def writing(path, view):
    """Opens a shard for writing; it takes its name when it is whole, and on the disk.

    Args:
        path: The file.
        view: Number of the view that it is part of.

    Yields:
        Function that writes a batch, from the number of its first sample and a dictionary of
        arrays, the fingerprints among them.
    """
    path = pathlib.Path(path)
    temporary = str(new_temporary(path.parent, prefix=f"{path.name}.", suffix=".partial"))
    try:
        with tf.io.TFRecordWriter(temporary) as writer:
            records = _Records(writer, view)
            yield records.add
            records.end()
        _take_name(temporary, path)
    except BaseException:
        pathlib.Path(temporary).unlink(missing_ok=True)
        raise


def _take_name(temporary, path):
    try:
        with open(temporary, "rb") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except FileNotFoundError:
        # A worker that was started twice: the other one was first with the same bytes, and tidied.
        if not path.exists():
            raise


def remove_partial(directory):
    """Removes what builds that were killed left behind.

    Args:
        directory: Folder of the cache.
    """
    for file in pathlib.Path(directory).glob("*.partial"):
        file.unlink(missing_ok=True)


class _Records:
    """Puts consecutive batches together into records.

    Args:
        writer: `tf.io.TFRecordWriter`.
        view: Number of the view.
    """

    def __init__(self, writer, view):
        self._writer = writer
        self._view = view
        self._batches = []
        self._start = None

    def add(self, start, arrays):
        """Adds a batch.

        Args:
            start: Number of its first sample.
            arrays: Dictionary of arrays of shape `(batch, ...)`.
        """
        if not self._batches:
            self._start = start
        self._batches.append(arrays)
        samples = sum(len(batch[FINGERPRINT]) for batch in self._batches)
        size = sum(array.nbytes for batch in self._batches for array in batch.values())
        if samples >= _RECORD_SAMPLES or size >= _RECORD_BYTES:
            self.end()

    def end(self):
        """Writes what isn't written yet."""
        if self._batches:
            arrays = {
                name: np.concatenate([batch[name] for batch in self._batches])
                for name in self._batches[0]
            }
            self._writer.write(_record(self._view, self._start, arrays))
        self._batches = []


def _record(view, start, arrays):
    features = {
        name: tf.train.Feature(int64_list=tf.train.Int64List(value=[number]))
        for name, number in ((_VIEW, view), (_START, start))
    }
    for name, array in arrays.items():
        content = tf.train.BytesList(value=[array.tobytes()])
        features[name] = tf.train.Feature(bytes_list=content)
    example = tf.train.Example(features=tf.train.Features(feature=features))
    return example.SerializeToString(deterministic=True)


def number_of_records(path):
    """Returns how many records a shard holds.

    Args:
        path: The file.
    """
    size, position, count = pathlib.Path(path).stat().st_size, 0, 0
    with open(path, "rb") as file:
        while position < size:
            file.seek(position)
            length, _ = _FRAME.unpack(file.read(_FRAME.size))
            position += _FRAME.size + length + _FRAME_END
            count += 1
    return count


def read(files, targets, shuffles=False, seed=None):
    """Returns the records of shards, in order or shuffled.

    Args:
        files: Dictionary from path to the number of its records. One that lacks some, or whose
            checksums don't match, is named by the error that ends the reading.
        targets: List of `Target`.
        shuffles: Whether to read the shards, a few at a time, and their records in another order
            each time.
        seed: Integer for that order, or `None`.

    Returns:
        `tf.data.Dataset` of tuples: view and number of each sample, both `(n,)`, its fingerprint
        `(n, 8)`, and a dictionary from name to array `(n, ...)`.
    """
    patterns = tf.constant([glob.escape(path) for path in files], "string")
    errors = tf.constant([_errors(path) for path in files], "string", (len(files), 2))
    counts = tf.constant(list(files.values()), "int64")
    records = tf.data.Dataset.from_tensor_slices((patterns, errors, counts))
    if shuffles and len(files) > 1:
        records = records.shuffle(len(files), seed=seed)
        records = records.interleave(_records_of, cycle_length=_FILES_AT_ONCE)
    else:
        records = records.flat_map(_records_of)
    if shuffles:
        records = records.shuffle(_FILES_AT_ONCE, seed=seed)
    described = {FINGERPRINT: ("float32", (fingerprint.WIDTH,))}
    for target in targets:
        described |= target.arrays
    features = {name: tf.io.FixedLenFeature([], tf.string) for name in described}
    features |= {name: tf.io.FixedLenFeature([], tf.int64) for name in (_VIEW, _START)}
    either = (FINGERPRINT, _OLD_FINGERPRINT)
    features |= {name: tf.io.FixedLenFeature([], tf.string, "") for name in either}

    def parse(record):
        record = tf.io.parse_single_example(record, features)
        record[FINGERPRINT] = tf.strings.join([record[name] for name in either])
        arrays = {
            name: tf.reshape(_decoded(record[name], dtype), (-1, *shape))
            for name, (dtype, shape) in described.items()
        }
        fingerprints = arrays.pop(FINGERPRINT)
        count = tf.shape(fingerprints, out_type=tf.int64)[0]
        views = tf.fill([count], record[_VIEW])
        return views, record[_START] + tf.range(count), fingerprints, arrays

    return records.map(as_written(parse), num_parallel_calls=tf.data.AUTOTUNE)


def _decoded(content, dtype):
    if dtype == "bool":
        return tf.cast(tf.io.decode_raw(content, "uint8"), "bool")
    return tf.io.decode_raw(content, dtype)


def _errors(path):
    """Returns what to say of a shard that isn't there, and of one that is damaged."""
    return (
        f"This file of the cache was moved or deleted after the cache was opened: {path}",
        f"This file of the cache was damaged after the cache was opened. {_MEND} File: {path}",
    )


def _records_of(pattern, errors, count):
    """Returns the records of a shard, then an error, as a record that the parser refuses and shows.

    Only a shard that lacks records comes to its error.
    """
    # A missing file must be no file: TFRecordDataset fails on it forever, and errors are ignored.
    found = tf.io.matching_files(pattern)
    # Not tf.data.TFRecordDataset, which adds a function to the start of each epoch.
    records = tf.data.experimental.from_variant(
        tf.raw_ops.TFRecordDataset(filenames=found, compression_type="", buffer_size=_BUFFER_BYTES),
        tf.TensorSpec((), tf.string),
    )
    error = tf.data.Dataset.from_tensors(tf.gather(errors, tf.size(found)))
    return records.ignore_errors().concatenate(error).take(count)


def fingerprints_in(path):
    """Returns the fingerprints of a shard, array of shape `(n, 8)`.

    Args:
        path: The file.

    Raises:
        ValueError: If it is damaged.
    """
    try:
        records = [
            fingerprints.numpy()
            for _, _, fingerprints, _ in read({str(path): number_of_records(path)}, ())
        ]
    except (tf.errors.InvalidArgumentError, struct.error):
        raise damaged(path) from None
    return np.concatenate(records) if records else np.zeros((0, fingerprint.WIDTH), "float32")


def damaged(path):
    """Returns the error for a shard that isn't what was written.

    Args:
        path: The file.
    """
    return ValueError(
        f"{path} is damaged, or restored from another cache: it isn't what was written. {_MEND}"
    )
