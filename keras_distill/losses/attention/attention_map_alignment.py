"""Alignment of attention heads between transformers with different numbers of heads."""

from typing import Any

import keras
from keras import ops

from keras_distill.arguments import check_choice
from keras_distill.losses.argument_types import LayerNames
from keras_distill.losses.attention.scores import check_scores
from keras_distill.losses.context import LossContext
from keras_distill.losses.layer_pairs import LayerPairLoss
from keras_distill.losses.tensors import as_floats, size_or_unknown, unit

# Probabilities below this count as this, so that the gradient of a logarithm stays finite.
_SMALLEST = 1e-12


def head_similarity(teacher_scores, student_scores):
    """Cosine between each head of the teacher and each head of the student.

    Args:
        teacher_scores: Tensor of shape `(batch, teacher_heads, queries, keys)`.
        student_scores: Tensor of shape `(batch, student_heads, queries, keys)`.

    Returns:
        Tensor of shape `(batch, teacher_heads, student_heads)`.
    """
    teacher, student = (unit(_rows(side)) for side in as_floats(teacher_scores, student_scores))
    return ops.einsum("bip,bjp->bij", teacher, student)


def head_weights(teacher_scores, student_scores, weighting="softmax"):
    """Says how much each student head takes part in imitating each teacher head.

    Args:
        teacher_scores: Tensor of shape `(batch, teacher_heads, queries, keys)`.
        student_scores: Tensor of shape `(batch, student_heads, queries, keys)`.
        weighting: `"softmax"` of the cosines over the student's heads, or `"normalized"`, the
            cosines divided by their sum.

    Returns:
        Tensor of shape `(batch, teacher_heads, student_heads)` that sums to 1 over the last axis.
    """
    similarity = head_similarity(teacher_scores, student_scores)
    if similarity.shape[-1] == 1:
        return ops.ones_like(similarity)
    if weighting == "softmax":
        return ops.softmax(similarity, axis=-1)
    return similarity / ops.maximum(ops.sum(similarity, axis=-1, keepdims=True), _SMALLEST)


def attention_map_alignment(
    teacher_scores, student_scores, weighting="softmax", divergence="mse", form="aggregate"
):
    """Distance of each teacher head from the student heads that resemble it.

    Args:
        teacher_scores: Tensor of shape `(batch, teacher_heads, queries, keys)` whose last axis
            sums to 1, or to 0 at a padded query.
        student_scores: Tensor of shape `(batch, student_heads, queries, keys)`.
        weighting: `"softmax"` or `"normalized"`, see `head_weights`.
        divergence: `"mse"`, `"kl"` or `"cosine"`.
        form: `"aggregate"` compares a teacher head with the weighted mean of the student's heads,
            `"pairwise"` takes the weighted mean of the Kullback-Leibler divergences to each.

    Returns:
        Tensor of shape `(batch,)`.
    """
    teacher, student = as_floats(teacher_scores, student_scores)
    weights = head_weights(teacher, student, weighting)
    if form == "pairwise":
        divergences = _head_divergence(teacher[:, :, None], student[:, None])
        return ops.mean(ops.sum(weights * divergences, axis=-1), axis=-1)
    aligned = ops.einsum("bij,bjqk->biqk", weights, student)
    if divergence == "kl":
        return ops.mean(_head_divergence(teacher, aligned), axis=-1)
    if divergence == "cosine":
        cosine = ops.sum(unit(_rows(teacher)) * unit(_rows(aligned)), axis=-1)
        return ops.mean(1.0 - cosine, axis=-1)
    return ops.mean(ops.square(teacher - aligned), axis=(1, 2, 3))


def _rows(scores):
    positions = size_or_unknown(scores.shape[2:])
    return ops.reshape(scores, (ops.shape(scores)[0], scores.shape[1], positions))


def _head_divergence(teacher, student):
    """Kullback-Leibler divergence over the keys, averaged over the queries that aren't padded."""
    logs = [ops.log(ops.maximum(side, _SMALLEST)) for side in (teacher, student)]
    total = ops.sum(teacher * (logs[0] - logs[1]), axis=(-2, -1))
    queries = ops.sum(ops.cast(ops.sum(teacher, axis=-1) > 0, total.dtype), axis=-1)
    return total / ops.maximum(queries, 1.0)


@keras.saving.register_keras_serializable("keras_distill")
class AttentionMapAlignment(LayerPairLoss):
    """Alignment of attention maps between any numbers of heads, weighed by similarity.

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
        teacher_layer_name: LayerNames = "auto",
        student_layer_name: LayerNames = "auto",
        weighting: str = "softmax",
        divergence: str = "kl",
        form: str = "aggregate",
        name: str | None = None,
    ):
        super().__init__(teacher_layer_name, student_layer_name, name)
        self.weighting = check_choice("weighting", weighting, ("softmax", "normalized"))
        self.divergence = check_choice("divergence", divergence, ("mse", "kl", "cosine"))
        self.form = check_choice("form", form, ("aggregate", "pairwise"))

    def check_pair(self, teacher_shape: tuple, student_shape: tuple) -> None:
        """Checks that both are scores over the same queries and keys."""
        check_scores(self, teacher_shape, student_shape)

    def compare(self, teacher: Any, student: Any, context: LossContext) -> Any:
        """Computes the distance of the aligned heads."""
        return attention_map_alignment(teacher, student, self.weighting, self.divergence, self.form)
