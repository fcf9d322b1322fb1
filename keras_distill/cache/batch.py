"""A batch of samples with the teacher's cached outputs."""

from typing import Any, NamedTuple


class CachedBatch(NamedTuple):
    """Inputs of a batch, and what a cache holds of them.

    Args:
        inputs: The inputs, as the data set gave them, augmented if it is to be.
        index: Number of each sample in the data set, shape `(batch,)`.
        targets: Dictionary from name to the cache's array, shape `(batch, ...)`.
    """

    inputs: Any
    index: Any
    targets: Any
