"""A step is traced once, whatever Keras makes at its first call."""

import collections

import keras
import numpy as np
import tensorflow as tf

from keras_distill import Distiller
from keras_distill.training.tracing import without_variables

layers = keras.layers


def several_outputs():
    inputs = keras.Input((4,))
    names = ("first", "second")
    return keras.Model(inputs, {name: layers.Dense(3, name=name)(inputs) for name in names})


def test_the_metrics_of_compile_and_of_several_outputs_cost_no_second_trace():
    traced = collections.Counter()

    class Counting(Distiller):
        def train_step(self, data):
            traced["train"] += 1
            return super().train_step(data)

        def test_step(self, data):
            traced["test"] += 1
            return super().test_step(data)

    x, y = np.zeros((8, 4), "float32"), np.zeros(8, "int64")
    y = {"first": y, "second": y}
    distiller = Counting(several_outputs(), several_outputs(), "kd")
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    metrics = {"first": ["accuracy"], "second": ["accuracy"]}
    distiller.compile("adam", loss, metrics=metrics)
    history = distiller.fit(x, y, batch_size=4, epochs=2, validation_data=(x, y), verbose=0)
    assert traced == {"train": 1, "test": 1}
    assert {"first_accuracy", "second_accuracy", "first_loss", "val_second_loss"} < {
        *history.history
    }


def test_a_variable_is_made_outside_of_the_trace():
    made = []

    @tf.function
    def count():
        made.append(None)
        with without_variables():
            if len(made) == 1:
                count.mean = keras.metrics.Mean()
        count.mean.update_state(3.0)
        return count.mean.result()

    assert (float(count()), len(made)) == (3.0, 1)
