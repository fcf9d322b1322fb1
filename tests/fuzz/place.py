"""Where a call is made: a folder with a user's files, and small models, data and files."""

import functools
import pathlib

import keras
import numpy as np

from keras_distill import SoftTargets, TeacherCache
from keras_distill.tflite import TFLiteModel, export_tflite

CLASSES, COUNT = 3, 12
THESIS = b"years of work"


@functools.cache
def _rng_inputs():
    return np.random.default_rng(0).random((COUNT, 8, 8, 1), "float32")


def cnn(channels=3, name=None):
    """A small CNN on 8x8 images, with named stages."""
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            layers.Conv2D(channels, 3, padding="same", activation="relu", name="stage1"),
            layers.MaxPooling2D(4, name="pool"),
            layers.Conv2D(channels + 1, 1, name="stage2"),
            layers.Flatten(name="flat"),
            layers.Dense(CLASSES, name="logits"),
        ],
        name=name,
    )


class Place:
    """The surroundings of one call.

    Args:
        folder: An empty folder, which is the working directory.
        shared: A folder whose files are made once and read by many calls.
    """

    def __init__(self, folder, shared):
        self.folder = pathlib.Path(folder)
        self.shared = pathlib.Path(shared)
        self.users_folder = self.folder / "users"
        self.users_folder.mkdir()
        (self.users_folder / "thesis.txt").write_bytes(THESIS)
        self.x = _rng_inputs().copy()
        self.y = np.arange(COUNT) % CLASSES

    def is_harmed(self, replaced=None):
        """Says whether a file of the user's is gone or changed, but for one that was to be."""
        thesis = self.users_folder / "thesis.txt"
        if isinstance(replaced, pathlib.Path) and replaced == thesis:
            return not thesis.is_file()
        return not thesis.is_file() or thesis.read_bytes() != THESIS

    def teacher(self):
        """A new teacher."""
        return cnn(4, "teacher")

    def student(self):
        """A new student."""
        return cnn(2, "student")

    def cache(self):
        """A cache of a teacher, opened anew."""
        directory = self.shared / "cache"
        if not directory.exists():
            keras.utils.set_random_seed(0)
            TeacherCache.build(
                directory,
                self.teacher(),
                (self.x, self.y),
                [SoftTargets()],
                batch_size=4,
                dtype="float32",
                shard_size=4,
                verbose=0,
            )
        return TeacherCache(directory)

    def tflite(self, quantization="int8"):
        """A TensorFlow Lite file, opened anew from a copy in the call's own folder."""
        path = self.shared / f"{quantization}.tflite"
        target = "mobile" if quantization == "float16" else "arduino"
        if not path.exists():
            keras.utils.set_random_seed(0)
            export_tflite(self.student(), path, quantization, self.x, target)
        own = self.folder / path.name
        own.write_bytes(path.read_bytes())
        return TFLiteModel(own, target=target)

    def keras_file(self):
        """A saved student."""
        path = self.shared / "student.keras"
        if not path.exists():
            self.student().save(path)
        own = self.folder / path.name
        own.write_bytes(path.read_bytes())
        return own
