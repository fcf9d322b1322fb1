"""Activation boundaries."""

from typing import Any

import keras
from keras import ops

from keras_distill.losses import schedule
from keras_distill.losses.argument_types import LayerNames
from keras_distill.losses.context import LossContext
from keras_distill.losses.layer_pairs import ProjectedLoss
from keras_distill.losses.tensors import as_floats, flatten


def activation_boundary(teacher_features, student_features, margin=1.0):
    """Squared hinge that puts the student's pre-activations on the teacher's side of zero.

    Args:
        teacher_features: Pre-activations, tensor of shape `(batch, ..., channels)`.
        student_features: Tensor of the same shape.
        margin: How far beyond zero the student must be for a loss of 0.

    Returns:
        Tensor of shape `(batch,)`, the mean over the neurons.

    Reference:
        Heo et al., "Knowledge Transfer via Distillation of Activation Boundaries", AAAI 2019.
    """
    teacher, student = as_floats(teacher_features, student_features)
    is_on = ops.cast(teacher > 0, student.dtype)
    should_rise = ops.square(ops.relu(margin - student))
    should_fall = ops.square(ops.relu(margin + student))
    return ops.mean(flatten(is_on * should_rise + (1.0 - is_on) * should_fall), axis=-1)


@keras.saving.register_keras_serializable("keras_distill")
class ActivationBoundary(ProjectedLoss):
    """Squared hinge loss on the signs of the pre-activations, the activation boundaries.

    A neuron costs (μ - s)² if it should be on and s < μ, (μ + s)² if it should be off and s > -μ,
    with the margin μ. The student's features pass through an adapter, a 1×1 convolution and batch
    normalization, as in the paper. All official code trains with this loss alone, before the
    labels: `Distiller(..., student_loss_weight=0.0)`, then the student on the labels. It sums over
    the neurons, times 0.003, with half of the weight from a layer to the one before. Here the mean
    over the neurons is taken and all layers weigh the same: a weight of about 30 is that sum at the
    sizes of CIFAR. It costs the adapter.

    Args:
        teacher_layer_name: Path of what enters the teacher's activation (`"relu4:input"`, or
            `"conv4:preactivation"` for a layer with its own activation), shape
            `(batch, ..., channels)`, a list of paths, or `"auto"`: the last activation of each
            spatial stage.
        student_layer_name: The same for the student.
        margin: μ, a positive number.
        projector: `"auto"`, or `None` for no adapter between features of equal shapes.
        name: Name of the loss in the training history.

    Raises:
        TypeError: If `margin` isn't a number.
        ValueError: If `margin` isn't positive, or if shapes can't be projected.

    Example:

    ```python
    loss = ActivationBoundary("relu4:input", "relu2:input", projector=None)
    assert loss.compute_loss(np.full((2, 4, 4, 8), 0.1), np.full((2, 4, 4, 8), 1.5)) == 0
    ```

    Reference:
        Heo et al., "Knowledge Transfer via Distillation of Activation Boundaries Formed by Hidden
        Neurons", AAAI 2019.
    """

    automatic_layers = "preactivations"
    taps = "what enters activations"
    normalizes = True

    def __init__(
        self,
        teacher_layer_name: LayerNames = "auto",
        student_layer_name: LayerNames = "auto",
        margin: float = 1.0,
        projector: str | None = "auto",
        name: str | None = None,
    ):
        super().__init__(teacher_layer_name, student_layer_name, projector, name)
        self.margin = schedule.check_constant("margin", margin, low=0, low_is_allowed=False)

    def compare(self, teacher: Any, student: Any, context: LossContext) -> Any:
        """Computes the mean squared hinge."""
        return activation_boundary(teacher, student, self.margin)
