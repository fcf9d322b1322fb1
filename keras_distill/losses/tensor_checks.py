"""Checks of tensors and masks that are given to a loss."""

import keras

from keras_distill.arguments import shown


def check_tensors(argument, tensors):
    """Checks that an argument is a real tensor or a structure of them.

    Args:
        argument: Name of the argument, for the error.
        tensors: What was given.

    Raises:
        TypeError: If it is something else.
    """
    for tensor in keras.tree.flatten(tensors):
        if not hasattr(tensor, "shape") or "complex" in str(tensor.dtype):
            raise TypeError(
                f"{argument} must be a tensor or an array of real numbers, or a structure of "
                f"them. Received: {argument}={shown(tensors)}"
            )


def check_mask(argument, mask, outputs):
    """Checks that a mask is boolean and has a value for each sample.

    Args:
        argument: Name of the argument, for the error.
        mask: What was given: a tensor, a list of them and of `None`, or `None`.
        outputs: What it masks, a tensor or a structure of them.

    Raises:
        TypeError: If it is no boolean tensor.
        ValueError: If it has another number of samples.
    """
    if mask is None:
        return
    is_tensor = hasattr(mask, "shape") and len(mask.shape)
    parts = [mask] if is_tensor else mask if isinstance(mask, (list, tuple)) else ()
    masks = [part for part in parts if part is not None]
    if not masks or (argument == "mask" and not is_tensor):
        raise TypeError(
            f"{argument} must be a boolean tensor with a value per position, or None. "
            f"Received: {argument}={shown(mask)}"
        )
    check_tensors(argument, masks)
    for part in masks:
        dtype = keras.backend.standardize_dtype(part.dtype)
        if dtype != "bool" and "int" not in dtype and not _is_zeros_and_ones(part):
            raise TypeError(
                f"{argument} must be boolean. Received: {argument}={shown(part)} of {dtype}"
            )
    batch = keras.tree.flatten(outputs)[0].shape[:1]
    for part in masks:
        if None not in (*batch, *part.shape[:1]) and tuple(part.shape[:1]) != tuple(batch):
            raise ValueError(
                f"{argument} must have a value for each of the {batch[0]} samples. "
                f"Received: {argument}={shown(mask)} of shape {tuple(part.shape)}"
            )


def _is_zeros_and_ones(mask):
    try:
        values = keras.ops.convert_to_numpy(mask)
    except Exception:  # Each backend has an error of its own for a tensor of a graph.
        return True
    return bool(((values == 0) | (values == 1)).all())
