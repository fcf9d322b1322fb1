"""A small pair of models, data, and a cache of the teacher."""

import shutil

import keras
import numpy as np
import pytest

from keras_distill import AttentionTransfer, SoftTargets, TeacherCache, architectures

SHAPE, CLASSES, COUNT = (8, 8, 1), 4, 50
LOSSES = [SoftTargets(4.0), AttentionTransfer("stage1_out", "stage1_out")]


def make_data():
    rng = np.random.default_rng(0)
    return rng.random((COUNT, *SHAPE), "float32"), rng.integers(0, CLASSES, COUNT)


def make_teacher():
    keras.utils.set_random_seed(1)
    return architectures.small_cnn(SHAPE, CLASSES, filters=(6, 8))


@pytest.fixture
def data():
    return make_data()


@pytest.fixture
def teacher():
    return make_teacher()


@pytest.fixture
def student():
    keras.utils.set_random_seed(2)
    return architectures.small_cnn(SHAPE, CLASSES, filters=(3, 4))


USUAL = {
    "distillation_losses": LOSSES,
    "batch_size": 8,
    "dtype": "float32",
    "shard_size": 16,
    "verbose": 0,
}


@pytest.fixture
def build(tmp_path, teacher, data):
    """Builds a cache of the teacher; arguments replace the usual ones."""

    def build(**arguments):
        usual = {"directory": tmp_path / "cache", "teacher": teacher, "dataset": data, **USUAL}
        return TeacherCache.build(**{**usual, **arguments})

    return build


@pytest.fixture(scope="session")
def built(tmp_path_factory):
    """The folder of the usual cache, of which each test has a copy: building it takes long."""
    directory = tmp_path_factory.mktemp("built") / "cache"
    return TeacherCache.build(directory, make_teacher(), make_data(), **USUAL).directory


@pytest.fixture
def cache(built, tmp_path):
    return TeacherCache(shutil.copytree(built, tmp_path / "cache"))
