"""Instance relationship graphs."""

import keras

from keras_distill.losses import functional, schedule
from keras_distill.losses.loss import DistillationLoss


@keras.saving.register_keras_serializable("keras_distill")
class InstanceGraph(DistillationLoss):
    """Keeps the graph of a batch: its samples, their distances, and how layers move them.

    Vertices: the mean squared difference of the outputs. Edges: that of the squared distances
    between the embeddings, each divided by the largest. Transformations: that of the squared
    distance that each sample moves between successive layers, divided by the largest. Of features
    with different channels, groups of the larger are averaged, as in the common implementation;
    the paper does not say. That implementation also averages the edges of the feature layers with
    those of the embedding. Its settings: weights 0.1, 5 and 5 beside the labels' loss. It costs
    memory of batch² times the embedding's size.

    Args:
        vertex_weight: Weight of the vertices, number or
            `keras.optimizers.schedules.LearningRateSchedule`.
        edge_weight: Weight of the edges, number or schedule.
        transformation_weight: Weight of the transformations, number or schedule.
        teacher_layer_name: List of paths: layers from early to late, of shape
            `(batch, *space, channels)`, then the embedding, then the vertices, which must have
            the same shape on both sides; or `"auto"`: the last activations of the last two spatial
            stages, what enters the last dense layer, and what leaves it.
        student_layer_name: The same for the student.
        name: Name of the loss in the training history.

    Raises:
        TypeError: If a weight is neither a number nor a schedule.
        ValueError: If a weight is negative, or if fewer than two layers are given.

    Example:

    ```python
    loss = InstanceGraph(teacher_layer_name=["pool", "logits"], student_layer_name=["p", "out"])
    teacher = [np.random.rand(8, 16), np.random.rand(8, 3)]
    assert loss.compute_loss(teacher, [np.random.rand(8, 4), np.random.rand(8, 3)]) > 0
    ```

    Reference:
        Liu et al., "Knowledge Distillation via Instance Relationship Graph", CVPR 2019.
    """

    automatic_layers = "graph"
    taps = "spatial layers, the embedding and the output"

    def __init__(
        self,
        vertex_weight=0.1,
        edge_weight=5.0,
        transformation_weight=5.0,
        teacher_layer_name="auto",
        student_layer_name="auto",
        name=None,
    ):
        super().__init__(teacher_layer_name, student_layer_name, name)
        self.vertex_weight = schedule.check_number("vertex_weight", vertex_weight, low=0)
        self.edge_weight = schedule.check_number("edge_weight", edge_weight, low=0)
        self.transformation_weight = schedule.check_number(
            "transformation_weight", transformation_weight, low=0
        )

    def build(self, teacher_shapes, student_shapes):
        """Checks that there are embeddings and vertices, and that the vertices agree."""
        if not isinstance(student_shapes, list) or len(student_shapes) < 2:
            raise self.shape_error(
                teacher_shapes,
                student_shapes,
                "a graph needs lists of two layers or more: embeddings, then vertices.",
            )
        if tuple(teacher_shapes[-1][1:]) != tuple(student_shapes[-1][1:]):
            raise self.shape_error(
                teacher_shapes,
                student_shapes,
                "the last layers, the vertices, must have the same shape.",
            )

    def call(self, teacher, student, context):
        """Computes the weighted sum of the three distances."""
        weights = (self.vertex_weight, self.edge_weight, self.transformation_weight)
        return functional.instance_graph(
            teacher, student, *(schedule.value_at(weight, context.step) for weight in weights)
        )
