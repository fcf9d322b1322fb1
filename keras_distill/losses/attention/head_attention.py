"""One-to-one distillation of attention heads."""

from typing import Any

import keras
from keras import ops

from keras_distill.losses.attention.scores import check_scores
from keras_distill.losses.context import LossContext
from keras_distill.losses.layer_pairs import LayerPairLoss
from keras_distill.losses.tensors import as_floats


def head_attention(teacher_scores, student_scores):
    """Mean squared difference of attention matrices, head by head.

    Args:
        teacher_scores: Tensor of shape `(batch, heads, queries, keys)`.
        student_scores: Tensor of the same shape.

    Returns:
        Tensor of shape `(batch,)`.

    Reference:
        Jiao et al., "TinyBERT: Distilling BERT for Natural Language Understanding", 2020.
    """
    teacher, student = as_floats(teacher_scores, student_scores)
    return ops.mean(ops.square(teacher - student), axis=(1, 2, 3))


@keras.saving.register_keras_serializable("keras_distill")
class HeadAttention(LayerPairLoss):
    """Mean squared difference of the attention matrices, head by head.

    As in the paper, the scores before the softmax are compared, with weight 1; masked keys and
    padded queries count 0 on both sides, and the mean is over all positions, as in the authors'
    code. They train with it and with the hidden states (`HiddenStates`) first, and with soft
    targets afterwards. After the softmax (`":scores"` in place of `":raw_scores"`) the differences
    are 100 to 1000 times smaller. It costs a product of queries and keys, which attention makes for
    itself in another form, and one pass over the attention matrices.

    Args:
        teacher_layer_name: Path to the raw scores of the teacher's `MultiHeadAttention`
            (`"encoder_2/attention:raw_scores"`), shape `(batch, heads, queries, keys)`, a list of
            paths, or `"auto"`: all attention layers, evenly spread over those of the student.
        student_layer_name: The same for the student, with as many heads.
        name: Name of the loss in the training history.

    Raises:
        ValueError: If the numbers of heads, or the sizes of the maps, differ.

    Example:

    ```python
    scores = np.random.rand(2, 4, 6, 6).astype("float32")
    loss = HeadAttention("attention:raw_scores", "attention:raw_scores")
    assert loss.compute_loss(scores, scores) == 0
    ```

    Reference:
        Jiao et al., "TinyBERT: Distilling BERT for Natural Language Understanding", Findings of
        EMNLP 2020.
    """

    automatic_layers = "raw_scores"
    taps = "raw attention scores, equal numbers of heads"
    # Scores of padded queries are 0 on both sides.
    takes_masks = True

    def check_pair(self, teacher_shape: tuple, student_shape: tuple) -> None:
        """Checks that both are scores of as many heads over the same queries and keys."""
        check_scores(self, teacher_shape, student_shape)
        if teacher_shape[1] != student_shape[1]:
            raise self.shape_error(
                teacher_shape,
                student_shape,
                "the numbers of heads must agree. AttentionMapAlignment takes any numbers.",
            )

    def compare(self, teacher: Any, student: Any, context: LossContext) -> Any:
        """Computes the mean squared difference of the matrices."""
        return head_attention(teacher, student)
