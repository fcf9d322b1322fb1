"""Instance relationship graphs."""

from typing import Any

import keras
from keras import ops

from keras_distill.losses import schedule
from keras_distill.losses.argument_types import LayerNames, Number
from keras_distill.losses.batch_relations import pairwise_differences
from keras_distill.losses.context import LossContext
from keras_distill.losses.loss import DistillationLoss
from keras_distill.losses.space import match_space, resize_axis
from keras_distill.losses.tensors import as_floats, flatten, mean_squared_error, scaled


def graph_edges(embeddings):
    """Squared distances between the samples of a batch, divided by the largest.

    Args:
        embeddings: Tensor of shape `(batch, size)`.

    Returns:
        Tensor of shape `(batch, batch)`.
    """
    squared = ops.sum(ops.square(pairwise_differences(scaled(embeddings))), axis=-1)
    largest = ops.max(squared)
    return squared / ops.where(largest > 0, largest, 1.0)


def graph_transformation(first, second):
    """Squared distance that each sample moves between two layers, divided by the largest.

    Args:
        first: Tensor of shape `(batch, *space, channels)`.
        second: Tensor of shape `(batch, *space, channels)`. Space is resized to the smaller; of the
            larger number of channels, groups are averaged.

    Returns:
        Tensor of shape `(batch,)`.
    """
    first, second = match_space(first, second)
    channels = min(first.shape[-1], second.shape[-1])
    first, second = (
        side if side.shape[-1] == channels else resize_axis(side, len(side.shape) - 1, channels)
        for side in (first, second)
    )
    squared = ops.sum(ops.square(scaled(flatten(second - first))), axis=-1)
    largest = ops.max(squared)
    return squared / ops.where(largest > 0, largest, 1.0)


def instance_graph(teacher, student, vertex_weight=0.1, edge_weight=5.0, transformation_weight=5.0):
    """Distance of instance relationship graphs: vertices, edges and transformations.

    Args:
        teacher: List of tensors: features of one layer or more, from early to late, then the
            embeddings of shape `(batch, size)`, then the vertices of shape `(batch, classes)`.
        student: The same of the student; only the vertices must have the teacher's shape.
        vertex_weight: Weight of the mean squared difference of the vertices.
        edge_weight: Weight of that of the edges between the embeddings.
        transformation_weight: Weight of that of the transformations between successive layers.

    Returns:
        Tensor of shape `(batch,)`.

    Reference:
        Liu et al., "Knowledge Distillation via Instance Relationship Graph", CVPR 2019.
    """
    vertices = mean_squared_error(flatten(teacher[-1]), flatten(student[-1]))
    edges = [graph_edges(flatten(as_floats(side[-2])[0])) for side in (teacher, student)]
    total = vertex_weight * vertices
    total = total + edge_weight * ops.mean(ops.square(edges[0] - edges[1]), axis=-1)
    layers = zip(teacher[:-3], teacher[1:-2], student[:-3], student[1:-2], strict=True)
    for t_first, t_second, s_first, s_second in layers:
        moved = graph_transformation(t_first, t_second) - graph_transformation(s_first, s_second)
        total = total + transformation_weight * ops.square(moved)
    return total


@keras.saving.register_keras_serializable("keras_distill")
class InstanceGraph(DistillationLoss):
    """Distance of instance relationship graphs: vertices, edges and transformations.

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
        vertex_weight: Number = 0.1,
        edge_weight: Number = 5.0,
        transformation_weight: Number = 5.0,
        teacher_layer_name: LayerNames = "auto",
        student_layer_name: LayerNames = "auto",
        name: str | None = None,
    ):
        super().__init__(teacher_layer_name, student_layer_name, name)
        self.vertex_weight = schedule.check_number("vertex_weight", vertex_weight, low=0)
        self.edge_weight = schedule.check_number("edge_weight", edge_weight, low=0)
        self.transformation_weight = schedule.check_number(
            "transformation_weight", transformation_weight, low=0
        )

    def build(self, teacher_shapes: Any, student_shapes: Any) -> None:
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

    def call(self, teacher: Any, student: Any, context: LossContext) -> Any:
        """Computes the weighted sum of the three distances."""
        weights = (self.vertex_weight, self.edge_weight, self.transformation_weight)
        return instance_graph(
            teacher, student, *(schedule.value_at(weight, context.step) for weight in weights)
        )
