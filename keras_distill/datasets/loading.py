"""Loading of data sets by name."""

import numbers
import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from keras_distill.arguments import check_count, check_flag, check_path, shown
from keras_distill.datasets.dataset import Dataset
from keras_distill.datasets.sources import Digits, Prepared, proportional

# Whatever the seed, so that what one call trains on is never what another one chooses on.
_VALIDATION_SEED = 0
_FEW = 10_000


def load(
    name: str,
    data_dir: str | os.PathLike | None = None,
    max_train: int | None = None,
    max_test: int | None = None,
    image_size: Sequence[int] | None = None,
    download: bool = True,
    seed: int = 0,
    max_val: int | None = None,
    validation_split: float | None = None,
) -> Dataset:
    """Loads an image classification set as arrays scaled to 0..1.

    `"digits"` needs no network: the 1,797 gray 8x8 images that come with scikit-learn, always
    split into the same 1,038 training, 259 validation and 500 test images. One test image is 0.2
    points of accuracy, so a difference of less than about one point on one run is noise.

    Every other name is one of tensorflow-datasets (`"mnist"`, `"fashion_mnist"`, `"cifar10"`,
    ...) with images, class labels and a `train` split. Its `test` split is the test part; where
    there is none, `validation`. Of a set with several labels, its own default is taken.

    The validation part, to choose settings on, is the set's own `validation` split. Where there is
    none it is taken out of the training images, every class in proportion: always the same images,
    whatever `seed`, `max_train` and `max_val` are, so that two calls never mix the parts.

    Args:
        name: `"digits"` or a name of tensorflow-datasets, e.g. `"cifar10"` or `"mnist:3.0.1"`.
        data_dir: Folder of the prepared sets of tensorflow-datasets. Defaults to theirs,
            `~/tensorflow_datasets`. Not used by `"digits"`.
        max_train: Keep this many training images, so that a large set fits a small machine.
            They are chosen with `seed`, every class in proportion, from those that remain beside
            the validation part. Defaults to all; so does a number above what there is.
        max_test: Keep this many test images, likewise.
        image_size: Tuple (height, width) in pixels that images are resized to (bilinear,
            antialiased). Needed for sets whose images differ in size. Defaults to no change.
        download: Whether to download and prepare a set that is not in `data_dir` yet. Without a
            network, tensorflow-datasets takes some minutes to give up.
        seed: Integer that `max_train`, `max_val` and `max_test` choose with.
        max_val: Keep this many validation images, likewise. The others aren't trained on.
        validation_split: Share of the training images that is the validation part, in [0, 1); 0 for
            none, with `x_val=None`. Only for sets without a validation split of their own. Defaults
            to 0.1, or 0.2 where there are fewer than 10,000 training images.

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
    limits = {"train": max_train, "val": max_val, "test": max_test}
    for part, limit in limits.items():
        if limit is not None:
            check_count(f"max_{part}", limit)
    if image_size is not None:
        check_size(image_size)
    if data_dir is not None:
        check_path("data_dir", data_dir)
    check_flag("download", download)
    check_count("seed", seed, low=0, high=2**32 - 1)
    if validation_split is not None:
        _check_share(validation_split)
        if validation_split == 0 and max_val is not None:
            raise ValueError(
                "max_val has nothing to choose from where validation_split=0: leave it out. "
                f"Received: max_val={max_val}"
            )
    source = (
        Digits(image_size) if name == "digits" else Prepared(name, data_dir, download, image_size)
    )
    parts: dict[str, Any] = {}
    for part, (split, indices) in _parts(source, name, validation_split).items():
        y = source.labels_of(split)[indices]
        chosen = proportional(y, limits[part], seed)
        parts |= {f"x_{part}": source.images_of(split, indices[chosen]), f"y_{part}": y[chosen]}
    return Dataset(name=name, labels=source.labels, **parts)


def _parts(source, name, share):
    """Returns the split of each part, and the indices of its samples there."""
    every = {split: np.arange(len(source.labels_of(split))) for split in source.splits}
    train, test = every["train"], ("test", every["test"])
    if "validation" in every:
        if share is not None:
            raise ValueError(
                f"{name!r} has a validation split of its own, which is the validation part: leave "
                f"validation_split out. Received: validation_split={share}"
            )
        validation = ("validation", every["validation"])
        return {"train": ("train", train), "val": validation, "test": test}
    if share is None:
        share = 0.2 if len(train) < _FEW else 0.1
    if share == 0:
        return {"train": ("train", train), "test": test}
    count = max(1, round(share * len(train)))
    if count == len(train):
        raise ValueError(
            f"validation_split leaves no training image: {name!r} has {len(train)}. "
            f"Received: validation_split={share}"
        )
    apart = proportional(source.labels_of("train"), count, _VALIDATION_SEED)
    rest = np.setdiff1d(train, apart)
    return {"train": ("train", rest), "val": ("train", apart), "test": test}


def _check_share(share):
    if not isinstance(share, numbers.Real) or isinstance(share, bool):
        raise TypeError(
            "validation_split must be a number, the share of the training images. "
            f"Received: validation_split={shown(share)}"
        )
    if not 0 <= share < 1:
        raise ValueError(
            "validation_split must be at least 0 and less than 1. "
            f"Received: validation_split={shown(share)}"
        )


def check_size(image_size):
    """Checks a size of images.

    Args:
        image_size: As for `load`, not `None`.

    Raises:
        TypeError: If it isn't two integers.
        ValueError: If one is out of bounds.
    """
    if not isinstance(image_size, list | tuple) or len(image_size) != 2:
        raise TypeError(
            "image_size must be a tuple (height, width) in pixels. "
            f"Received: image_size={shown(image_size)}"
        )
    for value in image_size:
        check_count("image_size", value, high=2**14)
