"""How long the losses' gradients on the student are beside the labels', measured in early steps."""

import keras
import tensorflow as tf
from keras import ops

from keras_distill.training.replicas import mean_over_replicas

# Steps that measure. Gradients change most at the start: what the very first batches say may be
# wrong by a factor of a thousand fifty steps later. What is known then stays: a weight that went on
# following would grow without end where a loss is nearly zero, and fade where the labels are.
_MEASURED = (*range(10), *range(10, 100, 10))
# Of the running mean, so that the first measurements are soon forgotten.
_MOMENTUM = 0.7
# Gradients that are shorter than this, beside that on all weights, are rounding errors: those of a
# bias before a batch normalization, or of a key's bias.
_LEAST = 1e-4


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
        """Says whether the next call, which is counted, holds such a step.

        The first call always does: where nothing was measured, it is time whatever the step.
        """
        is_first = self._count is None
        if is_first or self._steps > 1 or self._holds():
            self._count = int(self._iterations.numpy())
        is_now = is_first or self._holds()
        self._count += self._steps
        return is_now

    def _holds(self):
        steps = range(self._count, self._count + self._steps)
        return any(step in steps for step in _MEASURED)


def log_ratio(of_labels, of_loss):
    """Returns by how much one gradient is longer than another, in logarithms.

    It is the mean over the weight tensors that both reach: an optimizer such as Adam moves each of
    them as far, however long its gradient, so that none speaks for the others.

    Args:
        of_labels: List of gradients, tensors, one per weight tensor, or `None` among them.
        of_loss: The other such list.

    Returns:
        Tensor of shape `(2,)` in float32: the mean, and 1 if it is known, else zeros.
    """
    pairs = [
        [_squared_norm(gradient) for gradient in pair]
        for pair in zip(of_labels, of_loss, strict=True)
        if None not in pair
    ]
    if not pairs:
        return ops.zeros((2,))
    squares = ops.stack(pairs)
    is_real = ops.all(squares > _LEAST**2 * ops.sum(squares, axis=0), axis=-1)
    logs = ops.log(ops.where(is_real[:, None], squares, 1.0))
    count = ops.sum(ops.cast(is_real, "float32"))
    mean = ops.sum(logs[:, 0] - logs[:, 1]) / (2.0 * ops.maximum(count, 1.0))
    is_known = ops.logical_and(count > 0, ops.isfinite(mean))
    return ops.where(is_known, ops.stack([mean, 1.0]), ops.zeros((2,)))


def _squared_norm(gradient):
    return ops.sum(ops.square(ops.cast(tf.convert_to_tensor(gradient), "float32")))


class GradientRatios(keras.layers.Layer):
    """Running means of how much longer the labels' gradient is than that of each loss.

    The means are geometric, in which one gradient that is a hundred times longer than the others
    counts little. A layer, so that they are saved and restored with the distiller.

    Args:
        count: Number of losses.
    """

    def __init__(self, count):
        super().__init__(name="gradient_ratios", dtype="float32")
        self.count = count
        self.logs = self.add_weight(
            shape=(count, 2),
            initializer="zeros",
            trainable=False,
            aggregation="mean",
            name="logs",
        )
        self.built = True

    @property
    def are_known(self):
        """Whether one has been measured."""
        return bool(ops.any(self.logs[:, 1] > 0))

    def at(self, index):
        """Returns by how much the labels' gradient is longer than a loss's, 1 before it is known.

        Args:
            index: Number of the loss.
        """
        return ops.exp(ops.convert_to_tensor(self.logs)[index, 0])

    def measure(self, tape, reference, values, weights, step):
        """Measures the ratios, if it is time to.

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
            return ops.stack([log_ratio(of_labels, of_loss) for of_loss in of_losses])

        before = ops.convert_to_tensor(self.logs)
        was_known = before[:, 1:] > 0
        is_time = ops.any(ops.equal(ops.cast(step, "int64"), _MEASURED))
        is_time = ops.logical_or(is_time, ops.logical_not(ops.any(was_known)))
        # The condition isn't recorded either: tracing would make second gradients of its branches.
        with tape.stop_recording():
            found = tf.cond(is_time, measured, lambda: tf.zeros((self.count, 2)))
        found = mean_over_replicas(found)
        # Where a batch has no labels, or a loss no gradient, what was measured before stays.
        is_known = found[:, 1:] > 0
        found = found[:, :1] / ops.where(is_known, found[:, 1:], 1.0)
        mean = _MOMENTUM * before[:, :1] + (1.0 - _MOMENTUM) * found
        after = ops.where(is_known, ops.where(was_known, mean, found), before[:, :1])
        is_known = ops.cast(ops.logical_or(is_known, was_known), "float32")
        self.logs.assign(ops.concatenate([after, is_known], axis=-1))
