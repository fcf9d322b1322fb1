"""Several processes build one cache, and train from it, as one would."""

import contextlib
import json
import os
import pathlib
import shutil
import signal
import socket
import stat
import time
import unittest.mock

import numpy as np
import pytest
import tensorflow as tf

from keras_distill import TeacherCache
from keras_distill.cache import shards, workers
from keras_distill.files import write_whole
from tests.cache import worker
from tests.processes import PythonProcess

SCRIPT = pathlib.Path(worker.__file__).read_text("utf-8")
LIMIT = 240


def shard_names(*numbers):
    return [shards.file_name(0, number) for number in numbers]


def contents(directory):
    return {file.name: file.read_bytes() for file in pathlib.Path(directory).iterdir()}


def build(directory, **arguments):
    usual = {"teacher": worker.teacher(), "dataset": worker.samples()}
    usual |= {"distillation_losses": worker.LOSSES, **worker.SIZES}
    return TeacherCache.build(directory, **{**usual, **arguments})


def answers(directory, count=worker.COUNT):
    """Returns all arrays of a cache, in the data set's order."""
    joined = TeacherCache(directory).join(worker.data(count), batch_size=count, shuffle=False)
    [(batch, _)] = joined
    return {name: array.numpy() for name, array in batch.targets.items()}


def assert_close(first, second, atol=1e-5):
    assert sorted(first) == sorted(second)
    for name, array in first.items():
        np.testing.assert_allclose(second[name], array, rtol=1e-5, atol=atol, err_msg=name)


@contextlib.contextmanager
def running(*orders, strategy=None, devices=1, variables=({}, {})):
    """Starts a process per order, and ends those that still run afterwards."""
    with contextlib.ExitStack() as stack:
        processes = []
        for order, environment in zip(orders, variables, strict=False):
            order = {"strategy": strategy, "devices": devices, "tasks": order}
            process = PythonProcess(SCRIPT, [json.dumps(order)], environment)
            processes.append(process)
            stack.callback(process.wait)
            stack.callback(process.kill)
        yield processes


def results(processes):
    """Waits for processes, and returns for each what came of its tasks."""
    deadline = time.monotonic() + LIMIT
    while any(process.poll() is None for process in processes):
        # The others may wait for one that has failed.
        if any(process.poll() for process in processes):
            deadline = min(deadline, time.monotonic() + 5)
        if time.monotonic() > deadline:
            break
        time.sleep(0.05)
    for process in processes:
        process.kill()
    lines = [(process.wait(), process.stdout.splitlines())[1] for process in processes]
    return [[json.loads(line) for line in of_one if line.startswith("{")] for of_one in lines]


