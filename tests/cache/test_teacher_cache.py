"""A student that learns from a cache learns what it would from the teacher, sample for sample."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_distill import AttentionTransfer, Distiller, SoftTargets, TeacherCache, losses
from keras_distill.losses.registry import METHODS, abbreviations
from tests.cache.conftest import COUNT, LOSSES, USUAL, make_data, make_teacher

REFUSED = ("gat", "sals", "simkd", "catkd", "sdd", "srrl", "amad", "tinybert", "minilm")
# Without one that has no teacher, and names that are settings of another.
SERVED = [name for name in abbreviations() if name not in (*REFUSED, "tfkd", "ctkd", "ttm")]
LABELS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def trained(teacher, student, batches, chosen=LOSSES, epochs=1, run_eagerly=False, **kwargs):
    """Returns the weights of a student after some epochs, and the history."""
    keras.utils.set_random_seed(5)
    copy = keras.models.clone_model(student)
    copy.set_weights(student.get_weights())
    weights = [1.0] * (len(chosen) if isinstance(chosen, list) else 1)
    distiller = Distiller(teacher, copy, chosen, weights, student_loss_weight=None, **kwargs)
    optimizer = keras.optimizers.SGD(0.05)
    distiller.compile(optimizer, LABELS, metrics=["accuracy"], run_eagerly=run_eagerly)
    history = distiller.fit(batches, epochs=epochs, verbose=0).history
    return copy.get_weights(), history


def assert_same(first, second, atol):
    for a, b in zip(first, second, strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=atol)


def batched(data, size=8):
    return tf.data.Dataset.from_tensor_slices(data).batch(size)


@pytest.mark.parametrize(
    ("dtype", "atol"), [("float32", 1e-6), ("float16", 1e-3), ("bfloat16", 5e-3)]
)
def test_the_student_is_the_live_teachers_to_the_caches_precision(
    build, teacher, student, data, dtype, atol
):
    cache = build(dtype=dtype)
    # In graphs for one of them: making two takes longer than all of the steps.
    settings = {"run_eagerly": dtype != "float32"}
    live, live_history = trained(teacher, student, batched(data, 16), **settings)
    found, history = trained(cache, student, cache.join(batched(data, 16)), **settings)
    assert_same(found, live, atol)
    assert list(history) == list(live_history)
    for name, values in live_history.items():
        np.testing.assert_allclose(history[name], values, rtol=50 * atol, atol=atol)


@pytest.fixture(scope="module")
def cache_of_all(tmp_path_factory):
    """One cache for all losses: building one for each takes longer than what each trains."""
    served = [losses.get(name) for name in SERVED]
    arguments = {**USUAL, "distillation_losses": served}
    return TeacherCache.build(
        tmp_path_factory.mktemp("all"), make_teacher(), make_data(), **arguments
    )


@pytest.mark.parametrize("family", dict.fromkeys(method.family for method in METHODS))
def test_every_other_loss_is_cached_exactly(family, cache_of_all, teacher, student, data):
    # Those of a family in one distiller, eagerly: what a loss takes beyond its steps is several
    # times what they take. The history has the value of each, the weights the sum of all gradients.
    of_family = [method for method in METHODS if method.family == family]
    names = [name for method in of_family for name in method.abbreviations if name in SERVED]
    named = [losses.get(name, name=name) for name in names]
    batches = batched(data, COUNT // 2)
    live, live_history = trained(teacher, student, batches, named, run_eagerly=True)
    joined = cache_of_all.join(batches)
    found, history = trained(cache_of_all, student, joined, named, run_eagerly=True)
    assert_same(found, live, 2e-5)
    for loss in named:
        value = history[loss.name][0]
        assert value == pytest.approx(live_history[loss.name][0], rel=1e-4), loss.name


@pytest.mark.parametrize("name", REFUSED)
def test_a_loss_that_no_cache_serves_is_refused_by_name(name, build):
    loss = losses.get(name)
    with pytest.raises(ValueError, match=type(loss).__name__):
        build(distillation_losses=loss)


@pytest.mark.parametrize("name", ["fitnet", "rkd"])
def test_a_cache_of_one_loss_holds_what_one_of_all_does(name, build, cache_of_all, data):
    own = build(distillation_losses=losses.get(name)).join(batched(data))
    for (alone, _), (among_others, _) in zip(own, cache_of_all.join(batched(data)), strict=True):
        assert alone.targets
        for key, array in alone.targets.items():
            np.testing.assert_allclose(array, among_others.targets[key], rtol=1e-5, atol=1e-6)


def test_all_ways_to_join_give_the_same_batches(cache, data):
    samples = tf.data.Dataset.from_tensor_slices(data)
    ways = [
        cache.join(batched(data)),
        cache.join(samples, batch_size=8),
        cache.join(samples).batch(8),
        cache.join(data, batch_size=8, shuffle=False),
        cache.join(samples.batch(8).unbatch().batch(8)),
    ]
    expected = list(ways[0])
    assert len(expected) == len(ways[0]) == 7
    assert [len(joined.index) for joined, _ in expected] == [8] * 6 + [2]
    for way in ways[1:]:
        assert len(way) == 7
        for batch, other in zip(way, expected, strict=True):
            tf.nest.map_structure(np.testing.assert_array_equal, batch, other)


@pytest.mark.parametrize("way", ["arrays", "samples", "samples afterwards"])
def test_shuffled_samples_keep_their_own_answers(cache, data, teacher, way):
    samples = tf.data.Dataset.from_tensor_slices(data)
    joined = {
        "arrays": lambda: cache.join(data, batch_size=8),
        "samples": lambda: cache.join(samples, batch_size=8, shuffle=True),
        "samples afterwards": lambda: cache.join(samples).shuffle(100).batch(8),
    }[way]()
    orders = []
    for _ in range(2):
        indices = []
        for batch, labels in joined:
            np.testing.assert_array_equal(batch.inputs, data[0][batch.index])
            np.testing.assert_array_equal(labels, data[1][batch.index])
            answers = batch.targets["output 0 (logits)"]
            np.testing.assert_allclose(answers, teacher(batch.inputs), rtol=1e-3, atol=1e-4)
            indices += batch.index.numpy().tolist()
        assert sorted(indices) == list(range(COUNT))
        orders.append(indices)
    assert orders[0] != orders[1] != list(range(COUNT))


def test_a_seed_repeats_the_order_of_a_run_and_not_of_an_epoch(cache, data):
    runs = [cache.join(data, batch_size=8, seed=3) for _ in range(2)]
    orders = [[[b.index.numpy().tolist() for b, _ in run] for _ in range(2)] for run in runs]
    assert orders[0] == orders[1]
    assert orders[0][0] != orders[0][1]


def test_a_pass_without_the_last_batch_and_with_weights_works(cache, data, student):
    x, y = data
    weighted = tf.data.Dataset.from_tensor_slices((x, y, np.ones(COUNT)))
    joined = cache.join(weighted.batch(8, drop_remainder=True))
    assert len(joined) == 6
    _, history = trained(cache, student, joined, run_eagerly=True)
    assert np.isfinite(history["loss"][0])


def test_one_cache_serves_other_students_and_settings(cache, data, make_cnn):
    for channels, temperature in ((2, 1.0), (5, 8.0)):
        student = make_cnn(channels)
        inputs = keras.Input((8, 8, 1))
        x = keras.layers.Conv2D(channels, 3, name="own")(inputs)
        student = keras.Model(inputs, keras.layers.Dense(4)(keras.layers.Flatten()(x)))
        chosen = [SoftTargets(temperature), AttentionTransfer("stage1_out", "own", form="norm")]
        _, history = trained(
            cache, student, cache.join(batched(data, 25)), chosen, 2, run_eagerly=True
        )
        assert history["soft_targets"][1] != history["soft_targets"][0]


def test_validation_works_joined_and_plain(build, cache, data, student, tmp_path):
    other = build(directory=tmp_path / "validation", dataset=(data[0][:20], data[1][:20]))
    distiller = Distiller(cache, student, LOSSES)
    distiller.compile("sgd", LABELS, metrics=["accuracy"], run_eagerly=True)
    joined = other.join((data[0][:20], data[1][:20]), shuffle=False)
    fit = distiller.fit(cache.join(data), validation_data=joined, verbose=0).history
    assert fit["val_soft_targets"][0] > 0
    distiller.compile("sgd", LABELS, metrics=["accuracy"], run_eagerly=True)
    fit = distiller.fit(cache.join(data), validation_data=data, verbose=0).history
    assert "val_accuracy" in fit and "val_soft_targets" not in fit
    assert fit["val_loss"] == fit["val_student_loss"]
    np.testing.assert_array_equal(distiller.predict(data[0], verbose=0).shape, (COUNT, 4))


def test_a_subclassed_student_learns_from_a_cache(cache, data):
    class Student(keras.Model):
        def __init__(self):
            super().__init__()
            self.conv = keras.layers.Conv2D(3, 3, name="conv")
            self.head = keras.layers.Dense(4)

        def call(self, x):
            return self.head(keras.ops.mean(self.conv(x), axis=(1, 2)))

    chosen = [SoftTargets(4.0), AttentionTransfer("stage1_out", "conv")]
    distiller = Distiller(cache, Student(), chosen)
    distiller.compile("sgd", LABELS, run_eagerly=True)
    history = distiller.fit(cache.join(batched(data)), epochs=2, verbose=0).history
    assert history["loss"][1] < history["loss"][0]


def test_the_routes_of_dictionary_batches_work(build, teacher, student, data):
    rows = {"image": data[0], "small": data[0]}, data[1]
    cache = build(dataset=rows, teacher_input="image")
    settings = {"student_input": "small", "run_eagerly": True}
    live, _ = trained(teacher, student, batched(rows, 25), teacher_input="image", **settings)
    found, _ = trained(cache, student, cache.join(batched(rows, 25)), **settings)
    assert_same(found, live, 1e-6)


def test_the_memory_bank_gets_its_indices_from_the_cache(build, student, data):
    loss = losses.get("crd")
    loss = type(loss).from_config({**loss.get_config(), "samples": COUNT, "negatives": 8})
    cache = build(distillation_losses=loss)
    _, history = trained(cache, student, cache.join(data), loss, run_eagerly=True)
    assert np.isfinite(history["loss"][0])


def test_a_distiller_with_a_cache_is_saved_and_goes_on(cache, data, student, tmp_path):
    distiller = Distiller(cache, student, LOSSES)
    distiller.compile("adam", LABELS, run_eagerly=True)
    distiller.fit(cache.join(batched(data, 25)), verbose=0)
    distiller.save(tmp_path / "distiller.keras")
    loaded = keras.models.load_model(tmp_path / "distiller.keras")
    assert isinstance(loaded.teacher, TeacherCache)
    histories = [
        model.fit(cache.join(batched(data, 25)), verbose=0).history for model in (distiller, loaded)
    ]
    assert histories[0]["loss"] == pytest.approx(histories[1]["loss"], rel=1e-5)


def test_a_live_teacher_takes_joined_batches_too(cache, teacher, student, data):
    live, _ = trained(teacher, student, batched(data, 25), run_eagerly=True)
    found, _ = trained(teacher, student, cache.join(batched(data, 25)), run_eagerly=True)
    assert_same(found, live, 0)


def test_the_top_logits_teach_nearly_what_all_do(build, teacher, student, data):
    cache = build(top_k=2, distillation_losses="kd")
    whole, _ = trained(teacher, student, batched(data, 25), "kd", run_eagerly=True)
    found, _ = trained(cache, student, cache.join(batched(data, 25)), "kd", run_eagerly=True)
    moved = [np.abs(a - b).max() for a, b in zip(whole, student.get_weights(), strict=True)]
    away = [np.abs(a - b).max() for a, b in zip(whole, found, strict=True)]
    assert max(away) < 0.2 * max(moved)


def test_keras_own_losses_learn_from_a_cache(build, student, data):
    own = keras.distillation.LogitsDistillation(temperature=3.0, loss=keras.losses.KLDivergence())
    cache = build(distillation_losses=own)
    _, history = trained(cache, student, cache.join(batched(data, 25)), own, run_eagerly=True)
    assert history["distillation_loss"][0] > 0


def test_the_text_of_a_cache_says_what_it_holds(cache):
    assert "50 samples" in repr(cache) and "stage1_out (attention_p2)" in repr(cache)
    assert TeacherCache(cache.directory).targets == cache.targets
    described = sum(file.stat().st_size for file in cache.directory.glob("*.tfrecord"))
    assert cache.nbytes == described
