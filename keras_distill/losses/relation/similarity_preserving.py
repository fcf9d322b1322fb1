"""Similarity-preserving distillation."""

from typing import Any

import keras
from keras import ops

from keras_distill.losses.batch_relations import gram
from keras_distill.losses.context import LossContext
from keras_distill.losses.relation.embedding_loss import EmbeddingLoss
from keras_distill.losses.tensors import as_floats, flatten, scaled, unit


def similarity_preserving(teacher_features, student_features):
    """Squared difference of the batch's similarity matrices, whose rows have unit length.

    Args:
        teacher_features: Tensor of shape `(batch, ...)`.
        student_features: Tensor of shape `(batch, ...)`, of any size.

    Returns:
        Tensor of shape `(batch,)` whose mean is `‖G_t - G_s‖² / batch²`.

    Reference:
        Tung & Mori, "Similarity-Preserving Knowledge Distillation", ICCV 2019.
    """
    teacher, student = (
        unit(gram(scaled(flatten(side)))) for side in as_floats(teacher_features, student_features)
    )
    return ops.mean(ops.square(teacher - student), axis=-1)


@keras.saving.register_keras_serializable("keras_distill")
class SimilarityPreserving(EmbeddingLoss):
    """Squared difference of the batch's normalized similarity matrices.

    G is the matrix of inner products of the flattened features, its rows brought to unit length,
    and the loss is ‖G_t - G_s‖² / batch². The paper weighs it 3000 beside the labels' loss. It
    costs one matrix product over the batch.

    Args:
        teacher_layer_name: Path of the teacher's layer, any shape `(batch, ...)`, a list of
            paths, or `"auto"`: the last activation of the last spatial stage, or what
            enters the last dense layer of a model without space.
        student_layer_name: The same for the student; sizes may differ.
        name: Name of the loss in the training history.

    Example:

    ```python
    loss = SimilarityPreserving()
    assert loss.compute_loss(np.random.rand(8, 4, 4, 16), np.random.rand(8, 4, 4, 3)) > 0
    ```

    Reference:
        Tung & Mori, "Similarity-Preserving Knowledge Distillation", ICCV 2019.
    """

    automatic_layers = "last_stage_or_embedding"
    taps = "any layers, any shapes"

    def compare(self, teacher: Any, student: Any, context: LossContext) -> Any:
        """Computes the distance of the similarity matrices."""
        return similarity_preserving(teacher, student)
