"""How the losses' gradients on the student compare with the labels', measured in some steps."""

import keras
import tensorflow as tf
from keras import ops

from keras_distill.training.replicas import mean_over_replicas

# Steps that decide on the ratio. Gradients change most at the start: what the very first batches
# say may be wrong by a factor of a thousand fifty steps later. What is known then stays: a weight
# that went on following would grow without end where a loss is nearly zero, and fade where the
# labels are learned. Nor does a weight rise after the first steps where the loss pulls against the
# labels: it would, the more the student gives up what the labels teach.
_FIRST = 10
_EARLY = (*range(_FIRST), *range(_FIRST, 100, 10))
# Later ones of so many measure whether a loss that pulls against the labels outgrows them.
_EVERY = 100
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
        return -self._count % _EVERY < self._steps or any(step in steps for step in _EARLY)


def compared(of_labels, of_loss):
    """Returns by how much one gradient is longer than another, and whether both agree.

    The ratio is a geometric mean over the weight tensors that both reach: an optimizer such as Adam
    moves each of them as far, however long its gradient, so that none speaks for the others.

    Args:
        of_labels: List of gradients, tensors, one per weight tensor, or `None` among them.
        of_loss: The other such list.

    Returns:
        Tensor of shape `(3,)` in float32: the logarithm of the ratio, the cosine between both, and
        1 if they are known, else zeros.
    """
    pairs = [
        [ops.cast(tf.convert_to_tensor(gradient), "float32") for gradient in pair]
        for pair in zip(of_labels, of_loss, strict=True)
        if not any(gradient is None for gradient in pair)
    ]
    if not pairs:
        return ops.zeros((3,))
    squares = ops.stack([[ops.sum(ops.square(part)) for part in pair] for pair in pairs])
    dots = sum(ops.sum(labels * loss) for labels, loss in pairs)
    is_real = ops.all(squares > _LEAST**2 * ops.sum(squares, axis=0), axis=-1)
    logs = ops.log(ops.where(is_real[:, None], squares, 1.0))
    count = ops.sum(ops.cast(is_real, "float32"))
    mean = ops.sum(logs[:, 0] - logs[:, 1]) / (2.0 * ops.maximum(count, 1.0))
    is_known = ops.logical_and(count > 0, ops.isfinite(mean))
    norms = ops.sqrt(ops.sum(squares, axis=0))
    cosine = dots / ops.where(is_known, norms[0] * norms[1], 1.0)
    return ops.where(is_known, ops.stack([mean, cosine, 1.0]), ops.zeros((3,)))


class GradientRatios(keras.layers.Layer):
    """Running means of how much longer the labels' gradient is than that of each loss.

    The means are geometric, in which one gradient that is a hundred times longer than the others
    counts little. A layer, so that they are saved and restored with the distiller.

    Args:
        count: Number of losses.

    Attributes:
        known: Variable with a row for each loss: the logarithm of the ratio of the early steps,
            that of all steps, the cosine between both gradients, and 1 once they are known.
    """

    def __init__(self, count):
        super().__init__(name="gradient_ratios", dtype="float32")
        self.count = count
        self.known = self.add_weight(
            shape=(count, 4),
            initializer="zeros",
            trainable=False,
            aggregation="mean",
            name="known",
        )
        self.built = True

    @property
    def are_known(self):
        """Whether one has been measured."""
        return bool(ops.any(self.known[:, 3] > 0))

    def at(self, index):
        """Returns by how much the labels' gradient is longer than a loss's, 1 before it is known.

        It is that of the early steps; and that of today where it is less, if the loss pulls against
        the labels, which it must not outgrow.

        Args:
            index: Number of the loss.
        """
        early, now, cosine, _ = ops.unstack(ops.convert_to_tensor(self.known)[index])
        return ops.exp(ops.where(cosine < 0, ops.minimum(early, now), early))

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
            return ops.stack([compared(of_labels, of_loss) for of_loss in of_losses])

        before = ops.convert_to_tensor(self.known)
        was_known = before[:, 3:] > 0
        step = ops.cast(step, "int64")
        is_early = ops.any(ops.equal(step, _EARLY))
        is_early = ops.logical_or(is_early, ops.logical_not(ops.any(was_known)))
        is_time = ops.logical_or(is_early, ops.equal(step % _EVERY, 0))
        # The condition isn't recorded either: tracing would make second gradients of its branches.
        with tape.stop_recording():
            found = tf.cond(is_time, measured, lambda: tf.zeros((self.count, 3)))
        found = mean_over_replicas(found)
        # Where a batch has no labels, or a loss no gradient, what was measured before stays.
        is_known = found[:, 2:] > 0
        found = found[:, :2] / ops.where(is_known, found[:, 2:], 1.0)
        mean = _MOMENTUM * before[:, 1:3] + (1.0 - _MOMENTUM) * found
        now = ops.where(is_known, ops.where(was_known, mean, found), before[:, 1:3])
        may_rise = ops.logical_or(step < _FIRST, now[:, 1:] >= 0)
        may_rise = ops.logical_or(may_rise, ops.logical_not(was_known))
        changes = ops.logical_or(may_rise, now[:, :1] < before[:, :1])
        early = ops.where(ops.logical_and(is_early, changes), now[:, :1], before[:, :1])
        is_known = ops.cast(ops.logical_or(is_known, was_known), "float32")
        self.known.assign(ops.concatenate([early, now, is_known], axis=-1))
