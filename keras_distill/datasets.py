"""Image classification data as NumPy arrays, from tensorflow-datasets or without a network."""

import dataclasses
import difflib
import numbers

import numpy as np

from keras_distill.arguments import check_count, check_flag, check_path, check_text, shown

# The split is part of the name: changing either number makes earlier accuracies incomparable.
_DIGITS_TEST = 500
_DIGITS_SEED = 0


@dataclasses.dataclass(frozen=True, eq=False)
class Dataset:
    """Images and labels of a training and a test part.

    Args:
        name: Name of the set.
        x_train: Training images, float32 (samples, height, width, channels), in `range`.
        y_train: Training labels, int32 (samples,), each from 0 to `num_classes - 1`.
        x_test: Test images, as `x_train`.
        y_test: Test labels, as `y_train`.
        labels: Tuple of the class names, in the order of the labels.
        range: Tuple (lowest, highest) that a pixel can have. `load` always gives (0.0, 1.0).

    Example:
        ```python
        from keras_distill import datasets

        digits = datasets.load("digits")
        (x_train, y_train), (x_test, y_test) = digits.arrays
        digits.input_shape, digits.num_classes  # (8, 8, 1), 10
        ```
    """

    name: str
    x_train: np.ndarray
    y_train: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray
    labels: tuple
    range: tuple = (0.0, 1.0)

    def __post_init__(self):
        check_text("name", self.name)
        is_named = isinstance(self.labels, (list, tuple)) and all(
            isinstance(label, str) for label in self.labels
        )
        if not is_named or not self.labels:
            raise TypeError(
                "labels must be a tuple of the names of the classes. "
                f"Received: labels={shown(self.labels)}"
            )
        for part in ("train", "test"):
            self._check_part(part)
        low, high = _pair_of_numbers("range", self.range)
        if not low < high:
            raise ValueError(
                f"range must be (lowest, highest). Received: range={shown(self.range)}"
            )

    def _check_part(self, part):
        x, y = getattr(self, f"x_{part}"), getattr(self, f"y_{part}")
        is_images = isinstance(x, np.ndarray) and x.ndim == 4 and x.dtype.kind in "fiub"
        if not is_images or not np.isfinite(x).all():
            raise ValueError(
                f"x_{part} must be an array of finite numbers, (samples, height, width, channels). "
                f"Received: x_{part}={shown(x)}"
            )
        is_labels = isinstance(y, np.ndarray) and y.shape == x.shape[:1] and y.dtype.kind in "iu"
        if not is_labels or (y.size and not 0 <= y.min() <= y.max() < len(self.labels)):
            raise ValueError(
                f"y_{part} must be an array of integers, the place of a class among the "
                f"{len(self.labels)} labels for each of the {len(x)} samples of x_{part}. "
                f"Received: y_{part}={shown(y)}"
            )

    @property
    def input_shape(self):
        """Shape of one image, (height, width, channels)."""
        return self.x_train.shape[1:]

    @property
    def num_classes(self):
        """Number of classes."""
        return len(self.labels)

    @property
    def arrays(self):
        """`((x_train, y_train), (x_test, y_test))`, as `keras.datasets` returns them."""
        return (self.x_train, self.y_train), (self.x_test, self.y_test)


