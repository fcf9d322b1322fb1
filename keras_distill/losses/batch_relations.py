"""Relations between the samples of a batch: differences of all pairs, inner products."""

from keras import ops


def pairwise_differences(embeddings):
    """Differences between all pairs of a batch, of shape `(batch, batch, size)`."""
    return embeddings[None] - embeddings[:, None]


def gram(rows):
    """Inner products between all pairs of rows, of shape `(batch, batch)`."""
    return rows @ ops.transpose(rows)
