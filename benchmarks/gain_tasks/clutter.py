"""A digit somewhere among pieces of others: where to look is part of what is to be learned."""

import numpy as np

from gain_tasks.small_images import split_of
from gain_tasks.task import Task, Training
from keras_distill import architectures, datasets

SIZE, SIDE = (10, 10), 20
PIECES, PIECE = 5, 4


def cluttered(images, seed):
    """Puts each image somewhere on a larger one, among pieces of other images.

    Args:
        images: Array of shape `(images, rows, columns, 1)`, at least 0.
        seed: Integer.

    Returns:
        Array of shape `(images, 20, 20, 1)`.
    """
    rng = np.random.default_rng(seed)
    canvas = np.zeros((len(images), SIDE, SIDE, 1), images.dtype)
    for target, image in zip(canvas, images, strict=True):
        for other in rng.integers(0, len(images), PIECES):
            _put(target, _piece(images[other], rng), rng)
        _put(target, image, rng)
    return canvas


def _piece(image, rng):
    top, left = rng.integers(0, np.array(image.shape[:2]) - PIECE + 1)
    return image[top : top + PIECE, left : left + PIECE]


def _put(canvas, image, rng):
    height, width = image.shape[:2]
    top, left = rng.integers(0, (SIDE - height + 1, SIDE - width + 1))
    where = canvas[top : top + height, left : left + width]
    np.maximum(where, image, out=where)


def clutter(options):
    """MNIST at 10 x 10 pixels, anywhere on 20 x 20 pixels with pieces of others."""
    data = datasets.load("mnist", options.data_dir, image_size=SIZE, validation_split=0)
    split = split_of(data, data.y_train, labels=1_000, unlabeled=10_000, validation=3_000)
    split.teacher_data = (cluttered(split.teacher_data[0], 0), split.teacher_data[1])
    # The labeled images come first in what the teacher knows.
    split.x, split.unlabeled = np.split(split.teacher_data[0], [len(split.y)])
    split.validation = (cluttered(split.validation[0], 1), split.validation[1])
    split.test = (cluttered(split.test[0], 2), split.test[1])
    shape = (SIDE, SIDE, 1)
    return Task(
        name="clutter",
        title=(
            f"MNIST at {SIZE[0]} x {SIZE[1]} pixels, anywhere on {SIDE} x {SIDE} among {PIECES} "
            "pieces of other digits, 1,000 labels; CNN of 24,282 parameters to CNN of 1,414"
        ),
        splits=[split],
        make_student=lambda: architectures.small_cnn(shape, 10, filters=(4, 8, 12)),
        training=Training(updates=1_000, rate=1e-2),
        make_teacher=lambda: architectures.small_cnn(shape, 10, filters=(16, 32, 64)),
        teacher_training=Training(updates=2_000, rate=5e-3, batch_size=64),
    )
