"""The mathematics of distillation: pure functions on `keras.ops` tensors, one value per sample."""

import math

from keras import ops

DIVERGENCES = ("kl", "reverse_kl", "js", "cross_entropy")

# The smallest positive normal float32: the logarithm of a probability stays finite.
TINY = 1.1754944e-38


def as_float(tensor):
    """Returns `tensor` in float32, or in float64 if it came in float64."""
    tensor = ops.convert_to_tensor(tensor)
    return tensor if tensor.dtype == "float64" else ops.cast(tensor, "float32")


def as_floats(*tensors):
    """Returns the tensors in float64 if all of them came in it, else in float32."""
    tensors = [as_float(tensor) for tensor in tensors]
    if len({tensor.dtype for tensor in tensors}) > 1:
        tensors = [ops.cast(tensor, "float32") for tensor in tensors]
    return tensors


def log_probabilities(probabilities):
    """Returns the logarithm of probabilities, which are logits up to a constant per row.

    Args:
        probabilities: Tensor of shape `(..., classes)` whose rows sum to 1.

    Returns:
        Tensor of the same shape; a probability of 0 becomes about -87.3.
    """
    return ops.log(ops.maximum(as_float(probabilities), TINY))


def standardize_logits(logits):
    """Returns `(z - mean(z)) / (std(z) + 1e-7)` over the last axis.

    Args:
        logits: Tensor of shape `(..., classes)`.

    Returns:
        Tensor of the same shape. `std` is that of the population (divided by the number of
        classes).

    Reference:
        Sun et al., "Logit Standardization in Knowledge Distillation", CVPR 2024.
    """
    logits = as_float(logits)
    centred = logits - ops.mean(logits, axis=-1, keepdims=True)
    variance = ops.mean(ops.square(centred), axis=-1, keepdims=True)
    # A row of equal logits has variance 0, where the square root has no gradient.
    flat = ops.equal(variance, 0)
    deviation = ops.where(flat, 0.0, ops.sqrt(ops.where(flat, 1.0, variance)))
    return centred / (deviation + 1e-7)


def soft_targets(teacher_logits, student_logits, temperature=4.0, divergence="kl"):
    """Distance of the student's softened distribution from the teacher's, times T².

    Args:
        teacher_logits: Tensor of shape `(batch, ..., classes)`.
        student_logits: Tensor of the same shape.
        temperature: T, positive number or scalar tensor.
        divergence: `"kl"` for KL(teacher‖student), `"reverse_kl"` for KL(student‖teacher),
            `"js"` for the Jensen-Shannon divergence, `"cross_entropy"` for the cross-entropy of
            the student under the teacher.

    Returns:
        Tensor of shape `(batch, ...)`, without the class axis, in nats times T².

    Reference:
        Hinton, Vinyals, Dean, "Distilling the Knowledge in a Neural Network", 2015.
    """
    teacher_logits, student_logits = as_floats(teacher_logits, student_logits)
    temperature = ops.cast(temperature, student_logits.dtype)
    log_t = ops.log_softmax(teacher_logits / temperature, axis=-1)
    log_s = ops.log_softmax(student_logits / temperature, axis=-1)
    return ops.square(temperature) * _divergence(log_t, log_s, divergence)


def _divergence(log_t, log_s, kind):
    p_t = ops.exp(log_t)
    if kind == "kl":
        return ops.sum(p_t * (log_t - log_s), axis=-1)
    if kind == "cross_entropy":
        return -ops.sum(p_t * log_s, axis=-1)
    p_s = ops.exp(log_s)
    if kind == "reverse_kl":
        return ops.sum(p_s * (log_s - log_t), axis=-1)
    # Not logaddexp, whose gradient is wrong where both sides are equal.
    log_mean = log_t + ops.softplus(log_s - log_t) - math.log(2.0)
    to_teacher = ops.sum(p_t * (log_t - log_mean), axis=-1)
    to_student = ops.sum(p_s * (log_s - log_mean), axis=-1)
    return 0.5 * (to_teacher + to_student)


def mean_squared_error(teacher, student):
    """Mean squared difference of each sample.

    Args:
        teacher: Tensor of shape `(batch, ...)`.
        student: Tensor of the same shape.

    Returns:
        Tensor of shape `(batch,)`.
    """
    teacher, student = as_floats(teacher, student)
    difference = ops.square(teacher - student)
    return ops.mean(difference, axis=tuple(range(1, len(difference.shape))))


def activation_map(features, p=2.0):
    """Collapses the channels of a feature map: `mean_c |F|^p`.

    Args:
        features: Tensor of shape `(batch, *space, channels)`.
        p: Power, at least 1.

    Returns:
        Tensor of shape `(batch, *space)`.
    """
    features = as_float(features)
    powers = ops.square(features) if p == 2 else ops.power(ops.abs(features), p)
    return ops.mean(powers, axis=-1)


