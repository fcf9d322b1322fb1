"""Attention knowledge: the student looks where the teacher looks."""

import keras

from keras_distill.losses import functional, schedule
from keras_distill.losses.loss import DistillationLoss, as_pairs


@keras.saving.register_keras_serializable("keras_distill")
class AttentionTransfer(DistillationLoss):
    """Activation-based attention transfer between layers of two convolutional networks.

    A feature map becomes an attention map, a = vec(mean_c |F|^p) / ‖·‖₂ per sample, and the two
    maps are compared. Channels may differ. Maps of different size are resized to the smaller,
    by average pooling where the sizes divide and bilinearly otherwise.

    `form="mean"` is the authors' code: the mean over batch and positions of (a_t - a_s)², with
    the weight 1000. `form="norm"` is the paper's equation 2: ‖a_t - a_s‖₂, which the paper weighs
    β/2 with β = 1000 divided by the number of positions and the batch size. The two differ: code
    squares, paper doesn't. It costs one pass over the feature maps and has no variables.

    Args:
        teacher_layer_name: Path of the teacher's layer, output shape
            `(batch, *space, channels)`, or a list of paths.
        student_layer_name: The same for the student. Lists are paired in order, and the losses
            of the pairs are summed.
        p: Power of the activations, at least 1.
        form: `"mean"` or `"norm"`.
        name: Name of the loss in the training history.

    Raises:
        ValueError: If `form` is unknown, `p` is below 1, or a side has no layer.

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

    def __init__(self, teacher_layer_name, student_layer_name, p=2.0, form="mean", name=None):
        super().__init__(teacher_layer_name, student_layer_name, name)
        if form not in ("mean", "norm"):
            raise ValueError(f'form must be "mean" or "norm", got {form!r}.')
        schedule.check_number("p", p, low=1)
        self.p = p
        self.form = form

    def build(self, teacher_shapes, student_shapes):
        """Checks that each pair has spatial axes, and as many on both sides."""
        for teacher_shape, student_shape in as_pairs(teacher_shapes, student_shapes):
            if len(teacher_shape) != len(student_shape) or len(teacher_shape) < 3:
                raise ValueError(
                    "AttentionTransfer compares maps over the same number of spatial axes, from "
                    "features of shape (batch, *space, channels). "
                    f"Teacher {self.teacher_layer_name!r}: {tuple(teacher_shape)}, "
                    f"Student {self.student_layer_name!r}: {tuple(student_shape)}. Tap layers "
                    "before the pooling or flattening that removes the space."
                )

    def call(self, teacher, student, context):
        """Sums the distances of the pairs' attention maps."""
        return sum(
            functional.attention_transfer(teacher_features, student_features, self.p, self.form)
            for teacher_features, student_features in as_pairs(teacher, student)
        )

    def get_config(self):
        """Returns the constructor's arguments."""
        return {**super().get_config(), "p": self.p, "form": self.form}
