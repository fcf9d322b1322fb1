"""Attention knowledge: distances of the maps that say where a network looks."""

from keras import ops

from keras_distill.losses.functional.tensors import (
    as_float,
    as_floats,
    flatten,
    length,
    match_rank,
    match_space,
    mean_square,
    resize_space,
    scaled,
    smaller_space,
    square_root,
    unit,
)


def activation_map(features, p=2.0):
    """Collapses the channels of a feature map: `mean_c |F|^p`.

    Args:
        features: Tensor of shape `(batch, *space, channels)`.
        p: Power, at least 1.

    Returns:
        Tensor of shape `(batch, *space)`.
    """
    features = as_float(features)
    if p == 2:
        return mean_square(features)
    return ops.mean(ops.power(ops.abs(features), p), axis=-1)


def one_channel_of_equal_attention(features, p=2.0):
    """Returns a feature map of one channel with the same attention map as all of them.

    Its largest value is 1 in each sample, so that it keeps its precision in any format.

    Args:
        features: Tensor of shape `(batch, *space, channels)`.
        p: Power of the activations.

    Returns:
        Tensor of shape `(batch, *space, 1)`.
    """
    axes = tuple(range(1, len(features.shape)))
    channel = ops.power(activation_map(scaled(as_float(features), axis=axes), p), 1.0 / p)
    return scaled(channel, axis=axes[:-1])[..., None]


def normalize_map(maps):
    """Flattens each sample's map and divides it by its Euclidean length.

    Args:
        maps: Tensor of shape `(batch, *space)`.

    Returns:
        Tensor of shape `(batch, prod(space))` of unit rows; a map of zeros stays zeros.
    """
    return unit(flatten(maps))


def attention_distance(teacher_maps, student_maps, form="mean"):
    """Distance of two normalized attention maps.

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
    return square_root(ops.sum(squared, axis=-1))


def attention_transfer(teacher_features, student_features, p=2.0, form="mean"):
    """Distance of the attention maps of two feature maps, resized to the smaller one.

    Args:
        teacher_features: Tensor of shape `(batch, *space, channels)`.
        student_features: Tensor of shape `(batch, *space, channels)`; space and channels may
            differ from the teacher's. Where one side has more spatial axes, its map is averaged
            over the surplus ones.
        p: Power of the activations.
        form: `"mean"` or `"norm"`, see `attention_distance`.

    Returns:
        Tensor of shape `(batch,)`.

    Reference:
        Zagoruyko & Komodakis, "Paying More Attention to Attention", ICLR 2017.
    """
    sides = [as_float(side) for side in (teacher_features, student_features)]
    if p > 2:
        # Each map gets a length of 1 below: a higher power mustn't overflow or vanish before.
        sides = [scaled(side, axis=tuple(range(1, len(side.shape)))) for side in sides]
    maps = match_space(*(activation_map(side, p)[..., None] for side in sides))
    return attention_distance(normalize_map(maps[0]), normalize_map(maps[1]), form)


CAPTURE_MODES = ("fma", "mip", "mips", "sals")


def over_channels(features, mode="fma"):
    """Sum over the channels for `mode="mips"`, mean for the others; the axis stays, with size 1.

    Args:
        features: Tensor of shape `(batch, *space, channels)`.
        mode: See `captured_map`.
    """
    reduce = ops.sum if mode == "mips" else ops.mean
    return reduce(as_float(features), axis=-1, keepdims=True)


def captured_map(features, mode="fma", space=None):
    """Accumulates the feature maps of several layers of one model into one attention map.

    Args:
        features: List of tensors of shape `(batch, *space, channels)`, of any sizes and channels.
        mode: `"fma"`, mean over channels, then mean over layers; `"mip"`, mean over channels,
            then maximum over layers; `"mips"`, sum over channels, then mean over layers.
        space: Size to which the maps are resized; by default the smallest of them.

    Returns:
        Tensor of shape `(batch, *space)`.
    """
    maps = [over_channels(layer, mode) for layer in features]
    space = smallest_space(features) if space is None else space
    maps = ops.stack([resize_space(layer, space)[..., 0] for layer in maps], axis=1)
    return ops.max(maps, axis=1) if mode == "mip" else ops.mean(maps, axis=1)


def smallest_space(features):
    """Returns the smallest size of each spatial axis over a list of feature maps."""
    space = features[0].shape[1:-1]
    for layer in features[1:]:
        space = smaller_space(space, layer.shape[1:-1])
    return tuple(space)


def saliency_map(input_gradients):
    """Returns the saliency of each position: the largest `|gradient|` over the input's channels.

    Args:
        input_gradients: Tensor of shape `(batch, *space, channels)`, the gradient of the score of
            each sample's class with respect to the input.

    Returns:
        Tensor of shape `(batch, *space)`.

    Reference:
        Simonyan, Vedaldi, Zisserman, "Deep Inside Convolutional Networks", 2014.
    """
    return ops.max(ops.abs(as_float(input_gradients)), axis=-1)


def attention_capture(teacher_features, student_features, mode="fma"):
    """Mean squared difference of the two models' normalized accumulated maps.

    Args:
        teacher_features: List of tensors of shape `(batch, *space, channels)`; for
            `mode="sals"` the tensor of input gradients.
        student_features: The same of the student; another number of layers is allowed.
        mode: See `captured_map`, or `"sals"` for `saliency_map`.

    Returns:
        Tensor of shape `(batch,)`.
    """
    if mode == "sals":
        maps = [saliency_map(side) for side in (teacher_features, student_features)]
    else:
        space = smallest_space([*teacher_features, *student_features])
        maps = [captured_map(side, mode, space) for side in (teacher_features, student_features)]
    return attention_distance(normalize_map(maps[0]), normalize_map(maps[1]))


def gradient_attention(teacher_gradients, student_gradients):
    """Euclidean distance of the losses' gradients with respect to the input.

    Args:
        teacher_gradients: Tensor of shape `(batch, ...)`.
        student_gradients: Tensor of the same shape.

    Returns:
        Tensor of shape `(batch,)`.

    Reference:
        Zagoruyko & Komodakis, "Paying More Attention to Attention", ICLR 2017, section 3.2.
    """
    teacher_gradients, student_gradients = as_floats(teacher_gradients, student_gradients)
    return length(flatten(teacher_gradients - student_gradients))


def class_attention(teacher_maps, student_maps, size=2, normalize=True):
    """Mean squared difference of pooled class activation maps.

    Args:
        teacher_maps: Tensor of shape `(batch, *space, classes)`.
        student_maps: Tensor of the same classes; its space may differ.
        size: Positions per spatial axis that the maps are pooled to.
        normalize: Whether each map is brought to unit length.

    Returns:
        Tensor of shape `(batch,)`.

    Reference:
        Guo et al., "Class Attention Transfer Based Knowledge Distillation", CVPR 2023.
    """
    maps = []
    for side in match_rank(teacher_maps, student_maps):
        space = tuple(min(size, old) for old in side.shape[1:-1])
        pooled = resize_space(side, space)
        axes = tuple(range(1, len(pooled.shape) - 1))
        maps.append(unit(pooled, axis=axes) if normalize else pooled)
    return ops.mean(flatten(ops.square(maps[0] - maps[1])), axis=-1)
