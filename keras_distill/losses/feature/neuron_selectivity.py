"""Neuron selectivity transfer."""

from typing import Any

import keras
from keras import ops

from keras_distill.losses.context import LossContext
from keras_distill.losses.layer_pairs import LayerPairLoss
from keras_distill.losses.space import match_space, positions_by_channels
from keras_distill.losses.tensors import unit


def neuron_selectivity(teacher_features, student_features):
    """Squared maximum mean discrepancy of the channels' spatial patterns, kernel (xᵀy)².

    Args:
        teacher_features: Tensor of shape `(batch, *space, channels)`.
        student_features: Tensor of shape `(batch, *space, channels)`, of any number of channels.

    Returns:
        Tensor of shape `(batch,)`.

    Reference:
        Huang & Wang, "Like What You Like: Knowledge Distill via Neuron Selectivity", 2017.
    """
    teacher, student = (
        unit(positions_by_channels(side), axis=1)
        for side in match_space(teacher_features, student_features)
    )
    return (
        _mean_kernel(teacher, teacher)
        + _mean_kernel(student, student)
        - 2.0 * _mean_kernel(teacher, student)
    )


def _mean_kernel(first, second):
    return ops.mean(ops.square(ops.einsum("bpc,bpd->bcd", first, second)), axis=(1, 2))


@keras.saving.register_keras_serializable("keras_distill")
class NeuronSelectivity(LayerPairLoss):
    """Squared maximum mean discrepancy of the channels' spatial patterns.

    Each channel's pattern over space is brought to unit length, and the loss is the squared
    maximum mean discrepancy of the two sets of patterns, with the kernel (xᵀy)², so that numbers
    of channels may differ. Larger maps are resized to the smaller. RepDistiller
    weighs it 50. It costs three matrix products over all pairs of channels.

    Args:
        teacher_layer_name: Path of the teacher's layer, shape `(batch, *space, channels)`, a list
            of paths, or `"auto"`: the last activation of the last spatial stage.
        student_layer_name: The same for the student.
        name: Name of the loss in the training history.

    Raises:
        ValueError: If features have no spatial axis.

    Example:

    ```python
    loss = NeuronSelectivity("conv4", "conv2")
    assert loss.compute_loss(np.random.rand(2, 4, 4, 16), np.random.rand(2, 4, 4, 3)) > 0
    ```

    Reference:
        Huang & Wang, "Like What You Like: Knowledge Distill via Neuron Selectivity Transfer",
        2017.
    """

    automatic_layers = "last_stage"
    taps = "spatial layers, any channels and sizes"
    padding = "zeros"
    needs_space = True

    def compare(self, teacher: Any, student: Any, context: LossContext) -> Any:
        """Computes the squared maximum mean discrepancy."""
        return neuron_selectivity(teacher, student)
