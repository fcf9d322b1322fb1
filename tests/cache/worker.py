"""One of several processes that build a cache or train together: the tests start it.

Its argument says in JSON what to do; it prints a line of JSON for each task.
"""

import json
import pathlib
import sys
import time
import traceback
import unittest.mock

import keras
import numpy as np
import tensorflow as tf

from keras_distill import AttentionTransfer, Distiller, SoftTargets, TeacherCache
from keras_distill.cache import shards

COUNT, GLOBAL_BATCH = 96, 16
LOSSES = [SoftTargets(2.0), AttentionTransfer("conv", "conv")]
# Six shards of 16 samples.
SIZES = {"batch_size": 8, "shard_size": 16, "dtype": "float32", "verbose": 0}


def data(count=COUNT):
    rng = np.random.default_rng(0)
    x, y = rng.random((COUNT, 6, 6, 1), "float32"), rng.integers(0, 3, COUNT)
    return x[:count], y[:count]


def samples(count=COUNT):
    return tf.data.Dataset.from_tensor_slices(data(count))


def batches():
    """The batches that all replicas share."""
    return samples().batch(GLOBAL_BATCH)


def cnn(channels, seed):
    # All layers have names: those that Keras makes differ from one process to the next.
    keras.utils.set_random_seed(seed)
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((6, 6, 1)),
            layers.Conv2D(channels, 3, activation="relu", name="conv"),
            layers.Flatten(name="flat"),
            layers.Dense(3, name="logits"),
        ]
    )


def teacher():
    return cnn(6, seed=1)


def distiller(of):
    """A distiller with a live teacher or a cache."""
    model = Distiller(of, cnn(4, seed=2), LOSSES, [1.0, 50.0], student_loss_weight=None)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(0.05), loss, metrics=["accuracy"])
    return model


def stopping_at(dataset, place, gate):
    """A data set that waits for a file before it gives the sample at a place."""

    def wait(now):
        while now >= place and not pathlib.Path(gate).exists():
            time.sleep(0.01)

    def held(now, sample):
        with tf.control_dependencies([tf.py_function(wait, [now], [])]):
            return tf.nest.map_structure(tf.identity, sample)

    return dataset.enumerate().map(held)


def build(strategy, directory, worker="auto", count=COUNT, stop_at=None, gate=None):
    """Builds a cache and returns which shards this worker wrote."""
    dataset = samples(count)
    if gate is not None:
        dataset = stopping_at(dataset, stop_at, gate)
    wrote = []

    def recorded(path, *others, writing=shards.writing):
        wrote.append(path.name)
        return writing(path, *others)

    with strategy.scope(), unittest.mock.patch.object(shards, "writing", recorded):
        cache = TeacherCache.build(directory, teacher(), dataset, LOSSES, worker=worker, **SIZES)
    return {"samples": cache.made_of["samples"], "wrote": wrote}


def train(strategy, directory, result, kinds=("live", "cache")):
    """Trains with a live teacher and with a cache, two epochs each."""
    cache = TeacherCache(directory)
    for kind in kinds:
        with strategy.scope():
            model = distiller(teacher() if kind == "live" else cache)
        dataset = batches() if kind == "live" else cache.join(batches())
        fitted = model.fit(dataset, epochs=2, validation_data=dataset, verbose=0)
        np.savez(f"{result}-{kind}.npz", *model.student.get_weights(), **fitted.history)
    return {"replicas": strategy.num_replicas_in_sync}


def read(strategy, directory, worker):
    """Returns which samples the replicas of this worker get, each way to join."""
    cache = TeacherCache(directory)
    ways = {
        "batches": cache.join(batches()),
        "shuffled": cache.join(data(), batch_size=GLOBAL_BATCH, seed=3),
        "share": cache.join(data(), batch_size=GLOBAL_BATCH, shard=worker),
    }
    read = {}
    for name, dataset in ways.items():
        distributed = strategy.experimental_distribute_dataset(dataset)
        read[name] = [
            index
            for batch, _ in distributed
            for indices in strategy.experimental_local_results(batch.index)
            for index in indices.numpy().tolist()
        ]
    return read


def _strategy(kind, devices):
    if devices > 1:
        [cpu] = tf.config.list_physical_devices("CPU")
        logical = [tf.config.LogicalDeviceConfiguration()] * devices
        tf.config.set_logical_device_configuration(cpu, logical)
    if kind == "mirrored":
        return tf.distribute.MirroredStrategy([f"CPU:{number}" for number in range(devices)])
    if kind == "workers":
        return _of_workers(devices)
    return tf.distribute.get_strategy()


def _of_workers(devices):
    """A strategy whose workers have several devices each: without GPUs it would take one."""

    def local_devices(self, resolver, worker_device):
        return tuple(f"{worker_device}/device:CPU:{n}" for n in range(devices)), "CPU"

    from tensorflow.python.distribute import collective_all_reduce_strategy as module

    name = "_initialize_local_devices"
    extended = module.CollectiveAllReduceExtended
    with unittest.mock.patch.object(extended, name, local_devices):
        return tf.distribute.MultiWorkerMirroredStrategy()


def main():
    """Does one task after the other, and says of each what came of it."""
    order = json.loads(sys.argv[1])
    strategy = _strategy(order.get("strategy"), order.get("devices", 1))
    has_failed = False
    for task in order["tasks"]:
        try:
            result = {"build": build, "train": train, "read": read}[task.pop("do")](
                strategy, **task
            )
        except Exception:
            has_failed = True
            result = {"error": traceback.format_exc()[-3000:]}
        print(json.dumps(result), flush=True)
    sys.exit(has_failed)


if __name__ == "__main__":
    main()
