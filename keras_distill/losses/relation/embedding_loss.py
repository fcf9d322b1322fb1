"""The base class of the relational losses: how the samples of a batch relate to each other."""

from keras_distill.losses.layer_pairs import LayerPairLoss


class EmbeddingLoss(LayerPairLoss):
    """Relates the samples of a batch by their embeddings, of any sizes on the two sides.

    The value of a sample is the mean over its relations, so that the mean over the batch is the
    paper's loss. The samples' order doesn't matter. A batch of one sample has no relations.

    Args:
        teacher_layer_name: Path of the teacher's embedding, any shape `(batch, ...)`, a list of
            paths, or `"auto"`: what enters the last dense layer.
        student_layer_name: The same for the student.
        name: Name of the loss in the training history.
    """

    automatic_layers = "embedding"
    taps = "embeddings, any sizes"
    padding = "zeros"