def normalize_map(maps):
    """Flattens each sample's map and divides it by its Euclidean length.

    Args:
        maps: Tensor of shape `(batch, *space)` of values that are not negative.

    Returns:
        Tensor of shape `(batch, prod(space))` of unit rows; a map of zeros stays zeros.
    """
    maps = as_float(maps)
    maps = ops.reshape(maps, (-1, _size_or_unknown(maps.shape[1:])))
    # The result does not depend on a row's scale, so the largest value can be divided out first,
    # as a constant: features of any magnitude then neither overflow nor vanish when squared.
    largest = ops.stop_gradient(ops.max(maps, axis=-1, keepdims=True))
    maps = maps / ops.where(largest > 0, largest, 1.0)
    squared_length = ops.sum(ops.square(maps), axis=-1, keepdims=True)
    return maps * ops.rsqrt(ops.where(squared_length > 0, squared_length, 1.0))


def _size_or_unknown(shape):
    return -1 if any(side is None for side in shape) else math.prod(shape)


def attention_distance(teacher_maps, student_maps, form="mean"):
    """Distance of two normalised attention maps.

    Args:
        teacher_maps: Tensor of shape `(batch, positions)` of unit rows.
        student_maps: Tensor of the same shape.
        form: `"mean"`, the mean squared difference, or `"norm"`, the Euclidean distance.

    Returns:
        Tensor of shape `(batch,)`.

    Reference:
        Zagoruyko & Komodakis, "Paying More Attention to Attention", ICLR 2017.
    """
    teacher_maps, student_maps = as_floats(teacher_maps, student_maps)
    squared = ops.square(teacher_maps - student_maps)
    if form == "mean":
        return ops.mean(squared, axis=-1)
    total = ops.sum(squared, axis=-1)
    # The Euclidean distance has no gradient at 0, where equal maps should have none.
    equal = ops.equal(total, 0)
    return ops.where(equal, 0.0, ops.sqrt(ops.where(equal, 1.0, total)))


def attention_transfer(teacher_features, student_features, p=2.0, form="mean"):
    """Distance of the attention maps of two feature maps, resized to the smaller one.

    Args:
        teacher_features: Tensor of shape `(batch, *space, channels)`.
        student_features: Tensor of shape `(batch, *space, channels)`; space and channels may
            differ from the teacher's.
        p: Power of the activations.
        form: `"mean"` or `"norm"`, see `attention_distance`.

    Returns:
        Tensor of shape `(batch,)`.

    Reference:
        Zagoruyko & Komodakis, "Paying More Attention to Attention", ICLR 2017.
    """
    teacher_map = activation_map(teacher_features, p)
    student_map = activation_map(student_features, p)
    space = smaller_space(teacher_map.shape[1:], student_map.shape[1:])
    teacher_map = resize_space(teacher_map[..., None], space)[..., 0]
    student_map = resize_space(student_map[..., None], space)[..., 0]
    return attention_distance(normalize_map(teacher_map), normalize_map(student_map), form)


def smaller_space(first, second):
    """Returns the smaller size of each spatial axis; `None` where neither is known."""
    known = [
        [side for side in sides if side is not None] for sides in zip(first, second, strict=True)
    ]
    return tuple(min(sides) if sides else None for sides in known)


def resize_space(features, space):
    """Resizes the spatial axes: average pooling where the sizes divide, else bilinear.

    Args:
        features: Tensor of shape `(batch, *space, channels)`.
        space: Target sizes, one integer (or `None`: as it is) per spatial axis.

    Returns:
        Tensor of shape `(batch, *space, channels)`.

    Raises:
        ValueError: If a size to change is unknown, or if sizes that don't divide are to be
            interpolated along more than two axes.
    """
    current = tuple(features.shape[1:-1])
    space = tuple(old if new is None else new for old, new in zip(current, space, strict=True))
    if current == space:
        return features
    if None in current:
        raise ValueError(f"Features of unknown size {current} can't be resized to {space}.")
    if all(old % new == 0 for old, new in zip(current, space, strict=True)):
        strides = tuple(old // new for old, new in zip(current, space, strict=True))
        return ops.average_pool(features, strides, strides, data_format="channels_last")
    if len(space) == 1:
        image = features[:, :, None, :]
        return _interpolate(image, (space[0], 1))[:, :, 0, :]
    if len(space) == 2:
        return _interpolate(features, space)
    raise ValueError(
        f"Features with {len(space)} spatial axes can't be resized from {current} to {space}: "
        "tap layers whose sizes are equal or divide."
    )


def _interpolate(image, size):
    return ops.image.resize(
        image, size, interpolation="bilinear", antialias=True, data_format="channels_last"
    )
