"""The workers that share the building and reading of a cache."""

import numbers

import tensorflow as tf

from keras_distill.arguments import shown


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
