"""CORAL: the student's features of two domains get the same covariance."""

import keras
from keras import ops

from keras_distill.arguments import shown
from keras_distill.losses.loss import DistillationLoss
from keras_distill.losses.masks import with_rank
from keras_distill.losses.tensors import as_float
from keras_distill.training.replicas import replicas


def correlation_alignment(features, is_source):
    """Squared distance of the covariances of two domains, `|C_s - C_t|² / (4 d²)`.

    Args:
        features: Tensor of shape `(batch, d)`.
        is_source: Boolean tensor of shape `(batch,)`: the other samples are of the target.

    Returns:
        Scalar tensor: 0 where a domain has less than two samples.
    """
    features = as_float(features)
    shares = ops.cast([is_source, ops.logical_not(is_source)], features.dtype)
    counts = ops.sum(shares, axis=1)
    source, target = (
        _covariance(features, share, count)
        for share, count in zip(ops.unstack(shares, 2), ops.unstack(counts, 2), strict=True)
    )
    distance = ops.sum(ops.square(source - target)) / (4 * features.shape[-1] ** 2)
    return ops.where(ops.min(counts) > 1, distance, ops.zeros_like(distance))


def _covariance(features, share, count):
    share = share[:, None]
    mean = ops.sum(share * features, axis=0) / ops.maximum(count, 1.0)
    centered = share * (features - mean)
    return ops.matmul(ops.transpose(centered), centered) / ops.maximum(count - 1.0, 1.0)


@keras.saving.register_keras_serializable("keras_distill")
class CorrelationAlignment(DistillationLoss):
    """CORAL between the labeled and the unlabeled samples of a batch, on a layer of the student.

    Features with positions are averaged over them first. Sample weights have no part in it.

    Args:
        student_layer_name: Path of the student's layer.
        name: Name of the loss in the training history.

    Raises:
        TypeError: If the path isn't a string.

    Reference:
        Sun, Saenko, "Deep CORAL: Correlation Alignment for Deep Domain Adaptation", ECCV Workshops
        2016.
    """

    # A sample is of the source if it has a label.
    needs_labels = True
    needs_teacher = False
    pairs_layers = False

    def __init__(self, student_layer_name: str, name: str | None = None):
        if not isinstance(student_layer_name, str):
            raise TypeError(
                "CORAL aligns the features of one layer of the student: give its path. "
                f"Received: student_layer_name={shown(student_layer_name)}"
            )
        super().__init__(None, student_layer_name, name)

    def build(self, teacher_shapes, student_shapes):
        """Checks that the features have a known width, and that one replica sees both domains."""
        if replicas() > 1:
            raise ValueError(
                "CORAL compares the two domains of a batch, and a replica sees a part of it, which "
                "may hold one of them: train with one replica, or without alignment. "
                f"Received: {replicas()} replicas"
            )
        if len(student_shapes) < 2 or student_shapes[-1] is None:
            raise ValueError(
                "CORAL aligns features of shape (batch, ..., channels), of a known number of "
                f"channels. Received: student_layer_name={self.student_layer_name!r} with an "
                f"output of shape {student_shapes}"
            )

    def call(self, teacher, student, context):
        """Computes the loss of the batch, a scalar."""
        features = ops.mean(student, axis=tuple(range(1, len(student.shape) - 1)))
        masks = context.mask if isinstance(context.mask, list) else [context.mask]
        known = [mask for mask in masks if mask is not None]
        if not known:
            # All samples have a label, or none has: there is one domain.
            return 0.0 * ops.sum(as_float(features))
        is_source = with_rank(known[0], 2)
        is_source = ops.any(is_source, axis=tuple(range(1, len(is_source.shape))))
        return correlation_alignment(features, is_source)
