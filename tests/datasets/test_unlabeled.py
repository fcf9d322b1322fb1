"""Labeled and unlabeled samples in the same batches."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_distill import Distiller, TeacherCache, datasets

X, Y = np.arange(10, dtype="float32")[:, None], np.arange(10) % 3
MORE = np.arange(100, 124, dtype="float32")[:, None]


def linear(seed):
    keras.utils.set_random_seed(seed)
    return keras.Sequential([keras.Input((1,)), keras.layers.Dense(3)])


def test_each_batch_has_labeled_samples_first_and_an_epoch_is_a_pass_over_them():
    dataset = datasets.with_unlabeled((X, Y), MORE, batch_size=4, unlabeled_batch_size=6, seed=0)
    first, second = (list(dataset.as_numpy_iterator()) for _ in range(2))
    assert [len(x) for x, _ in first] == [10, 10, 8]
    for epoch in (first, second):
        labeled = np.concatenate([x[: len(x) - 6, 0] for x, _ in epoch])
        labels = np.concatenate([y[: len(y) - 6] for _, y in epoch])
        assert sorted(labeled) == list(range(10))
        np.testing.assert_array_equal(labels, labeled % 3)
        assert all((y[-6:] == -1).all() for _, y in epoch)
    assert not np.array_equal(first[0][0], second[0][0])


def test_all_unlabeled_samples_come_before_any_comes_again():
    dataset = datasets.with_unlabeled((X, Y), MORE, batch_size=2, unlabeled_batch_size=6)
    seen = np.concatenate([x[2:, 0] for x, _ in dataset.take(4).as_numpy_iterator()])
    assert sorted(seen) == list(range(100, 124))


@pytest.mark.parametrize(
    ("labels", "missing"),
    [
        (Y.astype("uint8"), -1),
        (np.eye(3, dtype="float32")[Y], np.nan),
        (np.eye(3, dtype="int32")[Y], -1),
        (Y.astype("float32")[:, None], np.nan),
    ],
)
def test_what_stands_for_no_label_suits_the_labels(labels, missing):
    dataset = datasets.with_unlabeled((X, labels), MORE, batch_size=10)
    _, found = next(dataset.as_numpy_iterator())
    np.testing.assert_array_equal(found[10:], np.full((10, *labels.shape[1:]), missing))


def test_sample_weights_and_dictionaries_are_kept():
    labeled = tf.data.Dataset.from_tensor_slices(({"a": X}, {"b": Y}, X[:, 0])).batch(5)
    unlabeled = tf.data.Dataset.from_tensor_slices({"a": MORE}).batch(3)
    x, y, weights = next(datasets.with_unlabeled(labeled, unlabeled).as_numpy_iterator())
    assert x["a"][:, 0].tolist() == [0, 1, 2, 3, 4, 100, 101, 102]
    assert y["b"].tolist() == [0, 1, 2, 0, 1, -1, -1, -1]
    assert weights.tolist() == [0, 1, 2, 3, 4, 1, 1, 1]


@pytest.mark.parametrize("kind", ["live", "cache"])
def test_a_distiller_learns_labels_of_the_first_part_and_the_teacher_of_both(kind, tmp_path):
    teacher, student = linear(0), linear(1)
    x = np.concatenate([X, MORE]) / 100
    y = np.concatenate([Y, np.zeros(24, int)])
    parts = np.arange(10), np.arange(10, 34)
    if kind == "cache":
        teacher = TeacherCache.build(
            tmp_path / "cache", teacher, (x, y), distillation_losses="kd", dtype="float32"
        )
        sizes = {"shuffle": False}
        labeled = teacher.join((x, y), batch_size=10, indices=parts[0], **sizes)
        unlabeled = teacher.join((x, y), batch_size=24, indices=parts[1], **sizes)
    else:
        labeled = tf.data.Dataset.from_tensor_slices((x[:10], y[:10])).batch(10)
        unlabeled = tf.data.Dataset.from_tensor_slices(x[10:]).batch(24)
    distiller = Distiller(teacher, student, "kd", student_loss_weight=None)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    distiller.compile(keras.optimizers.SGD(0.0), loss)
    logs = distiller.evaluate(
        datasets.with_unlabeled(labeled, unlabeled).take(1), verbose=0, return_dict=True
    )
    expected = float(loss(y[:10], student(x[:10])))
    assert logs["student_loss"] == pytest.approx(expected, rel=1e-5)
    p, q = (np.float64(keras.ops.softmax(model(x) / 4)) for model in (linear(0), student))
    kl = 16 * np.mean(np.sum(p * np.log(p / q), -1))
    assert logs["soft_targets"] == pytest.approx(kl, rel=1e-3)


@pytest.mark.parametrize(
    ("arguments", "error", "said"),
    [
        (
            {"labeled": "mnist"},
            TypeError,
            "labeled must be a tf.data.Dataset of batches",
        ),
        ({"unlabeled": None}, TypeError, "unlabeled must be a tf.data.Dataset"),
        ({"labeled": X}, ValueError, r"labeled must hold \(x, y\)"),
        ({"labeled": (X, Y[:4])}, ValueError, r"as many samples each.*\[4, 10\]"),
        ({"unlabeled": MORE[:0]}, ValueError, "at least one"),
        ({"unlabeled": MORE.astype("float64")}, ValueError, "same structure, types and shapes"),
        ({"unlabeled": np.ones((4, 2), "float32")}, ValueError, "same structure, types and shapes"),
        ({"unlabeled": {"a": MORE}}, ValueError, "same structure, types and shapes"),
        ({"batch_size": 0}, ValueError, "batch_size"),
        ({"seed": -1}, ValueError, "seed"),
    ],
)
def test_what_does_not_fit_is_refused(arguments, error, said):
    with pytest.raises(error, match=said):
        datasets.with_unlabeled(**{"labeled": (X, Y), "unlabeled": MORE, **arguments})


def test_a_batch_size_for_batches_is_refused():
    batches = tf.data.Dataset.from_tensor_slices((X, Y)).batch(2)
    with pytest.raises(ValueError, match="batch_size is for arrays"):
        datasets.with_unlabeled(batches, MORE, batch_size=4)
