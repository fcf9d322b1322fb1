"""A cache is whole, or goes on where it was, or is refused by the name of what is wrong."""

import os
import pathlib
import random
import signal
import time

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_distill import AttentionTransfer, Distiller, SoftTargets, TeacherCache, architectures
from keras_distill.losses import (
    ClassAttentionTransfer,
    GradientAttentionTransfer,
    HintLearning,
    SimpleKD,
)
from tests.cache.conftest import LOSSES
from tests.processes import PythonProcess

KILLED = """
import sys, time
import numpy as np, tensorflow as tf, keras
from keras_distill import TeacherCache
teacher = keras.models.load_model(sys.argv[2])
data = np.load(sys.argv[3])
def batches():
    for start in range(0, len(data), 8):
        time.sleep(0.05)
        yield data[start : start + 8]
spec = tf.TensorSpec((None, *data.shape[1:]), "float32")
dataset = tf.data.Dataset.from_generator(batches, output_signature=spec)
TeacherCache.build(sys.argv[1], teacher, dataset, "kd", batch_size=8, shard_size=8, verbose=0)
"""


def contents(directory):
    return {file.name: file.read_bytes() for file in pathlib.Path(directory).iterdir()}


def test_killed_builds_go_on_and_end_in_the_same_bytes(tmp_path, teacher):
    data = np.random.default_rng(0).random((320, 8, 8, 1), "float32")
    np.save(tmp_path / "data.npy", data)
    teacher.save(tmp_path / "teacher.keras")

    files = [tmp_path / name for name in ("killed", "teacher.keras", "data.npy")]

    def whole_shards():
        return len(list((tmp_path / "killed").glob("*.tfrecord")))

    rng = random.Random(0)
    for wanted in (rng.randint(1, 10), rng.randint(15, 30)):
        process = PythonProcess(KILLED, files)
        while process.poll() is None and whole_shards() < wanted:
            time.sleep(0.01)
        time.sleep(rng.uniform(0.0, 0.1))
        os.kill(process.pid, signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
        assert wanted <= whole_shards() < 40
        with pytest.raises(ValueError, match=r"isn't finished: call TeacherCache\.build again"):
            TeacherCache(tmp_path / "killed")
    arguments = {"batch_size": 8, "shard_size": 8, "verbose": 0}
    loaded = keras.models.load_model(tmp_path / "teacher.keras")
    dataset = tf.data.Dataset.from_tensor_slices(data).batch(8)
    for folder in ("killed", "whole"):
        TeacherCache.build(tmp_path / folder, loaded, dataset, "kd", **arguments)
    assert contents(tmp_path / "killed") == contents(tmp_path / "whole")


def test_lost_files_are_made_anew_in_the_same_bytes(build, cache):
    before = contents(cache.directory)
    (cache.directory / "view000-00001.tfrecord").unlink()
    (cache.directory / "view000-00002.tfrecord.x1.partial").write_bytes(b"half a rec")
    with pytest.raises(FileNotFoundError, match=r"view000-00001\.tfrecord is missing"):
        TeacherCache(cache.directory)
    build()
    assert contents(cache.directory) == before


def test_a_finished_cache_is_opened_as_it_is(build, cache):
    before = {file: file.stat().st_mtime_ns for file in cache.directory.iterdir()}
    assert repr(build()) == repr(cache)
    assert {file: file.stat().st_mtime_ns for file in cache.directory.iterdir()} == before


def test_one_flipped_byte_in_any_file_is_refused_by_name(cache):
    files = sorted(cache.directory.iterdir())
    assert len(files) == 5
    rng = np.random.default_rng(0)
    for file in files:
        whole = file.read_bytes()
        for place in [0, len(whole) - 2, *rng.integers(0, len(whole) - 1, 20)]:
            damaged = bytearray(whole)
            damaged[place] ^= 1 << rng.integers(8)
            file.write_bytes(bytes(damaged))
            with pytest.raises(ValueError, match=file.name):
                TeacherCache(cache.directory)
        file.write_bytes(whole[: len(whole) // 2])
        with pytest.raises(ValueError, match=file.name):
            TeacherCache(cache.directory)
        file.write_bytes(whole)
    TeacherCache(cache.directory)


def test_a_byte_that_flips_after_opening_stops_the_training(cache, data):
    file = cache.directory / "view000-00002.tfrecord"
    damaged = bytearray(file.read_bytes())
    damaged[len(damaged) // 2] ^= 4
    joined = cache.join(tf.data.Dataset.from_tensor_slices(data).batch(8))
    file.write_bytes(bytes(damaged))
    with pytest.raises(tf.errors.InvalidArgumentError, match=file.name):
        list(joined)


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"distillation_losses": LOSSES[0]}, "kept: "),
        ({"dtype": "float16"}, "dtype: float32 there, float16 now"),
        ({"top_k": 2, "distillation_losses": LOSSES}, "top_k: null there, 2 now"),
        ({"augment": lambda x, seed: x}, "augmentation: none there, given now"),
    ],
)
def test_other_arguments_are_refused_by_name(build, cache, arguments, named):
    before = contents(cache.directory)
    with pytest.raises(ValueError, match=named):
        build(**arguments)
    assert contents(cache.directory) == before


