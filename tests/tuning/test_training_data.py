"""Training data of a search: arrays, whatever they came in, and nothing of the test part."""

import numpy as np
import pytest
import tensorflow as tf

from keras_distill.datasets import Dataset
from keras_distill.tuning.training_data import TrainingData, samples_at

X = np.random.default_rng(0).random((20, 4)).astype("float32")
Y = np.arange(20) % 3


def test_of_a_dataset_only_the_training_part_is_read():
    images = X.reshape(20, 2, 2, 1)
    data = TrainingData(Dataset("two", images[:12], Y[:12], images[12:], Y[12:], ("a", "b", "c")))
    np.testing.assert_array_equal(data.arrays[0], images[:12])
    np.testing.assert_array_equal(data.classes, Y[:12])


@pytest.mark.parametrize("batch", [None, 8])
def test_a_stream_becomes_arrays_in_its_order(batch):
    stream = tf.data.Dataset.from_tensor_slices((X, Y, np.ones(20)))
    stream = stream if batch is None else stream.batch(batch)
    x, y, weights = TrainingData(stream, ranks=[1]).arrays
    np.testing.assert_array_equal(x, X)
    np.testing.assert_array_equal(y, Y)
    assert weights.tolist() == [1.0] * 20


def test_structures_of_inputs_are_taken_sample_by_sample():
    data = TrainingData(({"a": X, "b": X[:, 0]}, Y))
    x, y = samples_at(data, np.array([3, 5]))
    np.testing.assert_array_equal(x["b"], X[[3, 5], 0])
    np.testing.assert_array_equal(y, Y[[3, 5]])


@pytest.mark.parametrize(
    ("labels", "classes"),
    [
        (Y, Y),
        (Y[:, None], Y),
        (np.eye(3)[Y], Y),
        (Y > 0, Y > 0),
        (X[:, 0], None),
        (X, None),
        ({"a": Y, "b": Y}, None),
    ],
)
def test_classes_are_integers_and_one_hot_rows(labels, classes):
    found = TrainingData((X, labels)).classes
    if classes is None:
        assert found is None
    else:
        np.testing.assert_array_equal(found, classes)


def test_samples_of_the_class_minus_one_have_no_label():
    data = TrainingData((X, np.where(Y > 1, -1, Y)))
    np.testing.assert_array_equal(data.labeled, np.flatnonzero(Y <= 1))
    assert TrainingData((X, Y - 5)).classes is None


@pytest.mark.parametrize(
    ("data", "error", "message"),
    [
        (X, TypeError, "data must be"),
        ("digits", TypeError, "data must be"),
        ((X,), TypeError, "data must be"),
        ((X, None), TypeError, "data must be"),
        ((X, Y[:-1]), ValueError, "as many inputs as labels"),
        ((X, np.full(20, -1)), ValueError, "data has no label"),
        ((np.where(X > 0.9, np.nan, X), Y), ValueError, "x holds NaN"),
        (tf.data.Dataset.from_tensor_slices(X), ValueError, "data must have labels"),
        (tf.data.Dataset.from_tensor_slices((X, Y)).repeat(), ValueError, "never ends"),
    ],
)
def test_other_data_is_refused(data, error, message):
    with pytest.raises(error, match=message):
        TrainingData(data)
