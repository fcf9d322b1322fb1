"""Attention knowledge of transformers: distances of attention scores and of their relations."""

import math

from keras import ops

from keras_distill.losses.functional.tensors import as_float, as_floats, size_or_unknown, unit

# Probabilities below this count as this, so that the gradient of a logarithm stays finite.
_SMALLEST = 1e-12


def head_similarity(teacher_scores, student_scores):
    """Cosine between each head of the teacher and each head of the student.

    Args:
        teacher_scores: Tensor of shape `(batch, teacher_heads, queries, keys)`.
        student_scores: Tensor of shape `(batch, student_heads, queries, keys)`.

    Returns:
        Tensor of shape `(batch, teacher_heads, student_heads)`.
    """
    teacher, student = (unit(_rows(side)) for side in as_floats(teacher_scores, student_scores))
    return ops.einsum("bip,bjp->bij", teacher, student)


def head_weights(teacher_scores, student_scores, weighting="softmax"):
    """Says how much each student head takes part in imitating each teacher head.

    Args:
        teacher_scores: Tensor of shape `(batch, teacher_heads, queries, keys)`.
        student_scores: Tensor of shape `(batch, student_heads, queries, keys)`.
        weighting: `"softmax"` of the cosines over the student's heads, or `"normalized"`, the
            cosines divided by their sum.

    Returns:
        Tensor of shape `(batch, teacher_heads, student_heads)` that sums to 1 over the last axis.
    """
    similarity = head_similarity(teacher_scores, student_scores)
    if similarity.shape[-1] == 1:
        return ops.ones_like(similarity)
    if weighting == "softmax":
        return ops.softmax(similarity, axis=-1)
    return similarity / ops.maximum(ops.sum(similarity, axis=-1, keepdims=True), _SMALLEST)


def attention_map_alignment(
    teacher_scores, student_scores, weighting="softmax", divergence="mse", form="aggregate"
):
    """Distance of each teacher head from the student heads that resemble it.

    Args:
        teacher_scores: Tensor of shape `(batch, teacher_heads, queries, keys)` whose last axis
            sums to 1, or to 0 at a padded query.
        student_scores: Tensor of shape `(batch, student_heads, queries, keys)`.
        weighting: `"softmax"` or `"normalized"`, see `head_weights`.
        divergence: `"mse"`, `"kl"` or `"cosine"`.
        form: `"aggregate"` compares a teacher head with the weighted mean of the student's heads,
            `"pairwise"` takes the weighted mean of the Kullback-Leibler divergences to each.

    Returns:
        Tensor of shape `(batch,)`.
    """
    teacher, student = as_floats(teacher_scores, student_scores)
    weights = head_weights(teacher, student, weighting)
    if form == "pairwise":
        divergences = _head_divergence(teacher[:, :, None], student[:, None])
        return ops.mean(ops.sum(weights * divergences, axis=-1), axis=-1)
    aligned = ops.einsum("bij,bjqk->biqk", weights, student)
    if divergence == "kl":
        return ops.mean(_head_divergence(teacher, aligned), axis=-1)
    if divergence == "cosine":
        cosine = ops.sum(unit(_rows(teacher)) * unit(_rows(aligned)), axis=-1)
        return ops.mean(1.0 - cosine, axis=-1)
    return ops.mean(ops.square(teacher - aligned), axis=(1, 2, 3))


def _rows(scores):
    positions = size_or_unknown(scores.shape[2:])
    return ops.reshape(scores, (ops.shape(scores)[0], scores.shape[1], positions))


def _head_divergence(teacher, student):
    """Kullback-Leibler divergence over the keys, averaged over the queries that aren't padded."""
    logs = [ops.log(ops.maximum(side, _SMALLEST)) for side in (teacher, student)]
    total = ops.sum(teacher * (logs[0] - logs[1]), axis=(-2, -1))
    queries = ops.sum(ops.cast(ops.sum(teacher, axis=-1) > 0, total.dtype), axis=-1)
    return total / ops.maximum(queries, 1.0)


def head_attention(teacher_scores, student_scores):
    """Mean squared difference of attention matrices, head by head.

    Args:
        teacher_scores: Tensor of shape `(batch, heads, queries, keys)`.
        student_scores: Tensor of the same shape.

    Returns:
        Tensor of shape `(batch,)`.

    Reference:
        Jiao et al., "TinyBERT: Distilling BERT for Natural Language Understanding", 2020.
    """
    teacher, student = as_floats(teacher_scores, student_scores)
    return ops.mean(ops.square(teacher - student), axis=(1, 2, 3))


def relation_logits(vectors, heads):
    """Scaled dot products between the positions of a sequence, in any number of heads.

    Args:
        vectors: Tensor of shape `(batch, length, attention_heads, size)`: queries, keys or values.
        heads: Number of relation heads, that divides `attention_heads * size`.

    Returns:
        Tensor of shape `(batch, heads, length, length)`.
    """
    vectors = as_float(vectors)
    samples, steps = ops.shape(vectors)[:2]
    size = vectors.shape[2] * vectors.shape[3] // heads
    vectors = ops.reshape(vectors, (samples, steps, heads, size))
    return ops.einsum("bqhd,bkhd->bhqk", vectors, vectors) / math.sqrt(size)


def self_attention_relation(teacher_vectors, student_vectors, heads, mask=None):
    """Kullback-Leibler divergence of the relations between positions.

    Args:
        teacher_vectors: Tensor of shape `(batch, length, teacher_heads, size)`.
        student_vectors: Tensor of shape `(batch, length, student_heads, size)`.
        heads: Number of relation heads.
        mask: Boolean tensor of shape `(batch, length)` that is true at the positions that count.

    Returns:
        Tensor of shape `(batch,)`: the mean over heads and positions.

    Reference:
        Wang et al., "MiniLMv2", 2021.
    """
    logits = [relation_logits(side, heads) for side in as_floats(teacher_vectors, student_vectors)]
    if mask is not None:
        mask = ops.cast(mask, logits[0].dtype)
        logits = [side - 1e30 * (1.0 - mask[:, None, None, :]) for side in logits]
    log_t, log_s = (ops.log_softmax(side, axis=-1) for side in logits)
    divergence = ops.mean(ops.sum(ops.exp(log_t) * (log_t - log_s), axis=-1), axis=1)
    if mask is None:
        return ops.mean(divergence, axis=-1)
    return ops.sum(divergence * mask, axis=-1) / ops.maximum(ops.sum(mask, axis=-1), 1.0)
