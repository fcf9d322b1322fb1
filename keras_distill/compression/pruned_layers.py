"""Layers whose kernels lose their smallest weights while they train."""

import dataclasses

import keras
import tensorflow as tf
from keras import ops

from keras_distill import _compat
from keras_distill.arguments import check_count, shown
from keras_distill.compression.compressed_kernel import CompressedKernel
from keras_distill.compression.tfmot import require


@dataclasses.dataclass(frozen=True)
class PruningPlan:
    """When, and how far, a kernel is pruned.

    Args:
        sparsity: Share of zeros at the end.
        pattern: `None`, or `"2:4"`.
        begin_step: First step of the schedule.
        end_step: Its last step, or `None` for a constant sparsity.
        frequency: Steps between two choices of the weights.
        initial_sparsity: Share of zeros at `begin_step`, if there is an end.
    """

    sparsity: float = 0.5
    pattern: str | None = None
    begin_step: int = 0
    end_step: int | None = None
    frequency: int = 1
    initial_sparsity: float = 0.0

    @property
    def decisive_step(self):
        """The step from which on the kernel has the sparsity that was asked for."""
        if self.pattern is not None:
            return 1
        return self.end_step or self.begin_step or self.frequency

    def schedule(self):
        """Returns the schedule of tensorflow-model-optimization."""
        schedules = require("tensorflow_model_optimization").sparsity.keras
        if self.end_step is None:
            return schedules.ConstantSparsity(
                self.sparsity, self.begin_step, frequency=self.frequency
            )
        return schedules.PolynomialDecay(
            self.initial_sparsity,
            self.sparsity,
            self.begin_step,
            self.end_step,
            frequency=self.frequency,
        )

    def pruning(self, step, kernel, mask, threshold):
        """Returns the pruning of tensorflow-model-optimization, of one kernel.

        Args:
            step: Tensor, number of the training step.
            kernel: `tf.Variable`.
            mask: `tf.Variable` of the same shape: 1 where a weight stays.
            threshold: `tf.Variable`, smallest magnitude that stays.
        """
        return _pruning_class()(
            lambda: step,
            [(kernel, mask, threshold)],
            self.schedule(),
            block_size=(1, 1),
            block_pooling_type="AVG",
            sparsity_m_by_n=None if self.pattern is None else (2, 4),
        )


def _pruning_class():
    require("tensorflow_model_optimization")

    class Pruning(_compat.pruning_class()):
        """Takes one-dimensional convolutions too, as the planes that TensorFlow Lite makes them."""

        def _update_mask_sparsity_m_by_n(self, weights, m_by_n=(2, 4)):
            planes = weights[None] if weights.shape.rank == 3 else weights
            return tf.reshape(super()._update_mask_sparsity_m_by_n(planes, m_by_n), weights.shape)

    return Pruning


def _plan(plan):
    """Returns the plan that a layer was given, or one of its arguments in a dictionary."""
    fields = {field.name for field in dataclasses.fields(PruningPlan)}
    if isinstance(plan, dict) and set(plan) <= fields:
        return PruningPlan(**plan)
    if not isinstance(plan, PruningPlan):
        raise TypeError(
            "plan must be a PruningPlan, or a dictionary of its arguments "
            f"({', '.join(sorted(fields))}). Received: plan={shown(plan)}"
        )
    return plan


class _PrunedKernel(CompressedKernel):
    """Makes a layer compute with the unmasked weights of its kernel.

    As in tensorflow-model-optimization every weight has a gradient, and at each step the masked
    ones are set back to zero: one that would grow beyond others can come back.

    Args:
        *args: Arguments of the layer's own class.
        plan: `PruningPlan`, or a dictionary of its arguments.
        calls_per_step: How often the layer is called in one step, more than once if it is shared.
        **kwargs: Arguments of the layer's own class.
    """

    compressed_as = "pruned"
    own_arguments = ("plan", "calls_per_step")

    def __init__(self, *args, plan, calls_per_step=1, **kwargs):
        super().__init__(*args, **kwargs)
        self.plan = _plan(plan)
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
        pruning = self.plan.pruning(self.pruning_step, *map(_compat.tf_variable, variables))
        pruning.conditional_mask_update()
        pruning.weight_mask_op()

    def get_config(self):
        """Returns the constructor's arguments."""
        plan = dataclasses.asdict(self.plan)
        return {**super().get_config(), "plan": plan, "calls_per_step": self.calls_per_step}


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
