"""Labels of one domain, and a teacher's answers on samples of another."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_distill import Distiller, SoftTargets, TeacherCache, datasets
from keras_distill.losses import LossContext
from keras_distill.schemes import DomainDistiller, TeacherEnsemble
from keras_distill.schemes.correlation_alignment import (
    CorrelationAlignment,
    correlation_alignment,
)

LOSS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
RNG = np.random.default_rng(0)
SOURCE = RNG.normal(size=(20, 4)).astype("float32"), RNG.integers(0, 3, 20)
TARGET = (RNG.normal(size=(24, 4)) * 2).astype("float32") + 1.0


def softmax(z):
    z = np.exp(z.astype("float64"))
    return z / z.sum(-1, keepdims=True)


def linear(seed):
    keras.utils.set_random_seed(seed)
    return keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, name="logits")])


def compiled(distiller):
    distiller.compile(keras.optimizers.SGD(0.5), LOSS, run_eagerly=True)
    return distiller


def batches(data, size):
    return tf.data.Dataset.from_tensor_slices(data).batch(size)


def weights_after(source, target):
    settings = {"alignment": "logits", "alignment_weight": 0.01}
    distiller = compiled(DomainDistiller(linear(1), linear(2), "kd", **settings))
    keras.utils.set_random_seed(3)
    is_dataset = isinstance(source, tf.data.Dataset)
    distiller.fit((source, target), batch_size=None if is_dataset else 10, verbose=0)
    return distiller.student.get_weights()


def assert_equal(some, others):
    for one, other in zip(some, others, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)


def test_labels_of_the_target_are_never_read():
    expected = weights_after(SOURCE, TARGET)
    for labels in (np.full(24, np.nan), np.arange(24)):
        assert_equal(weights_after(SOURCE, (TARGET, labels)), expected)
    source = batches(SOURCE, 10)
    expected = weights_after(source, batches(TARGET, 10))
    assert_equal(weights_after(source, batches((TARGET, np.full(24, np.nan)), 10)), expected)


@pytest.mark.parametrize("threshold", [0.0, 1e-9])
def test_without_a_threshold_it_is_a_distiller_on_both_step_by_step(threshold):
    steps = {"by pair": [], "by hand": []}
    for name, seen in steps.items():
        source, target = batches((*SOURCE, np.linspace(0, 2, 20)), 5), batches(TARGET, 8)
        if name == "by pair":
            data, settings = (source, target), {"confidence_threshold": threshold}
            distiller = DomainDistiller(linear(1), linear(2), "kd", **settings)
        else:
            data = datasets.with_unlabeled(source, target)
            distiller = Distiller(linear(1), linear(2), "kd", student_loss_weight=None)

        class Look(keras.callbacks.Callback):
            def __init__(self, seen, student):
                super().__init__()
                self.seen, self.student = seen, student

            def on_train_batch_end(self, batch, logs=None):
                self.seen.append((logs["loss"], *self.student.get_weights()))

        look = Look(seen, distiller.student)
        compiled(distiller).fit(data, verbose=0, callbacks=[look])
    assert len(steps["by pair"]) == 4
    for step in zip(*steps.values(), strict=True):
        assert_equal(*step)


def test_the_teacher_teaches_no_target_sample_that_it_is_not_sure_of():
    teacher, student = linear(1), linear(2)
    x = np.concatenate([SOURCE[0], TARGET])
    labels = np.concatenate([SOURCE[1], np.full(24, -1)])
    weights = RNG.random(44).astype("float32")
    taught, answers = (softmax(model(x).numpy()) for model in (teacher, student))
    threshold = float(np.median(taught[20:].max(-1)))
    counts = np.concatenate([np.ones(20), taught[20:].max(-1) >= threshold])
    assert 0 < counts[20:].sum() < 24
    # At T = 1 the gradient of both losses with respect to the logits is a difference.
    gradient = (counts * weights)[:, None] * (answers - taught) / 44
    gradient[:20] += weights[:20, None] * (answers[:20] - np.eye(3)[SOURCE[1]]) / 20
    kernel, bias = student.get_weights()
    distiller = compiled(
        DomainDistiller(teacher, student, SoftTargets(1.0), confidence_threshold=threshold)
    )
    distiller.train_on_batch(x, labels, weights)
    expected = [kernel - 0.5 * x.T @ gradient, bias - 0.5 * gradient.sum(0)]
    for found, wanted in zip(student.get_weights(), expected, strict=True):
        np.testing.assert_allclose(found, wanted, atol=1e-5)


def test_the_alignment_is_that_of_numpy():
    x = RNG.normal(size=(11, 3))
    is_source = np.array([True, False] * 5 + [True])
    source, target = x[is_source], x[~is_source]
    difference = np.cov(source.T) - np.cov(target.T)
    expected = np.square(difference).sum() / (4 * 3**2)
    # Of the covariance: 2 (x - mean) D / (n - 1), with D the derivative 2 (C_s - C_t) / (4 d²).
    gradient = np.empty_like(x)
    for part, sign in ((is_source, 1), (~is_source, -1)):
        centered = x[part] - x[part].mean(0)
        gradient[part] = sign * centered @ difference / (3**2 * (part.sum() - 1))
    features = tf.constant(x, "float32")
    with tf.GradientTape() as tape:
        tape.watch(features)
        value = correlation_alignment(features, is_source)
    np.testing.assert_allclose(value, expected, rtol=1e-5)
    np.testing.assert_allclose(tape.gradient(value, features), gradient, rtol=1e-4, atol=1e-6)
    one = np.arange(11) == 0
    assert float(correlation_alignment(features, one)) == 0
    with tf.GradientTape() as tape:
        tape.watch(features)
        value = correlation_alignment(features, one)
    np.testing.assert_array_equal(tape.gradient(value, features), 0 * x)


def test_the_alignment_is_between_the_halves_of_a_batch():
    distiller = compiled(DomainDistiller(linear(1), linear(2), "kd", [0.5], alignment="logits"))
    x, labels = np.concatenate([SOURCE[0], TARGET]), np.concatenate([SOURCE[1], np.full(24, -1)])
    logs = distiller.evaluate(x, labels, batch_size=44, verbose=0, return_dict=True)
    logits = distiller.student(x).numpy()
    difference = np.cov(logits[:20].T) - np.cov(logits[20:].T)
    expected = np.square(difference).sum() / (4 * 3**2)
    assert logs["correlation_alignment"] == pytest.approx(expected, rel=1e-4)
    total = logs["student_loss"] + 0.5 * logs["soft_targets"] + logs["correlation_alignment"]
    assert logs["loss"] == pytest.approx(total, rel=1e-5)
    # With one domain there is nothing to align.
    logs = distiller.evaluate(*SOURCE, verbose=0, return_dict=True)
    assert logs["correlation_alignment"] == 0


def test_features_with_positions_are_averaged_over_them():
    maps, is_source = RNG.normal(size=(9, 2, 3, 4)), np.arange(9) < 4
    loss = CorrelationAlignment("stage")
    assert float(loss.call(None, maps, LossContext())) == 0
    expected = correlation_alignment(maps.mean((1, 2)), is_source)
    found = loss.call(None, maps, LossContext(mask=[tf.constant(is_source)]))
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_a_cache_or_several_teachers_answer_for_both_domains(tmp_path):
    both = np.concatenate([SOURCE[0], TARGET]), np.concatenate([SOURCE[1], np.full(24, -1)])
    teacher = linear(1)
    cache = TeacherCache.build(tmp_path, teacher, both, "kd", verbose=0)
    settings = {"confidence_threshold": 0.6}
    joined = cache.join(both, batch_size=44)
    found = []
    for source, data in ((cache, joined), (teacher, batches(both, 44))):
        distiller = compiled(DomainDistiller(source, linear(2), "kd", **settings))
        distiller.fit(data, verbose=0)
        found.append(distiller.student.get_weights())
    for one, other in zip(*found, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-3)
    ensemble = TeacherEnsemble([linear(1), linear(4)], weights="confidence")
    distiller = compiled(DomainDistiller(ensemble, linear(2), "kd", **settings))
    assert np.isfinite(distiller.fit((SOURCE, TARGET), verbose=0).history["loss"]).all()


def test_a_threshold_needs_exclusive_classes():
    distiller = DomainDistiller(linear(1), linear(2), "logits", confidence_threshold=0.5)
    distiller.compile("sgd", "mse", run_eagerly=True)
    source = SOURCE[0], RNG.random((20, 3)).astype("float32")
    with pytest.raises(ValueError, match="confidence_threshold needs one output of exclusive"):
        distiller.fit((source, TARGET), verbose=0)


def test_several_replicas_cannot_align_what_each_sees_a_part_of():
    strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    with strategy.scope(), pytest.raises(ValueError, match="Received: 2 replicas"):
        DomainDistiller(linear(1), linear(2), "kd", alignment="logits")


@pytest.mark.parametrize(
    ("settings", "error", "match"),
    [
        ({"confidence_threshold": 1.5}, ValueError, "confidence_threshold must be"),
        ({"confidence_threshold": None}, TypeError, "confidence_threshold must be a number"),
        ({"alignment": 3}, TypeError, "alignment must be the path of a layer"),
        ({"alignment": "nowhere"}, ValueError, "nowhere"),
        ({"alignment_weight": 2.0}, ValueError, "alignment_weight weighs an alignment"),
        (
            {"alignment": "logits", "alignment_weight": -1.0},
            ValueError,
            "alignment_weight must be",
        ),
    ],
)
def test_arguments_that_cannot_act_are_refused(settings, error, match):
    with pytest.raises(error, match=match):
        DomainDistiller(linear(1), linear(2), "kd", **settings)


@pytest.mark.parametrize(
    ("data", "settings", "error", "match"),
    [
        ((SOURCE[0], TARGET), {}, TypeError, "source must be a tuple of arrays"),
        ((SOURCE, None), {}, TypeError, "unlabeled must be a tf.data.Dataset"),
        ((SOURCE, TARGET[:, :3]), {}, ValueError, "same structure, types and shapes"),
        ((SOURCE, TARGET), {"shuffle": False}, ValueError, "are shuffled"),
        ((batches(SOURCE, 5), batches(TARGET, 5)), {"batch_size": 4}, ValueError, "for arrays"),
    ],
)
def test_data_that_cannot_be_joined_is_refused(data, settings, error, match):
    distiller = compiled(DomainDistiller(linear(1), linear(2), "kd"))
    with pytest.raises(error, match=match):
        distiller.fit(data, verbose=0, **settings)
