"""Scale-decoupled distillation."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from keras_distill.arguments import check_count, shown
from keras_distill.losses import schedule
from keras_distill.losses.argument_types import LayerNames, Number
from keras_distill.losses.class_maps import fits_classifier, maps_of, shape_of_maps
from keras_distill.losses.context import LossContext
from keras_distill.losses.loss import DistillationLoss
from keras_distill.losses.response.soft_targets import soft_targets
from keras_distill.losses.space import match_space, positions_by_channels, resize_space
from keras_distill.losses.tensors import as_floats


def scale_decoupled(
    teacher_maps,
    student_maps,
    one_hot,
    scales=(1, 2, 4),
    temperature=4.0,
    complementary_weight=2.0,
):
    """Soft targets of the regions of class maps, at several scales.

    Args:
        teacher_maps: Logits at each position, tensor of shape `(batch, *space, classes)`.
        student_maps: Tensor of the same classes; maps of different size are resized to the smaller.
        one_hot: Labels as 0 and 1, shape `(batch, classes)`.
        scales: Regions along each spatial axis, one number per scale.
        temperature: T.
        complementary_weight: Weight of a region where the teacher is right and wrong on the whole,
            or wrong and right on the whole; the others weigh 1.

    Returns:
        Tensor of shape `(batch,)`, the mean over the regions of all scales, times T².

    Reference:
        Wei, Luo, Luo, "Scaled Decoupled Distillation", CVPR 2024.
    """
    sides = match_space(*as_floats(teacher_maps, student_maps))
    one_hot = ops.cast(one_hot, sides[1].dtype)[:, None]
    regions = [ops.concatenate(_regions(side, scales), axis=1) for side in sides]
    whole = ops.mean(positions_by_channels(sides[0]), axis=1, keepdims=True)
    is_other = ops.not_equal(_is_right(regions[0], one_hot), _is_right(whole, one_hot))
    weights = ops.where(is_other, ops.cast(complementary_weight, one_hot.dtype), 1.0)
    return ops.mean(weights * soft_targets(*regions, temperature), axis=-1)


def _regions(maps, scales):
    """Returns a list of the logits of each scale's regions, `(batch, regions, classes)`."""
    sizes = maps.shape[1:-1]
    spaces = [tuple(min(scale, size) for size in sizes) for scale in scales]
    return [positions_by_channels(resize_space(maps, space)) for space in spaces]


def _is_right(logits, one_hot):
    return ops.equal(ops.argmax(logits, axis=-1), ops.argmax(one_hot, axis=-1))


@keras.saving.register_keras_serializable("keras_distill")
class ScaleDecoupled(DistillationLoss):
    """Soft targets of image regions at several scales, from class maps.

    The classifier's kernel and bias, applied at each position of the last feature map, give logits
    everywhere; their averages over 1, 4 and 16 regions are compared by soft targets. Regions on
    which the teacher decides otherwise than on the whole image (one of both is the label) count
    twice. The mean over all regions is taken, as in the authors' code, which divides by the number
    of regions too; it is the SD-KD of the paper. The weight is that of soft targets: the code has
    weight 0.9 and T = 4 beside 0.1 for the labels. It costs one product of the last feature map
    with the classifier's kernel, and a softmax per region.

    Args:
        temperature: T, positive number or `keras.optimizers.schedules.LearningRateSchedule`.
        scales: Regions along each spatial axis, one integer per scale; more than the map has
            positions count as one region per position.
        complementary_weight: Weight of the regions on which the teacher decides otherwise, number
            or schedule.
        teacher_layer_name: `[features, kernel, bias]`, the paths of the last feature map, shape
            `(batch, *space, channels)`, of the classifier's kernel (`"logits:kernel"`) and, where
            it has one, of its bias (`"logits:bias"`), with an average pooling between the map and
            the classifier; or the path of a layer that outputs logits at each position; or
            `"auto"`.
        student_layer_name: The same for the student.
        name: Name of the loss in the training history.

    Raises:
        TypeError: If a number isn't one.
        ValueError: If a number is out of bounds, the two models have different classes, or maps
            have no spatial axis; when called, if there are no labels.

    Example:

    ```python
    loss = ScaleDecoupled(scales=(1, 2))
    teacher = [np.random.rand(2, 8, 8, 16), np.random.rand(16, 5), np.random.rand(5)]
    student = [np.random.rand(2, 4, 4, 3), np.random.rand(3, 5), np.random.rand(5)]
    assert loss.compute_loss(teacher, student, labels=np.array([0, 4])) > 0
    ```

    Reference:
        Wei, Luo, Luo, "Scaled Decoupled Distillation", CVPR 2024.
    """

    automatic_layers = "class_logits"
    pairs_layers = False
    needs_labels = True
    taps = "the last feature map and the classifier's weights"

    def __init__(
        self,
        temperature: Number = 4.0,
        scales: Sequence[int] = (1, 2, 4),
        complementary_weight: Number = 2.0,
        teacher_layer_name: LayerNames = "auto",
        student_layer_name: LayerNames = "auto",
        name: str | None = None,
    ):
        super().__init__(teacher_layer_name, student_layer_name, name)
        self.temperature = schedule.check_temperature(temperature)
        if not isinstance(scales, (list, tuple)) or not scales:
            raise ValueError(
                f"scales must be a list of integers.{schedule.layer_hint(scales)} "
                f"Received: scales={shown(scales)}"
            )
        self.scales = [check_count("scales", scale, high=2**31 - 1) for scale in scales]
        self.complementary_weight = schedule.check_number(
            "complementary_weight", complementary_weight, low=0
        )

    def check_activations(self, teacher_activation: Any, student_activation: Any) -> None:
        """Checks that maps of a layer's own are logits."""
        if {"softmax", "sigmoid"} & {teacher_activation, student_activation}:
            raise ValueError(
                "ScaleDecoupled averages logits over regions, and what it taps is probabilities: "
                f"tap what enters the activation. Teacher: {teacher_activation}, Student: "
                f"{student_activation}."
            )

    def build(self, teacher_shapes: Any, student_shapes: Any) -> None:
        """Checks that both sides have maps over space of the same classes."""
        sides = (teacher_shapes, student_shapes)
        if not all(map(fits_classifier, sides)):
            raise self.shape_error(
                *sides,
                "the classifier's kernel must take the channels of the last feature map, averaged "
                "over space, with no other layer between the two.",
            )
        shapes = [shape_of_maps(side) for side in sides]
        if len(shapes[0]) != len(shapes[1]) or len(shapes[0]) < 3 or shapes[0][-1] != shapes[1][-1]:
            raise self.shape_error(
                *sides,
                "class maps must be over space, and over the same classes on both sides.",
            )

    def check_batches(self, teacher_shapes: Any, student_shapes: Any) -> None:
        """Checks that both sides hold as many samples; weights hold none."""
        sides = (teacher_shapes, student_shapes)
        super().check_batches(*(side[0] if isinstance(side, list) else side for side in sides))

    def call(self, teacher: Any, student: Any, context: LossContext) -> Any:
        """Computes the soft targets of the regions."""
        maps = maps_of(teacher), maps_of(student)
        whole = maps[1][(slice(None), *[0] * (len(maps[1].shape) - 2))]
        return scale_decoupled(
            *maps,
            context.one_hot(whole, self),
            self.scales,
            schedule.value_at(self.temperature, context.step),
            schedule.value_at(self.complementary_weight, context.step),
        )
