"""Attention capture: one map per model, accumulated over several layers."""

import keras

from keras_distill.arguments import check_choice, shown
from keras_distill.losses import functional
from keras_distill.losses.loss import DistillationLoss


@keras.saving.register_keras_serializable("keras_distill")
class AttentionCapture(DistillationLoss):
    """Attention-guided distillation: one attention map per model, from several layers.

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

    def __init__(self, mode="fma", layers="auto", name=None):
        hint = " Layers are given by keyword, layers=..., to both models or as a dictionary."
        self.mode = check_choice("mode", mode, functional.CAPTURE_MODES, hint)
        self.layers = layers
        sides = {"teacher": None, "student": None} if mode == "sals" else _sides_of(layers)
        super().__init__(sides["teacher"], sides["student"], name)

    @property
    def needs_labels(self):
        """Whether the labels are needed: in saliency mode."""
        return self.mode == "sals"

    @property
    def needs_input_gradient(self):
        """Whether the gradients with respect to the input are needed: in saliency mode."""
        return self.mode == "sals"

    def with_layers(self, teacher_layer_name, student_layer_name):
        """Returns a new loss with the same settings and the given layers."""
        layers = {"teacher": teacher_layer_name, "student": student_layer_name}
        return type(self)(self.mode, layers, self.name)

    def build(self, teacher_shapes, student_shapes):
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

    def teacher_reduction(self, output_activation=None):
        """Names what is taken over the channels: the sum or the mean."""
        return {"mips": "channel_sum", "sals": ""}.get(self.mode, "channel_mean")

    def reduce_teacher(self, teacher, output_activation=None):
        """Returns the sum or the mean over the channels, as one channel."""
        if self.mode == "sals":
            return teacher
        return functional.over_channels(teacher, self.mode)

    def call(self, teacher, student, context):
        """Computes the distance of the two models' maps."""
        if self.mode == "sals":
            teacher, student = context.input_gradients(
                lambda logits: context.one_hot(logits, self), self
            )
        return functional.attention_capture(teacher, student, self.mode)


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
        f'and "student", got {shown(layers)}.'
    )
