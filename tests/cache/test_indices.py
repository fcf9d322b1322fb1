"""`join(indices=)` gives the chosen samples, each once and with its own answers."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_distill import Distiller, SoftTargets, TeacherCache, architectures
from tests.cache.conftest import CLASSES, COUNT, SHAPE

CHOSEN = np.random.default_rng(1).permutation(COUNT)[:19]
RNG = np.random.default_rng(0)
DATA = RNG.random((COUNT, *SHAPE), "float32"), RNG.integers(0, CLASSES, COUNT)


def samples():
    return tf.data.Dataset.from_tensor_slices(DATA)


def jitter(image, seed):
    return tf.image.stateless_random_brightness(image, 0.3, seed)


@pytest.fixture(scope="module")
def teacher():
    keras.utils.set_random_seed(1)
    return architectures.small_cnn(SHAPE, CLASSES, filters=(6, 8))


@pytest.fixture(scope="module")
def cache(tmp_path_factory, teacher):
    folder = tmp_path_factory.mktemp("indices") / "cache"
    arguments = {"batch_size": 8, "shard_size": 16, "dtype": "float32", "verbose": 0}
    return TeacherCache.build(folder, teacher, DATA, SoftTargets(4.0), **arguments)


WAYS = {
    "arrays": lambda join: join(DATA, batch_size=8, seed=1),
    "arrays in order": lambda join: join(DATA, batch_size=7, shuffle=False),
    "samples": lambda join: join(samples(), batch_size=5),
    "samples shuffled": lambda join: join(samples(), batch_size=5, shuffle=True),
    "samples one by one": lambda join: join(samples()).batch(4),
    "samples one by one, shuffled": lambda join: join(samples(), shuffle=True).batch(4),
    "batches": lambda join: join(samples().batch(8)),
    "batches of one size": lambda join: join(samples().batch(8, drop_remainder=True)),
    "a share": lambda join: join(samples(), shard=(1, 2)).batch(8),
    "a share of arrays": lambda join: join(DATA, shard=(1, 2), batch_size=8),
}


@pytest.mark.parametrize("way", WAYS)
def test_the_chosen_samples_come_once_with_their_own_answers(way, cache, teacher):
    joined = WAYS[way](lambda *args, **kwargs: cache.join(*args, indices=CHOSEN, **kwargs))
    answers, indices = np.asarray(teacher(DATA[0])), []
    for batch, labels in joined:
        index = batch.index.numpy()
        np.testing.assert_array_equal(batch.inputs, DATA[0][index])
        np.testing.assert_array_equal(labels, DATA[1][index])
        [logits] = batch.targets.values()
        np.testing.assert_allclose(logits, answers[index], atol=1e-5)
        indices += index.tolist()
    expected = sorted(CHOSEN.tolist())
    if "share" in way:
        expected = [index for index in expected if index // 16 % 2 == 1]
    if way == "batches of one size":
        expected = [index for index in expected if index < 48][:16]
        assert {len(batch.index) for batch, _ in joined} == {8}
    assert len(joined) == sum(1 for _ in joined)
    assert sorted(indices) == expected
    is_shuffled = "shuffled" in way or way in ("arrays", "a share of arrays")
    assert (indices == expected) != is_shuffled


def test_each_view_of_a_chosen_sample_comes(tmp_path, teacher):
    arguments = {"augment": jitter, "views": 2, "batch_size": 8, "shard_size": 16, "verbose": 0}
    cache = TeacherCache.build(tmp_path / "cache", teacher, DATA, "kd", **arguments)
    ways = [
        cache.join(DATA, augment=jitter, indices=CHOSEN, batch_size=8),
        cache.join(DATA, augment=jitter, indices=CHOSEN, batch_size=8, shuffle=False),
        cache.join(samples().batch(8), augment=jitter, indices=CHOSEN),
    ]
    for joined in ways:
        indices = []
        for batch, _ in joined:
            [logits] = batch.targets.values()
            np.testing.assert_allclose(logits, teacher(batch.inputs), atol=0.02)
            indices += batch.index.numpy().tolist()
        assert sorted(indices) == sorted([*CHOSEN, *CHOSEN])
        assert len(joined) == sum(1 for _ in joined)


def test_batches_that_differ_in_shape_keep_their_chosen_samples(tmp_path):
    teacher = keras.Sequential(
        [
            keras.Input((None,), dtype="int32"),
            keras.layers.Embedding(9, 4),
            keras.layers.GlobalAveragePooling1D(),
            keras.layers.Dense(3),
        ]
    )
    rng = np.random.default_rng(0)
    sequences = [rng.integers(1, 9, rng.integers(2, 7)) for _ in range(14)]
    dataset = tf.data.Dataset.from_generator(
        lambda: iter(sequences), output_signature=tf.TensorSpec((None,), "int32")
    ).padded_batch(4)
    folder = tmp_path / "cache"
    cache = TeacherCache.build(folder, teacher, dataset, "kd", batch_size=4, verbose=0)
    joined = cache.join(dataset, indices=[13, 1, 2, 9])
    assert len(joined) == 3
    assert [batch.index.numpy().tolist() for (batch,) in joined] == [[1, 2], [9], [13]]


def test_a_student_learns_from_a_fold_and_is_validated_on_the_other(cache):
    student = architectures.small_cnn(SHAPE, CLASSES, filters=(3, 4))
    distiller = Distiller(cache, student, SoftTargets(4.0))
    distiller.compile(
        "sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True), run_eagerly=True
    )
    fold = np.arange(COUNT) % 5 == 0
    held_out = cache.join(DATA, indices=np.flatnonzero(fold), shuffle=False)
    training = cache.join(DATA, indices=np.flatnonzero(~fold))
    history = distiller.fit(training, validation_data=held_out, verbose=0).history
    assert np.isfinite(history["val_soft_targets"][0])


def test_of_arrays_only_the_files_with_chosen_samples_are_read(cache, tmp_path, teacher):
    arguments = {"batch_size": 8, "shard_size": 16, "dtype": "float32", "verbose": 0}
    cache = TeacherCache.build(tmp_path / "cache", teacher, DATA, SoftTargets(4.0), **arguments)
    first = cache.directory / "view000-00000.tfrecord"
    first.write_bytes(bytes(first.stat().st_size))
    for shuffle in (True, False):
        [(batch, _)] = cache.join(DATA, indices=[49, 17], shuffle=shuffle)
        assert sorted(batch.index.numpy()) == [17, 49]
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"view000-00000\.tfrecord"):
        list(cache.join(DATA, indices=[0, 49]))


@pytest.mark.parametrize(
    ("indices", "error", "message"),
    [
        ([3, 4, 3], ValueError, "each sample once. Received: indices with 3 2 times"),
        ([0, 50], ValueError, "from 0 to 49. Received: indices with 50"),
        ([-1], ValueError, "from 0 to 49. Received: indices with -1"),
        ([], ValueError, "one sample's number or more"),
        ([[1, 2]], ValueError, "must be a row"),
        ([1.0, 2.0], TypeError, "indices must be integers"),
        (np.arange(50) < 10, TypeError, r"np\.flatnonzero\(mask\)"),
        ({1: 2}, TypeError, "indices must be integers"),
        ("12", TypeError, "indices must be integers"),
        (7, ValueError, "must be a row"),
        ([[1], [2, 3]], ValueError, "must be a row"),
    ],
)
def test_what_are_no_numbers_of_samples_is_refused(cache, indices, error, message):
    with pytest.raises(error, match=message):
        cache.join(DATA, indices=indices)


def test_any_row_of_integers_is_taken(cache):
    for indices in (range(3), (0, 1, 2), np.arange(3, dtype="uint8"), tf.range(3), {0, 1, 2}):
        [(batch, _)] = cache.join(DATA, indices=indices, shuffle=False)
        assert batch.index.numpy().tolist() == [0, 1, 2]
