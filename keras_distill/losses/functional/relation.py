"""Relation knowledge: distances of how samples, or channels, relate to each other."""

import math

from keras import ops

from keras_distill.losses.functional.feature import positions_by_channels
from keras_distill.losses.functional.tensors import (
    TINY,
    as_floats,
    flatten,
    huber,
    length,
    match_space,
    mean_squared_error,
    resize_axis,
    scaled,
    unit,
)


def pairwise_differences(embeddings):
    """Differences between all pairs of a batch, of shape `(batch, batch, size)`."""
    return embeddings[None] - embeddings[:, None]


def relative_distances(embeddings):
    """Euclidean distances between all pairs of a batch, divided by the mean over unequal pairs.

    Args:
        embeddings: Tensor of shape `(batch, size)`.

    Returns:
        Tensor of shape `(batch, batch)`.
    """
    distances = length(pairwise_differences(embeddings))
    pairs = ops.sum(ops.cast(distances > 0, distances.dtype))
    mean = ops.sum(distances) / ops.maximum(pairs, 1.0)
    return distances / ops.where(mean > 0, mean, 1.0)


def pairwise_angles(embeddings):
    """Cosines of the angles that any two samples of a batch make at a third.

    Args:
        embeddings: Tensor of shape `(batch, size)`.

    Returns:
        Tensor of shape `(batch, batch, batch)`; the first axis is the vertex of the angle.
    """
    directions = unit(pairwise_differences(embeddings))
    return ops.einsum("ijd,ikd->ijk", directions, directions)


def relational(teacher_embeddings, student_embeddings, distance_weight=25.0, angle_weight=50.0):
    """Huber loss of relative distances and of angles between the samples of a batch.

    Args:
        teacher_embeddings: Tensor of shape `(batch, ...)`.
        student_embeddings: Tensor of shape `(batch, ...)`, of any size.
        distance_weight: Weight of the distances.
        angle_weight: Weight of the angles.

    Returns:
        Tensor of shape `(batch,)`: the means over the relations of each sample.

    Reference:
        Park et al., "Relational Knowledge Distillation", CVPR 2019.
    """
    sides = [scaled(flatten(side)) for side in as_floats(teacher_embeddings, student_embeddings)]
    teacher, student = (relative_distances(side) for side in sides)
    distances = ops.mean(huber(teacher - student), axis=1)
    teacher, student = (pairwise_angles(side) for side in sides)
    angles = ops.mean(huber(teacher - student), axis=(1, 2))
    return distance_weight * distances + angle_weight * angles


def similarity_preserving(teacher_features, student_features):
    """Squared difference of the batch's similarity matrices, whose rows have unit length.

    Args:
        teacher_features: Tensor of shape `(batch, ...)`.
        student_features: Tensor of shape `(batch, ...)`, of any size.

    Returns:
        Tensor of shape `(batch,)` whose mean is `‖G_t - G_s‖² / batch²`.

    Reference:
        Tung & Mori, "Similarity-Preserving Knowledge Distillation", ICCV 2019.
    """
    teacher, student = (
        unit(_gram(scaled(flatten(side)))) for side in as_floats(teacher_features, student_features)
    )
    return ops.mean(ops.square(teacher - student), axis=-1)


def _gram(rows):
    return rows @ ops.transpose(rows)


def correlation_kernel(embeddings, gamma=0.4, order=2):
    """Gaussian kernel between the samples of a batch, expanded in a Taylor series.

    Args:
        embeddings: Tensor of shape `(batch, size)`, of which the directions count.
        gamma: Width: the kernel is `exp(-gamma * ‖x - y‖²)`.
        order: Highest power of the inner product.

    Returns:
        Tensor of shape `(batch, batch)`: `exp(-2γ) Σ_p (2γ)^p / p! (xᵀy)^p`.
    """
    cosine = _gram(unit(embeddings))
    terms = [
        (2.0 * gamma) ** power / math.factorial(power) * cosine**power if power else 1.0
        for power in range(order + 1)
    ]
    return math.exp(-2.0 * gamma) * sum(terms)


