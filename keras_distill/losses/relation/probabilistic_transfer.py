"""Probabilistic knowledge transfer."""

from typing import Any

import keras
from keras import ops

from keras_distill.losses.batch_relations import pairwise_differences
from keras_distill.losses.context import LossContext
from keras_distill.losses.relation.embedding_loss import EmbeddingLoss
from keras_distill.losses.tensors import TINY, as_floats, flatten, unit


def neighbor_log_probabilities(embeddings):
    """How likely each sample picks each other as its neighbor, by their cosine similarity.

    Args:
        embeddings: Tensor of shape `(batch, size)`.

    Returns:
        Tensor of shape `(batch, batch)` of logarithms; the rows of the probabilities sum to 1.
    """
    # The cosine of two unit vectors as a squared distance is exactly 1 for a sample with itself.
    directions = unit(embeddings)
    squared = ops.sum(ops.square(pairwise_differences(directions)), axis=-1)
    affinity = ops.log(ops.maximum(1.0 - squared / 4.0, TINY))
    return affinity - ops.logsumexp(affinity, axis=-1, keepdims=True)


def probabilistic_transfer(teacher_embeddings, student_embeddings):
    """Kullback-Leibler divergence of the neighbor probabilities.

    Args:
        teacher_embeddings: Tensor of shape `(batch, ...)`.
        student_embeddings: Tensor of shape `(batch, ...)`, of any size.

    Returns:
        Tensor of shape `(batch,)`: the sum over the neighbors.

    Reference:
        Passalis & Tefas, "Learning Deep Representations with Probabilistic Knowledge Transfer",
        ECCV 2018.
    """
    log_t, log_s = (
        neighbor_log_probabilities(flatten(side))
        for side in as_floats(teacher_embeddings, student_embeddings)
    )
    return ops.sum(ops.exp(log_t) * (log_t - log_s), axis=-1)


@keras.saving.register_keras_serializable("keras_distill")
class ProbabilisticTransfer(EmbeddingLoss):
    """KL of the neighbor probabilities of each sample, from cosine similarities.

    The cosine similarities of a sample, moved to [0, 1] and divided by their sum, are the
    probabilities of its neighbors, itself included, and the loss is the Kullback-Leibler
    divergence of the student's from the teacher's, a mean over the samples. The authors' code also
    divides by the number of neighbors, the batch size: RepDistiller's weight of 30000 at batches
    of 64 is about 470 here. It costs memory of batch² times the embedding's size.

    Args:
        teacher_layer_name: Path of the teacher's embedding, any shape `(batch, ...)`, a list of
            paths, or `"auto"`: what enters the last dense layer.
        student_layer_name: The same for the student; sizes may differ.
        name: Name of the loss in the training history.

    Example:

    ```python
    assert ProbabilisticTransfer().compute_loss(np.random.rand(8, 16), np.random.rand(8, 4)) > 0
    ```

    Reference:
        Passalis & Tefas, "Learning Deep Representations with Probabilistic Knowledge Transfer",
        ECCV 2018.
    """

    def compare(self, teacher: Any, student: Any, context: LossContext) -> Any:
        """Computes the divergence of the neighbor probabilities."""
        return probabilistic_transfer(teacher, student)
