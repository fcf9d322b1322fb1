"""Attention capture: one map per model, accumulated over several layers."""

from collections.abc import Sequence
from typing import Any, Self

import keras
from keras import ops

from keras_distill.arguments import check_choice, shown
from keras_distill.losses.argument_types import LayerNames
from keras_distill.losses.attention_maps import attention_distance, normalize_map
from keras_distill.losses.context import LossContext
from keras_distill.losses.loss import DistillationLoss
from keras_distill.losses.space import resize_space, smallest_space
from keras_distill.losses.tensors import as_float

CAPTURE_MODES = ("fma", "mip", "mips", "sals")


def over_channels(features, mode="fma"):
    """Sum over the channels for `mode="mips"`, mean for the others; the axis stays, with size 1.

    Args:
        features: Tensor of shape `(batch, *space, channels)`.
        mode: See `captured_map`.
    """
    reduce = ops.sum if mode == "mips" else ops.mean
    return reduce(as_float(features), axis=-1, keepdims=True)


def captured_map(features, mode="fma", space=None):
    """Accumulates the feature maps of several layers of one model into one attention map.

    Args:
        features: List of tensors of shape `(batch, *space, channels)`, of any sizes and channels.
        mode: `"fma"`, mean over channels, then mean over layers; `"mip"`, mean over channels,
            then maximum over layers; `"mips"`, sum over channels, then mean over layers.
        space: Size to which the maps are resized; by default the smallest of them.

    Returns:
        Tensor of shape `(batch, *space)`.
    """
    maps = [over_channels(layer, mode) for layer in features]
    space = smallest_space(features) if space is None else space
    maps = ops.stack([resize_space(layer, space)[..., 0] for layer in maps], axis=1)
    return ops.max(maps, axis=1) if mode == "mip" else ops.mean(maps, axis=1)


def saliency_map(input_gradients):
    """Returns the saliency of each position: the largest `|gradient|` over the input's channels.

    Args:
        input_gradients: Tensor of shape `(batch, *space, channels)`, the gradient of the score of
            each sample's class with respect to the input.

    Returns:
        Tensor of shape `(batch, *space)`.

    Reference:
        Simonyan, Vedaldi, Zisserman, "Deep Inside Convolutional Networks", 2014.
    """
    return ops.max(ops.abs(as_float(input_gradients)), axis=-1)


def attention_capture(teacher_features, student_features, mode="fma"):
    """Mean squared difference of the two models' normalized accumulated maps.

    Args:
        teacher_features: List of tensors of shape `(batch, *space, channels)`; for
            `mode="sals"` the tensor of input gradients.
        student_features: The same of the student; another number of layers is allowed.
        mode: See `captured_map`, or `"sals"` for `saliency_map`.

    Returns:
        Tensor of shape `(batch,)`.
    """
    if mode == "sals":
        maps = [saliency_map(side) for side in (teacher_features, student_features)]
    else:
        space = smallest_space([*teacher_features, *student_features])
        maps = [captured_map(side, mode, space) for side in (teacher_features, student_features)]
    return attention_distance(normalize_map(maps[0]), normalize_map(maps[1]))


