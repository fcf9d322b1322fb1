"""Data as NumPy arrays: named sets of images, and folders of images or sounds by class."""

from keras_distill.datasets.dataset import Dataset
from keras_distill.datasets.image_folders import images_from_directory
from keras_distill.datasets.loading import load
from keras_distill.datasets.sample_index import with_sample_index
from keras_distill.datasets.sound_folders import sounds_from_directory
from keras_distill.datasets.sources import names
from keras_distill.datasets.unlabeled import with_unlabeled

__all__ = [
    "Dataset",
    "images_from_directory",
    "load",
    "names",
    "sounds_from_directory",
    "with_sample_index",
    "with_unlabeled",
]
