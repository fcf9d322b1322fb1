"""The overhaul of feature distillation."""

from typing import Any

import keras
from keras import ops

from keras_distill.losses.argument_types import LayerNames
from keras_distill.losses.context import LossContext
from keras_distill.losses.layer_pairs import ProjectedLoss
from keras_distill.losses.loss import as_pairs
from keras_distill.losses.tensors import as_floats, flatten


def margin_relu(features, margin):
    """Replaces values below a negative margin by the margin: `max(x, m)`.

    Args:
        features: Pre-activations, tensor of shape `(batch, ..., channels)`.
        margin: Tensor of shape `(channels,)`, the mean of each channel's negative values.

    Returns:
        Tensor of the shape of `features`.
    """
    features, margin = as_floats(features, margin)
    return ops.maximum(features, margin)


def partial_distance(teacher_features, student_features):
    """Squared difference, left out where the teacher isn't positive and the student lies below it.

    Args:
        teacher_features: Tensor of shape `(batch, ..., channels)`, after `margin_relu`.
        student_features: Tensor of the same shape, before its activation.

    Returns:
        Tensor of shape `(batch,)`, the mean over the neurons.

    Reference:
        Heo et al., "A Comprehensive Overhaul of Feature Distillation", ICCV 2019.
    """
    teacher, student = as_floats(teacher_features, student_features)
    counts = ops.logical_or(student > teacher, teacher > 0)
    squared = ops.where(counts, ops.square(teacher - student), 0.0)
    return ops.mean(flatten(squared), axis=-1)


@keras.saving.register_keras_serializable("keras_distill")
class OverhaulFeature(ProjectedLoss):
    """Partial L2 distance of pre-activations, the teacher's after a margin ReLU.

    The teacher's values below a negative margin are raised to it, and positions where both the
    teacher isn't positive and the student lies below it cost nothing. The margin of a channel is
    the mean of its negative values, which the paper takes from the training images or from batch
    normalization's parameters; here it is their running mean over the training batches. The
    student's features pass through an adapter, a 1×1 convolution and batch normalization. The
    authors sum over the neurons and weigh 1e-3 on CIFAR, with half of the weight from a layer to
    the one before; here the mean over the neurons is taken and all layers weigh the same: a weight
    of about 10 is that sum at the sizes of CIFAR. It costs the adapter.

    Args:
        teacher_layer_name: Path of what enters the teacher's activation (`"relu4:input"`, or
            `"conv4:preactivation"` for a layer with its own activation), shape
            `(batch, ..., channels)`, a list of paths, or `"auto"`: the last activation of each
            spatial stage.
        student_layer_name: The same for the student.
        projector: `"auto"`, or `None` for no adapter between features of equal shapes.
        name: Name of the loss in the training history.

    Raises:
        ValueError: If shapes can't be projected.

    Example:

    ```python
    loss = OverhaulFeature("relu4:input", "relu2:input", projector=None)
    assert loss.compute_loss(np.random.rand(2, 4, 4, 8), np.random.rand(2, 4, 4, 8)) > 0
    ```

    Reference:
        Heo et al., "A Comprehensive Overhaul of Feature Distillation", ICCV 2019.
    """

    automatic_layers = "preactivations"
    taps = "what enters activations"
    normalizes = True

    def __init__(
        self,
        teacher_layer_name: LayerNames = "auto",
        student_layer_name: LayerNames = "auto",
        projector: str | None = "auto",
        name: str | None = None,
    ):
        super().__init__(teacher_layer_name, student_layer_name, projector, name)
        self._margins = [
            NegativeMean(name=f"{self.name}_margin_{index}")
            for index in range(len(self._projectors))
        ]

    @property
    def own_layers(self) -> list[keras.Layer]:
        """List of the adapters and of the running margins."""
        return [*super().own_layers, *self._margins]

    def build(self, teacher_shapes: Any, student_shapes: Any) -> None:
        """Builds the adapters and the margins."""
        super().build(teacher_shapes, student_shapes)
        pairs = as_pairs(teacher_shapes, student_shapes)
        for margin, (teacher_shape, _) in zip(self._margins, pairs, strict=True):
            if not margin.built:
                margin.build(tuple(teacher_shape))

    def call(self, teacher: Any, student: Any, context: LossContext) -> Any:
        """Sums the partial distances of the pairs."""
        total = 0.0
        pairs = self.project(teacher, student, context)
        for margin, (teacher_features, student_features) in zip(self._margins, pairs, strict=True):
            channels_margin = margin(teacher_features, training=context.training)
            target = margin_relu(teacher_features, channels_margin)
            total = total + partial_distance(target, student_features)
        return total


@keras.saving.register_keras_serializable("keras_distill")
class NegativeMean(keras.layers.Layer):
    """Keeps the mean of each channel's negative values over all training batches.

    Args:
        name: Name of the layer.
    """

    def __init__(self, name=None):
        super().__init__(name=name, dtype="float32", trainable=False)

    def build(self, input_shape):
        """Creates the running sums."""
        options = {"initializer": "zeros", "trainable": False, "aggregation": "mean"}
        self.total = self.add_weight(shape=(input_shape[-1],), name="total", **options)
        self.count = self.add_weight(shape=(input_shape[-1],), name="count", **options)
        self.built = True

    def call(self, features, training=None):
        """Returns the mean of the negative values, of shape `(channels,)`, 0 if there are none."""
        features = ops.stop_gradient(ops.cast(features, "float32"))
        axes = tuple(range(len(features.shape) - 1))
        total = self.total + ops.sum(ops.minimum(features, 0.0), axis=axes)
        count = self.count + ops.sum(ops.cast(features < 0, "float32"), axis=axes)
        if training:
            self.total.assign(total)
            self.count.assign(count)
        else:
            # A channel that no training batch has shown yet goes by this batch.
            total = ops.where(self.count > 0, self.total, total)
            count = ops.where(self.count > 0, self.count, count)
        return total / ops.maximum(count, 1.0)
