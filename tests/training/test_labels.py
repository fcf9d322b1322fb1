"""Samples without a label: one rule for the student's loss, the metrics and every loss."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_distill import Distiller, SoftTargets


def models(classes=3, final=None):
    keras.utils.set_random_seed(1)
    return tuple(
        keras.Sequential([keras.Input((4,)), keras.layers.Dense(classes, activation=final)])
        for _ in range(2)
    )


def data(seed=0, samples=12, classes=3):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((samples, 4)).astype("float32")
    return x, rng.integers(0, classes, samples)


def evaluated(y, x, losses="dkd", loss=None, metrics=("accuracy",), **settings):
    distiller = Distiller(*models(), losses, student_loss_weight=None)
    loss = loss or keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    # Eagerly, but for what is to be compiled: making a graph takes longer than its one step.
    settings = settings or {"run_eagerly": True}
    distiller.compile("sgd", loss, metrics=list(metrics), **settings)
    return distiller.evaluate(x, y, batch_size=len(x), verbose=0, return_dict=True)


def reference(y, x):
    """The student's loss and accuracy, and DKD, over the labeled samples alone, from NumPy."""
    has = y >= 0
    teacher, student = (np.float64(model(x[has])) for model in models())
    log_s = student - np.log(np.exp(student).sum(-1, keepdims=True))
    labels = y[has]
    rows = np.arange(len(labels))
    crossentropy = -log_s[rows, labels].mean()
    accuracy = (student.argmax(-1) == labels).mean()
    total = 0.0
    for t, s, label in zip(teacher / 4, student / 4, labels, strict=True):
        p, q = (np.exp(z) / np.exp(z).sum() for z in (t, s))
        rest = np.arange(3) != label
        binary = sum(
            a * np.log(a / b) for a, b in ((p[label], q[label]), (p[rest].sum(), q[rest].sum()))
        )
        p, q = (z[rest] / z[rest].sum() for z in (p, q))
        total += 16 * (binary + 8 * np.sum(p * np.log(p / q)))
    return crossentropy, accuracy, total / len(labels)


@pytest.mark.parametrize("jit_compile", [False, True])
def test_unlabeled_samples_count_in_neither_loss_metric_nor_label_losses(jit_compile):
    x, y = data()
    y[[1, 4, 5, 9]] = -1
    logs = evaluated(y, x, ["dkd", "kd"], jit_compile=jit_compile)
    expected = reference(y, x)
    found = logs["student_loss"], logs["accuracy"], logs["decoupled_kd"]
    np.testing.assert_allclose(found, expected, rtol=2e-5)
    # The teacher answers for all samples.
    whole = evaluated(data()[1], x, ["dkd", "kd"])
    assert logs["soft_targets"] == pytest.approx(whole["soft_targets"], rel=1e-5)


def test_one_hot_rows_without_a_class_are_unlabeled():
    x, y = data()
    y[[0, 3]] = -1
    rows = np.eye(3)[y] * (y >= 0)[:, None]
    loss = keras.losses.CategoricalCrossentropy(from_logits=True)
    sparse, one_hot = evaluated(y, x), evaluated(rows, x, loss=loss)
    for name in ("student_loss", "accuracy", "decoupled_kd"):
        assert one_hot[name] == pytest.approx(sparse[name], rel=1e-5)


def test_the_class_that_the_students_loss_ignores_has_no_label():
    x, y = data()
    ignored = np.where(np.arange(12) % 3 == 0, 2, y)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=2)
    logs = evaluated(ignored, x, loss=loss)
    expected = evaluated(np.where(ignored == 2, -1, ignored), x)
    assert logs["student_loss"] == pytest.approx(expected["student_loss"], rel=1e-5)
    assert logs["decoupled_kd"] == pytest.approx(expected["decoupled_kd"], rel=1e-5)


def test_missing_numbers_of_a_regression_are_left_out():
    x, _ = data()
    y = np.where(np.arange(12) % 2, np.nan, 1.0).astype("float32")[:, None]
    distiller = Distiller(*models(1), "logits", student_loss_weight=None)
    distiller.compile("sgd", "mse", metrics=["mae"], run_eagerly=True)
    logs = distiller.evaluate(x, y, batch_size=12, verbose=0, return_dict=True)
    error = np.float64(distiller.student(x))[::2, 0] - 1.0
    assert logs["student_loss"] == pytest.approx(np.mean(error**2), rel=1e-5)
    assert logs["mae"] == pytest.approx(np.mean(np.abs(error)), rel=1e-5)


def test_metrics_that_are_no_means_count_labeled_samples_alone():
    rng = np.random.default_rng(0)
    x, y = data(samples=40, classes=2)
    y = y.astype("float32")
    has = rng.random(40) < 0.5
    logs, alone = [], []
    for labels, inputs, into in ((np.where(has, y, -1), x, logs), (y[has], x[has], alone)):
        distiller = Distiller(*models(1, "sigmoid"), "kd")
        distiller.compile(
            "sgd",
            "binary_crossentropy",
            metrics=["AUC"],
            weighted_metrics=["accuracy"],
            run_eagerly=True,
        )
        weights = np.linspace(1, 2, 40) if labels is not y[has] and len(labels) == 40 else None
        weights = np.linspace(1, 2, 40)[has] if weights is None else weights
        into.append(
            distiller.evaluate(
                inputs, labels, sample_weight=weights, batch_size=40, verbose=0, return_dict=True
            )
        )
    assert logs[0]["AUC"] == pytest.approx(alone[0]["AUC"], abs=1e-5)
    assert logs[0]["accuracy"] == pytest.approx(alone[0]["accuracy"], rel=1e-5)


