"""Feature knowledge: distances of hidden layers, one value per sample."""

from keras import ops

from keras_distill.losses.functional.tensors import (
    as_float,
    as_floats,
    flatten,
    match_space,
    mean_squared_error,
    resize_space,
    size_or_unknown,
    unit,
)


def positions_by_channels(features):
    """Flattens space: shape `(batch, *space, channels)` becomes `(batch, positions, channels)`."""
    features = as_float(features)
    positions = size_or_unknown(features.shape[1:-1])
    return ops.reshape(features, (ops.shape(features)[0], positions, features.shape[-1]))


def flow_matrix(first, second):
    """The flow of the solution procedure between two layers: their channels' inner products.

    Args:
        first: Tensor of shape `(batch, *space, channels)`.
        second: Tensor of shape `(batch, *space, other_channels)`; the larger space is resized to
            the smaller.

    Returns:
        Tensor of shape `(batch, channels, other_channels)`, divided by the number of positions.
    """
    first, second = (positions_by_channels(side) for side in match_space(first, second))
    positions = ops.cast(ops.shape(first)[1], first.dtype)
    return ops.einsum("bpc,bpd->bcd", first, second) / positions


def flow_of_solution(teacher_layers, student_layers):
    """Mean squared difference of the flow matrices between two layers of each model.

    Args:
        teacher_layers: Pair of tensors of shape `(batch, *space, channels)`.
        student_layers: Pair of tensors with the teacher's numbers of channels.

    Returns:
        Tensor of shape `(batch,)`.

    Reference:
        Yim et al., "A Gift from Knowledge Distillation", CVPR 2017.
    """
    return mean_squared_error(flow_matrix(*teacher_layers), flow_matrix(*student_layers))


def neuron_selectivity(teacher_features, student_features):
    """Squared maximum mean discrepancy of the channels' spatial patterns, kernel (xᵀy)².

    Args:
        teacher_features: Tensor of shape `(batch, *space, channels)`.
        student_features: Tensor of shape `(batch, *space, channels)`, of any number of channels.

    Returns:
        Tensor of shape `(batch,)`.

    Reference:
        Huang & Wang, "Like What You Like: Knowledge Distill via Neuron Selectivity", 2017.
    """
    teacher, student = (
        unit(positions_by_channels(side), axis=1)
        for side in match_space(teacher_features, student_features)
    )
    return (
        _mean_kernel(teacher, teacher)
        + _mean_kernel(student, student)
        - 2.0 * _mean_kernel(teacher, student)
    )


def _mean_kernel(first, second):
    return ops.mean(ops.square(ops.einsum("bpc,bpd->bcd", first, second)), axis=(1, 2))


def activation_boundary(teacher_features, student_features, margin=1.0):
    """Squared hinge that puts the student's pre-activations on the teacher's side of zero.

    Args:
        teacher_features: Pre-activations, tensor of shape `(batch, ..., channels)`.
        student_features: Tensor of the same shape.
        margin: How far beyond zero the student must be for a loss of 0.

    Returns:
        Tensor of shape `(batch,)`, the mean over the neurons.

    Reference:
        Heo et al., "Knowledge Transfer via Distillation of Activation Boundaries", AAAI 2019.
    """
    teacher, student = as_floats(teacher_features, student_features)
    is_on = ops.cast(teacher > 0, student.dtype)
    should_rise = ops.square(ops.relu(margin - student))
    should_fall = ops.square(ops.relu(margin + student))
    return ops.mean(flatten(is_on * should_rise + (1.0 - is_on) * should_fall), axis=-1)


def margin_relu(features, margin):
    """Replaces values below a negative margin by the margin: `max(x, m)`.

    Args:
        features: Pre-activations, tensor of shape `(batch, ..., channels)`.
        margin: Tensor of shape `(channels,)`, the mean of each channel's negative values.

    Returns:
        Tensor of the shape of `features`.
    """
    features, margin = as_floats(features, margin)
    return ops.maximum(features, margin)


