"""The replicas and workers of a `tf.distribute` strategy, and what Keras needs under them."""

import keras
import tensorflow as tf
from keras import ops


def replicas():
    """Returns how many replicas share each step, over all workers."""
    return tf.distribute.get_strategy().num_replicas_in_sync


def mean_over_replicas(value):
    """Averages a tensor over the replicas that share a step.

    Args:
        value: Tensor of this replica.
    """
    if replicas() == 1 or tf.distribute.in_cross_replica_context():
        return value
    return tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.MEAN, value)


def first_batch(strategy, iterator):
    """Returns the first batch of an epoch as one of a strategy's workers sees it.

    Keras 3.15 averages the batches of all workers to learn their shapes, which fails for tuples.

    Args:
        strategy: The model's strategy, or `None`.
        iterator: Keras's iterator over an epoch, or `None`.

    Returns:
        The batch, or `None` where Keras finds it itself.
    """
    if iterator is None or not _has_workers(strategy):
        return None
    _, _, batches = next(iter(iterator))
    return keras.tree.map_structure(
        lambda value: strategy.experimental_local_results(value)[0], next(batches)
    )


def as_averaged(logs):
    """Returns the logs of a step in the shape in which Keras averages them over the replicas.

    Under several workers, Keras 3.15 averages along the first axis, which scalars don't have.

    Args:
        logs: Dictionary of scalar tensors.
    """
    if not _has_workers(tf.distribute.get_strategy()):
        return logs
    return keras.tree.map_structure(lambda value: ops.expand_dims(value, 0), logs)


def _has_workers(strategy):
    return isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy)
