"""What a teacher cache costs: on the disk, in time, in memory; and what a killed build costs.

Run: python benchmarks/cache.py [size] [speed] [memory] [kills] [--data-dir FOLDER] [--teacher FILE]

ResNet-56 on CIFAR-10 (random images without --data-dir, random weights without --teacher), with
soft targets and the attention of three stages, in float16.

size: bytes on the disk for 50,000 images, for all logits and attention, and for other choices.
speed: images per second of the build beside the teacher's inference alone, in turn.
memory: peak resident size of a student's fit on arrays and of the same from the cache, each in a
    process of its own; and of builds that stream 5,000 and 50,000 images from a generator.
kills: a build that is killed (SIGKILL) at ten random moments and started again each time, beside
    one that isn't: the same bytes.
Writes benchmarks/results/cache.md, each part in its own section.
"""

import argparse
import json
import os
import pathlib
import random
import re
import signal
import subprocess
import sys
import tempfile
import time

import keras
import numpy as np
import tensorflow as tf
from step_time import images, pipeline

from keras_distill import AttentionTransfer, Distiller, SoftTargets, TeacherCache, architectures

RESULTS = pathlib.Path(__file__).parent / "results" / "cache.md"
LABELS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
SHAPE = (32, 32, 3)


def load_teacher(options):
    """Returns the ResNet-56."""
    if options.teacher:
        return keras.models.load_model(options.teacher)
    keras.utils.set_random_seed(0)
    return architectures.resnet56()


def stages(teacher):
    """Returns the last layer of each of the three spatial stages."""
    last = {}
    for layer in teacher.layers:
        shape = layer.output.shape
        # Some shortcuts put their channels first on the way.
        if len(shape) == 4 and shape[1] == shape[2] and shape[1] in (32, 16, 8):
            last[shape[1]] = layer.name
    return list(last.values())


def chosen_losses(teacher):
    """Returns soft targets and attention transfer on three stages."""
    paths = stages(teacher)
    return [SoftTargets(4.0), AttentionTransfer(paths, paths)]


def measure_size(options):
    """Yields lines on the bytes of caches of 50,000 images."""
    teacher = load_teacher(options)
    x, y = images("cifar10", SHAPE, 50_000, options.data_dir)
    soft, attention = chosen_losses(teacher)
    yield "| kept of 50,000 images | MiB | bytes per image |"
    yield "|---|---|---|"
    for name, losses, arguments in (
        ("logits and three attention maps, float16", [soft, attention], {}),
        ("logits, float16", [soft], {}),
        ("the 3 largest logits, float16", [soft], {"top_k": 3}),
    ):
        with tempfile.TemporaryDirectory() as folder:
            cache = TeacherCache.build(folder, teacher, (x, y), losses, batch_size=256, **arguments)
        yield f"| {name} | {cache.nbytes / 2**20:.1f} | {cache.nbytes / len(x):.0f} |"


def measure_speed(options):
    """Yields lines on the speed of the build."""
    teacher = load_teacher(options)
    x, y = images("cifar10", SHAPE, 8_192, options.data_dir)
    losses = chosen_losses(teacher)
    seconds = {"inference": [], "build": []}
    batches = pipeline(x, y, batch_size=128)
    teacher.predict(batches.take(2), verbose=0)
    for _ in range(options.rounds):
        started = time.perf_counter()
        teacher.predict(batches, verbose=0)
        seconds["inference"].append(time.perf_counter() - started)
        with tempfile.TemporaryDirectory() as folder:
            started = time.perf_counter()
            TeacherCache.build(folder, teacher, (x, y), losses, batch_size=128, verbose=0)
            seconds["build"].append(time.perf_counter() - started)
    seconds = {name: np.array(values) for name, values in seconds.items()}
    ratio = np.median(seconds["inference"] / seconds["build"])
    yield (
        f"8,192 images, medians of {options.rounds} rounds: `teacher.predict` "
        f"{np.median(seconds['inference']):.1f} s, `TeacherCache.build` "
        f"{np.median(seconds['build']):.1f} s: the build's speed is {ratio:.2f} of inference alone "
        "(median of the rounds' ratios)."
    )


def own_peak():
    """Returns this process's peak resident size in MiB."""
    # Not getrusage, whose peak a process inherits from the one that started it.
    status = pathlib.Path("/proc/self/status").read_text(encoding="ascii")
    return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) / 1024


def fit_plain(options, folder):
    """Trains a student on arrays."""
    x, y = images("cifar10", SHAPE, 50_000, options.data_dir)
    student = architectures.resnet8()
    student.compile("adam", LABELS)
    student.fit(x, y, batch_size=128, steps_per_epoch=100, verbose=0)


def fit_cached(options, folder):
    """Trains the same student on the same arrays from a cache."""
    x, y = images("cifar10", SHAPE, 50_000, options.data_dir)
    cache = TeacherCache(folder)
    paths = [target.path for target in cache.targets if target.path]
    students = ["stage1_out", "stage2_out", "stage3_out"]
    losses = [SoftTargets(4.0), AttentionTransfer(paths, students)]
    distiller = Distiller(cache, architectures.resnet8(), losses)
    distiller.compile("adam", LABELS)
    batches = cache.join((x, y), batch_size=128)
    distiller.fit(batches, steps_per_epoch=100, verbose=0)


