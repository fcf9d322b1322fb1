"""However many samples are read or joined at once, each keeps its own answers."""

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_distill import TeacherCache
from keras_distill.cache import samples, shards
from tests.cache.conftest import COUNT, USUAL, make_data, make_teacher


def single(data):
    return tf.data.Dataset.from_tensor_slices(data)


WAYS = {
    "arrays": lambda cache, data: cache.join(data, batch_size=8, seed=1),
    "arrays in order": lambda cache, data: cache.join(data, batch_size=7, shuffle=False),
    "samples": lambda cache, data: cache.join(single(data), batch_size=5),
    "samples one by one": lambda cache, data: cache.join(single(data)).batch(4),
    "batches": lambda cache, data: cache.join(single(data).batch(8)),
    "batches of one size": lambda cache, data: cache.join(
        single(data).batch(8, drop_remainder=True)
    ),
    "a share": lambda cache, data: cache.join(single(data), shard=(1, 2)).batch(8),
}


@pytest.fixture
def expected(teacher, data):
    return np.asarray(teacher(data[0]))


@pytest.fixture(scope="module")
def cache_of_sizes(tmp_path_factory):
    """Builds a cache with the sizes that are set, but for those that were built before."""

    @functools.cache
    def build(*sizes):
        directory = tmp_path_factory.mktemp("sizes") / "cache"
        return TeacherCache.build(directory, make_teacher(), make_data(), **USUAL)

    return build


@pytest.mark.parametrize(("at_once", "per_record"), [(1, 8), (16, 512), (512, 8)])
@pytest.mark.parametrize("way", WAYS)
def test_each_sample_comes_once_with_its_answers(
    way, at_once, per_record, cache_of_sizes, data, expected, monkeypatch
):
    monkeypatch.setattr(shards, "_RECORD_SAMPLES", per_record)
    monkeypatch.setattr(samples, "_SAMPLES_AT_ONCE", at_once)
    joined = WAYS[way](cache_of_sizes(at_once, per_record), data)
    indices, batches = [], list(joined)
    for batch, labels in batches:
        index = batch.index.numpy()
        np.testing.assert_array_equal(batch.inputs, data[0][index])
        np.testing.assert_array_equal(labels, data[1][index])
        [logits] = [array for name, array in batch.targets.items() if "logits" in name]
        np.testing.assert_allclose(logits, expected[index], atol=1e-5)
        indices += index.tolist()
    assert len(joined) == len(batches)
    count = {"batches of one size": 48, "a share": 16 + 2}.get(way, COUNT)
    assert len(set(indices)) == len(indices) == count, indices
    sizes = [len(batch.index) for batch, _ in batches]
    assert len(set(sizes[:-1])) == 1 and sizes[-1] <= sizes[0]


def test_several_batches_share_a_record(build, data):
    cache = build(shard_size=64)
    [file] = cache.directory.glob("*.tfrecord")
    assert sum(1 for _ in tf.data.TFRecordDataset(str(file))) == 1
    assert len(WAYS["batches"](cache, data)) == -(-COUNT // 8)


@pytest.mark.parametrize("at_once", [1, 512])
def test_batches_of_sequences_of_several_lengths_stay_as_they_are(at_once, tmp_path, monkeypatch):
    monkeypatch.setattr(samples, "_SAMPLES_AT_ONCE", at_once)
    teacher = keras.Sequential(
        [
            keras.Input((None,), dtype="int32"),
            keras.layers.Embedding(9, 4),
            keras.layers.GlobalAveragePooling1D(),
            keras.layers.Dense(3),
        ]
    )
    rng = np.random.default_rng(0)
    sequences = [rng.integers(1, 9, rng.integers(2, 7)) for _ in range(11)]
    dataset = tf.data.Dataset.from_generator(
        lambda: iter(sequences), output_signature=tf.TensorSpec((None,), "int32")
    ).padded_batch(4)
    build = functools.partial(
        TeacherCache.build, tmp_path / "cache", teacher, dataset, "kd", dtype="float32", verbose=0
    )
    with pytest.raises(ValueError, match=r"differ in shape.* give batch_size=4"):
        build()
    cache = build(batch_size=4)
    found = list(cache.join(dataset))
    assert [batch.inputs.shape for (batch,) in found] == [batch.shape for batch in dataset]
    for (batch,) in found:
        [logits] = batch.targets.values()
        np.testing.assert_allclose(logits, teacher(batch.inputs), atol=1e-5)