def test_another_teacher_is_refused(build, cache, teacher):
    other = keras.models.clone_model(teacher)
    with pytest.raises(ValueError, match=r"teacher weights: \w{8}… there, \w{8}… now"):
        build(teacher=other)
    with pytest.raises(ValueError, match="teacher weights"):
        TeacherCache(cache.directory, teacher=other)
    assert repr(TeacherCache(cache.directory, teacher=teacher)) == repr(cache)


def test_the_same_weights_in_another_architecture_are_refused(build, cache, teacher):
    other = keras.models.clone_model(teacher)
    other.set_weights(teacher.get_weights())
    scaled = keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Rescaling(1.5)])
    inputs = keras.Input((8, 8, 1))
    wrapped = keras.Model(inputs, other(scaled(inputs)))
    chosen = SoftTargets()
    cache = build(directory=cache.directory.parent / "two", distillation_losses=chosen)
    with pytest.raises(ValueError, match="the same weights, but output 0"):
        build(directory=cache.directory, teacher=wrapped, distillation_losses=chosen)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda x, y: (x[::-1], y), "sample 0 is not what the teacher saw"),
        (lambda x, y: (x[:, ::-1], y), "sample 0 is not what the teacher saw"),
        (lambda x, y: (x[:40], y[:40]), "samples: 50 there, 40 now"),
        (lambda x, y: (np.concatenate([x, x]), np.concatenate([y, y])), "samples: 50 there, 100"),
        (lambda x, y: ((255 * x).astype("uint8"), y), r"inputs: float32 \(8, 8, 1\) there, uint8"),
        (lambda x, y: (x[:, :4], y), "inputs: "),
    ],
    ids=["order", "flipped", "fewer", "more", "type", "shape"],
)
def test_another_data_set_is_refused(build, cache, data, change, named):
    other = change(*data)
    with pytest.raises(ValueError, match=named):
        cache.join(other)
    if "uint8" not in named and named != "inputs: ":
        with pytest.raises(ValueError, match=named):
            build(dataset=other)


def test_what_differs_later_stops_the_training_with_its_number(cache, data, student):
    changed = data[0].copy()
    changed[37] = changed[38]
    distiller = Distiller(cache, student, LOSSES)
    distiller.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    for joined in (
        cache.join((changed, data[1])),
        cache.join(tf.data.Dataset.from_tensor_slices((changed, data[1])).batch(8)),
    ):
        with pytest.raises(tf.errors.InvalidArgumentError, match="is not the one") as error:
            distiller.fit(joined, verbose=0)
        assert "[37]" in str(error.value)


def test_more_batches_than_the_cache_has_stop_the_training(cache, data):
    longer = tf.data.Dataset.from_tensor_slices(data).batch(10).repeat(2)
    with pytest.raises(tf.errors.InvalidArgumentError, match="is not the one"):
        list(cache.join(longer))


def test_a_shuffled_data_set_is_refused(cache, data):
    shuffled = tf.data.Dataset.from_tensor_slices(data).shuffle(50, seed=1)
    with pytest.raises(ValueError, match="The order must be the same too"):
        cache.join(shuffled)


@pytest.mark.parametrize(
    ("loss", "reason"),
    [
        (GradientAttentionTransfer(), "gradients through the teacher"),
        (SimpleKD(), "builds with the teacher's layers"),
        (ClassAttentionTransfer(), "taps a kernel of the teacher"),
    ],
)
def test_losses_that_need_more_than_tensors_are_refused(build, cache, student, loss, reason):
    for attempt in (
        lambda: build(distillation_losses=loss),
        lambda: Distiller(cache, student, loss),
    ):
        with pytest.raises(ValueError, match=f"{type(loss).__name__} .*{reason}"):
            attempt()