def correlation_congruence(teacher_embeddings, student_embeddings, gamma=0.4, order=2):
    """Squared difference of the batch's correlation kernels.

    Args:
        teacher_embeddings: Tensor of shape `(batch, ...)`.
        student_embeddings: Tensor of shape `(batch, ...)`, of any size.
        gamma: Width of the kernel.
        order: Order of its expansion.

    Returns:
        Tensor of shape `(batch,)` whose mean is `‖K_t - K_s‖² / batch²`.

    Reference:
        Peng et al., "Correlation Congruence for Knowledge Distillation", ICCV 2019.
    """
    teacher, student = (
        correlation_kernel(flatten(side), gamma, order)
        for side in as_floats(teacher_embeddings, student_embeddings)
    )
    return ops.mean(ops.square(teacher - student), axis=-1)


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


def in_batch_contrast(teacher_embeddings, student_embeddings, temperature=0.07):
    """Cross-entropy of finding a sample's own partner in the batch, in both directions.

    Args:
        teacher_embeddings: Tensor of shape `(batch, size)`.
        student_embeddings: Tensor of the same shape.
        temperature: Divides the cosines.

    Returns:
        Tensor of shape `(batch,)`.

    Reference:
        Tian, Krishnan, Isola, "Contrastive Representation Distillation", ICLR 2020.
    """
    teacher, student = (unit(side) for side in as_floats(teacher_embeddings, student_embeddings))
    temperature = ops.cast(temperature, student.dtype)
    similarity = student @ ops.transpose(teacher) / temperature
    own = ops.sum(student * teacher, axis=-1) / temperature
    to_teacher = ops.logsumexp(similarity, axis=1) - own
    to_student = ops.logsumexp(similarity, axis=0) - own
    return to_teacher + to_student


def noise_contrast(positive, negatives, normalizer, samples):
    """Noise-contrastive estimation: tells a sample's partner from random ones.

    Args:
        positive: Tensor of shape `(batch,)`: `log exp(aᵀb / τ)` of the true partner.
        negatives: Tensor of shape `(batch, drawn)`: the same of drawn samples; `-inf` leaves one
            out.
        normalizer: Scalar, the logarithm of the constant Z that makes them probabilities.
        samples: Number of samples that are drawn from.

    Returns:
        Tensor of shape `(batch,)`.

    Reference:
        Tian, Krishnan, Isola, "Contrastive Representation Distillation", ICLR 2020.
    """
    drawn = negatives.shape[-1]
    # log of (drawn / samples), the rate of the noise, against log p: a logistic regression.
    log_noise = math.log(drawn / samples)
    true = ops.softplus(log_noise - (positive - normalizer))
    false = ops.sum(ops.softplus((negatives - normalizer) - log_noise), axis=-1)
    return true + false


def channel_correlation(features):
    """Inner products of the channels' spatial patterns, each of unit length.

    Args:
        features: Tensor of shape `(batch, *space, channels)`.

    Returns:
        Tensor of shape `(batch, channels, channels)`.
    """
    patterns = unit(positions_by_channels(features), axis=1)
    return ops.einsum("bpc,bpd->bcd", patterns, patterns)


def inter_channel_correlation(teacher_features, student_features):
    """Mean squared difference of the channel correlation matrices.

    Args:
        teacher_features: Tensor of shape `(batch, *space, channels)`.
        student_features: Tensor with as many channels; its space may differ.

    Returns:
        Tensor of shape `(batch,)`.

    Reference:
        Liu et al., "Exploring Inter-Channel Correlation for Diversity-Preserved Knowledge
        Distillation", ICCV 2021.
    """
    return mean_squared_error(
        channel_correlation(teacher_features), channel_correlation(student_features)
    )


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
