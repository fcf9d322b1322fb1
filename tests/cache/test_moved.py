"""A cache that was moved, restored, damaged later, or made by another version says so."""

import json
import shutil

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_distill import Distiller, TeacherCache
from keras_distill.cache import manifest, shards
from tests.cache.conftest import LOSSES


@pytest.fixture
def distiller(cache, student):
    distiller = Distiller(cache, student, LOSSES)
    distiller.compile(
        "sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True), run_eagerly=True
    )
    return distiller


def test_a_relative_folder_is_found_from_another_working_directory(
    build, student, data, tmp_path, monkeypatch
):
    (tmp_path / "here").mkdir()
    (tmp_path / "there").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    cache = build(directory="cache")
    assert cache.directory == tmp_path / "here" / "cache"
    Distiller(cache, student, LOSSES).save(tmp_path / "distiller.keras")
    monkeypatch.chdir(tmp_path / "there")
    loaded = keras.models.load_model(tmp_path / "distiller.keras")
    assert loaded.teacher.directory == tmp_path / "here" / "cache"
    assert len(list(loaded.teacher.join(data))) == 2


def test_loading_a_distiller_reads_no_shard(distiller, tmp_path, monkeypatch):
    distiller.save(tmp_path / "distiller.keras")

    def refuse(path):
        raise AssertionError(f"{path} was read")

    monkeypatch.setattr(manifest, "file_checksum", refuse)
    monkeypatch.setattr(tf.data, "TFRecordDataset", refuse)
    assert isinstance(keras.models.load_model(tmp_path / "distiller.keras").teacher, TeacherCache)


def test_a_distiller_loads_and_trains_where_its_cache_has_moved(distiller, cache, data, tmp_path):
    distiller.fit(cache.join(data), verbose=0)
    distiller.save(tmp_path / "distiller.keras")
    old = cache.directory
    new = old.rename(tmp_path / "new place")
    with pytest.warns(
        UserWarning, match=r"There is no folder .* join with TeacherCache of the new"
    ):
        loaded = keras.models.load_model(tmp_path / "distiller.keras")
    np.testing.assert_array_equal(
        loaded.predict(data[0], verbose=0), distiller.predict(data[0], verbose=0)
    )
    with pytest.raises(FileNotFoundError, match="if its cache was moved, give the new place"):
        loaded.teacher.join(data)
    moved = TeacherCache(new)
    histories = [
        model.fit(moved.join(data, seed=1), verbose=0).history for model in (distiller, loaded)
    ]
    assert histories[0]["loss"] == pytest.approx(histories[1]["loss"], rel=1e-5)
    # Saved again, it still knows what the cache holds.
    loaded.save(tmp_path / "again.keras")
    with pytest.warns(UserWarning, match="There is no folder"):
        again = keras.models.load_model(tmp_path / "again.keras")
    assert again.evaluate(moved.join(data), verbose=0)
    shutil.move(new, old)
    with pytest.raises(ValueError, match="wasn't there when the distiller was loaded: join with"):
        again.teacher.join(data)


def test_a_folder_that_moves_after_opening_is_named(cache, data, tmp_path):
    cache.directory.rename(tmp_path / "elsewhere")
    with pytest.raises(FileNotFoundError, match=r"view000-00000\.tfrecord is missing"):
        cache.join(data)


def test_a_cache_of_another_version_is_refused(build, cache):
    file = cache.directory / "manifest.json"
    content = json.loads(file.read_bytes())
    content.pop("checksum")
    for version in ({"format": 1}, {"format": 4}):
        manifest.write(cache.directory, {**content, **version})
        for attempt in (build, lambda: TeacherCache(cache.directory)):
            with pytest.raises(ValueError, match="made by another version of keras_distill"):
                attempt()


def test_shards_that_were_restored_without_their_manifest_are_named(build, cache):
    (cache.directory / "manifest.json").unlink()
    for attempt in (build, lambda: TeacherCache(cache.directory)):
        with pytest.raises(FileNotFoundError, match=r"shards without its manifest\.json"):
            attempt()


