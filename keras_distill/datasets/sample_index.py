"""Sample indices, for losses that remember samples."""

from typing import TYPE_CHECKING, Any

from keras_distill.arguments import shown

if TYPE_CHECKING:
    import tensorflow as tf


def with_sample_index(dataset: "tf.data.Dataset | tuple[Any, ...]") -> "tf.data.Dataset":
    """Data set with the index of each sample, for losses that remember samples.

    The batches then are `({"x": inputs, "index": index}, labels)`, so that the distiller takes
    `teacher_input="x", student_input="x", sample_index="index"`. Shuffle and batch afterwards.

    Args:
        dataset: Unbatched `tf.data.Dataset` of `(inputs, labels)`, or a tuple of such arrays. Its
            order must be the same each time that it is read.

    Returns:
        `tf.data.Dataset` of single samples.

    Raises:
        TypeError: If `dataset` is neither a `tf.data.Dataset` nor a tuple of arrays.
        ValueError: If the samples aren't tuples of inputs and labels, or arrays differ in length.

    Example:

    ```python
    dataset = with_sample_index((np.zeros((10, 4)), np.zeros(10)))
    x, y = next(iter(dataset.skip(3).batch(2)))
    assert list(x["index"]) == [3, 4]
    ```
    """
    import tensorflow as tf

    if not isinstance(dataset, tf.data.Dataset):
        dataset = _as_dataset(dataset)
    if not isinstance(dataset.element_spec, tuple) or len(dataset.element_spec) not in (2, 3):
        raise ValueError(
            "with_sample_index takes samples of (inputs, labels) or (inputs, labels, weights). "
            f"Received: dataset={shown(dataset)}"
        )
    return dataset.enumerate().map(
        lambda index, sample: ({"x": sample[0], "index": index}, *sample[1:]),
        num_parallel_calls=tf.data.AUTOTUNE,
    )


def _as_dataset(arrays):
    import tensorflow as tf

    if not isinstance(arrays, tuple) or any(array is None for array in arrays):
        raise TypeError(
            "dataset must be a tf.data.Dataset or a tuple of arrays (inputs, labels). "
            f"Received: dataset={shown(arrays)}"
        )
    try:
        return tf.data.Dataset.from_tensor_slices(arrays)
    except (ValueError, TypeError, RecursionError) as error:
        raise ValueError(
            "dataset must be arrays of numbers, as many inputs as labels. "
            f"Received: dataset={shown(arrays)}"
        ) from error
