"""Norms of the losses' gradients on the student, measured in some of the training steps."""

import keras
import tensorflow as tf
from keras import ops

from keras_distill.training.replicas import mean_over_replicas

# In each of the first steps, then in one of `_EVERY`: the later ones cost one part in fifty.
_FIRST = 10
_EVERY = 100
# Of the running mean. The first steps are noisy, and what they say goes out of date soon.
_MOMENTUM = 0.7


class MeasuringTimes:
    """Tells which calls of a training function hold a step that measures.

    It counts by itself, as asking the device for the number of updates would wait for it, and asks
    only when it believes that it is time.

    Args:
        iterations: Variable with the number of optimizer updates made so far.
        steps: Steps per call.
    """

    def __init__(self, iterations, steps):
        self._iterations, self._steps = iterations, steps
        self._count = 0

    def is_now(self):
        """Says whether the next call, which is counted, holds such a step."""
        if self._holds():
            self._count = int(self._iterations.numpy())
        is_now = self._holds()
        self._count += self._steps
        return is_now

    def _holds(self):
        return self._count < _FIRST or -self._count % _EVERY < self._steps


def squared_norm(gradients):
    """Returns the squared norm of a gradient, a scalar tensor in float32.

    Args:
        gradients: List of tensors, one per weight, or `None` among them.
    """
    parts = [
        ops.sum(ops.square(ops.cast(tf.convert_to_tensor(gradient), "float32")))
        for gradient in gradients
        if gradient is not None
    ]
    return sum(parts) if parts else ops.zeros((), "float32")


class GradientNorms(keras.layers.Layer):
    """Running means of the squared norms of the gradients of the labels' loss and of each loss.

    A layer, so that they are saved and restored with the distiller.

    Args:
        count: Number of losses.
    """

    def __init__(self, count):
        super().__init__(name="gradient_norms", dtype="float32")
        self.count = count
        self.squares = self.add_weight(
            shape=(count + 1,),
            initializer="zeros",
            trainable=False,
            aggregation="mean",
            name="squares",
        )
        self.built = True

    @property
    def is_known(self):
        """Whether the norms have been measured."""
        return bool(ops.any(self.squares > 0))

    def ratio(self, index):
        """Returns by how much the labels' gradient is longer than a loss's, 1 before it is known.

        Args:
            index: Number of the loss.
        """
        squares = ops.convert_to_tensor(self.squares)
        reference, of_loss = squares[0], squares[1 + index]
        is_known = ops.logical_and(reference > 0, of_loss > 0)
        ratio = ops.sqrt(ops.where(is_known, reference, 1.0) / ops.where(is_known, of_loss, 1.0))
        return ratio

    def measure(self, tape, reference, values, weights, step):
        """Measures the norms, if it is time to.

        Args:
            tape: Persistent `tf.GradientTape` that has seen the losses.
            reference: The labels' loss, a scalar tensor; `None` where there are no labels, in whose
                place the first loss is measured.
            values: List of the distillation losses, not weighted.
            weights: List of the student's weights.
            step: Number of optimizer updates made so far.
        """
        losses = [values[0] if reference is None else reference, *values]

        def measured():
            return ops.stack([squared_norm(tape.gradient(loss, weights)) for loss in losses])

        is_time = ops.logical_or(step < _FIRST, ops.equal(step % _EVERY, 0))
        # The condition isn't recorded either: tracing would make second gradients of its branches.
        with tape.stop_recording():
            found = tf.cond(is_time, measured, lambda: tf.zeros(self.count + 1))
        found = mean_over_replicas(found)
        before = ops.convert_to_tensor(self.squares)
        # Where a batch has no labels, or a loss no gradient, what was measured before stays.
        is_usable = ops.logical_and(ops.all(ops.isfinite(found)), found[0] > 0)
        is_usable = ops.logical_and(is_usable, found > 0)
        momentum = ops.where(before > 0, _MOMENTUM, 0.0)
        after = momentum * before + (1.0 - momentum) * found
        self.squares.assign(ops.where(is_usable, after, before))
