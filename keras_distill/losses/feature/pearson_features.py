"""Pearson correlation of feature maps."""

from typing import Any

import keras
from keras import ops

from keras_distill.losses.context import LossContext
from keras_distill.losses.layer_pairs import ProjectedLoss
from keras_distill.losses.tensors import as_float, mean_squared_error, square_root

# Added to the deviation of a channel, as in the authors' code.
_EPSILON = 1e-6


def standardized_channels(features):
    """Brings each channel to mean 0 and deviation 1 over the batch and all positions.

    Args:
        features: Tensor of shape `(batch, ..., channels)`.

    Returns:
        Tensor of the same shape. The deviation divides by one less than the number of values.
    """
    features = as_float(features)
    axes = tuple(range(len(features.shape) - 1))
    centered = features - ops.mean(features, axis=axes, keepdims=True)
    values = ops.size(features) // features.shape[-1]
    others = ops.cast(ops.maximum(values - 1, 1), features.dtype)
    variance = ops.sum(ops.square(centered), axis=axes, keepdims=True) / others
    return centered / (square_root(variance) + _EPSILON)


def pearson_features(teacher_features, student_features):
    """Half the mean squared difference of standardized channels: 1 - r, r Pearson's correlation.

    Args:
        teacher_features: Tensor of shape `(batch, ..., channels)`.
        student_features: Tensor of the same shape.

    Returns:
        Tensor of shape `(batch,)`. Each value depends on the whole batch, whose mean and deviation
        it is standardized by.

    Reference:
        Cao et al., "PKD: General Distillation Framework for Object Detectors via Pearson
        Correlation Coefficient", NeurIPS 2022.
    """
    sides = [standardized_channels(side) for side in (teacher_features, student_features)]
    return 0.5 * mean_squared_error(*sides)


@keras.saving.register_keras_serializable("keras_distill")
class PearsonFeatures(ProjectedLoss):
    """Mean squared error of feature maps whose channels are standardized over the batch.

    Each channel is brought to mean 0 and deviation 1 over the batch and the positions, so that only
    its pattern counts, and half the mean squared difference is one minus Pearson's correlation. It
    was made for detectors and segmentation, where teacher and student differ in scale: the authors
    compare the outputs of feature pyramids level by level, of equal channels and without a
    projector, with weight 6 per level for Faster R-CNN and 10 for RetinaNet. It costs a few passes
    over the features.

    Args:
        teacher_layer_name: Path of the teacher's layer, shape `(batch, ..., channels)`, a list of
            paths, or `"auto"`: the last activation of each spatial stage.
        student_layer_name: The same for the student. Lists are paired in order and summed.
        projector: `"auto"` makes a `FeatureProjector` where the shapes differ, `None` makes a
            difference an error.
        name: Name of the loss in the training history.

    Raises:
        ValueError: If shapes can't be projected.

    Example:

    ```python
    loss = PearsonFeatures("conv4", "conv2")
    features = np.random.rand(2, 4, 4, 8)
    np.testing.assert_allclose(loss.compute_loss(features, 5.0 * features + 1.0), 0.0, atol=1e-6)
    ```

    Reference:
        Cao et al., "PKD: General Distillation Framework for Object Detectors via Pearson
        Correlation Coefficient", NeurIPS 2022.
    """

    automatic_layers = "stages"
    taps = "any layers"

    def compare(self, teacher: Any, student: Any, context: LossContext) -> Any:
        """Computes half the mean squared difference of the standardized channels."""
        return pearson_features(teacher, student)