def load(
    name, data_dir=None, max_train=None, max_test=None, image_size=None, download=True, seed=0
):
    """Loads an image classification set as arrays scaled to 0..1.

    `"digits"` needs no network: the 1,797 gray 8x8 images that come with scikit-learn, always
    split into the same 1,297 training and 500 test images. One test image is 0.2 points of
    accuracy, so a difference of less than about one point on one run is noise.

    Every other name is one of tensorflow-datasets (`"mnist"`, `"fashion_mnist"`, `"cifar10"`,
    ...) with images, class labels and a `train` split. Its `test` split is the test part; where
    there is none, `validation`. Of a set with several labels, its own default is taken.

    Args:
        name: `"digits"` or a name of tensorflow-datasets, e.g. `"cifar10"` or `"mnist:3.0.1"`.
        data_dir: Folder of the prepared sets of tensorflow-datasets. Defaults to theirs,
            `~/tensorflow_datasets`. Not used by `"digits"`.
        max_train: Keep this many training images, so that a large set fits a small machine.
            They are chosen with `seed`, every class in proportion. Defaults to all; so does a
            number above what there is.
        max_test: Keep this many test images, likewise.
        image_size: Tuple (height, width) in pixels that images are resized to (bilinear,
            antialiased). Needed for sets whose images differ in size. Defaults to no change.
        download: Whether to download and prepare a set that is not in `data_dir` yet. Without a
            network, tensorflow-datasets takes some minutes to give up.
        seed: Integer that `max_train` and `max_test` choose with.

    Returns:
        A `Dataset`.

    Raises:
        TypeError: If an argument is of the wrong type.
        ValueError: If the name is unknown (the closest names are listed), the set is not image
            classification (its features are listed) or an argument is out of range.
        FileNotFoundError: If the set is not prepared in `data_dir` and `download=False`.
        RuntimeError: If the set could not be downloaded and prepared.

    Example:
        ```python
        from keras_distill import datasets

        digits = datasets.load("digits", max_train=200)
        digits.x_train.shape  # (200, 8, 8, 1)
        ```

    Reference:
        - [Alpaydin & Kaynak, 1998, Optical Recognition of Handwritten Digits](
            https://doi.org/10.24432/C50P49)
        - [TensorFlow Datasets](https://www.tensorflow.org/datasets)
    """
    if not isinstance(name, str):
        raise TypeError(f"name must be a string such as 'digits'. Received: name={shown(name)}")
    limits = {"train": max_train, "test": max_test}
    for part, limit in limits.items():
        if limit is not None:
            check_count(f"max_{part}", limit)
    if image_size is not None:
        _check_size(image_size)
    if data_dir is not None:
        check_path("data_dir", data_dir)
    check_flag("download", download)
    check_count("seed", seed, low=0, high=2**32 - 1)
    source = (
        _Digits(image_size) if name == "digits" else _Prepared(name, data_dir, download, image_size)
    )
    arrays = []
    for part, limit in limits.items():
        y = source.labels_of(part)
        chosen = _proportional(y, limit, seed)
        arrays += [source.images_of(part, chosen), y[chosen]]
    return Dataset(name, *arrays, source.labels)


def with_sample_index(dataset):
    """Adds each sample's index to a data set, for losses that remember samples.

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
            f"Received: {shown(dataset.element_spec)}"
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


class _Digits:
    """The digits of scikit-learn behind the two questions that `load` asks."""

    labels = tuple("0123456789")

    def __init__(self, image_size):
        try:
            from sklearn.datasets import load_digits
        except ImportError as error:
            raise ImportError(
                "The digits come with scikit-learn, which is not installed: "
                'pip install "keras_distill"'
            ) from error

        digits = load_digits()
        images = (digits.images / 16.0).astype("float32")[..., None]
        if image_size is not None:
            images = _resize(images, image_size).numpy()
        targets = digits.target.astype("int32")
        test = _proportional(targets, _DIGITS_TEST, _DIGITS_SEED)
        train = np.setdiff1d(np.arange(len(targets)), test)
        self._parts = {
            "train": (images[train], targets[train]),
            "test": (images[test], targets[test]),
        }

    def labels_of(self, part):
        return self._parts[part][1]

    def images_of(self, part, chosen):
        return self._parts[part][0][chosen]


class _Prepared:
    """A set of tensorflow-datasets behind the same two questions.

    Labels are read without decoding an image, and only chosen images are decoded and kept.
    """

    def __init__(self, name, data_dir, download, image_size):
        self._builder = _find_builder(name, data_dir)
        self._image, self._label = _image_and_label(self._builder)
        info = self._builder.info.features
        if image_size is None and None in info[self._image].shape:
            raise ValueError(
                f"The images of {name!r} differ in size: shape {info[self._image].shape}. Give "
                "`image_size=(height, width)` to resize them."
            )
        if not np.issubdtype(info[self._image].np_dtype, np.integer):
            raise ValueError(
                f"The images of {name!r} are {info[self._image].np_dtype.__name__}, which has no "
                "known range to scale to 0..1. `load` takes sets of integer images (uint8, uint16)."
            )
        self._size = image_size
        _prepare(self._builder, download)
        splits = self._builder.info.splits
        test = "test" if "test" in splits else "validation"
        self._splits = {"train": "train", "test": test}
        missing = [split for split in self._splits.values() if split not in splits]
        if missing:
            raise ValueError(
                f"{name!r} has no split {missing[0]!r}, and `load` needs a training and a test "
                f"part. Its splits: {', '.join(splits)}"
            )
        self.labels = tuple(info[self._label].names)

    def labels_of(self, part):
        return np.concatenate(list(self._column(part, self._label))).astype("int32")

    def images_of(self, part, chosen):
        import tensorflow as tf

        encoded, start = [], 0
        for batch in self._column(part, self._image):
            inside = chosen[(chosen >= start) & (chosen < start + len(batch))]
            encoded.append(batch[inside - start])
            start += len(batch)
        images = tf.data.Dataset.from_tensor_slices(np.concatenate(encoded))
        images = images.map(self._decode, num_parallel_calls=tf.data.AUTOTUNE).batch(256)
        return np.concatenate(list(images.as_numpy_iterator()))

    def _column(self, part, key):
        import tensorflow_datasets as tfds

        # Unshuffled, since a label and its image are read in two passes.
        rows = self._builder.as_dataset(
            split=self._splits[part],
            shuffle_files=False,
            decoders={self._image: tfds.decode.SkipDecoding()},
        )
        return rows.map(lambda row: row[key]).batch(4096).as_numpy_iterator()

    def _decode(self, encoded):
        import tensorflow as tf

        feature = self._builder.info.features[self._image]
        image = feature.decode_example(encoded)
        image = tf.cast(image, "float32") / np.iinfo(feature.np_dtype).max
        return image if self._size is None else _resize(image, self._size)


def _find_builder(name, data_dir):
    try:
        import tensorflow_datasets as tfds
    except ImportError as error:
        raise ImportError(
            f"Data set {name!r} needs tensorflow-datasets, which is not installed: "
            'pip install "keras_distill". "digits" needs no download.'
        ) from error
    try:
        return tfds.builder(name, data_dir=data_dir)
    except (tfds.core.DatasetNotFoundError, ValueError):
        known = ["digits", *tfds.list_builders(with_community_datasets=False)]
        close = difflib.get_close_matches(name[:100], known, n=3)
        hint = (
            f"Did you mean {' or '.join(map(repr, close))}?" if close else "'digits' is built in."
        )
        raise ValueError(
            f"Unknown data set {shown(name)}. {hint} Names are those of tensorflow-datasets, "
            "https://www.tensorflow.org/datasets/catalog/overview"
        ) from None


def _image_and_label(builder):
    """The keys of the image and of its class in the builder's features."""
    import tensorflow_datasets as tfds

    features = builder.info.features
    top_level = dict(features) if isinstance(features, tfds.features.FeaturesDict) else {}
    images = [key for key, kind in top_level.items() if isinstance(kind, tfds.features.Image)]
    labels = [key for key, kind in top_level.items() if isinstance(kind, tfds.features.ClassLabel)]
    default = builder.info.supervised_keys or ()
    if len(default) == 2 and default[0] in images and default[1] in labels:
        return default
    if len(images) == 1 and len(labels) == 1:
        return images[0], labels[0]
    listed = ", ".join(f"{key} ({type(kind).__name__})" for key, kind in top_level.items())
    raise ValueError(
        f"{builder.name!r} is not an image classification set: it must have one image with one "
        f"class label. Its features: {listed or features}"
    )


