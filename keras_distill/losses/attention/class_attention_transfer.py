"""Class attention transfer."""

from typing import Any

import keras
from keras import ops

from keras_distill.arguments import check_count
from keras_distill.losses import schedule
from keras_distill.losses.argument_types import LayerNames
from keras_distill.losses.class_maps import fits_classifier, maps_of, shape_of_maps
from keras_distill.losses.context import LossContext
from keras_distill.losses.loss import DistillationLoss
from keras_distill.losses.space import match_rank, resize_space
from keras_distill.losses.tensors import flatten, unit


def class_attention(teacher_maps, student_maps, size=2, normalize=True):
    """Mean squared difference of pooled class activation maps.

    Args:
        teacher_maps: Tensor of shape `(batch, *space, classes)`.
        student_maps: Tensor of the same classes; its space may differ.
        size: Positions per spatial axis that the maps are pooled to.
        normalize: Whether each map is brought to unit length.

    Returns:
        Tensor of shape `(batch,)`.

    Reference:
        Guo et al., "Class Attention Transfer Based Knowledge Distillation", CVPR 2023.
    """
    maps = []
    for side in match_rank(teacher_maps, student_maps):
        space = tuple(min(size, old) for old in side.shape[1:-1])
        pooled = resize_space(side, space)
        axes = tuple(range(1, len(pooled.shape) - 1))
        maps.append(unit(pooled, axis=axes) if normalize else pooled)
    return ops.mean(flatten(ops.square(maps[0] - maps[1])), axis=-1)


@keras.saving.register_keras_serializable("keras_distill")
class ClassAttentionTransfer(DistillationLoss):
    """Mean squared error of pooled, normalized class activation maps.

    A class activation map is the last feature map weighted by the classifier's kernel, one map
    per class. The maps are pooled to a coarse grid, brought to unit length each, and compared by
    their mean squared difference. The authors replace the classifier by a 1×1 convolution before
    the average pooling, which gives the same maps plus the bias; here the bias is left out, as in
    class activation mapping. It costs one product of the last feature map with the classifier's
    kernel.

    The paper normalizes the maps. Its code makes that an option, leaves most pairs of models
    without, and chooses the weight by the pair: 0.7 to 600 on CIFAR-100, where 400 is only the
    default of the configuration. Maps of unit length need the larger weights.

    Args:
        teacher_layer_name: `[features, kernel]`, the paths of the last feature map, shape
            `(batch, *space, channels)`, and of the classifier's kernel (`"logits:kernel"`), with
            an average pooling between the two; or the path of a layer that outputs the maps
            themselves; or `"auto"`.
        student_layer_name: The same for the student.
        size: Positions per spatial axis of the grid.
        normalize: Whether each map is brought to unit length.
        name: Name of the loss in the training history.

    Raises:
        TypeError: If `size` isn't a number or `normalize` neither `True` nor `False`.
        ValueError: If the two models have different classes, or maps have no spatial axis.

    Example:

    ```python
    loss = ClassAttentionTransfer(["conv4", "logits:kernel"], ["conv2", "logits:kernel"])
    teacher = [np.random.rand(2, 8, 8, 16), np.random.rand(16, 5)]
    student = [np.random.rand(2, 8, 8, 4), np.random.rand(4, 5)]
    assert loss.compute_loss(teacher, student) > 0
    ```

    Reference:
        Guo et al., "Class Attention Transfer Based Knowledge Distillation", CVPR 2023.
    """

    automatic_layers = "class_maps"
    pairs_layers = False
    taps = "the last feature map and the classifier's kernel"

    def __init__(
        self,
        teacher_layer_name: LayerNames = "auto",
        student_layer_name: LayerNames = "auto",
        size: int = 2,
        normalize: bool = True,
        name: str | None = None,
    ):
        super().__init__(teacher_layer_name, student_layer_name, name)
        self.size = check_count("size", size)
        self.normalize = schedule.check_switch("normalize", normalize)

    def build(self, teacher_shapes: Any, student_shapes: Any) -> None:
        """Checks that both sides have maps over space of the same classes."""
        for side in (teacher_shapes, student_shapes):
            if not fits_classifier(side):
                raise self.shape_error(
                    teacher_shapes,
                    student_shapes,
                    "the classifier's kernel must take the channels of the last feature map, "
                    "averaged over space, with no other layer between the two.",
                )
        shapes = [shape_of_maps(side) for side in (teacher_shapes, student_shapes)]
        ranks_fit = len(shapes[0]) == len(shapes[1]) > 2
        if not ranks_fit or shapes[0][-1] != shapes[1][-1]:
            raise self.shape_error(
                teacher_shapes,
                student_shapes,
                "class maps must be over space, and over the same classes on both sides.",
            )

    def check_batches(self, teacher_shapes: Any, student_shapes: Any) -> None:
        """Checks that both sides hold as many samples; a kernel holds none."""
        sides = (teacher_shapes, student_shapes)
        super().check_batches(*(side[0] if isinstance(side, list) else side for side in sides))

    def call(self, teacher: Any, student: Any, context: LossContext) -> Any:
        """Computes the distance of the pooled maps."""
        maps = maps_of(teacher), maps_of(student)
        return class_attention(*maps, self.size, self.normalize)
