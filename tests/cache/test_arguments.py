"""Arguments of `build` and `join`: NumPy's numbers are taken, and what can't work is refused."""

import os
import pathlib

import numpy as np
import pytest
import tensorflow as tf

from keras_distill import TeacherCache
from keras_distill.cache.samples import Samples


def endless(data):
    samples = tf.data.Dataset.from_tensor_slices(data)
    return {
        "batches": samples.batch(8).repeat(),
        "batches of repeated samples": samples.repeat().batch(8),
        "samples": samples.repeat(),
        "mapped": samples.batch(8).repeat().map(lambda *sample: sample),
    }


@pytest.mark.parametrize("kind", ["batches", "batches of repeated samples", "samples", "mapped"])
def test_a_data_set_without_end_is_refused_before_anything_is_written(build, data, tmp_path, kind):
    with pytest.raises(ValueError, match="never ends"):
        build(dataset=endless(data)[kind])
    assert not (tmp_path / "cache").exists()
    with pytest.raises(ValueError, match="never ends"):
        Samples(endless(data)[kind])


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"buffer_size": -1}, ValueError, "buffer_size must be at least 1"),
        ({"buffer_size": 0}, ValueError, "buffer_size must be at least 1"),
        ({"buffer_size": 2.5}, TypeError, "buffer_size must be an integer"),
        ({"buffer_size": 10, "shuffle": False}, ValueError, "buffer_size has nothing to do"),
        ({"seed": 1, "shuffle": False}, ValueError, "seed has nothing to do"),
        ({"seed": "1"}, TypeError, "seed must be an integer"),
        ({"seed": 2**40}, ValueError, "seed must be at least"),
        ({"shuffle": "no"}, TypeError, "shuffle must be True or False"),
        ({"batch_size": True}, TypeError, "batch_size must be an integer"),
        ({"views": 0}, ValueError, "views must be at least 1"),
        ({"shard": (0, 0)}, ValueError, "shard must be .*Received: shard"),
        ({"shard": (0.0, 2)}, TypeError, "shard must be"),
    ],
)
def test_join_refuses_what_can_not_work(cache, data, arguments, error, message):
    with pytest.raises(error, match=message):
        cache.join(data, **arguments)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"seed": 0.5}, TypeError, "seed must be an integer"),
        ({"seed": 2**31}, ValueError, "seed must be at least"),
        ({"timeout": "long"}, TypeError, "timeout must be a number"),
        ({"timeout": -1}, ValueError, "timeout must be a finite number"),
        ({"timeout": float("inf")}, ValueError, "timeout must be a finite number"),
        ({"shard_size": 2**63}, ValueError, "shard_size must be at least 1 and at most"),
        ({"batch_size": 2**31}, ValueError, "batch_size must be at least 1 and at most"),
        ({"verbose": "yes"}, TypeError, "verbose must be an integer"),
        ({"worker": np.array([0, 2])}, TypeError, "worker must be"),
        ({"directory": None}, TypeError, "directory must be a path"),
    ],
)
def test_build_refuses_what_can_not_work(build, tmp_path, arguments, error, message):
    with pytest.raises(error, match=message):
        build(**arguments)
    assert not list(tmp_path.iterdir())


def test_numpy_integers_are_taken(build, data):
    numbers = {"batch_size": np.int64(8), "seed": np.int32(3), "shard_size": np.int16(16)}
    numbers |= {"top_k": np.uint8(2), "worker": (np.int64(0), np.int64(1))}
    cache = build(**numbers, views=np.int64(1))
    assert cache.made_of["seed"] == 3 and cache.made_of["top_k"] == 2
    joined = cache.join(data, batch_size=np.int64(10), seed=np.int64(1), buffer_size=np.int64(20))
    assert len(list(joined)) == 5


@pytest.mark.parametrize("address", ["gs://bucket/cache", "s3://bucket/x", "hdfs://host/x"])
@pytest.mark.parametrize("as_path", [str, pathlib.PurePosixPath])
def test_a_remote_address_is_refused_and_makes_no_folder(
    build, tmp_path, monkeypatch, address, as_path
):
    monkeypatch.chdir(tmp_path)
    for attempt in (
        lambda: build(directory=as_path(address)),
        lambda: TeacherCache(as_path(address)),
    ):
        with pytest.raises(
            ValueError, match=r"must be a folder of this machine.* mount the remote"
        ):
            attempt()
    assert not list(tmp_path.iterdir())


def test_a_file_in_the_place_of_the_folder_is_refused(build, tmp_path):
    (tmp_path / "cache").write_text("mine")
    with pytest.raises(ValueError, match="must be a folder, and there is a file"):
        build()
    assert (tmp_path / "cache").read_text() == "mine"


def test_the_users_folder_is_understood(build, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    assert build(directory=os.path.join("~", "home cache")).directory == tmp_path / "home cache"


def progress_of(capsys):
    return capsys.readouterr().out


@pytest.mark.parametrize(("size", "batches"), [(8, 7), (10, 7), (25, 7)])
def test_the_progress_bar_knows_the_size_of_a_data_set_of_batches(
    build, data, capsys, size, batches
):
    build(dataset=tf.data.Dataset.from_tensor_slices(data).batch(size), verbose=1)
    shown = progress_of(capsys)
    assert "Unknown" not in shown
    assert f"{batches}/{batches}" in shown


def test_single_samples_are_shuffled_without_a_batch_size(cache, data):
    joined = cache.join(tf.data.Dataset.from_tensor_slices(data), shuffle=True, seed=1)
    indices = [int(sample.index) for sample, _ in joined]
    assert indices != list(range(50)) and sorted(indices) == list(range(50))
