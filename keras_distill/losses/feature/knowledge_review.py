"""Knowledge review."""

from typing import Any

import keras
from keras import ops

from keras_distill.losses.adapters import convolution, normalization
from keras_distill.losses.argument_types import LayerNames
from keras_distill.losses.context import LossContext
from keras_distill.losses.layer_pairs import LayerPairLoss
from keras_distill.losses.loss import as_pairs
from keras_distill.losses.space import resize_space
from keras_distill.losses.tensors import as_floats, mean_squared_error

_MOST_CHANNELS = 512


def hierarchical_context(teacher_features, student_features, levels=(4, 2, 1)):
    """Mean squared difference of features at full size and averaged to coarser grids.

    Args:
        teacher_features: Tensor of shape `(batch, *space, channels)`.
        student_features: Tensor of the same shape.
        levels: Positions per axis of the grids; those not smaller than the features are left out.
            Each grid weighs half of the one before, the features themselves weigh 1.

    Returns:
        Tensor of shape `(batch,)`, the weighted mean.

    Reference:
        Chen et al., "Distilling Knowledge via Knowledge Review", CVPR 2021.
    """
    teacher, student = as_floats(teacher_features, student_features)
    total, weight, weights = mean_squared_error(teacher, student), 1.0, 1.0
    space = teacher.shape[1:-1]
    for level in levels:
        if any(level >= side for side in space):
            continue
        grid = (level,) * len(space)
        weight, weights = weight / 2, weights + weight / 2
        pooled = [resize_space(side, grid) for side in (teacher, student)]
        total = total + weight * mean_squared_error(*pooled)
    return total / weights


@keras.saving.register_keras_serializable("keras_distill")
class KnowledgeReview(LayerPairLoss):
    """Review of shallower teacher layers: attention-based fusion of the student's stages.

    From the deepest layer up, the student's features are fused with what came from below, by an
    attention over the two, and each fusion is compared with the teacher's layer at full size and
    averaged to grids of 4, 2 and 1 positions per axis. The authors choose the weight by
    the pair of models (about 1 to 8 beside the labels'), warmed up linearly over 20 epochs; their
    code also compares the pooled embedding, which may be tapped as any layer here. It costs
    three convolutions per layer.

    Args:
        teacher_layer_name: List of paths from early to late, of shape
            `(batch, *space, channels)`, or `"auto"`: the last activation of each spatial stage.
        student_layer_name: The same for the student.
        name: Name of the loss in the training history.

    Raises:
        ValueError: If features have no spatial axis, or different numbers of them.

    Example:

    ```python
    loss = KnowledgeReview(["conv1", "conv4"], ["conv1", "conv2"])
    teacher = [np.random.rand(2, 8, 8, 4), np.random.rand(2, 4, 4, 6)]
    student = [np.random.rand(2, 8, 8, 3), np.random.rand(2, 4, 4, 5)]
    assert loss.compute_loss(teacher, student) > 0
    ```

    Reference:
        Chen et al., "Distilling Knowledge via Knowledge Review", CVPR 2021.
    """

    automatic_layers = "stages"
    taps = "spatial layers, any channels and sizes"
    needs_space = True

    def __init__(
        self,
        teacher_layer_name: LayerNames = "auto",
        student_layer_name: LayerNames = "auto",
        name: str | None = None,
    ):
        super().__init__(teacher_layer_name, student_layer_name, name)
        pairs = as_pairs(self.teacher_layer_name, self.student_layer_name)
        self._fusions = [
            ReviewFusion(name=f"{self.name}_fusion_{index}") for index in range(len(pairs))
        ]

    @property
    def own_layers(self) -> list[keras.Layer]:
        """List of the fusions, one per pair."""
        return self._fusions

    def check_pair(self, teacher_shape: tuple, student_shape: tuple) -> None:
        """Checks that both features have as many spatial axes."""
        super().check_pair(teacher_shape, student_shape)
        if len(teacher_shape) != len(student_shape):
            raise self.shape_error(
                teacher_shape, student_shape, "both features must have as many spatial axes."
            )

    def build(self, teacher_shapes: Any, student_shapes: Any) -> None:
        """Builds the fusions."""
        super().build(teacher_shapes, student_shapes)
        pairs = as_pairs(teacher_shapes, student_shapes)
        middle = min(_MOST_CHANNELS, pairs[-1][1][-1])
        for index, (fusion, pair) in enumerate(zip(self._fusions, pairs, strict=True)):
            fusion.match(pair[0], pair[1], middle, is_deepest=index + 1 == len(pairs))

    def call(self, teacher: Any, student: Any, context: LossContext) -> Any:
        """Sums the hierarchical context losses of the fused features."""
        total, below = 0.0, None
        pairs = list(zip(self._fusions, as_pairs(teacher, student), strict=True))
        for fusion, (teacher_features, student_features) in reversed(pairs):
            fused, below = fusion(student_features, below, training=context.training)
            total = total + hierarchical_context(teacher_features, fused)
        return total


@keras.saving.register_keras_serializable("keras_distill")
class ReviewFusion(keras.layers.Layer):
    """Fuses a layer's features with those that came from the layer below it, by attention.

    Args:
        name: Name of the layer.
    """

    def __init__(self, name=None):
        super().__init__(name=name, dtype="float32")

    def match(self, teacher_shape, student_shape, channels, is_deepest):
        """Builds the layer.

        Args:
            teacher_shape: Shape of the teacher's features, batch included.
            student_shape: Shape of the student's.
            channels: Number of channels of what is passed on.
            is_deepest: Whether nothing comes from below.
        """
        if self.built:
            return
        self.space = tuple(teacher_shape[1:-1])
        rank, space = len(student_shape), tuple(student_shape[1:-1])
        self.enter = convolution(rank, channels, use_bias=False, name="enter")
        self.enter.build(student_shape)
        self.enter_norm = _normalization((None, *space, channels), "enter_norm")
        self.attention = None
        if not is_deepest:
            self.attention = convolution(rank, 2, activation="sigmoid", name="attention")
            self.attention.build((None, *space, 2 * channels))
        self.leave = convolution(rank, teacher_shape[-1], 3, use_bias=False, name="leave")
        self.leave.build((None, *self.space, channels))
        self.leave_norm = _normalization((None, *self.space, teacher_shape[-1]), "leave_norm")
        self.built = True

    def call(self, features, below=None, training=None):
        """Returns the features in the teacher's shape, and what is passed on."""
        features = self.enter(ops.cast(features, "float32"))
        features = self.enter_norm(features, training=training)
        if below is not None:
            below = resize_space(below, features.shape[1:-1], enlarge="nearest")
            weights = self.attention(ops.concatenate([features, below], axis=-1))
            features = features * weights[..., :1] + below * weights[..., 1:]
        resized = resize_space(features, self.space, enlarge="nearest")
        return self.leave_norm(self.leave(resized), training=training), resized


def _normalization(shape, name):
    layer = normalization(name, dtype="float32")
    layer.build(shape)
    return layer
