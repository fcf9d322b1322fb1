"""Activation-based attention maps and their distance."""

from keras import ops

from keras_distill.losses.tensors import (
    as_float,
    as_floats,
    flatten,
    mean_square,
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
