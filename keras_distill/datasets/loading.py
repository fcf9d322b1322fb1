"""Loading of data sets by name."""

import os
from collections.abc import Sequence

from keras_distill.arguments import check_count, check_flag, check_path, shown
from keras_distill.datasets.dataset import Dataset
from keras_distill.datasets.sources import Digits, Prepared, proportional


def load(
    name: str,
    data_dir: str | os.PathLike | None = None,
    max_train: int | None = None,
    max_test: int | None = None,
    image_size: Sequence[int] | None = None,
    download: bool = True,
    seed: int = 0,
) -> Dataset:
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
        Digits(image_size) if name == "digits" else Prepared(name, data_dir, download, image_size)
    )
    arrays = []
    for part, limit in limits.items():
        y = source.labels_of(part)
        chosen = proportional(y, limit, seed)
        arrays += [source.images_of(part, chosen), y[chosen]]
    return Dataset(name, *arrays, source.labels)


def _check_size(image_size):
    if not isinstance(image_size, list | tuple) or len(image_size) != 2:
        raise TypeError(
            "image_size must be a tuple (height, width) in pixels. "
            f"Received: image_size={shown(image_size)}"
        )
    for value in image_size:
        check_count("image_size", value, high=2**14)
