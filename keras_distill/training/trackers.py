"""Trackers: the means over the samples of an epoch that the history shows of each loss."""

import keras
from keras import ops


def update_means(trackers, values, x):
    """Adds the losses of a batch to their means over the samples.

    Args:
        trackers: List of `keras.metrics.Mean`.
        values: Dictionary from the names of some of them to losses, scalar tensors.
        x: Inputs of the batch.
    """
    by_name = {tracker.name: tracker for tracker in trackers}
    size = ops.shape(keras.tree.flatten(x)[0])[0]
    for name, value in values.items():
        tracker = by_name[name]
        count = ops.cast(size, tracker.dtype)
        # `update_state` comes to the same for a scalar, in several times as many operations.
        tracker.total.assign_add(ops.cast(value, tracker.dtype) * count)
        tracker.count.assign_add(count)
