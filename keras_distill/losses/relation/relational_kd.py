"""Relational knowledge distillation."""

import keras

from keras_distill.losses import functional, schedule
from keras_distill.losses.relation.embedding_loss import EmbeddingLoss


@keras.saving.register_keras_serializable("keras_distill")
class RelationalKD(EmbeddingLoss):
    """Keeps the distances and angles between the samples of a batch.

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
        distance_weight=25.0,
        angle_weight=50.0,
        teacher_layer_name="auto",
        student_layer_name="auto",
        name=None,
    ):
        super().__init__(teacher_layer_name, student_layer_name, name)
        self.distance_weight = schedule.check_number("distance_weight", distance_weight, low=0)
        self.angle_weight = schedule.check_number("angle_weight", angle_weight, low=0)

    def compare(self, teacher, student, context):
        """Computes the weighted sum of the two Huber losses."""
        weights = (self.distance_weight, self.angle_weight)
        return functional.relational(
            teacher, student, *(schedule.value_at(weight, context.step) for weight in weights)
        )