@keras.saving.register_keras_serializable("keras_distill")
class AttentionCapture(DistillationLoss):
    """Mean squared error of accumulated attention maps, one per model from several layers.

    The maps of both models are resized to the smallest layer, brought to unit length, and
    compared by their mean squared difference.

    - `"fma"`, feature-map accumulation: mean over channels, then mean over layers.
    - `"mip"`, maximum intensity projection: mean over channels, then maximum over layers.
    - `"mips"`: sum over channels, then mean over layers.
    - `"sals"`, saliency: the largest `|∂z_y/∂x|` over the input's channels. It needs labels and
      `keras_distill.Distiller`, taps no layer, and costs what `GradientAttentionTransfer` does.

    The first three cost one pass over the feature maps. As the maps are means over positions, a
    weight from 100 to 1000 suits, as for `AttentionTransfer`.

    Args:
        mode: `"fma"`, `"mip"`, `"mips"` or `"sals"`.
        layers: `"auto"` for the first two and the last two spatial layers of each model, a list
            of paths that both models have, or a dictionary with the lists `"teacher"` and
            `"student"`, which may differ in length. Output shape `(batch, *space, channels)`.
        name: Name of the loss in the training history.

    Raises:
        TypeError: If `layers` is none of these.
        ValueError: If `mode` is unknown, or if features have no spatial axis.

    Example:

    ```python
    loss = AttentionCapture("fma", layers={"teacher": ["conv1", "conv4"], "student": ["conv1"]})
    teacher = [np.random.rand(2, 8, 8, 16), np.random.rand(2, 4, 4, 32)]
    assert loss.compute_loss(teacher, [np.random.rand(2, 8, 8, 3)]) > 0
    ```

    Reference:
        Attention-guided knowledge distillation (FMA, MIP and SALS attention capture); the maps
        are those of Zagoruyko & Komodakis 2017 and Simonyan et al. 2014.
    """

    automatic_layers = "ends"
    pairs_layers = False
    taps = "the first two and last two spatial layers; for sals the input's gradient"

    def __init__(
        self,
        mode: str = "fma",
        layers: LayerNames | dict[str, LayerNames] = "auto",
        name: str | None = None,
    ):
        hint = " Layers are given by keyword, layers=..., to both models or as a dictionary."
        self.mode = check_choice("mode", mode, CAPTURE_MODES, hint)
        self.layers = layers
        sides = {"teacher": None, "student": None} if mode == "sals" else _sides_of(layers)
        super().__init__(sides["teacher"], sides["student"], name)

    @property
    def needs_labels(self) -> bool:
        """Whether the labels are needed: in saliency mode."""
        return self.mode == "sals"

    @property
    def needs_input_gradient(self) -> bool:
        """Whether the gradients with respect to the input are needed: in saliency mode."""
        return self.mode == "sals"

    def with_layers(
        self,
        teacher_layer_name: str | Sequence[str] | None,
        student_layer_name: str | Sequence[str] | None,
    ) -> Self:
        """Returns a new loss with the same settings and the given layers."""
        layers = {"teacher": teacher_layer_name, "student": student_layer_name}
        return type(self)(self.mode, layers, self.name)

    def build(self, teacher_shapes: Any, student_shapes: Any) -> None:
        """Checks that all layers have as many spatial axes, at least one."""
        if self.mode == "sals":
            return
        ranks = {len(shape) for side in (teacher_shapes, student_shapes) for shape in side}
        if len(ranks) > 1 or min(ranks) < 3:
            raise self.shape_error(
                teacher_shapes,
                student_shapes,
                "all layers must have the same number of spatial axes, at least one.",
            )

    def teacher_reduction(self, output_activation: Any = None) -> str:
        """Names what is taken over the channels: the sum or the mean."""
        return {"mips": "channel_sum", "sals": ""}.get(self.mode, "channel_mean")

    def reduce_teacher(self, teacher: Any, output_activation: Any = None) -> Any:
        """Returns the sum or the mean over the channels, as one channel."""
        if self.mode == "sals":
            return teacher
        return over_channels(teacher, self.mode)

    def call(self, teacher: Any, student: Any, context: LossContext) -> Any:
        """Computes the distance of the two models' maps."""
        if self.mode == "sals":
            teacher, student = context.input_gradients(
                lambda logits: context.one_hot(logits, self), self
            )
        return attention_capture(teacher, student, self.mode)


def _sides_of(layers):
    if isinstance(layers, str) and layers == "auto":
        return {"teacher": "auto", "student": "auto"}
    if isinstance(layers, (list, tuple)):
        return {"teacher": list(layers), "student": list(layers)}
    is_by_side = isinstance(layers, dict) and set(layers) == {"teacher", "student"}
    if is_by_side and all(layers.values()):
        return {
            side: [paths] if isinstance(paths, str) else paths for side, paths in layers.items()
        }
    raise TypeError(
        'layers must be "auto", a list of layer paths, or a dictionary with the lists "teacher" '
        f'and "student". Received: layers={shown(layers)}'
    )
