"""Sources of data sets: scikit-learn for the digits, tensorflow-datasets for the others."""

import contextlib
import logging

import numpy as np

from keras_distill.arguments import closest, shown

# The split is part of the name: changing either number makes earlier accuracies incomparable.
_DIGITS_TEST = 500
_DIGITS_SEED = 0


class Digits:
    """Digits of scikit-learn.

    Args:
        image_size: (height, width) to resize to, or `None`.
    """

    labels = tuple("0123456789")
    splits = ("train", "test")

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
            images = resize(images, image_size).numpy()
        targets = digits.target.astype("int32")
        test = proportional(targets, _DIGITS_TEST, _DIGITS_SEED)
        train = np.setdiff1d(np.arange(len(targets)), test)
        self._arrays = {
            "train": (images[train], targets[train]),
            "test": (images[test], targets[test]),
        }

    def labels_of(self, split):
        """Returns the labels of one of `splits`, an int32 array."""
        return self._arrays[split][1]

    def images_of(self, split, chosen):
        """Returns the images of a split at the indices `chosen`, a float32 array in 0..1."""
        return self._arrays[split][0][chosen]


class Prepared:
    """Set of tensorflow-datasets.

    Labels are read without decoding an image, and only chosen images are decoded and kept.

    Args:
        name: As for `load`.
        data_dir: As for `load`.
        download: As for `load`.
        image_size: (height, width) to resize to, or `None`.
    """

    def __init__(self, name, data_dir, download, image_size):
        self._builder = _find_builder(name, data_dir)
        self._image, self._label = _image_and_label(self._builder)
        info = self._builder.info.features
        if image_size is None and None in info[self._image].shape:
            raise ValueError(
                f"The images of {name!r} differ in size: shape {info[self._image].shape}. Give "
                "`image_size=(height, width)` to resize them. Received: image_size=None"
            )
        if not np.issubdtype(info[self._image].np_dtype, np.integer):
            raise ValueError(
                f"The images of {name!r} are {info[self._image].np_dtype.__name__}, which has no "
                "known range to scale to 0..1. `load` takes sets of integer images (uint8, uint16)."
            )
        self._size = image_size
        self._labels = {}
        _prepare(self._builder, download)
        splits = self._builder.info.splits
        test = "test" if "test" in splits else "validation"
        self._splits = {"train": "train", "test": test}
        if test == "test" and "validation" in splits:
            self._splits["validation"] = "validation"
        self.splits = tuple(self._splits)
        missing = [split for split in self._splits.values() if split not in splits]
        if missing:
            raise ValueError(
                f"{name!r} has no split {missing[0]!r}, and `load` needs a training and a test "
                f"part. Its splits: {', '.join(splits)}"
            )
        self.labels = tuple(info[self._label].names)

    def labels_of(self, split):
        """Returns the labels of one of `splits`, an int32 array."""
        if split not in self._labels:
            batches = list(self._column(split, self._label))
            self._labels[split] = np.concatenate(batches).astype("int32")
        return self._labels[split]

    def images_of(self, split, chosen):
        """Returns the images of a split at the indices `chosen`, a float32 array in 0..1."""
        import tensorflow as tf

        encoded, start = [], 0
        for batch in self._column(split, self._image):
            inside = chosen[(chosen >= start) & (chosen < start + len(batch))]
            encoded.append(batch[inside - start])
            start += len(batch)
        images = tf.data.Dataset.from_tensor_slices(np.concatenate(encoded))
        images = images.map(self._decode, num_parallel_calls=tf.data.AUTOTUNE).batch(256)
        return np.concatenate(list(images.as_numpy_iterator()))

    def _column(self, split, key):
        import tensorflow_datasets as tfds

        # Unshuffled, since a label and its image are read in two passes.
        rows = self._builder.as_dataset(
            split=self._splits[split],
            shuffle_files=False,
            decoders={self._image: tfds.decode.SkipDecoding()},
        )
        return rows.map(lambda row: row[key]).batch(4096).as_numpy_iterator()

    def _decode(self, encoded):
        import tensorflow as tf

        feature = self._builder.info.features[self._image]
        image = feature.decode_example(encoded)
        image = tf.cast(image, "float32") / np.iinfo(feature.np_dtype).max
        return image if self._size is None else resize(image, self._size)


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
        raise ValueError(
            f"Unknown data set {shown(name)}.{closest(name, names())} Known: 'digits' and those of "
            "tensorflow-datasets, https://www.tensorflow.org/datasets/catalog/overview. "
            "datasets.names() lists them."
        ) from None


def names() -> list[str]:
    """Names that `load` takes: `"digits"` first, then those of tensorflow-datasets, sorted.

    Nothing is downloaded. Not all of tensorflow-datasets is image classification: `load` refuses
    the others. Without that package there is only `"digits"`.

    Example:
        ```python
        from keras_distill import datasets

        assert datasets.names()[0] == "digits"
        ```
    """
    try:
        import tensorflow_datasets as tfds
    except ImportError:
        return ["digits"]
    return ["digits", *sorted(tfds.list_builders(with_community_datasets=False))]


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
        with _one_notice_of_retries():
            builder.download_and_prepare()
    except Exception as error:
        raise RuntimeError(
            f"{builder.name!r} could not be downloaded and prepared at {place}: {error}. {advice}"
        ) from error


@contextlib.contextmanager
def _one_notice_of_retries():
    """Lets the first line about a connection that failed through, and not one for each retry."""
    retries = []

    def is_wanted(record):
        if not str(record.msg).startswith("Retrying"):
            return True
        retries.append(record)
        return len(retries) == 1

    logger = logging.getLogger("urllib3.connectionpool")
    logger.addFilter(is_wanted)
    try:
        yield
    finally:
        logger.removeFilter(is_wanted)


def proportional(y, limit, seed):
    """Returns the sorted indices of some samples, every class in proportion to its share.

    Args:
        y: Labels (samples,).
        limit: How many samples; `None` for all.
        seed: Seed of the choice.
    """
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


def resize(images, size):
    """Returns images in another size (height, width), as a tensor (bilinear, antialiased)."""
    import tensorflow as tf

    return tf.image.resize(images, size, antialias=True)