def test_a_shard_that_was_restored_from_another_cache_is_named(build, cache, teacher, data):
    other = build(directory=cache.directory.parent / "other", dataset=(data[0][::-1], data[1]))
    name = "view000-00001.tfrecord"
    shutil.copy(other.directory / name, cache.directory / name)
    with pytest.raises(ValueError, match=f"{name} is damaged, or restored from another cache"):
        TeacherCache(cache.directory)


@pytest.mark.parametrize("way", ["shuffled", "in order", "batches", "fit"])
def test_a_shard_that_is_damaged_after_opening_is_named(cache, data, distiller, way):
    file = cache.directory / "view000-00002.tfrecord"
    damaged = bytearray(file.read_bytes())
    damaged[len(damaged) // 2] ^= 4
    joined = {
        "shuffled": lambda: cache.join(data),
        "in order": lambda: cache.join(data, shuffle=False),
        "batches": lambda: cache.join(tf.data.Dataset.from_tensor_slices(data).batch(8)),
        "fit": lambda: cache.join(data),
    }[way]()
    file.write_bytes(bytes(damaged))
    with pytest.raises(
        tf.errors.InvalidArgumentError, match="damaged after the cache was"
    ) as error:
        distiller.fit(joined, verbose=0) if way == "fit" else list(joined)
    assert file.name in str(error.value)


@pytest.mark.parametrize("size", [0, 5, -1])
def test_a_shard_that_is_cut_or_lost_after_opening_is_named(cache, data, size):
    file = cache.directory / "view000-00001.tfrecord"
    joined = cache.join(data)
    file.write_bytes(file.read_bytes()[:size])
    with pytest.raises(tf.errors.InvalidArgumentError, match=file.name):
        list(joined)
    file.unlink()
    with pytest.raises(tf.errors.InvalidArgumentError, match="moved or deleted") as error:
        list(joined)
    assert file.name in str(error.value)


def test_a_folder_whose_name_is_a_pattern_is_read(build, data, tmp_path):
    cache = build(directory=tmp_path / "run [1] * ?")
    assert len(list(cache.join(data))) == 2


def test_records_are_counted_as_they_were_written(cache):
    for file in cache.directory.glob("*.tfrecord"):
        count = sum(1 for _ in tf.data.TFRecordDataset(str(file)))
        assert shards.number_of_records(file) == count


@pytest.mark.parametrize("way", ["arrays", "batches"])
def test_build_sees_a_sample_that_differs_in_an_old_cache(build, cache, data, way):
    changed = data[0].copy()
    changed[37] = changed[38]
    dataset = (changed, data[1])
    if way == "batches":
        dataset = tf.data.Dataset.from_tensor_slices(dataset).batch(8)
    before = {file: file.stat().st_mtime_ns for file in cache.directory.iterdir()}
    with pytest.raises(ValueError, match="the data set's sample 37 is not what the teacher saw"):
        build(dataset=dataset)
    assert {file: file.stat().st_mtime_ns for file in cache.directory.iterdir()} == before


def test_build_sees_that_batches_are_fewer_or_more_than_an_old_caches(build, cache, data):
    samples = tf.data.Dataset.from_tensor_slices(data)
    before = sorted(file.name for file in cache.directory.iterdir())
    for other, named in (
        (samples.take(40), "fewer samples than view000-00002"),
        (samples.take(32), "samples: 50 there, 32 now"),
        (samples.concatenate(samples.take(30)), "samples: 50 there, 56 or more now"),
    ):
        with pytest.raises(ValueError, match=named):
            build(dataset=other.batch(8))
    assert sorted(file.name for file in cache.directory.iterdir()) == before


def test_a_build_that_goes_on_checks_the_samples_and_shards_that_are_there(build, cache, data):
    last = cache.directory / "view000-00003.tfrecord"
    last.unlink()
    changed = data[0].copy()
    changed[20] = changed[21]
    with pytest.raises(ValueError, match="the data set's sample 20 is not what the teacher saw"):
        build(dataset=(changed, data[1]))
    assert not last.exists()
    second = cache.directory / "view000-00001.tfrecord"
    damaged = bytearray(second.read_bytes())
    damaged[-20] ^= 1
    second.write_bytes(damaged)
    with pytest.raises(ValueError, match=f"{second.name} is damaged"):
        build()
