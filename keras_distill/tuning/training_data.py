"""The training data of a search, as arrays."""

import keras
import numpy as np
import tensorflow as tf

from keras_distill.arguments import check_finite, shown
from keras_distill.cache.samples import Samples
from keras_distill.comparison.parts import ArrayPart
from keras_distill.datasets import Dataset

_SAMPLES_AT_ONCE = 1024
# The class of a sample without a label, as for the `Distiller`.
UNLABELED = -1


class TrainingData(ArrayPart):
    """Inputs, labels and weights of the training samples, as arrays.

    Args:
        data: `datasets.Dataset`, of which only the training part is read; a tuple of arrays
            `(x, y)` or `(x, y, sample_weight)`; or a `tf.data.Dataset` of such samples or batches,
            which ends and fits into memory.
        ranks: Ranks of one sample's inputs, flattened, where they are known; they tell the
            batches of a `tf.data.Dataset` from samples.

    Attributes:
        arrays: Tuple `(x, y)` or `(x, y, sample_weight)`.
        count: Number of samples.
        classes: Class of each sample, integer array of shape `(samples,)`, -1 for no label; `None`
            where the labels aren't classes.
        labeled: Indices of the samples that have a label, integer array.

    Raises:
        TypeError: If `data` is of another type.
        ValueError: If there are no labels, lengths differ, or numbers aren't
            finite.
    """

    def __init__(self, data, ranks=None):
        if isinstance(data, Dataset):
            data = (data.x_train, data.y_train)
        elif isinstance(data, tf.data.Dataset):
            data = _read(data, ranks)
        if not isinstance(data, (tuple, list)) or len(data) not in (2, 3) or _has_rows(data):
            raise TypeError(
                "data must be a keras_distill.datasets.Dataset, a tuple of arrays (x, y) or "
                "(x, y, sample_weight), or a tf.data.Dataset of such samples. "
                f"Received: data={shown(data)}"
            )
        super().__init__("training", tuple(data))
        for name, part in zip(("x", "y", "sample_weight"), self.arrays, strict=False):
            check_finite(name, [a for a in keras.tree.flatten(part) if a.dtype.kind == "f"])
        self.classes = _classes(self.arrays[1])
        self.labeled = np.arange(self.count)
        if self.classes is not None:
            self.labeled = np.flatnonzero(self.classes != UNLABELED)
        if not len(self.labeled):
            raise ValueError("data has no label, by which a student could be scored.")


def samples_at(part, indices):
    """Returns the tuple of arrays of some samples.

    Args:
        part: `ArrayPart`.
        indices: Integer array.
    """
    return keras.tree.map_structure(lambda array: array[indices], part.arrays)


def _has_rows(data):
    """Whether a part is a plain number, or a list of them, instead of arrays."""
    return any(np.isscalar(leaf) or leaf is None for leaf in keras.tree.flatten(list(data)))


def _read(dataset, ranks):
    if not isinstance(dataset.element_spec, tuple):
        raise ValueError(
            "data must have labels: a tf.data.Dataset of (x, y). "
            f"Received: samples of {dataset.element_spec}"
        )
    batches = list(Samples(dataset, ranks).in_batches(_SAMPLES_AT_ONCE).as_numpy_iterator())
    if not batches:
        raise ValueError("data holds no samples.")
    return keras.tree.map_structure(lambda *parts: np.concatenate(parts), *batches)


def _classes(labels):
    """Returns class numbers of labels that are integers, or one-hot rows."""
    if not isinstance(labels, np.ndarray):
        return None
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.ndim == 1 and labels.dtype.kind in "iub":
        labels = labels.astype("int64")
        return labels if labels.min() >= UNLABELED else None
    if labels.ndim == 2 and np.isin(labels, (0, 1)).all() and (labels.sum(axis=1) == 1).all():
        return labels.argmax(axis=1)
    return None
