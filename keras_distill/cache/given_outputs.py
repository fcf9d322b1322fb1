"""Outputs of a teacher that somebody already has, as what a cache is made of."""

import contextlib
import dataclasses
import hashlib
import os
import pathlib
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_distill.arguments import check_choice, check_path, shown
from keras_distill.cache import manifest
from keras_distill.cache.arguments import check_size, spec_text
from keras_distill.cache.builder import fingerprints
from keras_distill.cache.cache_spec import CacheSpec
from keras_distill.cache.samples import Samples
from keras_distill.cache.shards import FINGERPRINT
from keras_distill.cache.targets import DTYPES, made_target
from keras_distill.features.named_arrays import array_of
from keras_distill.losses.logits import logits_of

OUTPUT, LOGITS = "output", "logits"
ACTIVATIONS = ("linear", "softmax", "sigmoid")
_CHUNK_BYTES = 2**22
# How far the sum of probabilities may be from 1: half precision rounds each of them.
_SUM_TOLERANCE = 0.01
_NOT_PROBABILITIES = {
    "softmax": "probabilities of exclusive classes, whose rows sum to 1",
    "sigmoid": "probabilities, from 0 to 1",
}


@dataclasses.dataclass
class GivenArray:
    """One array of outputs: a row per sample.

    Args:
        label: What to call it in errors, such as `"outputs['conv4']"`.
        path: Name of the feature, or `None` for the output.
        leaf: Which of the outputs, 0 for a feature.
        values: Array of shape `(samples, ...)`, in memory or in its file.
        activation: Activation of the output, `None` for a feature.
    """

    label: str
    path: str | None
    leaf: int
    values: np.ndarray
    activation: str | None = None

    def rows(self, start, end):
        """Returns some rows as float32."""
        return np.asarray(self.values[start:end]).astype("float32")

    def chunks(self):
        """Yields the number of the first row and the rows, a few MiB at a time."""
        size = max(1, self.values[:1].nbytes)
        step = max(1, _CHUNK_BYTES // size)
        for start in range(0, len(self.values), step):
            yield start, np.ascontiguousarray(self.values[start : start + step])


class GivenOutputs(CacheSpec):
    """The arguments of `TeacherCache.from_outputs`, checked and understood.

    Args:
        dataset: As for `TeacherCache.from_outputs`, like all that follow.
        outputs: Dictionary of arrays, or of paths of `.npy` files.
        output_activation: Activation of the outputs, or `None`.
        batch_size: Samples per record at least.
        dtype: Name of a type.
        top_k: Number of logits, or `None`.
        shard_size: Samples per file, or `None`.

    Raises:
        TypeError: If an argument is of the wrong type.
        ValueError: If an argument is out of bounds, or the arrays don't fit the data set.
    """

    def __init__(self, dataset, outputs, output_activation, batch_size, dtype, top_k, shard_size):
        batch_size = check_size("batch_size", batch_size)
        top_k = None if top_k is None else check_size("top_k", top_k)
        shard_size = None if shard_size is None else check_size("shard_size", shard_size)
        check_choice("dtype", dtype, DTYPES)
        self._arrays, template = _opened(outputs)
        if output_key(outputs) == LOGITS and output_activation is None:
            output_activation = "linear"
        _check_equal_lengths(self._arrays)
        self.count = len(self._arrays[0].values)
        self._set_activations(output_activation, top_k)
        self.targets = [_target_of(array, dtype, top_k) for array in self._arrays]
        self.samples = Samples(dataset)
        self.samples.check_batch_size(batch_size)
        if self.samples.count is not None:
            self.check_count(None, None, self.samples.count)
        made_of = {
            "teacher weights": "none",
            "outputs": self._checksum(dtype, output_activation is None),
            "kept": sorted(name for target in self.targets for name in target.arrays),
            "samples": self.count,
            "inputs": spec_text(self.samples.inputs_spec),
            "dtype": dtype,
            "top_k": top_k,
            "augmentation": "none",
            "views": 1,
            "seed": 0,
        }
        activations = [array.activation for array in self._arrays if array.path is None]
        of_output = activations if len(activations) > 1 else (activations or [None])[0]
        features = [[array.path, None] for array in self._arrays if array.path is not None]
        self.content = self._described(
            made_of,
            template,
            [[None, of_output], *features],
            {},
            batch_size,
            shard_size,
        )

    def check_count(self, directory, made_of, found):
        """Checks that the data set has as many samples as the arrays have rows."""
        if found != self.count:
            raise ValueError(
                "outputs must have a row for each sample of dataset, in its order. (Batches that "
                "are all of one size, as drop_remainder=True makes them, look like samples here: "
                f"give single samples.) Received: outputs of {self.count} rows, dataset of "
                f"{found} samples"
            )

    def rows(self, start, inputs):
        """Returns the rows of a batch's samples, and their fingerprints."""
        end = start + len(tf.nest.flatten(inputs)[0])
        kept = {}
        for array, target in zip(self._arrays, self.targets, strict=True):
            tensor = tf.convert_to_tensor(array.rows(start, end))
            if target.reduction == "logits":
                tensor = logits_of(tensor, "auto", array.activation)
            kept |= target.pack(tensor)
        kept = {name: tensor.numpy() for name, tensor in kept.items()}
        return {**kept, FINGERPRINT: fingerprints(inputs).numpy()}

    def _set_activations(self, given, top_k):
        """Sets the activation of each output, linear where nothing is said."""
        outputs = [array for array in self._arrays if array.path is None]
        each = list(given) if isinstance(given, (list, tuple)) else [given] * len(outputs)
        if len(each) != len(outputs):
            raise ValueError(
                "output_activation must be one name, or a list of one per output. "
                f"Received: output_activation={shown(given)} for {len(outputs)} outputs"
            )
        if not outputs and given is not None:
            raise ValueError(
                "output_activation has nothing to do without an output among outputs. "
                f"Received: output_activation={shown(given)}"
            )
        for array, activation in zip(outputs, each, strict=True):
            check_choice("output_activation", activation, (*ACTIVATIONS, None))
            array.activation = activation or "linear"
        cut = [array.activation for array in outputs]
        if top_k is not None and ("sigmoid" in cut or not cut):
            raise ValueError(
                "top_k keeps the largest of exclusive classes, which these outputs aren't: leave "
                f"it out. Received: top_k={top_k}, output_activation={shown(given)}"
            )

    def _checksum(self, dtype, is_unsaid):
        """Reads all rows once: checks their values, and returns a checksum of them."""
        digest = hashlib.sha256()
        for array in self._arrays:
            digest.update(f"{array.label} {array.values.dtype} {array.values.shape}".encode())
            looks_like_softmax = array.path is None and array.values.shape[-1] > 1
            for start, rows in array.chunks():
                digest.update(rows.tobytes())
                values = rows.astype("float32")
                _check_finite(array, start, values, dtype)
                if array.path is None:
                    _check_probabilities(array, start, values)
                    looks_like_softmax &= not _not_probabilities("softmax", values, 1e-3).any()
            if is_unsaid and looks_like_softmax:
                raise ValueError(
                    f"{array.label} look like probabilities: say "
                    'output_activation="softmax", or "linear" if they are logits after all. '
                    "Received: output_activation=None"
                )
        return digest.hexdigest()


@contextlib.contextmanager
def nothing_half_written(directory):
    """Removes what was written to a folder that held no cache, where that ends in an error.

    Args:
        directory: Folder of the cache.
    """
    directory = pathlib.Path(directory)
    existed, before = directory.exists(), _names_in(directory)
    try:
        yield
    except Exception:
        if manifest.FILE not in before:
            for name in _names_in(directory) - before:
                (directory / name).unlink(missing_ok=True)
            if not existed and directory.exists():
                directory.rmdir()
        raise


def _names_in(directory):
    return {file.name for file in directory.iterdir()} if directory.is_dir() else set()


def _opened(outputs):
    """Returns a list of `GivenArray` and the structure of the outputs' numbers."""
    named = dict(outputs) if isinstance(outputs, dict) else {OUTPUT: outputs}
    wrong = [key for key in named if not isinstance(key, str) or not key]
    if wrong or not named:
        raise TypeError(
            f"outputs must be a dictionary from {OUTPUT!r} and the names of features to arrays, "
            f"or to paths of .npy files. Received: outputs={shown(outputs)}"
        )
    arrays, template = [], 0
    key = output_key(named)
    if key is not None:
        arrays, template = _given_outputs(f"outputs[{key!r}]", named.pop(key))
    arrays += [_given(f"outputs[{name!r}]", name, 0, value) for name, value in named.items()]
    return arrays, template


def output_key(outputs):
    """Returns the key of the output: that of a function's dictionary where there is no other.

    Args:
        outputs: What was given.
    """
    if not isinstance(outputs, dict) or OUTPUT in outputs:
        return OUTPUT
    return LOGITS if LOGITS in outputs else None


def _given_outputs(label, outputs):
    try:
        leaves = keras.tree.flatten(outputs)
        template = keras.tree.pack_sequence_as(outputs, list(range(len(leaves))))
    except RecursionError:
        leaves, template = [outputs], 0
    if not leaves:
        raise TypeError(f"{label} must be an array. Received: {shown(outputs)}")
    labels = [f"{label} (number {leaf})" for leaf in range(len(leaves))]
    labels = labels if len(labels) > 1 else [label]
    arrays = [
        _given(of_leaf, None, leaf, value)
        for leaf, (of_leaf, value) in enumerate(zip(labels, leaves, strict=True))
    ]
    return arrays, template


def _given(label: str, path: str | None, leaf: int, value: Any) -> GivenArray:
    if isinstance(value, (str, os.PathLike)):
        array = _mapped(label, value)
    elif not hasattr(value, "shape") or not hasattr(value, "dtype"):
        raise TypeError(
            f"{label} must be an array, or the path of a .npy file. Received: {shown(value)}"
        )
    else:
        array = value
    array = array_of(label, array)
    if array.ndim < 2 or 0 in array.shape:
        raise ValueError(
            f"{label} must have a row per sample, shape (samples, ...). Received: an array of "
            f"shape {array.shape}"
        )
    return GivenArray(label, path, leaf, array)


def _mapped(label, value):
    """Opens a `.npy` file without reading it."""
    path = check_path(label, value)
    if not path.is_file():
        raise FileNotFoundError(f"{label} must be an array or a .npy file, and {path} is missing.")
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        raise ValueError(f"{label} can't be read as a .npy file ({error}). File: {path}") from error
    if not isinstance(array, np.ndarray):
        array.close()
        raise ValueError(
            f"{label} must be a .npy file of one array, as numpy.save writes it, and this is an "
            f"archive of several. File: {path}"
        )
    return array


def _check_equal_lengths(arrays):
    counts = {array.label: len(array.values) for array in arrays}
    if len(set(counts.values())) > 1:
        found = ", ".join(f"{label} of {count} rows" for label, count in counts.items())
        raise ValueError(f"outputs must have a row per sample, all as many. Received: {found}")


def _target_of(array, dtype, top_k):
    """Returns the target that keeps an array: the largest logits, or the whole as it is."""
    cut = top_k if array.path is None else None
    if cut is None and array.activation in _NOT_PROBABILITIES:
        # Half precision rounds small probabilities to zero, and their logarithms are what counts.
        dtype = "float32"
    reduction = "" if cut is None else "logits"
    return made_target(array.path, reduction, array.leaf, array.values.shape[1:], dtype, cut)


def _check_finite(array, start, values, dtype):
    kept = values if dtype == "float32" else tf.cast(values, dtype)
    is_finite = np.isfinite(np.asarray(tf.cast(kept, "float32")))
    if not is_finite.all():
        row = start + int(np.argwhere(~is_finite)[0][0])
        raise ValueError(
            f"{array.label} holds NaN or infinity in {dtype}, first in row {row}. float16 ends at "
            '65,504: dtype="float32" or "bfloat16" keeps larger values.'
        )


def _not_probabilities(activation, values, tolerance=_SUM_TOLERANCE):
    """Returns which rows are no probabilities, a boolean array of shape `(rows, ...)`."""
    outside = ((values < 0) | (values > 1 + tolerance)).any(axis=-1)
    if activation == "sigmoid":
        return outside
    return outside | (np.abs(values.sum(axis=-1) - 1) > tolerance)


def _check_probabilities(array, start, values):
    if array.activation not in _NOT_PROBABILITIES:
        return
    wrong = _not_probabilities(array.activation, values)
    if wrong.any():
        raise ValueError(
            f"{array.label} must be {_NOT_PROBABILITIES[array.activation]}. Received: "
            f"output_activation={array.activation!r}, and something else in row "
            f"{start + int(np.argwhere(wrong)[0][0])}"
        )
