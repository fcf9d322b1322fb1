"""Probabilistic knowledge transfer."""

import keras

from keras_distill.losses import functional
from keras_distill.losses.relation.embedding_loss import EmbeddingLoss


@keras.saving.register_keras_serializable("keras_distill")
class ProbabilisticTransfer(EmbeddingLoss):
    """Each sample has the same likely neighbors for the student as for the teacher.

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

    def compare(self, teacher, student, context):
        """Computes the divergence of the neighbor probabilities."""
        return functional.probabilistic_transfer(teacher, student)
