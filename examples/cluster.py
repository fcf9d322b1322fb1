"""Distills on several machines, or on this one as if it were several.

Run: python examples/cluster.py --local 2

On a cluster, train the teacher once, then start the same command on each machine, with the same
folder, which all of them see, and with the environment variable TF_CONFIG, in which only the last
number differs:

    python examples/cluster.py --folder /shared --teacher
    TF_CONFIG='{"cluster": {"worker": ["host0:12345", "host1:12345"]},
                "task": {"type": "worker", "index": 0}}' python examples/cluster.py --folder /shared

The workers share the building of the teacher's cache, each with files of its own, and each update
is that of one worker that sees all their samples. A worker that was killed is started again with
the same command: the cache goes on where it was, and so does the training, from the last epoch.
"""

import argparse
import json
import os
import pathlib
import socket
import subprocess
import sys
import tempfile

import keras
import tensorflow as tf

from keras_distill import Distiller, TeacherCache, architectures, datasets

LOSS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
BATCH = 64  # of all workers together


def train_teacher(folder):
    """Trains the teacher and saves it, for all workers to load."""
    digits = datasets.load("digits")
    teacher = architectures.digits_teacher()
    teacher.compile("adam", LOSS, metrics=["accuracy"])
    teacher.fit(digits.x_train, digits.y_train, epochs=5, verbose=2)
    teacher.save(folder / "teacher.keras")


def train_student(folder, epochs):
    """What each worker does."""
    # Before anything else of TensorFlow, as it wants it.
    strategy = tf.distribute.MultiWorkerMirroredStrategy()
    number = strategy.cluster_resolver.task_id or 0
    digits = datasets.load("digits")
    images = (digits.x_train, digits.y_train)
    keras.utils.set_random_seed(0)
    with strategy.scope():
        teacher = keras.models.load_model(folder / "teacher.keras")
        cache = TeacherCache.build(folder / "cache", teacher, images, ["kd", "at"], verbose=0)
        student = architectures.digits_student()
        distiller = Distiller(cache, student, ["kd", "at"], [1.0, 100.0], student_loss_weight=None)
        distiller.compile(keras.optimizers.Adam(0.005), LOSS, metrics=["accuracy"])
    # One order for all workers, so that no sample is seen by two of them.
    batches = cache.join(images, batch_size=BATCH, seed=0)
    backup = keras.callbacks.BackupAndRestore(folder / f"backup{number}")
    distiller.fit(batches, epochs=epochs, callbacks=[backup], verbose=2 if number == 0 else 0)
    if number == 0:
        right = student(digits.x_test).numpy().argmax(axis=-1) == digits.y_test
        print(f"accuracy on {len(right)} test images: {100 * right.mean():.1f} %")
        student.save(folder / "student.keras")


def start_locally(count, folder, epochs):
    """Starts a worker per process on this machine, and waits for them."""
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    workers = [f"127.0.0.1:{one.getsockname()[1]}" for one in sockets]
    for one in sockets:
        one.close()
    command = [sys.executable, __file__, "--folder", str(folder), "--epochs", str(epochs)]
    subprocess.run([*command, "--teacher"], check=True)
    processes = []
    for index in range(count):
        config = {"cluster": {"worker": workers}, "task": {"type": "worker", "index": index}}
        processes.append(
            subprocess.Popen(command, env={**os.environ, "TF_CONFIG": json.dumps(config)})
        )
    return max(process.wait() for process in processes)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=pathlib.Path, help="folder that all workers see")
    parser.add_argument("--local", type=int, help="number of workers to start on this machine")
    parser.add_argument("--teacher", action="store_true", help="train the teacher")
    parser.add_argument("--epochs", type=int, default=5)
    options = parser.parse_args()
    folder = options.folder or pathlib.Path(tempfile.mkdtemp())
    if options.local:
        sys.exit(start_locally(options.local, folder, options.epochs))
    if options.teacher:
        train_teacher(folder)
    else:
        train_student(folder, options.epochs)


if __name__ == "__main__":
    main()
