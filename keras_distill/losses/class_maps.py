"""Class maps: the last feature map through the classifier, one map of logits per class."""

from keras import ops

from keras_distill.losses.tensors import as_floats


def shape_of_maps(shapes):
    """Returns the shape of class maps, from that of what was tapped.

    Args:
        shapes: Shape of the maps themselves, or a list of those of the features, of the
            classifier's kernel and, where it has one, of its bias.
    """
    if isinstance(shapes, list):
        features, kernel = shapes[:2]
        return (*features[:-1], kernel[-1])
    return shapes


def fits_classifier(shapes):
    """Returns whether the classifier takes the channels of the features, from their shapes."""
    return not isinstance(shapes, list) or (
        len(shapes) in (2, 3) and shapes[0][-1] == shapes[1][-2]
    )


def maps_of(tapped):
    """Returns class maps of shape `(batch, *space, classes)`.

    Args:
        tapped: The maps themselves, or a list as for `shape_of_maps`, of tensors.
    """
    if not isinstance(tapped, (list, tuple)):
        return tapped
    features, kernel, *bias = as_floats(*tapped)
    maps = features @ ops.reshape(kernel, (features.shape[-1], kernel.shape[-1]))
    return maps + bias[0] if bias else maps