def test_training_without_any_labels_with_compiled_metrics():
    x, y = data()
    distiller = Distiller(*models(), "kd")
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    distiller.compile(keras.optimizers.Adam(0.1), loss, metrics=["accuracy"])
    history = distiller.fit(x, epochs=3, verbose=0).history
    assert history["soft_targets"][-1] < history["soft_targets"][0]
    assert "accuracy" not in history
    labeled = distiller.fit(x, y, validation_data=(x, y), verbose=0).history
    assert {"accuracy", "val_accuracy"} <= set(labeled)


def test_a_batch_without_any_label_trains_on_the_teacher_alone():
    x, _ = data()
    distiller = Distiller(*models(), ["kd", "dkd"], student_loss_weight=None)
    distiller.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    logs = distiller.train_on_batch(x, np.full(12, -1), return_dict=True)
    assert logs["student_loss"] == logs["decoupled_kd"] == 0
    assert logs["loss"] == pytest.approx(logs["soft_targets"])
    assert all(np.isfinite(weight).all() for weight in distiller.student.get_weights())


@pytest.mark.parametrize("label", [3, 7, -2])
def test_a_label_that_is_no_class_names_the_loss(label):
    x, y = data()
    y[5] = label
    distiller = Distiller(*models(), "dkd", student_loss_weight=0.0)
    distiller.compile("sgd")
    with pytest.raises(tf.errors.InvalidArgumentError, match="DecoupledKD needs labels that are"):
        distiller.fit(x, y, verbose=0)


@pytest.mark.parametrize("name", ["dkd", "nkd", "tfkd"])
@pytest.mark.parametrize("label", [3, -1, np.nan, 0.5])
def test_losses_alone_refuse_labels_that_are_no_classes(name, label):
    from keras_distill import losses

    teacher, student = np.eye(3), np.ones((3, 3))
    with pytest.raises(ValueError, match=r"needs labels that are classes.*at \(1,\)"):
        losses.get(name).compute_loss(teacher, student, labels=np.array([0, label, 2]))


def test_labels_in_a_dictionary_are_found_by_key():
    x, y = data()
    several = {"label": y, "speaker": np.zeros(12)}
    logs = []
    for labels, key in ((y, None), (several, "label")):
        distiller = Distiller(*models(), "dkd", student_loss_weight=None, label_key=key)
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        distiller.compile("sgd", loss, metrics=["accuracy"], run_eagerly=True)
        logs.append(distiller.evaluate(x, labels, verbose=0, return_dict=True))
    assert logs[0] == logs[1]
    copy = Distiller.from_config(distiller.get_config())
    assert copy.label_key == "label"


def test_an_unknown_label_key_names_the_keys():
    x, y = data()
    distiller = Distiller(*models(), "dkd", student_loss_weight=0.0, label_key="class")
    distiller.compile("sgd")
    with pytest.raises(ValueError, match=r"label_key='class'.*keys \['label'\]"):
        distiller.evaluate(x, {"label": y}, verbose=0)


def test_a_dictionary_of_labels_without_a_key_says_what_to_do():
    x, y = data()
    distiller = Distiller(*models(), "dkd", student_loss_weight=0.0)
    distiller.compile("sgd")
    with pytest.raises(TypeError, match=r"label_key='label'"):
        distiller.evaluate(x, {"label": y, "speaker": y}, verbose=0)


def test_tokens_without_a_label_are_left_out_one_by_one():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((3, 5, 4)).astype("float32")
    y = rng.integers(0, 3, (3, 5))
    y[0, 3:], y[2] = -1, -1
    sides = [
        keras.Sequential([keras.Input((5, 4)), keras.layers.Dense(3, name="d")]) for _ in range(2)
    ]
    distiller = Distiller(*sides, "dkd", student_loss_weight=None)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    distiller.compile("sgd", loss, metrics=["accuracy"], run_eagerly=True)
    logs = distiller.evaluate(x, y, verbose=0, return_dict=True)
    student = np.float64(sides[1](x))
    log_s = student - np.log(np.exp(student).sum(-1, keepdims=True))
    picked = np.take_along_axis(log_s, np.maximum(y, 0)[..., None], -1)[..., 0]
    assert logs["student_loss"] == pytest.approx(-picked[y >= 0].mean(), rel=1e-5)
    assert logs["accuracy"] == pytest.approx((student.argmax(-1) == y)[y >= 0].mean(), rel=1e-5)
    means = []
    for sample, positions in ((0, 3), (1, 5)):
        teacher, own = (model(x)[sample, :positions] for model in sides)
        loss = distiller.distillation_losses[0].clone()
        means.append(float(loss.compute_loss(teacher, own, labels=y[sample, :positions])))
    assert logs["decoupled_kd"] == pytest.approx(np.mean(means), rel=1e-5)


def test_a_weight_of_zero_leaves_a_sample_out_of_everything():
    x, y = data()
    weights = np.array([1.0, 0.0] * 6)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    distiller = Distiller(*models(), SoftTargets(), student_loss_weight=None)
    distiller.compile("sgd", loss, run_eagerly=True)
    moved = x.copy()
    moved[1::2] += 5.0
    logs = [
        distiller.evaluate(inputs, y, sample_weight=weights, verbose=0, return_dict=True)
        for inputs in (x, moved)
    ]
    assert logs[0] == pytest.approx(logs[1], rel=1e-5)