def test_what_the_cache_does_not_hold_is_named(cache, student):
    for loss, name in (
        (AttentionTransfer("stage2_out", "stage2_out"), r"stage2_out \(attention_p2\)"),
        (AttentionTransfer("stage1_out", "stage1_out", p=4), r"stage1_out \(attention_p4\)"),
        (HintLearning("stage1_out", "stage1_out"), "stage1_out"),
    ):
        with pytest.raises(ValueError, match=f"doesn't hold '{name}' .*It holds .'output 0"):
            Distiller(cache, student, loss)


def test_batches_that_are_not_joined_are_refused(cache, student, data):
    distiller = Distiller(cache, student, LOSSES)
    distiller.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    with pytest.raises(ValueError, match=r"fit\(cache.join\(dataset\)\)"):
        distiller.fit(*data, verbose=0)
    single = cache.join(tf.data.Dataset.from_tensor_slices(data))
    with pytest.raises(ValueError, match=r"shuffle\(10_000\).batch\(32\)"):
        distiller.fit(single, verbose=0)


def test_infinite_outputs_are_refused_and_leave_no_half_a_file(build, data, tmp_path):
    inputs = keras.Input((8, 8, 1))
    x = keras.layers.Flatten()(inputs)
    teacher = keras.Model(inputs, keras.layers.Dense(4, kernel_initializer="ones")(1e5 * x))
    with pytest.raises(ValueError, match=r"output 0 .* float16 .*65,504"):
        build(teacher=teacher, distillation_losses="kd", dtype="float16")
    assert [file.name for file in (tmp_path / "cache").iterdir()] == ["manifest.json"]
    wide = build(
        directory=tmp_path / "wide", teacher=teacher, distillation_losses="kd", dtype="bfloat16"
    )
    [(batch, _)] = wide.join(data, batch_size=50, shuffle=False)
    [target] = wide.targets
    np.testing.assert_allclose(target.unpack(batch.targets), teacher(data[0]), rtol=2**-8)


def test_a_folder_with_other_files_is_left_alone(build, tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(ValueError, match=r"holds other files \(notes\.txt"):
        build(directory=tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == ["notes.txt"]


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"dtype": "int8"}, ValueError, "dtype must be one of 'float32', 'float16', 'bfloat16'"),
        ({"batch_size": 0}, ValueError, "batch_size must be at least 1"),
        ({"batch_size": 2.5}, TypeError, "batch_size must be an integer"),
        ({"views": 2}, ValueError, "needs augment=.* Received: views=2"),
        ({"top_k": 4}, ValueError, "top_k must be at least 1 and below the number of classes, 4"),
        ({"augment": keras.layers.RandomFlip()}, TypeError, "augment must be a function"),
        ({"dataset": "data"}, TypeError, "must be a tf.data.Dataset or a tuple of arrays"),
        ({"dataset": (np.zeros((3, 8, 8, 1)), np.zeros(2))}, ValueError, "differ in length"),
        ({"dataset": (np.zeros((0, 8, 8, 1), "float32"),)}, ValueError, "holds no samples"),
        ({"teacher": "model"}, ValueError, "Teacher must be a keras.Model"),
        ({"distillation_losses": []}, ValueError, "distillation_losses is empty"),
        ({"distillation_losses": "kdd"}, ValueError, "kdd"),
        ({"worker": (2, 2)}, ValueError, "number < count"),
    ],
)
def test_bad_arguments_are_refused_before_anything_is_written(
    build, tmp_path, arguments, error, message
):
    with pytest.raises(error, match=message):
        build(**arguments)
    assert not list((tmp_path / "cache").glob("*"))


def test_a_data_set_without_end_is_refused(build, data):
    with pytest.raises(ValueError, match="never ends"):
        build(dataset=tf.data.Dataset.from_tensor_slices(data).repeat())


def test_join_refuses_what_it_can_not_do(cache, data):
    batches = tf.data.Dataset.from_tensor_slices(data).batch(8)
    with pytest.raises(ValueError, match="join leaves as they are"):
        cache.join(batches, batch_size=4)
    with pytest.raises(ValueError, match=r"holds 1 views: .* Received: views=2"):
        cache.join(data, views=2)
    with pytest.raises(ValueError, match="augmentation: none there, given now"):
        cache.join(data, augment=lambda x, seed: x)
    with pytest.raises(ValueError, match=r"give it to TeacherCache\.build"):
        Distiller(
            cache, architectures.small_cnn((8, 8, 1), 4), SoftTargets(), teacher_input="image"
        )


def test_an_empty_folder_is_no_cache(tmp_path):
    with pytest.raises(FileNotFoundError, match="holds no teacher cache"):
        TeacherCache(tmp_path)
