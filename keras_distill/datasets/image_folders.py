"""Images in one folder per class, as arrays."""

import os
import pathlib
from collections.abc import Sequence

import numpy as np

from keras_distill.arguments import shown
from keras_distill.datasets import class_folders
from keras_distill.datasets.dataset import Dataset
from keras_distill.datasets.loading import check_size
from keras_distill.datasets.sources import resize

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp")
# Of red, green and blue, as in ITU-R BT.601.
_LUMINANCE = np.array([[0.299], [0.587], [0.114]], "float32")


def images_from_directory(
    directory: str | os.PathLike,
    image_size: Sequence[int] | None = None,
    channels: int | None = None,
    validation_split: float = 0.15,
    test_split: float = 0.15,
    seed: int = 0,
) -> Dataset:
    """Loads a folder of images, one folder per class, as arrays scaled to 0..1.

    The folder is laid out as for `keras.utils.image_dataset_from_directory`. The classes are the
    names of its folders, sorted. Where it holds `train` and maybe `validation` (or `val`) and
    `test` instead, with the classes inside, these are the parts; what is missing is taken out of
    the training part. A file that can't be read is an error that names it.

    Args:
        directory: The folder. Hidden files don't count.
        image_size: Tuple (height, width) in pixels that images are resized to (bilinear,
            antialiased). By default no image is resized, and all must have one size.
        channels: 1 for gray, 3 for color. By default 1 where all files are gray.
        validation_split: Share of the images that is the validation part, every class in
            proportion and with one image at least.
        test_split: The same of the test part.
        seed: Integer that the parts are chosen with: the same files and seed are the same parts.

    Returns:
        A `Dataset`.

    Raises:
        TypeError: If an argument is of the wrong type.
        ValueError: If there are fewer than two classes, a class has too few images, a file is no
            image or damaged, or images differ in size.
        FileNotFoundError: If there is no such folder.

    Example:
        ```python
        import pathlib
        import tempfile

        folder = pathlib.Path(tempfile.mkdtemp())
        for name in ("cat", "dog"):
            (folder / name).mkdir()
            for index in range(4):
                picture = np.random.rand(8, 8, 3)
                keras.utils.save_img(folder / name / f"{index}.png", picture)
        data = keras_distill.datasets.images_from_directory(folder)
        assert data.labels == ("cat", "dog") and data.input_shape == (8, 8, 3)
        ```
    """
    if image_size is not None:
        check_size(image_size)
    if channels is not None and (not isinstance(channels, int) or channels not in (1, 3)):
        raise ValueError(f"channels must be 1, 3 or None. Received: channels={shown(channels)}")
    found = class_folders.find(directory, SUFFIXES, validation_split, test_split, seed)
    return load_images(directory, found, image_size, channels)


def load_images(directory, found, image_size, channels):
    """Returns the images of found files as a `Dataset`.

    Args:
        directory: Where they were found.
        found: `ClassFolders`.
        image_size: As for `images_from_directory`.
        channels: As for `images_from_directory`.
    """
    pictures = {
        part: [_picture(path) for path in paths] for part, (paths, _) in found.parts.items()
    }
    every = [picture for of_part in pictures.values() for picture in of_part]
    if image_size is None:
        paths = [path for of_part, _ in found.parts.values() for path in of_part]
        _check_one_size(paths, every)
    if channels is None:
        channels = 1 if all(picture.shape[-1] in (1, 2) for picture in every) else 3
    arrays = {}
    for part, (_, classes) in found.parts.items():
        images = [_image(picture, image_size, channels) for picture in pictures[part]]
        arrays |= {f"x_{part}": np.stack(images), f"y_{part}": classes}
    return Dataset(name=pathlib.Path(directory).absolute().name, labels=found.labels, **arrays)


def _picture(path):
    """Returns the pixels of a file, uint8 (height, width, channels)."""
    import tensorflow as tf

    try:
        return tf.io.decode_image(path.read_bytes(), expand_animations=False).numpy()
    except (tf.errors.OpError, ValueError) as error:
        raise ValueError(
            f"{str(path)!r} can't be read as an image: it is damaged, or of another kind than its "
            "name says. Mend it, or move it elsewhere."
        ) from error


def _check_one_size(paths, pictures):
    first = pictures[0].shape[:2]
    for path, picture in zip(paths, pictures, strict=True):
        if picture.shape[:2] != first:
            raise ValueError(
                "The images differ in size: give image_size=(height, width) to resize them. "
                f"Received: {str(paths[0])!r} of {first[0]} x {first[1]}, {str(path)!r} of "
                f"{picture.shape[0]} x {picture.shape[1]}"
            )


def _image(picture, image_size, channels):
    """Returns pixels with one or three channels, float32 in 0..1."""
    # An even number of channels ends in one of opacity.
    colors = picture[..., : 3 if picture.shape[-1] > 2 else 1].astype("float32") / 255.0
    colors = with_channels(colors, channels)
    return colors if image_size is None else resize(colors, image_size).numpy()


def with_channels(images, channels):
    """Returns images of one or three channels with one or three: gray or color.

    Args:
        images: Float array (..., channels).
        channels: 1 or 3.
    """
    if channels == 1 and images.shape[-1] == 3:
        return images @ _LUMINANCE
    if channels == 3 and images.shape[-1] == 1:
        return np.repeat(images, 3, axis=-1)
    return images
