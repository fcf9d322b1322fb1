"""The workers and replicas of a `tf.distribute` strategy, and what Keras needs under them."""

import numbers

import keras
import tensorflow as tf
from keras import ops

from keras_distill.arguments import shown


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


def worker_of(worker, argument="worker"):
    """Returns the number of this worker, and how many there are.

    Args:
        worker: A tuple of both, or `"auto"` for what the strategy in scope says.
        argument: Name of the argument, for the error.

    Raises:
        TypeError: If it is neither.
        ValueError: If the number is out of bounds.
    """
    if isinstance(worker, str) and worker == "auto":
        strategy = tf.distribute.get_strategy()
        return _worker_of_cluster(strategy.cluster_resolver) if _has_workers(strategy) else (0, 1)
    is_pair = isinstance(worker, (tuple, list)) and len(worker) == 2
    if not is_pair or not all(_is_integer(part) for part in worker):
        raise TypeError(
            f'{argument} must be (number, count), two integers, or "auto". '
            f"Received: {argument}={shown(worker)}"
        )
    if not 0 <= worker[0] < worker[1]:
        raise ValueError(
            f"{argument} must be (number, count) with number < count, numbered from 0. "
            f"Received: {argument}={worker!r}"
        )
    return int(worker[0]), int(worker[1])


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


def _is_integer(value):
    return isinstance(value, numbers.Integral) and not isinstance(value, bool)


def _has_workers(strategy):
    return isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy)


def _worker_of_cluster(resolver):
    cluster = resolver.cluster_spec().as_dict()
    tasks = [
        (kind, index) for kind in ("chief", "worker") for index in range(len(cluster.get(kind, [])))
    ]
    task = (resolver.task_type, resolver.task_id)
    return (tasks.index(task), len(tasks)) if task in tasks else (0, 1)
