"""A cache of format 2, written before names changed, is read, checked and completed."""

import json
import pathlib
import shutil

import keras
import numpy as np
import pytest

from keras_distill import Distiller, TeacherCache, losses
from keras_distill.cache import manifest

DATA = np.arange(18).reshape(6, 3).astype("float32") / 16, np.arange(6) % 4
LOSSES = ["kd", losses.HintLearning("hidden", "hidden")]


@pytest.fixture
def directory(tmp_path):
    written = pathlib.Path(__file__).parent / "format_2"
    return shutil.copytree(written, tmp_path / "cache")


@pytest.fixture
def teacher():
    layers = keras.layers.Dense(5, name="hidden"), keras.layers.Dense(4, name="logits")
    model = keras.Sequential([keras.Input((3,)), *layers])
    weights = [np.arange(w.size).reshape(w.shape) / 16 - 0.5 for w in model.get_weights()]
    model.set_weights(weights)
    return model


def build(directory, teacher):
    settings = {"batch_size": 2, "shard_size": 4, "verbose": 0}
    return TeacherCache.build(directory, teacher, DATA, LOSSES, **settings)


def check(cache, teacher):
    [(batch, labels)] = cache.join(DATA, shuffle=False, batch_size=6)
    np.testing.assert_array_equal(labels, DATA[1])
    np.testing.assert_array_equal(batch.index, np.arange(6))
    for target, layer in zip(cache.targets, ("logits", "hidden"), strict=True):
        expected = keras.Model(teacher.inputs, teacher.get_layer(layer).output)(DATA[0])
        np.testing.assert_allclose(target.unpack(batch.targets), expected, rtol=2**-10)


def test_an_old_cache_is_read_and_trains(directory, teacher):
    cache = TeacherCache(directory, teacher=teacher)
    check(cache, teacher)
    assert cache.output_activation(None) == "linear" and "embedding" in cache.candidates
    distiller = Distiller(cache, keras.models.clone_model(teacher), LOSSES)
    distiller.compile(
        "adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True), run_eagerly=True
    )
    history = distiller.fit(cache.join(DATA), verbose=0).history
    assert np.isfinite(history["loss"]).all()


def test_building_opens_an_old_cache_and_checks_its_samples(directory, teacher):
    before = [file.read_bytes() for file in sorted(directory.iterdir())]
    check(build(directory, teacher), teacher)
    assert before == [file.read_bytes() for file in sorted(directory.iterdir())]
    with pytest.raises(ValueError, match="of something else"):
        TeacherCache(directory).join((DATA[0][::-1], DATA[1]))


def test_building_completes_an_old_cache(directory, teacher):
    (directory / "view000-00001.tfrecord").unlink()
    check(build(directory, teacher), teacher)
    assert json.loads((directory / manifest.FILE).read_bytes())["format"] == manifest.FORMAT
    check(TeacherCache(directory), teacher)


def test_a_saved_distiller_remembers_an_old_cache(directory, teacher):
    content = json.loads((directory / manifest.FILE).read_bytes())
    shutil.rmtree(directory)
    with pytest.warns(UserWarning, match="isn't in its place"):
        cache = TeacherCache.from_config({"directory": str(directory), "content": content})
    assert [target.name for target in cache.targets] == ["output 0 (logits)", "hidden"]