def partial_distance(teacher_features, student_features):
    """Squared difference, left out where the teacher isn't positive and the student lies below it.

    Args:
        teacher_features: Tensor of shape `(batch, ..., channels)`, after `margin_relu`.
        student_features: Tensor of the same shape, before its activation.

    Returns:
        Tensor of shape `(batch,)`, the mean over the neurons.

    Reference:
        Heo et al., "A Comprehensive Overhaul of Feature Distillation", ICCV 2019.
    """
    teacher, student = as_floats(teacher_features, student_features)
    counts = ops.logical_or(student > teacher, teacher > 0)
    squared = ops.where(counts, ops.square(teacher - student), 0.0)
    return ops.mean(flatten(squared), axis=-1)


def factor_distance(teacher_factors, student_factors):
    """Mean absolute difference of factors, each sample's of unit length.

    Args:
        teacher_factors: Tensor of shape `(batch, ...)`.
        student_factors: Tensor of the same shape.

    Returns:
        Tensor of shape `(batch,)`.

    Reference:
        Kim, Park, Kwak, "Paraphrasing Complex Network", NeurIPS 2018.
    """
    teacher, student = as_floats(teacher_factors, student_factors)
    return ops.mean(ops.abs(unit(flatten(teacher)) - unit(flatten(student))), axis=-1)


def variational_information(teacher_features, student_means, variances):
    """Negative log-likelihood of the teacher's features under a Gaussian, without its constant.

    Args:
        teacher_features: Tensor of shape `(batch, ..., channels)`.
        student_means: Tensor of the same shape, predicted from the student.
        variances: Tensor of shape `(channels,)`, positive.

    Returns:
        Tensor of shape `(batch,)`: the mean of `(log σ² + (t - μ)² / σ²) / 2`.

    Reference:
        Ahn et al., "Variational Information Distillation for Knowledge Transfer", CVPR 2019.
    """
    teacher, means = as_floats(teacher_features, student_means)
    variances = ops.cast(variances, means.dtype)
    likelihood = ops.log(variances) + ops.square(teacher - means) / variances
    return 0.5 * ops.mean(flatten(likelihood), axis=-1)


def hierarchical_context(teacher_features, student_features, levels=(4, 2, 1)):
    """Mean squared difference of features at full size and averaged to coarser grids.

    Args:
        teacher_features: Tensor of shape `(batch, *space, channels)`.
        student_features: Tensor of the same shape.
        levels: Positions per axis of the grids; those not smaller than the features are left out.
            Each grid weighs half of the one before, the features themselves weigh 1.

    Returns:
        Tensor of shape `(batch,)`, the weighted mean.

    Reference:
        Chen et al., "Distilling Knowledge via Knowledge Review", CVPR 2021.
    """
    teacher, student = as_floats(teacher_features, student_features)
    total, weight, weights = mean_squared_error(teacher, student), 1.0, 1.0
    space = teacher.shape[1:-1]
    for level in levels:
        if any(level >= side for side in space):
            continue
        grid = (level,) * len(space)
        weight, weights = weight / 2, weights + weight / 2
        pooled = [resize_space(side, grid) for side in (teacher, student)]
        total = total + weight * mean_squared_error(*pooled)
    return total / weights


def channel_wise(teacher_features, student_features, temperature=4.0):
    """Divergence of each channel's distribution over the positions, times T².

    Args:
        teacher_features: Tensor of shape `(batch, *space, channels)`.
        student_features: Tensor of the same shape.
        temperature: T.

    Returns:
        Tensor of shape `(batch,)`, the mean over the channels.

    Reference:
        Shu et al., "Channel-wise Knowledge Distillation for Dense Prediction", ICCV 2021.
    """
    teacher, student = as_floats(teacher_features, student_features)
    temperature = ops.cast(temperature, student.dtype)
    log_t, log_s = (
        ops.log_softmax(positions_by_channels(side) / temperature, axis=1)
        for side in (teacher, student)
    )
    divergence = ops.sum(ops.exp(log_t) * (log_t - log_s), axis=1)
    return ops.square(temperature) * ops.mean(divergence, axis=-1)
