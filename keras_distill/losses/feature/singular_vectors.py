"""Singular vectors of feature maps."""

from typing import Any

import keras
from keras import ops

from keras_distill.arguments import check_count
from keras_distill.losses.argument_types import LayerNames
from keras_distill.losses.layer_pairs import SuccessiveLayersLoss
from keras_distill.losses.space import positions_by_channels
from keras_distill.losses.tensors import scaled, size_or_unknown

# Of the student's singular vectors, how many more than the teacher's are matched with them.
_MORE = 3
# Eigenvalues that are nearer than this, relative to the largest, count as equal: which vectors
# belong to them isn't defined, and neither is how they change.
_GAP = 1e-5


def singular_vectors(features, count=1):
    """Right singular vectors of each sample's positions × channels, those of the largest values.

    Args:
        features: Tensor of shape `(batch, *space, channels)`.
        count: How many, at most the number of channels.

    Returns:
        Tuple of the values' squares, shape `(batch, count)`, up to one factor per sample, and the
        vectors, shape `(batch, channels, count)`, of which each has a sum of 0 or more.
    """
    rows = scaled(positions_by_channels(features), axis=(1, 2))
    gram = ops.matmul(ops.transpose(rows, (0, 2, 1)), rows)
    values, vectors = ops.eigh(ops.stop_gradient(gram))
    values, vectors = ops.flip(values, axis=-1), ops.flip(vectors, axis=-1)
    signs = ops.where(ops.sum(vectors, axis=1, keepdims=True) < 0, -1.0, 1.0)
    vectors = ops.stop_gradient(vectors * ops.cast(signs, vectors.dtype))
    values = ops.stop_gradient(values)
    # How the vectors change with the matrix, to first order: exact for the gradient, while the
    # backends' own is undefined wherever any two values are equal.
    inner = ops.matmul(ops.transpose(vectors, (0, 2, 1)), ops.matmul(gram, vectors))
    gaps = values[:, None, :count] - values[:, :, None]
    apart = ops.abs(gaps) > _GAP * values[:, :1, None]
    turns = ops.where(apart, inner[..., :count] / ops.where(apart, gaps, 1.0), 0.0)
    turns = turns - ops.stop_gradient(turns)
    squares = ops.diagonal(inner, axis1=1, axis2=2)[:, :count]
    return squares, vectors[..., :count] + ops.matmul(vectors, turns)


def aligned(student_vectors, teacher_vectors):
    """For each vector of the teacher, that of the student's which is most parallel, and its sign.

    Args:
        student_vectors: Tensor of shape `(batch, channels, n)`.
        teacher_vectors: Tensor of shape `(batch, channels, k)`.

    Returns:
        Tensor of shape `(batch, channels, k)`.
    """
    cosines = ops.matmul(ops.transpose(student_vectors, (0, 2, 1)), teacher_vectors)
    cosines = ops.stop_gradient(cosines)
    best = ops.argmax(ops.abs(cosines), axis=1)
    chosen = ops.one_hot(best, cosines.shape[1], axis=1, dtype=cosines.dtype)
    signs = ops.cast(ops.where(cosines < 0, -1.0, 1.0), cosines.dtype)
    return ops.matmul(student_vectors, chosen * signs)


def singular_flow(teacher_layers, student_layers, count=1):
    """Squared difference of the radial distances between two layers' singular vectors.

    Args:
        teacher_layers: Pair of tensors of shape `(batch, *space, channels)`.
        student_layers: Pair of tensors with the teacher's numbers of channels.
        count: Singular vectors of each of the teacher's layers.

    Returns:
        Tensor of shape `(batch,)`.

    Reference:
        Lee, Kim, Song, "Self-supervised Knowledge Distillation Using Singular Value
        Decomposition", ECCV 2018.
    """
    vectors = []
    kept = min(count, *map(_rank, teacher_layers), *map(_rank, student_layers))
    for teacher, student in zip(teacher_layers, student_layers, strict=True):
        squares, of_teacher = singular_vectors(teacher, kept)
        _, of_student = singular_vectors(student, min(kept + _MORE, _rank(student)))
        lengths = ops.sqrt(ops.maximum(squares, 0.0))
        norm = ops.sqrt(ops.sum(ops.square(lengths), axis=-1, keepdims=True))
        weights = (lengths / ops.where(norm > 0, norm, 1.0))[:, None]
        weights, of_teacher = ops.stop_gradient(weights), ops.stop_gradient(of_teacher)
        vectors.append((of_teacher * weights, aligned(of_student, of_teacher) * weights))
    (first_t, first_s), (second_t, second_s) = vectors
    difference = _radial(second_s, first_s) - _radial(second_t, first_t)
    return ops.sum(ops.square(difference), axis=(1, 2, 3))


def _rank(features):
    """Returns how many singular values there may be that aren't 0."""
    positions = size_or_unknown(features.shape[1:-1])
    return features.shape[-1] if positions < 0 else min(positions, features.shape[-1])


def _radial(second, first):
    return ops.exp(-ops.square(second[:, :, None] - first[:, None]) / 8.0)


@keras.saving.register_keras_serializable("keras_distill")
class SingularVectors(SuccessiveLayersLoss):
    """Relation of the leading singular vectors of two layers' feature maps.

    Each layer's features, as a matrix of positions × channels, are compressed to their leading
    right singular vectors, and the relation of two layers is a radial basis function of all
    differences between their vectors' values. The loss is the squared difference of the two
    models' relations, summed over successive pairs of the tapped layers. The student's vector for
    each of the teacher's is the most parallel of its first `count + 3`, with its sign.

    RepDistiller's code needs equal channels; here a 1×1 convolution on the student's features
    makes them so. Its gradient is undefined where singular values are equal; here such vectors get
    none. Vectors have a sign that no decomposition defines: here each of the teacher's has a sum
    of 0 or more. mdistiller weighs it 1. It costs a decomposition of a channels × channels matrix
    per layer and sample.

    Args:
        teacher_layer_name: List of paths of two layers or more, from early to late, of shape
            `(batch, *space, channels)`, or `"auto"`: the last activation of each spatial stage.
        student_layer_name: The same for the student.
        count: Singular vectors per layer of the teacher, or as many as its positions and channels
            allow.
        projector: `"auto"` makes a `FeatureProjector` where the shapes differ, `None` makes a
            difference an error.
        name: Name of the loss in the training history.

    Raises:
        TypeError: If `count` isn't an integer.
        ValueError: If fewer than two layers are tapped, or if shapes differ and can't be
            projected.

    Example:

    ```python
    loss = SingularVectors(["conv1", "conv4"], ["conv1", "conv2"])
    teacher = [np.random.rand(2, 8, 8, 4), np.random.rand(2, 4, 4, 6)]
    student = [np.random.rand(2, 8, 8, 4), np.random.rand(2, 4, 4, 6)]
    assert loss.compute_loss(teacher, student) > 0
    ```

    Reference:
        Lee, Kim, Song, "Self-supervised Knowledge Distillation Using Singular Value
        Decomposition", ECCV 2018.
    """

    def __init__(
        self,
        teacher_layer_name: LayerNames = "auto",
        student_layer_name: LayerNames = "auto",
        count: int = 1,
        projector: str | None = "auto",
        name: str | None = None,
    ):
        super().__init__(teacher_layer_name, student_layer_name, projector, name)
        self.count = check_count("count", count, high=2**31 - 1)

    def between(self, teacher: Any, student: Any) -> Any:
        """Computes the distance of the relations between two layers."""
        return singular_flow(teacher, student, self.count)
