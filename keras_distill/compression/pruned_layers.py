"""Pruned layers: their smallest weights become zero while they train."""

import dataclasses
from typing import Any

import keras
from keras import ops

from keras_distill import _compat
from keras_distill.arguments import check_count
from keras_distill.compression.compressed_kernel import CompressedKernel
from keras_distill.compression.pruning_schedule import PruningSchedule, schedule_of


class _PrunedKernel(CompressedKernel):
    """Kernel whose masked weights are zero, for a class of Keras that it comes before.

    As in tensorflow-model-optimization every weight has a gradient, and at each step the masked
    ones are set back to zero: one that would grow beyond others can come back.

    Args:
        *args: Arguments of the layer's own class.
        schedule: `PruningSchedule`, or a dictionary of its arguments; those that it leaves out
            have their defaults, so that `{}` makes half of the weights zero from the start.
        calls_per_step: How often the layer is called in one step, more than once if it is shared.
        **kwargs: Arguments of the layer's own class.
    """

    compressed_as = "pruned"
    own_arguments = ("schedule", "calls_per_step")

    def __init__(
        self,
        *args: Any,
        schedule: PruningSchedule | dict[str, Any],
        calls_per_step: int = 1,
        **kwargs: Any,
    ):
        super().__init__(*args, **kwargs)
        self.schedule = schedule_of(schedule)
        self.calls_per_step = check_count("calls_per_step", calls_per_step)
        self.pruning_mask = None

    def build(self, input_shape):
        """Creates the kernel, the bias, the mask and the counter of steps."""
        super().build(input_shape)

        def add(name, shape, initializer, dtype=None):
            return self.add_weight(
                shape=shape,
                initializer=initializer,
                dtype=dtype or self.variable_dtype,
                trainable=False,
                aggregation="only_first_replica",
                name=name,
            )

        mask = add("pruning_mask", _compat.kernel_variable(self).shape, "ones")
        self.pruning_threshold = add("pruning_threshold", (), "zeros")
        self.pruning_calls = add("pruning_calls", (), "zeros", "int64")
        self.pruning_mask = mask

    @property
    def kernel(self):
        """The kernel, with zeros where it is pruned."""
        kernel = super().kernel
        if self.pruning_mask is None:
            return kernel
        kernel = ops.convert_to_tensor(kernel)
        return kernel + ops.stop_gradient(kernel * self.pruning_mask - kernel)

    @property
    def pruning_step(self):
        """Number of the training step, counted from 1; 0 before the first."""
        return (self.pruning_calls + (self.calls_per_step - 1)) // self.calls_per_step

    def call(self, inputs, training=None):
        """Returns what the layer returns, with the pruned kernel; prunes it in training."""
        if training and self.trainable:
            self._prune()
        return super().call(inputs)

    def _prune(self):
        self.pruning_calls.assign_add(1)
        variables = _compat.kernel_variable(self), self.pruning_mask, self.pruning_threshold
        pruning = self.schedule.pruning(self.pruning_step, *map(_compat.tf_variable, variables))
        pruning.conditional_mask_update()
        pruning.weight_mask_op()

    def get_config(self):
        """Returns the constructor's arguments."""
        return {
            **super().get_config(),
            "schedule": dataclasses.asdict(self.schedule),
            "calls_per_step": self.calls_per_step,
        }


@keras.saving.register_keras_serializable("keras_distill")
class PrunedConv1D(_PrunedKernel, keras.layers.Conv1D):
    """`Conv1D` whose kernel is pruned while it trains."""


@keras.saving.register_keras_serializable("keras_distill")
class PrunedConv2D(_PrunedKernel, keras.layers.Conv2D):
    """`Conv2D` whose kernel is pruned while it trains."""


@keras.saving.register_keras_serializable("keras_distill")
class PrunedDense(_PrunedKernel, keras.layers.Dense):
    """`Dense` whose kernel is pruned while it trains."""


PRUNED = {
    keras.layers.Conv1D: PrunedConv1D,
    keras.layers.Conv2D: PrunedConv2D,
    keras.layers.Dense: PrunedDense,
}
