"""Relational knowledge distillation."""

from typing import Any

import keras
from keras import ops

from keras_distill.losses import schedule
from keras_distill.losses.argument_types import LayerNames, Number
from keras_distill.losses.batch_relations import pairwise_differences
from keras_distill.losses.context import LossContext
from keras_distill.losses.relation.embedding_loss import EmbeddingLoss
from keras_distill.losses.tensors import as_floats, flatten, huber, length, scaled, unit


def relative_distances(embeddings):
    """Euclidean distances between all pairs of a batch, divided by the mean over unequal pairs.

    Args:
        embeddings: Tensor of shape `(batch, size)`.

    Returns:
        Tensor of shape `(batch, batch)`.
    """
    distances = length(pairwise_differences(embeddings))
    pairs = ops.sum(ops.cast(distances > 0, distances.dtype))
    mean = ops.sum(distances) / ops.maximum(pairs, 1.0)
    return distances / ops.where(mean > 0, mean, 1.0)


def pairwise_angles(embeddings):
    """Cosines of the angles that any two samples of a batch make at a third.

    Args:
        embeddings: Tensor of shape `(batch, size)`.

    Returns:
        Tensor of shape `(batch, batch, batch)`; the first axis is the vertex of the angle.
    """
    directions = unit(pairwise_differences(embeddings))
    return ops.einsum("ijd,ikd->ijk", directions, directions)


def relational(teacher_embeddings, student_embeddings, distance_weight=25.0, angle_weight=50.0):
    """Huber loss of relative distances and of angles between the samples of a batch.

    Args:
        teacher_embeddings: Tensor of shape `(batch, ...)`.
        student_embeddings: Tensor of shape `(batch, ...)`, of any size.
        distance_weight: Weight of the distances.
        angle_weight: Weight of the angles.

    Returns:
        Tensor of shape `(batch,)`: the means over the relations of each sample.

    Reference:
        Park et al., "Relational Knowledge Distillation", CVPR 2019.
    """
    sides = [scaled(flatten(side)) for side in as_floats(teacher_embeddings, student_embeddings)]
    teacher, student = (relative_distances(side) for side in sides)
    distances = ops.mean(huber(teacher - student), axis=1)
    teacher, student = (pairwise_angles(side) for side in sides)
    angles = ops.mean(huber(teacher - student), axis=(1, 2))
    return distance_weight * distances + angle_weight * angles


@keras.saving.register_keras_serializable("keras_distill")
class RelationalKD(EmbeddingLoss):
    """Huber loss of pairwise distances and of angles between the samples of a batch.

    Huber's loss of the pairwise distances, each divided by its batch's mean, with weight 25, and
    of the cosines of the angles that any two samples make at a third, with weight 50. The loss is
    unchanged by scale and translation of either embedding. The paper weighs the loss 1 beside the
    labels'; its means are over all pairs and triples, a sample with itself included, as here. It
    costs memory of batch² times the embedding's size, and batch³ for the angles.

    Args:
        teacher_layer_name: Path of the teacher's embedding, any shape `(batch, ...)`, a list of
            paths, or `"auto"`: what enters the last dense layer.
        student_layer_name: The same for the student; sizes may differ.
        distance_weight: Weight of the distances, number or
            `keras.optimizers.schedules.LearningRateSchedule`.
        angle_weight: Weight of the angles, number or schedule.
        name: Name of the loss in the training history.

    Raises:
        TypeError: If a weight is neither a number nor a schedule.
        ValueError: If a weight is negative.

    Example:

    ```python
    teacher, student = np.random.rand(8, 16), np.random.rand(8, 4)
    assert RelationalKD().compute_loss(teacher, student) > 0
    assert RelationalKD().compute_loss(teacher, 3.0 * teacher + 1.0) < 1e-6
    ```

    Reference:
        Park et al., "Relational Knowledge Distillation", CVPR 2019.
    """

    def __init__(
        self,
        distance_weight: Number = 25.0,
        angle_weight: Number = 50.0,
        teacher_layer_name: LayerNames = "auto",
        student_layer_name: LayerNames = "auto",
        name: str | None = None,
    ):
        super().__init__(teacher_layer_name, student_layer_name, name)
        self.distance_weight = schedule.check_number("distance_weight", distance_weight, low=0)
        self.angle_weight = schedule.check_number("angle_weight", angle_weight, low=0)

    def compare(self, teacher: Any, student: Any, context: LossContext) -> Any:
        """Computes the weighted sum of the two Huber losses."""
        weights = (self.distance_weight, self.angle_weight)
        return relational(
            teacher, student, *(schedule.value_at(weight, context.step) for weight in weights)
        )
