"""The trace of a step, which TensorFlow repeats where it makes variables."""

import contextlib

import tensorflow as tf

from keras_distill.training.replicas import replicas


@contextlib.contextmanager
def without_variables():
    """Keeps what Keras makes at a first call out of the trace that the call is part of.

    The first labels make the metrics of `compile`. A trace that makes variables is thrown away, and
    the whole step traced again: half of what a short training takes.
    """
    # Keras makes them before the trace where a strategy has several replicas.
    with tf.variable_creator_scope(_outside) if replicas() == 1 else contextlib.nullcontext():
        yield


def _outside(next_creator, **arguments):
    if not callable(arguments.get("initial_value")):
        return next_creator(**arguments)
    with tf.init_scope():
        return next_creator(**{**arguments, "experimental_enable_variable_lifting": False})