def stream(options, folder, count):
    """Builds a cache of images that come from a generator."""
    rng = np.random.default_rng(0)
    block = rng.random((100, *SHAPE), "float32")

    def batches():
        for number in range(count // 100):
            yield np.roll(block, number % 32, axis=1)

    spec = tf.TensorSpec((None, *SHAPE), "float32")
    dataset = tf.data.Dataset.from_generator(batches, output_signature=spec)
    teacher = architectures.resnet8()
    paths = ["stage1_out", "stage2_out", "stage3_out"]
    losses = [SoftTargets(4.0), AttentionTransfer(paths, paths)]
    TeacherCache.build(folder, teacher, dataset, losses, batch_size=100, verbose=0)


TASKS = {
    "plain": fit_plain,
    "cached": fit_cached,
    "stream 5000": lambda options, folder: stream(options, folder, 5_000),
    "stream 50000": lambda options, folder: stream(options, folder, 50_000),
}


def peak_of(task, options, folder):
    """Returns the peak resident size in MiB of a task in a process of its own."""
    command = [sys.executable, __file__, "--task", task, "--folder", folder]
    for name in ("data_dir", "teacher"):
        if getattr(options, name):
            command += [f"--{name.replace('_', '-')}", getattr(options, name)]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return json.loads(printed.splitlines()[-1])


def measure_memory(options):
    """Yields lines on the peak resident sizes."""
    teacher = load_teacher(options)
    x, y = images("cifar10", SHAPE, 50_000, options.data_dir)
    losses = chosen_losses(teacher)
    with tempfile.TemporaryDirectory() as folder:
        TeacherCache.build(folder, teacher, (x, y), losses, batch_size=256)
        peaks = {
            task: float(np.median([peak_of(task, options, folder) for _ in range(3)]))
            for task in ("plain", "cached")
        }
    for task in ("stream 5000", "stream 50000"):
        with tempfile.TemporaryDirectory() as folder:
            peaks[task] = peak_of(task, options, folder)
    ratio = peaks["cached"] / peaks["plain"]
    yield (
        f"`fit` of ResNet-8 on 50,000 images as arrays: {peaks['plain']:.0f} MiB; from the cache: "
        f"{peaks['cached']:.0f} MiB, {ratio:.2f} of it (medians of 3 processes each). Building "
        f"from a generator: {peaks['stream 5000']:.0f} MiB for 5,000 images, "
        f"{peaks['stream 50000']:.0f} MiB for 50,000."
    )


KILLED = """
import sys, time
import keras, numpy as np, tensorflow as tf
from keras_distill import TeacherCache
teacher = keras.models.load_model(sys.argv[2])
x = np.load(sys.argv[3])
slowly = tf.data.Dataset.from_tensor_slices(x).batch(64).map(
    lambda rows: tf.py_function(lambda r: (time.sleep(0.02), r)[1], [rows], "float32")
).map(lambda rows: tf.ensure_shape(rows, (None, *x.shape[1:])))
TeacherCache.build(sys.argv[1], teacher, slowly, ["kd", "at"], batch_size=64, shard_size=64,
                   verbose=0)
"""


def measure_kills(options):
    """Yields lines on builds that were killed."""
    teacher = architectures.resnet8()
    x = np.random.default_rng(0).random((16_384, *SHAPE), "float32")
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        teacher.save(folder / "teacher.keras")
        np.save(folder / "x.npy", x)
        command = [sys.executable, "-c", KILLED]
        files = [folder / "teacher.keras", folder / "x.npy"]
        moments, whole = [], 0
        while len(moments) < 10:
            process = subprocess.Popen(
                [*command, folder / "killed", *files], stderr=subprocess.DEVNULL
            )
            wanted = whole + random.randint(0, 25)
            while process.poll() is None and whole < wanted:
                whole = len(list((folder / "killed").glob("*.tfrecord")))
            time.sleep(random.uniform(0.0, 0.1))
            os.kill(process.pid, signal.SIGKILL)
            if process.wait() == 0:
                raise RuntimeError("The build was over before it was killed: make it slower.")
            moments.append(len(list((folder / "killed").glob("*.tfrecord"))))
        for target in ("killed", "whole"):
            subprocess.run(
                [*command, folder / target, *files], check=True, stderr=subprocess.DEVNULL
            )
        contents = [
            {file.name: file.read_bytes() for file in (folder / target).iterdir()}
            for target in ("killed", "whole")
        ]
    same = "the same bytes" if contents[0] == contents[1] else "DIFFERENT BYTES"
    told = ", ".join(map(str, moments))
    yield (
        f"{len(moments)} kills at random moments, with {told} of {len(contents[1]) - 1} shards "
        f"whole by then; the finished cache holds {same} as one built without a kill "
        f"({len(contents[0])} files)."
    )


PARTS = {
    "size": measure_size,
    "speed": measure_speed,
    "memory": measure_memory,
    "kills": measure_kills,
}


def write(part, lines):
    """Writes one part's section, leaving the others as they are."""
    text = RESULTS.read_text(encoding="utf-8") if RESULTS.exists() else ""
    sections = dict(section.split("\n", 1) for section in text.split("## ") if section.strip())
    sections[part] = "\n" + "\n".join(lines) + "\n\n"
    ordered = [f"## {name}\n{sections[name]}" for name in PARTS if name in sections]
    RESULTS.write_text("".join(ordered).rstrip() + "\n", encoding="utf-8")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("parts", nargs="*", choices=[[], *PARTS], default=[])
    parser.add_argument("--data-dir", help="folder of tensorflow-datasets")
    parser.add_argument("--teacher", help="file of a trained ResNet-56")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--task", help=argparse.SUPPRESS)
    parser.add_argument("--folder", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.task:
        TASKS[options.task](options, options.folder)
        print(json.dumps(own_peak()))
        return
    for part in options.parts or PARTS:
        lines = []
        for line in PARTS[part](options):
            lines.append(line)
            print(line, flush=True)
        write(part, lines)


if __name__ == "__main__":
    main()
