"""The trace of a step: made once, and again without a warning where each model is new."""

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


@contextlib.contextmanager
def without_retracing_warnings():
    """Keeps TensorFlow from warning of steps that are traced again: each model is new."""
    logger = tf.get_logger()

    def is_other(record):
        return "triggered tf.function retracing" not in record.getMessage()

    logger.addFilter(is_other)
    try:
        yield
    finally:
        logger.removeFilter(is_other)
