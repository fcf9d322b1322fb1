"""Image classification data as NumPy arrays, from tensorflow-datasets or without a network."""

from keras_distill.datasets.dataset import Dataset
from keras_distill.datasets.loading import load
from keras_distill.datasets.sample_index import with_sample_index
from keras_distill.datasets.sources import names
from keras_distill.datasets.unlabeled import with_unlabeled

__all__ = [
    "Dataset",
    "load",
    "names",
    "with_sample_index",
    "with_unlabeled",
]
