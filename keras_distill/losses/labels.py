"""Labels of a batch: as one-hot rows, and checked."""

import numpy as np
from keras import ops


def labels_as_one_hot(labels, logits):
    """Returns labels as an array of 0 and 1.

    Args:
        labels: Integer classes of shape `(batch, ...)` or `(batch, ..., 1)`, or one-hot rows (or
            class probabilities, of which the largest counts) of the shape of `logits`.
        logits: Tensor of shape `(batch, ..., classes)`.

    Returns:
        Tensor of the shape and dtype of `logits`.

    Raises:
        ValueError: If the labels have neither form.
    """
    labels = ops.convert_to_tensor(labels)
    rank, classes = len(logits.shape), logits.shape[-1]
    outer = tuple(logits.shape[:-1])
    if any(
        None not in pair and pair[0] != pair[1] for pair in zip(labels.shape, outer, strict=False)
    ):
        raise ValueError(
            "Labels must be one per sample, or one per position of the output. Received: labels of "
            f"shape {tuple(labels.shape)} for outputs of shape {tuple(logits.shape)}"
        )
    if len(labels.shape) == rank and labels.shape[-1] == classes and classes > 1:
        labels = ops.argmax(labels, axis=-1)
    elif len(labels.shape) == rank and labels.shape[-1] == 1:
        labels = labels[..., 0]
    elif len(labels.shape) != rank - 1:
        raise ValueError(
            f"Labels of shape {tuple(labels.shape)} don't fit outputs of shape "
            f"{tuple(logits.shape)}: give one integer class per output row, or one-hot rows."
        )
    return ops.one_hot(ops.cast(labels, "int32"), classes, dtype=logits.dtype)


def check_known_classes(labels, logits, loss_name):
    """Checks that labels are classes, where their values are known: outside a graph.

    Args:
        labels: As for `labels_as_one_hot`.
        logits: Tensor of shape `(batch, ..., classes)`.
        loss_name: What needs the labels, for the error.

    Raises:
        ValueError: If a label is no class.
    """
    try:
        values = np.asarray(ops.convert_to_numpy(labels))
    except Exception:  # Each backend has an error of its own for a tensor of a graph.
        return
    rank, classes = len(logits.shape), logits.shape[-1]
    is_row = values.ndim == rank and values.shape[-1] == classes and classes > 1
    wrong = ~np.isfinite(values)
    if not is_row:
        wrong |= (values < 0) | (values >= classes) | (values != np.floor(values))
    if wrong.any():
        place = tuple(int(index) for index in np.argwhere(wrong)[0])
        raise ValueError(
            f"{loss_name} needs labels that are classes, integers from 0 to {classes - 1}, or "
            f"one-hot rows. A Distiller leaves out samples without a label (-1). Received: "
            f"{values[place]} at {place}."
        )
