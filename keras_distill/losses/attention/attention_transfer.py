"""Activation-based attention transfer."""

from typing import Any

import keras
from keras import ops

from keras_distill.arguments import check_choice
from keras_distill.losses import schedule
from keras_distill.losses.argument_types import LayerNames
from keras_distill.losses.attention_maps import activation_map, attention_distance, normalize_map
from keras_distill.losses.context import LossContext
from keras_distill.losses.layer_pairs import LayerPairLoss
from keras_distill.losses.space import match_space
from keras_distill.losses.tensors import as_float, scaled


def one_channel_of_equal_attention(features, p=2.0):
    """Returns a feature map of one channel with the same attention map as all of them.

    Its largest value is 1 in each sample, so that it keeps its precision in any format.

    Args:
        features: Tensor of shape `(batch, *space, channels)`.
        p: Power of the activations.

    Returns:
        Tensor of shape `(batch, *space, 1)`.
    """
    axes = tuple(range(1, len(features.shape)))
    channel = ops.power(activation_map(scaled(as_float(features), axis=axes), p), 1.0 / p)
    return scaled(channel, axis=axes[:-1])[..., None]


def attention_transfer(teacher_features, student_features, p=2.0, form="mean"):
    """Distance of the attention maps of two feature maps, resized to the smaller one.

    Args:
        teacher_features: Tensor of shape `(batch, *space, channels)`.
        student_features: Tensor of shape `(batch, *space, channels)`; space and channels may
            differ from the teacher's. Where one side has more spatial axes, its map is averaged
            over the surplus ones.
        p: Power of the activations.
        form: `"mean"` or `"norm"`, see `attention_distance`.

    Returns:
        Tensor of shape `(batch,)`.

    Reference:
        Zagoruyko & Komodakis, "Paying More Attention to Attention", ICLR 2017.
    """
    sides = [as_float(side) for side in (teacher_features, student_features)]
    if p > 2:
        # Each map gets a length of 1 below: a higher power mustn't overflow or vanish before.
        sides = [scaled(side, axis=tuple(range(1, len(side.shape)))) for side in sides]
    maps = match_space(*(activation_map(side, p)[..., None] for side in sides))
    return attention_distance(normalize_map(maps[0]), normalize_map(maps[1]), form)


@keras.saving.register_keras_serializable("keras_distill")
class AttentionTransfer(LayerPairLoss):
    """Activation-based attention transfer between layers of two convolutional networks.

    A feature map becomes an attention map, a = vec(mean_c |F|^p) / ‖·‖₂ per sample, and the two
    maps are compared. Channels may differ. Where one side has more spatial axes (an image's rows
    and columns beside a recurrent network's time), its map is averaged over the surplus ones.

    Maps of different size are resized to the smaller by averaging the attention, mean_c |F|^p. The
    paper and its code compare equal sizes; RepDistiller averages the features F before the power,
    so that activations of opposite sign cancel and sharp peaks weigh less.

    `form="mean"` is the authors' code: the mean over batch and positions of (a_t - a_s)², with
    the weight 1000. `form="norm"` is the paper's equation 2: ‖a_t - a_s‖₂, which the paper weighs
    β/2 with β = 1000 divided by the number of positions and the batch size. The two differ: code
    squares, paper doesn't. It costs one pass over the feature maps and has no variables.

    Args:
        teacher_layer_name: Path of the teacher's layer, output shape
            `(batch, *space, channels)`, a list of paths, or `"auto"`: the last activation of each
            spatial stage.
        student_layer_name: The same for the student. Lists are paired in order, and the losses
            of the pairs are summed.
        p: Power of the activations, at least 1.
        form: `"mean"` or `"norm"`.
        name: Name of the loss in the training history.

    Raises:
        ValueError: If `form` is unknown, `p` is below 1, or features have no
            spatial axis.

    Example:

    ```python
    loss = AttentionTransfer("conv4", "conv2")
    teacher, student = np.random.rand(2, 8, 8, 16), np.random.rand(2, 4, 4, 3)
    assert loss.compute_loss(teacher, student) > 0
    assert loss.compute_loss(teacher, 3.0 * teacher) < 1e-9
    ```

    Reference:
        Zagoruyko & Komodakis, "Paying More Attention to Attention", ICLR 2017.
    """

    automatic_layers = "stages"
    needs_space = True
    taps = "spatial layers, any channels and sizes"

    def __init__(
        self,
        teacher_layer_name: LayerNames = "auto",
        student_layer_name: LayerNames = "auto",
        p: float = 2.0,
        form: str = "mean",
        name: str | None = None,
    ):
        super().__init__(teacher_layer_name, student_layer_name, name)
        self.p = schedule.check_constant("p", p, low=1)
        self.form = check_choice("form", form, ("mean", "norm"))

    @property
    def padding(self) -> str | None:
        """How masked positions are left out: the norm of a difference is no mean over them."""
        return "mean" if self.form == "mean" else "zeros"

    def teacher_reduction(self, output_activation: Any = None) -> str:
        """Names the attention map, which depends on p."""
        return f"attention_p{self.p:g}"

    def reduce_teacher(self, teacher: Any, output_activation: Any = None) -> Any:
        """Returns one channel with the same attention map."""
        return one_channel_of_equal_attention(teacher, self.p)

    def compare(self, teacher: Any, student: Any, context: LossContext) -> Any:
        """Computes the distance of the attention maps."""
        return attention_transfer(teacher, student, self.p, self.form)
