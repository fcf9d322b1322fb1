"""Images that a generator makes from noise, and what it learns of a teacher's answers to them."""

import math
from typing import Any

import keras
import tensorflow as tf

from keras_distill.arguments import check_model, shown
from keras_distill.features.layer_paths import symbolic
from keras_distill.losses.loss import same_shapes

# Numbers of noise that an image is made from, as in the paper.
LATENT_SIZE = 100
# Keeps the logarithm finite of a class that no image is of.
_TINY = 1e-12
# Statistics that follow the generator, whose images change from step to step.
_MOMENTUM = 0.9


def one_hot_loss(logits: Any) -> Any:
    """Cross-entropy of answers with their own likeliest class: small where a teacher is sure.

    Args:
        logits: Tensor of shape `(batch, classes)`.

    Returns:
        Scalar tensor.
    """
    errors = tf.nn.sparse_softmax_cross_entropy_with_logits(tf.argmax(logits, -1), logits)
    return tf.reduce_mean(errors)


def entropy_loss(logits: Any) -> Any:
    """Minus the entropy of the mean answer: small where all classes come equally often.

    Args:
        logits: Tensor of shape `(batch, classes)`.

    Returns:
        Scalar tensor; the logarithm is that to the base of 10, as in the authors' code.
    """
    mean = tf.reduce_mean(tf.nn.softmax(logits), 0)
    return tf.reduce_sum(mean * tf.math.log(mean + _TINY)) / math.log(10)


def activation_loss(features: Any) -> Any:
    """Minus the mean absolute feature: small where what a teacher looks for is in an image.

    Args:
        features: Tensor of shape `(batch, ...)`.

    Returns:
        Scalar tensor.
    """
    return -tf.reduce_mean(tf.abs(features))


def image_generator(shape: tuple, bounds: tuple | None) -> keras.Model:
    """Makes the generator of the paper, from noise of shape `(batch, 100)` to images.

    Args:
        shape: Height, width and channels.
        bounds: Pair of the smallest and the largest number of an image; `None` for images whose
            channels have mean 0 and variance 1.

    Returns:
        `keras.Sequential`.
    """
    layers = keras.layers

    def convolution(filters):
        return [
            layers.Conv2D(filters, 3, padding="same"),
            layers.BatchNormalization(momentum=_MOMENTUM),
            layers.LeakyReLU(0.2),
        ]

    height, width, channels = shape
    # Two doublings of the size, of which the last rows and columns may be too many.
    low = [-(-side // 4) for side in (height, width)]
    end = layers.BatchNormalization(momentum=_MOMENTUM, center=False, scale=False)
    if bounds is None:
        ends = [layers.Activation("tanh"), end]
    else:
        least, most = map(float, bounds)
        ends = [end, layers.Activation("sigmoid"), layers.Rescaling(most - least, least)]
    return keras.Sequential(
        [
            keras.Input((LATENT_SIZE,)),
            layers.Dense(128 * low[0] * low[1]),
            layers.Reshape((*low, 128)),
            layers.BatchNormalization(momentum=_MOMENTUM),
            layers.UpSampling2D(2),
            *convolution(128),
            layers.UpSampling2D(2),
            *convolution(64),
            layers.Conv2D(channels, 3, padding="same"),
            *ends,
            layers.Cropping2D(((0, 4 * low[0] - height), (0, 4 * low[1] - width))),
        ],
        name="generator",
    )


def check_generator(generator: Any, teacher: keras.Model):
    """Checks that a model makes a teacher's inputs from noise.

    Args:
        generator: What was given.
        teacher: `keras.Model`.

    Raises:
        TypeError: If it is no `keras.Model`.
        ValueError: If it isn't from one tensor of a known shape to such inputs.
    """
    check_model("generator", generator)
    taken, made, wanted = (
        _shape(symbolic(model, what))
        for model, what in ((generator, "input"), (generator, "output"), (teacher, "input"))
    )
    if taken is None or None in taken or made is None:
        raise ValueError(
            "generator must be a Functional or Sequential model from one tensor of noise, of a "
            "known shape, to one tensor of images. "
            f"Received: generator={shown(generator)} from {taken} to {made}"
        )
    if wanted is not None and not same_shapes([made], [wanted]):
        raise ValueError(
            f"generator must make what the teacher takes, inputs of shape {wanted}. "
            f"Received: generator={shown(generator)} with an output of shape {made}"
        )


def _shape(tensor):
    return tuple(tensor.shape[1:]) if hasattr(tensor, "shape") else None


def noise_of(generator: keras.Model, count: int, seed: Any) -> Any:
    """Draws what a generator makes images of, from the normal distribution.

    Args:
        generator: `keras.Model`.
        count: Number of images.
        seed: Pair of integers, or a tensor of them.

    Returns:
        Tensor of shape `(count, ...)` in float32.
    """
    shape = _shape(symbolic(generator, "input"))
    return tf.random.stateless_normal((count, *shape), seed)
