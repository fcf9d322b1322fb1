"""Inter-channel correlation."""

from typing import Any

import keras
from keras import ops

from keras_distill.losses.context import LossContext
from keras_distill.losses.layer_pairs import ProjectedLoss
from keras_distill.losses.space import positions_by_channels
from keras_distill.losses.tensors import mean_squared_error, unit


def channel_correlation(features):
    """Inner products of the channels' spatial patterns, each of unit length.

    Args:
        features: Tensor of shape `(batch, *space, channels)`.

    Returns:
        Tensor of shape `(batch, channels, channels)`.
    """
    patterns = unit(positions_by_channels(features), axis=1)
    return ops.einsum("bpc,bpd->bcd", patterns, patterns)


def inter_channel_correlation(teacher_features, student_features):
    """Mean squared difference of the channel correlation matrices.

    Args:
        teacher_features: Tensor of shape `(batch, *space, channels)`.
        student_features: Tensor with as many channels; its space may differ.

    Returns:
        Tensor of shape `(batch,)`.

    Reference:
        Liu et al., "Exploring Inter-Channel Correlation for Diversity-Preserved Knowledge
        Distillation", ICCV 2021.
    """
    return mean_squared_error(
        channel_correlation(teacher_features), channel_correlation(student_features)
    )


@keras.saving.register_keras_serializable("keras_distill")
class InterChannelCorrelation(ProjectedLoss):
    """Mean squared error of the channels' correlation matrices.

    The channels' spatial patterns are brought to unit length, and the loss is the mean squared
    difference of their inner products. Channels that differ in number are mapped by a 1×1
    convolution. The authors' code brings the rows of the inner products to unit length in place
    of the patterns, and divides their squared difference by the channels, not by the channel
    pairs: a weight of about 100 suits here. It costs one matrix product over the
    channels.

    Args:
        teacher_layer_name: Path of the teacher's layer, shape `(batch, *space, channels)`, a list
            of paths, or `"auto"`: the last activation of the last spatial stage.
        student_layer_name: The same for the student.
        projector: `"auto"` makes a `FeatureProjector` where the shapes differ, `None` makes a
            difference an error.
        name: Name of the loss in the training history.

    Raises:
        ValueError: If shapes can't be projected.

    Example:

    ```python
    loss = InterChannelCorrelation("conv4", "conv2")
    assert loss.compute_loss(np.random.rand(2, 4, 4, 8), np.random.rand(2, 4, 4, 8)) > 0
    ```

    Reference:
        Liu et al., "Exploring Inter-Channel Correlation for Diversity-Preserved Knowledge
        Distillation", ICCV 2021.
    """

    automatic_layers = "last_stage"
    taps = "spatial layers"
    padding = "zeros"
    needs_space = True

    def compare(self, teacher: Any, student: Any, context: LossContext) -> Any:
        """Computes the mean squared difference of the correlation matrices."""
        return inter_channel_correlation(teacher, student)
