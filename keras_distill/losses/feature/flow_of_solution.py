"""The flow of the solution procedure."""

from typing import Any

import keras
from keras import ops

from keras_distill.losses.layer_pairs import SuccessiveLayersLoss
from keras_distill.losses.space import match_space, positions_by_channels
from keras_distill.losses.tensors import mean_squared_error


def flow_matrix(first, second):
    """The flow of the solution procedure between two layers: their channels' inner products.

    Args:
        first: Tensor of shape `(batch, *space, channels)`.
        second: Tensor of shape `(batch, *space, other_channels)`; the larger space is resized to
            the smaller.

    Returns:
        Tensor of shape `(batch, channels, other_channels)`, divided by the number of positions.
    """
    first, second = (positions_by_channels(side) for side in match_space(first, second))
    positions = ops.cast(ops.shape(first)[1], first.dtype)
    return ops.einsum("bpc,bpd->bcd", first, second) / positions


def flow_of_solution(teacher_layers, student_layers):
    """Mean squared difference of the flow matrices between two layers of each model.

    Args:
        teacher_layers: Pair of tensors of shape `(batch, *space, channels)`.
        student_layers: Pair of tensors with the teacher's numbers of channels.

    Returns:
        Tensor of shape `(batch,)`.

    Reference:
        Yim et al., "A Gift from Knowledge Distillation", CVPR 2017.
    """
    return mean_squared_error(flow_matrix(*teacher_layers), flow_matrix(*student_layers))


@keras.saving.register_keras_serializable("keras_distill")
class FlowOfSolution(SuccessiveLayersLoss):
    """Mean squared error of FSP matrices: inner products of channels between two layers.

    The flow between two layers is G = F1ᵀF2 / (height · width), a matrix of the channels' inner
    products, and the loss is the mean squared difference of the two models' matrices, summed over
    successive pairs of the tapped layers. The paper trains with it alone in a first stage, with
    equal weights of the pairs; as one term beside others, RepDistiller weighs it 50. Paper and
    code need equal channels; here a 1×1 convolution on the student's features makes them so. It
    costs one matrix product per pair.

    Args:
        teacher_layer_name: List of paths of two layers or more, from early to late, of shape
            `(batch, *space, channels)`, or `"auto"`: the last activation of each spatial stage.
        student_layer_name: The same for the student.
        projector: `"auto"` makes a `FeatureProjector` where the shapes differ, `None` makes a
            difference an error.
        name: Name of the loss in the training history.

    Raises:
        ValueError: If fewer than two layers are tapped, or if shapes differ and can't be
            projected.

    Example:

    ```python
    loss = FlowOfSolution(["conv1", "conv4"], ["conv1", "conv2"])
    teacher = [np.random.rand(2, 8, 8, 4), np.random.rand(2, 4, 4, 6)]
    student = [np.random.rand(2, 8, 8, 4), np.random.rand(2, 4, 4, 6)]
    assert loss.compute_loss(teacher, student) > 0
    ```

    Reference:
        Yim et al., "A Gift from Knowledge Distillation: Fast Optimization, Network Minimization
        and Transfer Learning", CVPR 2017.
    """

    def between(self, teacher: Any, student: Any) -> Any:
        """Computes the distance of the flows between two layers."""
        return flow_of_solution(teacher, student)
