"""Relations among queries, keys and values."""

import math
from typing import Any

import keras
from keras import ops

from keras_distill.arguments import check_count
from keras_distill.losses.argument_types import LayerNames
from keras_distill.losses.context import LossContext
from keras_distill.losses.layer_pairs import LayerPairLoss
from keras_distill.losses.loss import as_pairs
from keras_distill.losses.masks import fits
from keras_distill.losses.tensors import as_float, as_floats

_VECTORS = ("query", "key", "value")


def relation_logits(vectors, heads):
    """Scaled dot products between the positions of a sequence, in any number of heads.

    Args:
        vectors: Tensor of shape `(batch, length, attention_heads, size)`: queries, keys or values.
        heads: Number of relation heads, that divides `attention_heads * size`.

    Returns:
        Tensor of shape `(batch, heads, length, length)`.
    """
    vectors = as_float(vectors)
    samples, steps = ops.shape(vectors)[:2]
    size = vectors.shape[2] * vectors.shape[3] // heads
    vectors = ops.reshape(vectors, (samples, steps, heads, size))
    return ops.einsum("bqhd,bkhd->bhqk", vectors, vectors) / math.sqrt(size)


def self_attention_relation(teacher_vectors, student_vectors, heads, mask=None):
    """Kullback-Leibler divergence of the relations between positions.

    Args:
        teacher_vectors: Tensor of shape `(batch, length, teacher_heads, size)`.
        student_vectors: Tensor of shape `(batch, length, student_heads, size)`.
        heads: Number of relation heads.
        mask: Boolean tensor of shape `(batch, length)` that is true at the positions that count.

    Returns:
        Tensor of shape `(batch,)`: the mean over heads and positions.

    Reference:
        Wang et al., "MiniLMv2", 2021.
    """
    logits = [relation_logits(side, heads) for side in as_floats(teacher_vectors, student_vectors)]
    if mask is not None:
        mask = ops.cast(mask, logits[0].dtype)
        logits = [side - 1e30 * (1.0 - mask[:, None, None, :]) for side in logits]
    log_t, log_s = (ops.log_softmax(side, axis=-1) for side in logits)
    divergence = ops.mean(ops.sum(ops.exp(log_t) * (log_t - log_s), axis=-1), axis=1)
    if mask is None:
        return ops.mean(divergence, axis=-1)
    return ops.sum(divergence * mask, axis=-1) / ops.maximum(ops.sum(mask, axis=-1), 1.0)


@keras.saving.register_keras_serializable("keras_distill")
class SelfAttentionRelation(LayerPairLoss):
    """KL of self-attention relations: scaled dot products of queries, keys and values.

    The relations are softmax(QQᵀ/√d), softmax(KKᵀ/√d) and softmax(VVᵀ/√d), each split again into
    `relation_heads`, so that numbers of heads and widths may differ. The loss is the sum of the
    three Kullback-Leibler divergences, each a mean over heads and positions. The paper uses it
    alone, with weight 1 each, on one layer: the student's last and an upper layer of the teacher,
    with 48 relation heads for widths of 768. It costs three products over all pairs of positions
    per side.

    Args:
        teacher_layer_name: Path of the teacher's `MultiHeadAttention` (`"encoder_2/attention"`),
            a list of paths, or `"auto"`: the last attention layer. The layer's projected queries,
            keys and values are tapped, each of shape `(batch, length, heads, size)`.
        student_layer_name: The same for the student.
        relation_heads: Number of relation heads, that divides `heads * size` of both sides; by
            default the teacher's number of heads, or the largest number that divides it and both.
        name: Name of the loss in the training history.

    Raises:
        TypeError: If `relation_heads` isn't a number.
        ValueError: If `relation_heads` doesn't divide both widths, or if lengths differ.

    Example:

    ```python
    loss = SelfAttentionRelation("attention", "attention", relation_heads=2)
    teacher = [np.random.rand(2, 6, 4, 8).astype("float32")] * 3
    student = [np.random.rand(2, 6, 2, 4).astype("float32")] * 3
    assert loss.compute_loss(teacher, student) > 0
    ```

    Reference:
        Wang et al., "MiniLMv2: Multi-Head Self-Attention Relation Distillation for Compressing
        Pretrained Transformers", Findings of ACL 2021.
    """

    automatic_layers = "last_attention"
    taps = "queries, keys and values of attention, any numbers of heads"
    takes_masks = True

    def __init__(
        self,
        teacher_layer_name: LayerNames = "auto",
        student_layer_name: LayerNames = "auto",
        relation_heads: int | None = None,
        name: str | None = None,
    ):
        names = (_with_vectors(teacher_layer_name), _with_vectors(student_layer_name))
        super().__init__(*names, name)
        if relation_heads is not None:
            relation_heads = check_count("relation_heads", relation_heads)
        self.relation_heads = relation_heads

    def build(self, teacher_shapes: Any, student_shapes: Any) -> None:
        """Checks the shapes, and that the relation heads divide both widths."""
        super().build(teacher_shapes, student_shapes)
        for teacher_shape, student_shape in as_pairs(teacher_shapes, student_shapes):
            self._heads_for(teacher_shape, student_shape)

    def check_pair(self, teacher_shape: tuple, student_shape: tuple) -> None:
        """Checks that both are vectors of as many positions."""
        if len(teacher_shape) != 4 or len(student_shape) != 4:
            raise self.shape_error(
                teacher_shape,
                student_shape,
                "vectors of heads have the shape (batch, length, heads, size): give the paths of "
                "MultiHeadAttention layers.",
            )
        lengths = teacher_shape[1], student_shape[1]
        if None not in lengths and lengths[0] != lengths[1]:
            raise self.shape_error(
                teacher_shape, student_shape, "both sequences must have the same length."
            )

    def _heads_for(self, teacher_shape, student_shape):
        widths = [shape[2] * shape[3] for shape in (teacher_shape, student_shape)]
        heads = self.relation_heads or math.gcd(teacher_shape[2], *widths)
        if any(width % heads for width in widths):
            raise self.shape_error(
                teacher_shape,
                student_shape,
                f"relation_heads={heads} must divide heads * size of both sides ({widths[0]} and "
                f"{widths[1]}).",
            )
        return heads

    def compare(self, teacher: Any, student: Any, context: LossContext) -> Any:
        """Computes the divergence of the relations among one kind of vectors."""
        heads = self._heads_for(teacher.shape, student.shape)
        mask = context.positions
        return self_attention_relation(
            teacher, student, heads, mask if fits(mask, student) else None
        )


def _with_vectors(layer_name):
    names = [layer_name] if isinstance(layer_name, str) else layer_name
    is_listed = isinstance(names, (list, tuple)) and all(
        isinstance(name, str) and name for name in names
    )
    if not is_listed or layer_name == "auto":
        return layer_name
    return [
        path
        for name in names
        for path in ([name] if ":" in name else [f"{name}:{vector}" for vector in _VECTORS])
    ]
