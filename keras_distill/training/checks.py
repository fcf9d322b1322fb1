"""Checks of the values inside a step, that hold under XLA too.

XLA drops assertions. Under it a value that fails becomes NaN, an update that isn't finite is left
out, and the host reads the metrics of the losses once in a while.
"""

import itertools
import math
from typing import Any

import keras
import tensorflow as tf
from keras import ops

from keras_distill._compat import compiled_metrics
from keras_distill.arguments import check_count

# Steps between two looks at the metrics: each look waits for the device.
_STEPS = 50


class Checks:
    """The checks of one value inside a step.

    Args:
        under_xla: Whether XLA compiles the step.
    """

    def __init__(self, under_xla=False):
        self._under_xla = under_xla
        self._faults = []

    def unless(self, wrong, message, tensor):
        """Returns a tensor that nothing uses before it is checked that no element is wrong.

        Args:
            wrong: Boolean tensor.
            message: What to say where one is.
            tensor: What is used after the check.
        """
        is_wrong = ops.any(wrong)
        if self._under_xla:
            self._faults.append(is_wrong)
            return tensor
        check = tf.debugging.assert_equal(is_wrong, False, message)
        # A computation that runs before the check would fail first, with no word of the loss.
        with tf.control_dependencies([check] if check is not None else []):
            return tf.identity(tensor)

    def finite(self, value, message):
        """Returns a value that is checked to be finite; under XLA, NaN where a check failed.

        Args:
            value: Scalar tensor.
            message: What to say where it isn't.
        """
        if not self._under_xla:
            return tf.debugging.check_numerics(value, message)
        for fault in self._faults:
            value = tf.where(fault, tf.cast(float("nan"), value.dtype), value)
        return value


def finite_gradients(gradients, total, under_xla):
    """Returns gradients that are zeros where the loss isn't finite, so that weights survive.

    Args:
        gradients: List of tensors, or `None` among them.
        total: The loss that they are of.
        under_xla: Whether XLA compiles the step; otherwise such a loss has ended it before.
    """
    if not under_xla:
        return gradients
    is_finite = ops.isfinite(total)
    return [None if gradient is None else _where(is_finite, gradient) for gradient in gradients]


def _where(is_finite, gradient):
    if isinstance(gradient, tf.IndexedSlices):
        values = _where(is_finite, gradient.values)
        return tf.IndexedSlices(values, gradient.indices, gradient.dense_shape)
    return tf.where(is_finite, gradient, tf.zeros_like(gradient))


class WatchedModel(keras.Model):
    """A model that names the loss that isn't finite, under XLA too, where assertions vanish.

    `watched_trackers` lists the `keras.metrics.Mean` of its losses. The host reads them every 50
    steps and at the end of each epoch.
    """

    # A subclass has a property in its place.
    watched_trackers: Any = ()

    @property
    def is_under_xla(self):
        """Whether XLA compiles the steps."""
        return bool(self.jit_compile) and not self.run_eagerly

    def make_train_function(self, force=False):
        """Makes the function that trains; again where the first labels make metrics."""
        if self._is_to_make(self.train_function, force):
            super().make_train_function(force=True)
            self.train_function = self._watched(self.train_function)
        return self.train_function

    def make_test_function(self, force=False):
        """Makes the function that evaluates; again where the first labels make metrics."""
        if self._is_to_make(self.test_function, force):
            super().make_test_function(force=True)
            self.test_function = self._watched(self.test_function)
        return self.test_function

    def _is_to_make(self, function, force):
        compiled = compiled_metrics(self)
        has_metrics_to_make = compiled is not None and not compiled.built
        return force or function is None or has_metrics_to_make

    def reset_metrics(self):
        """Resets the metrics, once it is sure that those of the losses were finite."""
        self._look_at_losses()
        super().reset_metrics()

    def fit(self, *args, **kwargs):
        """Trains the model, as `keras.Model.fit`."""
        for name in ("steps_per_epoch", "validation_steps"):
            if kwargs.get(name) is not None:
                check_count(name, kwargs[name])
        history = super().fit(*args, **kwargs)
        self._look_at_losses()
        return history

    def evaluate(self, *args, **kwargs):
        """Evaluates the model, as `keras.Model.evaluate`."""
        results = super().evaluate(*args, **kwargs)
        self._look_at_losses()
        return results

    def _watched(self, function):
        if not self.is_under_xla:
            return function
        calls = itertools.count(1)

        def watched(iterator):
            logs = function(iterator)
            if next(calls) % _STEPS == 0:
                self._look_at_losses()
            return logs

        return watched

    def _look_at_losses(self):
        if not self.compiled or not self.is_under_xla:
            return
        for tracker in self.watched_trackers:
            total = float(ops.convert_to_numpy(tracker.total))
            if not math.isfinite(total):
                super().reset_metrics()
                raise ValueError(
                    f"The distillation loss {tracker.name!r} is not finite, in one of the last "
                    f"{_STEPS} steps. The teacher's or the student's outputs hold NaN or infinity, "
                    "a label is no class, or a sample index is out of bounds; such steps update "
                    "nothing. XLA compiles this model: with jit_compile=False the error comes in "
                    f"the very step and says which. Received: {tracker.name}={total}"
                )
