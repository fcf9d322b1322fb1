"""Alignment of attention heads between transformers with different numbers of heads."""

import keras

from keras_distill.arguments import check_choice
from keras_distill.losses import functional
from keras_distill.losses.attention.head_attention import check_scores
from keras_distill.losses.layer_pairs import PairedLoss


@keras.saving.register_keras_serializable("keras_distill")
class AttentionMapAlignment(PairedLoss):
    """Each teacher head is imitated by the student heads that resemble it.

    The number of heads may differ. For teacher head i the student's heads are weighed by the
    cosine of the attention maps, and the loss is the mean over i of the distance between the
    teacher's map and the weighted mean of the student's. A head that has nothing to do with i
    still takes part, the less the more alike the others are; the cosines of attention maps aren't
    negative, so that a softmax over them is rather even.

    AMAD's exact constants are not public here: the weighting follows its description, the
    temperature of the softmax is 1, and the weight of the loss is for the user to choose: about 10
    with `"kl"` or `"cosine"`. `"mse"` is a mean over the positions of maps that sum to 1, so that
    it needs 100 to 1000: at weight 1 it gave 0.1 % of a small transformer's gradient beside the
    labels, `"kl"` 2 % at weight 1 and 6 to 16 % at weight 10. It costs a product of all head pairs
    over the attention matrices.

    Args:
        teacher_layer_name: Path to the scores of the teacher's `MultiHeadAttention`
            (`"encoder_2/attention:scores"`), shape `(batch, heads, queries, keys)`, a list of
            paths, or `"auto"`: all attention layers, evenly spread over those of the student.
        student_layer_name: The same for the student. Lists are paired in order and summed.
        weighting: `"softmax"` of the cosines, or `"normalized"`: divided by their sum.
        divergence: `"kl"`, `"mse"` or `"cosine"`.
        form: `"aggregate"`, or `"pairwise"`: the weighted mean of the Kullback-Leibler divergences
            to each head.
        name: Name of the loss in the training history.

    Raises:
        ValueError: If an option is unknown, or if the maps differ in size.

    Example:

    ```python
    teacher = keras.ops.softmax(np.random.rand(2, 4, 6, 6).astype("float32"))
    loss = AttentionMapAlignment("attention:scores", "attention:scores", divergence="kl")
    assert loss.compute_loss(teacher, teacher[:, :2]) > 0
    ```

    Reference:
        Zhao et al., AAAI 2024 (AMAD, attention map alignment).
    """

    automatic_layers = "scores"
    taps = "attention scores, any numbers of heads"
    # Scores of padded queries are 0 on both sides.
    takes_masks = True

    def __init__(
        self,
        teacher_layer_name="auto",
        student_layer_name="auto",
        weighting="softmax",
        divergence="kl",
        form="aggregate",
        name=None,
    ):
        super().__init__(teacher_layer_name, student_layer_name, name)
        self.weighting = check_choice("weighting", weighting, ("softmax", "normalized"))
        self.divergence = check_choice("divergence", divergence, ("mse", "kl", "cosine"))
        self.form = check_choice("form", form, ("aggregate", "pairwise"))

    def check_pair(self, teacher_shape, student_shape):
        """Checks that both are scores over the same queries and keys."""
        check_scores(self, teacher_shape, student_shape)

    def compare(self, teacher, student, context):
        """Computes the distance of the aligned heads."""
        return functional.attention_map_alignment(
            teacher, student, self.weighting, self.divergence, self.form
        )