def cluster(count=2):
    """Returns the environment variables of the processes of a cluster on this machine."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        addresses = [f"127.0.0.1:{one.getsockname()[1]}" for one in sockets]
    tasks = [{"type": "worker", "index": index} for index in range(count)]
    configs = [{"cluster": {"worker": addresses}, "task": task} for task in tasks]
    return [{"TF_CONFIG": json.dumps(config)} for config in configs]


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """The cache that one process builds."""
    directory = tmp_path_factory.mktemp("alone") / "cache"
    assert build(directory).made_of["samples"] == worker.COUNT
    assert len(list(directory.iterdir())) == 7
    return directory


@pytest.fixture(scope="module")
def trained_alone(alone):
    """What one process trains."""
    worker.train(tf.distribute.get_strategy(), alone, alone.parent / "trained")
    return {kind: np.load(f"{alone.parent}/trained-{kind}.npz") for kind in ("live", "cache")}


def once(tmp_path_factory, name, make):
    """Lets one of the processes of pytest-xdist make what all need: a folder, and a result."""
    folder = tmp_path_factory.getbasetemp()
    folder = (folder.parent if "PYTEST_XDIST_WORKER" in os.environ else folder) / name
    try:
        folder.mkdir()
    except FileExistsError:
        deadline = time.monotonic() + LIMIT
        while not (folder / "found.json").exists() and time.monotonic() < deadline:
            time.sleep(0.1)
    else:
        write_whole(folder / "found.json", json.dumps(make(folder)).encode())
    return folder, json.loads((folder / "found.json").read_bytes())


@pytest.fixture(scope="module")
def of_strategy(alone, tmp_path_factory):
    """What two processes do under `MultiWorkerMirroredStrategy`."""
    return once(tmp_path_factory, "strategy", lambda folder: _of_strategy(alone, folder))


def _of_strategy(alone, folder):
    training = {"do": "train", "directory": str(alone)}
    orders = [
        [
            {"do": "build", "directory": str(folder / "cache")},
            {"do": "read", "directory": str(alone), "worker": [number, 2]},
            {**training, "result": f"{folder}/{number}"},
        ]
        for number in range(2)
    ]
    with running(*orders, strategy="workers", variables=cluster()) as processes:
        found = results(processes)
    names = ("build", "read", "train")
    return [dict(zip(names, of_one, strict=False)) for of_one in found]


@pytest.fixture(scope="module")
def mirrored(tmp_path_factory):
    """What one process does under `MirroredStrategy` with two devices."""
    return once(tmp_path_factory, "mirrored", _mirrored)


def _mirrored(folder):
    order = [
        {"do": "build", "directory": str(folder / "cache")},
        {
            "do": "train",
            "directory": str(folder / "cache"),
            "result": f"{folder}/0",
            "kinds": ["cache"],
        },
        {"do": "build", "directory": str(folder / "odd"), "count": 41},
    ]
    with running(order, strategy="mirrored", devices=2) as processes:
        [found] = results(processes)
    return dict(zip(("build", "train", "odd"), found, strict=False))


@pytest.fixture(scope="module")
def of_two_workers(tmp_path_factory):
    """What two processes build undisturbed, and then while one of them is killed."""
    folder = tmp_path_factory.mktemp("workers")
    undisturbed, disturbed, gate = folder / "undisturbed", folder / "disturbed", folder / "gate"
    # The second worker's second shard, of the samples 48 to 63, is half written.
    stopped = [{}, {"stop_at": 60, "gate": str(gate)}]
    orders = [
        [
            {"do": "build", "directory": str(undisturbed), "worker": [number, 2]},
            {"do": "build", "directory": str(disturbed), "worker": [number, 2], **stopped[number]},
        ]
        for number in range(2)
    ]
    first, second = shard_names(1, 3)

    def is_in_the_middle():
        return (disturbed / first).exists() and list(disturbed.glob(f"{second}.*"))

    with running(*orders) as (waiting, killed):
        deadline = time.monotonic() + LIMIT
        while not is_in_the_middle() and killed.poll() is None and time.monotonic() < deadline:
            time.sleep(0.01)
        assert is_in_the_middle() and killed.poll() is None
        os.kill(killed.pid, signal.SIGKILL)
        assert killed.wait() == -signal.SIGKILL
        assert waiting.poll() is None
        assert not (disturbed / second).exists() and list(disturbed.glob(f"{second}.*"))
        before = (disturbed / first).stat()
        with pytest.raises(ValueError, match="isn't finished"):
            TeacherCache(disturbed)
        gate.touch()
        with running(orders[1][1:]) as [again]:
            waited, went_on = results([waiting, again])
            assert [waiting.returncode, again.returncode] == [0, 0], (waited, went_on)
        [before_the_kill] = results([killed])
    return {
        "folder": folder,
        "undisturbed": [waited[0], *before_the_kill],
        "disturbed": [waited[1], *went_on],
        "shard": first,
        "before": before,
    }


def test_two_workers_write_what_one_writes(alone, of_two_workers):
    found = of_two_workers["undisturbed"]
    assert [of_one["samples"] for of_one in found] == [worker.COUNT] * 2
    assert [of_one["wrote"] for of_one in found] == [shard_names(0, 2, 4), shard_names(1, 3, 5)]
    assert contents(of_two_workers["folder"] / "undisturbed") == contents(alone)


def test_a_killed_worker_goes_on_where_it_was_while_the_other_waits(alone, of_two_workers):
    wrote = [of_one["wrote"] for of_one in of_two_workers["disturbed"]]
    assert wrote == [shard_names(0, 2, 4), shard_names(3, 5)]
    directory, before = of_two_workers["folder"] / "disturbed", of_two_workers["before"]
    after = (directory / of_two_workers["shard"]).stat()
    assert (after.st_mtime_ns, after.st_ino) == (before.st_mtime_ns, before.st_ino)
    assert contents(directory) == contents(alone)


def test_workers_may_come_one_after_the_other(alone, tmp_path):
    with pytest.raises(TimeoutError, match=r"3 of 6 shards .*00001\.tfrecord the first"):
        build(tmp_path / "cache", worker=(0, 2), timeout=0)
    for number in (1, 0):
        build(tmp_path / "cache", worker=(number, 2), timeout=0)
        assert contents(tmp_path / "cache") == contents(alone)


@pytest.mark.parametrize("there", ["manifest.json", ".1f3c.kd"])
def test_workers_may_begin_at_the_same_moment(alone, tmp_path, monkeypatch, there):
    directory, make = tmp_path / "cache", pathlib.Path.mkdir

    def made_by_another_too(self, *args, **kwargs):
        make(self, *args, **kwargs)
        if self == directory:
            shutil.copy(alone / "manifest.json", directory / there)

    monkeypatch.setattr(pathlib.Path, "mkdir", made_by_another_too)
    build(directory)
    (directory / ".1f3c.kd").unlink(missing_ok=True)
    assert contents(directory) == contents(alone)


def test_a_worker_that_was_started_twice_does_no_harm(alone, tmp_path):
    path = tmp_path / "cache" / shard_names(0)[0]
    path.parent.mkdir()
    with shards.writing(path, 0):
        shutil.copy(alone / path.name, path)
        shards.remove_partial(path.parent)
    assert contents(path.parent) == {path.name: contents(alone)[path.name]}


def test_whoever_may_read_the_manifest_may_read_the_shards(alone):
    assert len({stat.S_IMODE(file.stat().st_mode) for file in alone.iterdir()}) == 1


def test_the_workers_of_a_strategy_share_the_work_by_themselves(alone, of_strategy):
    folder, found = of_strategy
    wrote = [of_one["build"].get("wrote") for of_one in found]
    assert wrote == [shard_names(0, 2, 4), shard_names(1, 3, 5)], found
    assert contents(folder / "cache") == contents(alone)


def test_the_only_worker_of_a_strategy_does_all_the_work(alone, tmp_path, monkeypatch):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    with tf.distribute.MultiWorkerMirroredStrategy().scope():
        build(tmp_path / "cache")
    assert_close(answers(alone), answers(tmp_path / "cache"))


@pytest.mark.parametrize(("task", "expected"), [(("chief", 0), (0, 3)), (("worker", 1), (2, 3))])
def test_a_cluster_that_another_resolver_knows_shares_the_work_too(monkeypatch, task, expected):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    addresses = {"worker": ["b:1", "c:1"], "chief": ["a:1"]}
    resolver = tf.distribute.cluster_resolver.SimpleClusterResolver(
        tf.train.ClusterSpec(addresses), task_type=task[0], task_id=task[1]
    )
    strategy = unittest.mock.Mock(spec=tf.distribute.MultiWorkerMirroredStrategy)
    strategy.cluster_resolver = resolver
    monkeypatch.setattr(tf.distribute, "get_strategy", lambda: strategy)
    assert workers.worker_of("auto") == expected


@pytest.mark.parametrize("way", ["batches", "shuffled", "share"])
def test_the_replicas_of_a_strategy_get_each_sample_once(of_strategy, way):
    indices = [of_one["read"].get(way, of_one) for of_one in of_strategy[1]]
    assert [len(set(of_one)) for of_one in indices] == [worker.COUNT // 2] * 2
    assert sorted(indices[0] + indices[1]) == list(range(worker.COUNT))
    if way == "share":
        assert {index // 16 % 2 for index in indices[0]} == {0}


@pytest.mark.parametrize("kind", ["live", "cache"])
def test_two_workers_make_the_update_of_one(trained_alone, of_strategy, kind):
    folder, found = of_strategy
    assert [of_one.get("train", of_one) for of_one in found] == [{"replicas": 2}] * 2
    expected = trained_alone[kind]
    for number in range(2):
        learned = np.load(f"{folder}/{number}-{kind}.npz")
        assert {"arr_0", "loss", "accuracy", "val_loss"} < set(learned)
        # Keras reports the average of the workers' averages, each of them over its own samples.
        assert_close(expected, learned)


@pytest.mark.parametrize("way", ["arrays", "arrays in order", "samples", "batches"])
def test_the_shares_of_workers_hold_each_sample_once_with_its_own_answers(alone, way):
    cache = TeacherCache(alone)
    x, y = worker.data()
    expected = answers(alone)
    found = []
    for number in range(3):
        shard = {"shard": (number, 3)}
        joined = {
            "arrays": lambda shard=shard: cache.join((x, y), **shard),
            "arrays in order": lambda shard=shard: cache.join((x, y), shuffle=False, **shard),
            "samples": lambda shard=shard: cache.join(worker.samples(), **shard).batch(10),
            "batches": lambda shard=shard: cache.join(worker.batches(), **shard),
        }[way]()
        indices = []
        for batch, labels in joined:
            index = batch.index.numpy()
            np.testing.assert_array_equal(batch.inputs, x[index])
            np.testing.assert_array_equal(labels, y[index])
            for name, array in batch.targets.items():
                np.testing.assert_array_equal(array, expected[name][index])
            indices += index.tolist()
        assert {index // 16 % 3 for index in indices} == {number}
        assert len(indices) == 32
        found += indices
    assert sorted(found) == list(range(worker.COUNT))


def test_two_replicas_write_what_one_writes(alone, mirrored):
    folder, found = mirrored
    assert found["build"].get("wrote") == shard_names(*range(6)), found
    assert_close(answers(alone), answers(folder / "cache"))


def test_a_last_batch_smaller_than_the_replicas_is_written_too(mirrored, tmp_path):
    folder, found = mirrored
    assert found["odd"].get("samples") == 41, found["odd"]
    build(tmp_path / "odd", dataset=worker.samples(41))
    assert_close(answers(tmp_path / "odd", 41), answers(folder / "odd", 41))


def test_two_replicas_learn_from_a_cache_what_one_does(trained_alone, mirrored):
    folder, found = mirrored
    assert found["train"] == {"replicas": 2}
    assert_close(trained_alone["cache"], np.load(f"{folder}/0-cache.npz"))
