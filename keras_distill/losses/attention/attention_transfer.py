"""Activation-based attention transfer."""

import keras

from keras_distill.arguments import check_choice
from keras_distill.losses import functional, schedule
from keras_distill.losses.layer_pairs import PairedLoss


@keras.saving.register_keras_serializable("keras_distill")
class AttentionTransfer(PairedLoss):
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
        teacher_layer_name="auto",
        student_layer_name="auto",
        p=2.0,
        form="mean",
        name=None,
    ):
        super().__init__(teacher_layer_name, student_layer_name, name)
        self.p = schedule.check_constant("p", p, low=1)
        self.form = check_choice("form", form, ("mean", "norm"))

    @property
    def padding(self):
        """How masked positions are left out: the norm of a difference is no mean over them."""
        return "mean" if self.form == "mean" else "zeros"

    def teacher_reduction(self, output_activation=None):
        """Names the attention map, which depends on p."""
        return f"attention_p{self.p:g}"

    def reduce_teacher(self, teacher, output_activation=None):
        """Returns one channel with the same attention map."""
        return functional.one_channel_of_equal_attention(teacher, self.p)

    def compare(self, teacher, student, context):
        """Computes the distance of the attention maps."""
        return functional.attention_transfer(teacher, student, self.p, self.form)
