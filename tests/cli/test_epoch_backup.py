"""A training that was stopped ends with the weights of one that ran through."""

import keras
import numpy as np

from keras_distill import Distiller
from keras_distill.cli.epoch_backup import EpochBackup
from keras_distill.comparison.epoch_order import EpochOrder
from tests.cli.conftest import make_model, samples


class Stop(keras.callbacks.Callback):
    """Stops a training at its n-th batch, as Ctrl-C does."""

    def __init__(self, batch):
        super().__init__()
        self._left = batch

    def on_train_batch_begin(self, batch, logs=None):
        self._left -= 1
        if not self._left:
            raise KeyboardInterrupt


def trained(folder, stops):
    """Returns the weights after a training that is stopped some times, and goes on."""
    x, y = samples(40, seed=0)
    for batch in (*stops, 0):
        keras.utils.set_random_seed(0)
        # What has a state of its own: statistics, dropout, the optimizer and a balanced weight.
        student = keras.Sequential(
            [
                keras.Input((8, 8, 1)),
                keras.layers.Conv2D(2, 3, activation="relu"),
                keras.layers.BatchNormalization(),
                keras.layers.Flatten(),
                keras.layers.Dropout(0.3),
                keras.layers.Dense(3),
            ]
        )
        distiller = Distiller(
            make_model(4), student, ["kd", "logits"], [1, "balanced"], student_loss_weight=None
        )
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        distiller.compile("adam", loss, run_eagerly=True)
        order = EpochOrder()
        callbacks = [order, EpochBackup(folder), Stop(batch)]
        batches = order.batches((x, y), 16, seed=0)
        try:
            distiller.fit(batches, epochs=4, shuffle=False, callbacks=callbacks, verbose=0)
        except KeyboardInterrupt:
            continue
        return student.get_weights()
    return None


def test_a_stopped_training_ends_with_the_same_weights(tmp_path):
    unbroken = trained(tmp_path / "unbroken", stops=())
    # Within the second epoch of three batches, and then between the second and the third.
    stopped = trained(tmp_path / "stopped", stops=(5, 4))
    # Bit for bit: the threads of a CPU add in the same order each time.
    for one, other in zip(stopped, unbroken, strict=True):
        np.testing.assert_array_equal(one, other)
