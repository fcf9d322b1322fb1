"""Channel-wise distillation."""

from typing import Any

import keras
from keras import ops

from keras_distill.losses import schedule
from keras_distill.losses.argument_types import LayerNames, Number
from keras_distill.losses.context import LossContext
from keras_distill.losses.layer_pairs import ProjectedLoss
from keras_distill.losses.space import positions_by_channels
from keras_distill.losses.tensors import as_floats


def channel_wise(teacher_features, student_features, temperature=4.0):
    """Divergence of each channel's distribution over the positions, times T².

    Args:
        teacher_features: Tensor of shape `(batch, *space, channels)`.
        student_features: Tensor of the same shape.
        temperature: T.

    Returns:
        Tensor of shape `(batch,)`, the mean over the channels.

    Reference:
        Shu et al., "Channel-wise Knowledge Distillation for Dense Prediction", ICCV 2021.
    """
    teacher, student = as_floats(teacher_features, student_features)
    temperature = ops.cast(temperature, student.dtype)
    log_t, log_s = (
        ops.log_softmax(positions_by_channels(side) / temperature, axis=1)
        for side in (teacher, student)
    )
    divergence = ops.sum(ops.exp(log_t) * (log_t - log_s), axis=1)
    return ops.square(temperature) * ops.mean(divergence, axis=-1)


@keras.saving.register_keras_serializable("keras_distill")
class ChannelWise(ProjectedLoss):
    """KL of each channel's softmax over the positions.

    Each channel becomes a distribution over the positions, softmax over space of F / T, and the
    loss is T²/C times the sum over channels of KL(teacher‖student). Made for segmentation, where
    the paper weighs it 3 on the output maps (`teacher_layer_name=None`) and 50 on features, with
    T = 4. Channels that differ in number are mapped by a 1×1 convolution. It costs a softmax over
    the positions.

    Args:
        teacher_layer_name: Path of the teacher's layer, shape `(batch, *space, channels)`, a list
            of paths, `None` for the output, or `"auto"`: the last activation of the last spatial
            stage.
        student_layer_name: The same for the student.
        temperature: T, positive number or `keras.optimizers.schedules.LearningRateSchedule`.
        projector: `"auto"` makes a `FeatureProjector` where the shapes differ, `None` makes a
            difference an error.
        name: Name of the loss in the training history.

    Raises:
        TypeError: If `temperature` is neither a number nor a schedule.
        ValueError: If `temperature` isn't positive, or if shapes can't be projected.

    Example:

    ```python
    loss = ChannelWise("conv4", "conv2")
    assert loss.compute_loss(np.random.rand(2, 4, 4, 8), np.random.rand(2, 4, 4, 8)) > 0
    ```

    Reference:
        Shu et al., "Channel-wise Knowledge Distillation for Dense Prediction", ICCV 2021.
    """

    automatic_layers = "last_stage"
    taps = "spatial layers"
    needs_space = True

    def __init__(
        self,
        teacher_layer_name: LayerNames = "auto",
        student_layer_name: LayerNames = "auto",
        temperature: Number = 4.0,
        projector: str | None = "auto",
        name: str | None = None,
    ):
        super().__init__(teacher_layer_name, student_layer_name, projector, name)
        self.temperature = schedule.check_temperature(temperature)

    def compare(self, teacher: Any, student: Any, context: LossContext) -> Any:
        """Computes T² times the mean divergence of the channels."""
        temperature = schedule.value_at(self.temperature, context.step)
        return channel_wise(teacher, student, temperature)
