"""What a batch's `x` holds: the models' inputs, and the samples' indices in the data set."""

import keras
from keras import ops

from keras_distill.cache import CachedBatch
from keras_distill.features.branch import take


def is_joined(x):
    """Says whether a batch was joined with a teacher cache."""
    return isinstance(x, CachedBatch)


def inputs_of(x):
    """Returns the inputs of a batch, joined with a teacher cache or not."""
    return x.inputs if is_joined(x) else x


def indices_of(x, sample_index):
    """Returns the index of each sample in the data set.

    Args:
        x: The batch's inputs, joined with a teacher cache or not.
        sample_index: How the indices are taken from it: a function, a key, or `None`.

    Returns:
        Integer tensor of shape `(batch,)`, or `None` if nothing tells.

    Raises:
        TypeError: If what is taken are no integers.
    """
    if sample_index is None and not is_joined(x):
        return None
    indices = x.index if sample_index is None else take(sample_index, inputs_of(x), "sample_index")
    dtype = keras.backend.standardize_dtype(indices.dtype)
    # Of a cache they are; Keras shows a step under several replicas an average of their batches.
    if sample_index is not None and "int" not in dtype:
        raise TypeError(
            "sample_index must give integers, the number of each sample in the data set. "
            f"Received: {dtype}"
        )
    return ops.reshape(ops.cast(indices, "int32"), (-1,))
