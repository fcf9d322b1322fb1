"""Probabilistic knowledge transfer."""

import keras

from keras_distill.losses import functional
from keras_distill.losses.relation.embedding_loss import EmbeddingLoss


@keras.saving.register_keras_serializable("keras_distill")
class ProbabilisticTransfer(EmbeddingLoss):
    """Each sample has the same likely neighbours for the student as for the teacher.

    The cosine similarities of a sample, moved to [0, 1] and divided by their sum, are the
    probabilities of its neighbours, itself included, and the loss is the Kullback-Leibler
    divergence of the teacher's from the student's. Averaged over all pairs, as in the authors'
    code; the paper's formula is a sum. RepDistiller weighs it 30000. It costs memory of batch²
    times the embedding's size.

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
        """Computes the divergence of the neighbour probabilities."""
        return functional.probabilistic_transfer(teacher, student)
