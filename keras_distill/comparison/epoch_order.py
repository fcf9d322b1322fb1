"""Order of the samples in each epoch, which follows from a seed and the epoch's number alone."""

import keras
import numpy as np
import tensorflow as tf


class EpochOrder(keras.callbacks.Callback):
    """Callback with which a training that goes on shuffles as one that was never stopped.

    The order in which `fit` shuffles arrays depends on all epochs before, so that a training that
    goes on from a saved epoch sees the samples in another one. Give `fit` the `batches`, and this
    object among the callbacks.
    """

    def __init__(self):
        super().__init__()
        # Pipelines run there.
        with tf.device("CPU:0"):
            self._epoch = tf.Variable(0, dtype="int64", trainable=False)

    def on_epoch_begin(self, epoch, logs=None):
        """Tells the epoch's number, before `fit` begins to read its batches."""
        self._epoch.assign(epoch)

    def batches(self, arrays, batch_size, seed):
        """Returns the batches of arrays, a `tf.data.Dataset`.

        Args:
            arrays: Structure of arrays that have as many samples, such as `(x, y)`.
            batch_size: Samples per batch.
            seed: Integer.
        """
        with tf.device("CPU:0"):
            tensors = tf.nest.map_structure(_tensor, arrays)
        count = len(tf.nest.flatten(tensors)[0])
        steps = -(-count // batch_size)

        def of_order(order):
            return tf.data.Dataset.range(0, steps * batch_size, batch_size).map(
                lambda start: order[start : start + batch_size]
            )

        def of_rows(rows):
            return tf.nest.map_structure(lambda array: tf.gather(array, rows), tensors)

        def order_of_epoch(_):
            seeds = tf.stack([tf.constant(seed, "int64"), self._epoch.read_value()])
            return tf.random.experimental.stateless_shuffle(tf.range(count), seeds)

        orders = tf.data.Dataset.range(1).map(order_of_epoch)
        batches = orders.flat_map(of_order).map(of_rows, tf.data.AUTOTUNE)
        batches = batches.apply(tf.data.experimental.assert_cardinality(steps))
        return batches.prefetch(tf.data.AUTOTUNE)


def _tensor(array):
    """Returns an array as a tensor, of the type in which `fit` takes it."""
    array = np.asarray(array)
    is_float = array.dtype.kind == "f"
    return tf.convert_to_tensor(array.astype(keras.config.floatx()) if is_float else array)
