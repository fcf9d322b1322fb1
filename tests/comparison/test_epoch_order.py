"""The order of samples by seed and epoch."""

import numpy as np

from keras_distill.comparison.epoch_order import EpochOrder


def read(order, epoch, seed=0):
    """Returns the samples of an epoch in their order, and the sizes of the batches."""
    arrays = {"a": np.arange(10.0)[:, None], "b": np.arange(10)}
    order.on_epoch_begin(epoch)
    batches = list(order.batches(arrays, 4, seed).as_numpy_iterator())
    for batch in batches:
        np.testing.assert_array_equal(batch["a"][:, 0], batch["b"])
        assert batch["a"].dtype == "float32" and batch["b"].dtype == "int64"
    return np.concatenate([batch["b"] for batch in batches]).tolist(), [
        len(batch["b"]) for batch in batches
    ]


def test_an_epoch_has_its_order_whatever_was_before():
    order = EpochOrder()
    orders = [read(order, epoch)[0] for epoch in range(3)]
    assert len(set(map(tuple, orders))) == 3
    assert all(sorted(each) == list(range(10)) for each in orders)
    assert read(EpochOrder(), 2)[0] == orders[2]
    assert read(order, 2, seed=1)[0] != orders[2]


def test_the_last_batch_holds_what_is_left():
    order = EpochOrder()
    assert read(order, 0)[1] == [4, 4, 2]
    assert int(order.batches(np.arange(10), 4, seed=0).cardinality()) == 3


def test_batches_that_are_kept_change_with_the_epoch():
    order = EpochOrder()
    batches = order.batches(np.arange(50), 50, seed=0)
    first = next(batches.as_numpy_iterator()).tolist()
    order.on_epoch_begin(1)
    assert next(batches.as_numpy_iterator()).tolist() != first
