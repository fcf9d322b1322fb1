"""Norms of the losses' gradients on the student, measured in some of the training steps."""

import keras
import tensorflow as tf
from keras import ops

from keras_distill.training.replicas import mean_over_replicas

# Steps that measure: these, and one of `_EVERY`. Gradients change most at the start: what the very
# first batches say may be wrong by a factor of a thousand fifty steps later.
_EARLY = (*range(10), *range(10, 100, 10))
_EVERY = 100
# Of the running mean, so that the first measurements are soon forgotten.
_MOMENTUM = 0.7


class MeasuringTimes:
    """Tells which calls of a training function hold a step that measures.

    It counts by itself, as asking the device for the number of updates would wait for it, and asks
    only when it believes that it is time; or in each call of several steps, whose last in an epoch
    may make fewer.

    Args:
        iterations: Variable with the number of optimizer updates made so far.
        steps: Steps per call.
    """

    def __init__(self, iterations, steps):
        self._iterations, self._steps = iterations, steps
        self.forget()

    def forget(self):
        """Asks for the number at the next call: meanwhile the weights may have been set back."""
        self._count = None

    def is_now(self):
        """Says whether the next call, which is counted, holds such a step."""
        if self._count is None or self._steps > 1 or self._holds():
            self._count = int(self._iterations.numpy())
        is_now = self._holds()
        self._count += self._steps
        return is_now

    def _holds(self):
        steps = range(self._count, self._count + self._steps)
        return -self._count % _EVERY < self._steps or any(step in steps for step in _EARLY)


def squared_norm(gradients, reached=None):
    """Returns the squared norm of a gradient, a scalar tensor in float32.

    Args:
        gradients: List of tensors, one per weight, or `None` among them.
        reached: Another such list: only the weights count that have a gradient in it.
    """
    parts = [
        ops.sum(ops.square(ops.cast(tf.convert_to_tensor(gradient), "float32")))
        for gradient, other in zip(gradients, reached or gradients, strict=True)
        if gradient is not None and other is not None
    ]
    return sum(parts) if parts else ops.zeros((), "float32")


class GradientNorms(keras.layers.Layer):
    """Running means of the squared norms of the gradients of each loss and of the labels' loss.

    The norm of the labels' gradient is that on the weights that the other loss reaches: what it
    does to the layers behind a tapped one says nothing of how the two share those before it.

    The means are geometric, in which one gradient that is a hundred times longer than the others
    counts little. A layer, so that they are saved and restored with the distiller.

    Args:
        count: Number of losses.
    """

    def __init__(self, count):
        super().__init__(name="gradient_norms", dtype="float32")
        self.count = count
        self.squares = self.add_weight(
            shape=(count, 2),
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
        reference, of_loss = ops.unstack(ops.convert_to_tensor(self.squares)[index])
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

        def measured():
            of_losses = [tape.gradient(value, weights) for value in values]
            of_labels = of_losses[0] if reference is None else tape.gradient(reference, weights)
            return ops.stack(
                [[squared_norm(of_labels, of_loss), squared_norm(of_loss)] for of_loss in of_losses]
            )

        step = ops.cast(step, "int64")
        is_time = ops.logical_or(ops.any(ops.equal(step, _EARLY)), ops.equal(step % _EVERY, 0))
        # The condition isn't recorded either: tracing would make second gradients of its branches.
        with tape.stop_recording():
            found = tf.cond(is_time, measured, lambda: tf.zeros((self.count, 2)))
        found = mean_over_replicas(found)
        before = ops.convert_to_tensor(self.squares)
        # Where a batch has no labels, or a loss no gradient, what was measured before stays.
        is_usable = ops.logical_and(ops.isfinite(found), found > 0)
        is_usable = ops.all(is_usable, axis=-1, keepdims=True)
        logs = [ops.log(ops.where(of > 0, of, 1.0)) for of in (before, found)]
        mean = ops.exp(_MOMENTUM * logs[0] + (1.0 - _MOMENTUM) * logs[1])
        after = ops.where(before > 0, mean, found)
        self.squares.assign(ops.where(is_usable, after, before))