def _prepare(builder, download):
    if builder.is_prepared():
        return
    place = builder.data_path
    advice = (
        f"Either run once with a network and `download=True`, or run `tfds build {builder.name}` "
        "elsewhere and copy the folder here and give its parent as `data_dir`. "
        "'digits' needs no network."
    )
    if not download:
        raise FileNotFoundError(f"{builder.name!r} is not prepared at {place}. {advice}")
    try:
        builder.download_and_prepare()
    except Exception as error:
        raise RuntimeError(
            f"{builder.name!r} could not be downloaded and prepared at {place}: {error}. {advice}"
        ) from error


def _pair_of_numbers(argument, values):
    numbers_given = isinstance(values, (list, tuple)) and len(values) == 2
    if not numbers_given or not all(_is_number(value) for value in values):
        raise TypeError(
            f"{argument} must be a tuple of two numbers. Received: {argument}={shown(values)}"
        )
    return values


def _is_number(value):
    return isinstance(value, numbers.Real) and not isinstance(value, bool)


def _proportional(y, limit, seed):
    """Sorted indices of `limit` samples, every class in proportion to its share of `y`."""
    if limit is None or limit >= len(y):
        return np.arange(len(y))
    # RandomState, since NumPy promises that its stream never changes; a Generator's may.
    order = np.random.RandomState(seed).permutation(len(y))
    classes, counts = np.unique(y, return_counts=True)
    share = counts * limit / len(y)
    keep = np.floor(share).astype(int)
    keep[np.argsort(keep - share, kind="stable")[: limit - keep.sum()]] += 1
    shuffled = y[order]
    chosen = [order[shuffled == c][:k] for c, k in zip(classes, keep, strict=True)]
    return np.sort(np.concatenate(chosen))


def _resize(images, size):
    import tensorflow as tf

    return tf.image.resize(images, size, antialias=True)


def _check_size(image_size):
    if not isinstance(image_size, list | tuple) or len(image_size) != 2:
        raise TypeError(
            "image_size must be a tuple (height, width) in pixels. "
            f"Received: image_size={shown(image_size)}"
        )
    for value in image_size:
        check_count("image_size", value, high=2**14)
