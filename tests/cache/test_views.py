"""Augmented views: the student sees the very pixels that the teacher answered to."""

import shutil

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_distill import Distiller, TeacherCache
from tests.cache.conftest import COUNT, LOSSES, USUAL, make_data, make_teacher


def jitter(image, seed):
    image = tf.image.stateless_random_flip_left_right(image, seed)
    return tf.image.stateless_random_brightness(image, 0.3, seed)


def other_jitter(image, seed):
    return tf.image.stateless_random_brightness(image, 0.3, seed)


@pytest.fixture(scope="module")
def built_views(tmp_path_factory):
    directory = tmp_path_factory.mktemp("views") / "cache"
    augmented = {"augment": jitter, "views": 3, "seed": 5}
    return TeacherCache.build(directory, make_teacher(), make_data(), **augmented, **USUAL)


@pytest.fixture
def views(built_views, tmp_path):
    return TeacherCache(shutil.copytree(built_views.directory, tmp_path / "cache"))


def ways(data):
    samples = tf.data.Dataset.from_tensor_slices(data)
    return {
        "arrays in order": lambda c: c.join(data, augment=jitter, shuffle=False, batch_size=8),
        "arrays": lambda c: c.join(data, augment=jitter, batch_size=8),
        "samples": lambda c: c.join(samples, augment=jitter).batch(8),
        "batches": lambda c: c.join(samples.batch(8), augment=jitter),
    }


@pytest.fixture(scope="module")
def batches_by_way(built_views):
    return {way: list(join(built_views)) for way, join in ways(make_data()).items()}


@pytest.mark.parametrize("way", ["arrays in order", "arrays", "samples", "batches"])
def test_the_teacher_answered_to_these_pixels(batches_by_way, teacher, way):
    seen = []
    for batch, _ in batches_by_way[way]:
        expected = teacher(batch.inputs)
        found = batch.targets["output 0 (logits)"]
        np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4)
        pairs = zip(batch.index.numpy(), batch.inputs.numpy(), strict=True)
        seen += [(index, inputs.tobytes()) for index, inputs in pairs]
    assert len(seen) == 3 * COUNT
    assert len(set(seen)) == 3 * COUNT
    assert sorted(index for index, _ in seen) == sorted(3 * list(range(COUNT)))


def test_a_view_is_made_of_the_sample_and_the_view_alone(batches_by_way):
    every = {}
    for way, batches in batches_by_way.items():
        for batch, _ in batches:
            for index, inputs in zip(batch.index.numpy(), batch.inputs.numpy(), strict=True):
                every.setdefault(way, {}).setdefault(int(index), set()).add(inputs.tobytes())
    first = every.pop("batches")
    assert all(other == first for other in every.values())


def test_fewer_views_are_the_first_ones(views, data):
    joined = views.join(data, augment=jitter, views=2, shuffle=False, batch_size=10)
    assert len(list(joined)) == len(joined) == 10
    whole = list(views.join(data, augment=jitter, shuffle=False, batch_size=10))
    for batch, other in zip(joined, whole[:10], strict=True):
        tf.nest.map_structure(np.testing.assert_array_equal, batch, other)


def test_another_augmentation_is_told_from_another_data_set(views, data, build):
    with pytest.raises(ValueError, match="the augmented sample 0 is not what the teacher saw"):
        views.join(data, augment=other_jitter)
    with pytest.raises(ValueError, match="the data set's sample 0 is not what"):
        views.join((data[0][::-1], data[1]), augment=jitter)
    with pytest.raises(ValueError, match="augmentation: given there, none now"):
        views.join(data)
    with pytest.raises(ValueError, match="the augmented sample 0 is not what"):
        build(augment=other_jitter, views=3, seed=5)
    with pytest.raises(ValueError, match="seed: 5 there, 6 now"):
        build(augment=jitter, views=3, seed=6)


def test_randomness_that_is_not_from_the_seed_is_refused(build, tmp_path):
    with pytest.raises(ValueError, match="two different results for the same sample and seed"):
        build(augment=lambda image, seed: tf.image.random_brightness(image, 0.3))
    assert not (tmp_path / "cache").exists()


def test_a_student_learns_from_views(views, data, student):
    distiller = Distiller(views, student, LOSSES)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    distiller.compile(keras.optimizers.Adam(0.01), loss, run_eagerly=True)
    joined = views.join(data, augment=jitter, batch_size=25)
    history = distiller.fit(joined, epochs=2, verbose=0).history
    assert history["loss"][1] < history["loss"][0]


def test_dictionary_inputs_are_augmented_as_one(build, teacher, data):
    def augment(inputs, seed):
        return {"x": jitter(inputs["x"], seed)}

    rows = {"x": data[0]}, data[1]
    cache = build(dataset=rows, teacher_input="x", augment=augment, views=2)
    for batch, _ in cache.join(rows, augment=augment):
        np.testing.assert_allclose(
            batch.targets["output 0 (logits)"], teacher(batch.inputs["x"]), rtol=1e-3, atol=1e-4
        )


def test_an_augmentation_may_change_the_type_of_the_inputs(build, teacher, data):
    images = (255 * data[0]).astype("uint8")

    def scaled(image, seed):
        return jitter(tf.cast(image, "float32") / 255.0, seed)

    cache = build(dataset=(images, data[1]), augment=scaled)
    for batch, _ in cache.join((images, data[1]), augment=scaled):
        assert batch.inputs.dtype == "float32"
        np.testing.assert_allclose(
            batch.targets["output 0 (logits)"], teacher(batch.inputs), rtol=1e-3, atol=1e-4
        )
