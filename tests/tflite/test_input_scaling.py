"""The layer that scales a model's inputs is found where people put it."""

import keras
import numpy as np
import pytest

from keras_distill.tflite.input_scaling import looks_like_pixels, rescaling_layer

layers = keras.layers


def augmented():
    augmentation = [layers.RandomFlip(), layers.RandomRotation(0.1), layers.RandomContrast(0.1)]
    return keras.Sequential(
        [keras.Input((8, 8, 3)), *augmentation, layers.Rescaling(1 / 255), layers.Conv2D(2, 3)]
    )


def nested():
    inputs = keras.Input((8, 8, 3))
    augmentation = keras.Sequential([layers.RandomFlip(), layers.RandomZoom(0.1)])
    body = [layers.Resizing(8, 8), layers.Normalization(mean=3.0, variance=2.0)]
    body = keras.Sequential([keras.Input((8, 8, 3)), *body, layers.Conv2D(2, 3)])
    return keras.Model(inputs, layers.Dense(2)(layers.Flatten()(body(augmentation(inputs)))))


def normalized_later():
    stack = [layers.Conv2D(2, 3), layers.BatchNormalization(), layers.Rescaling(2.0)]
    return keras.Sequential([keras.Input((8, 8, 3)), *stack])


@pytest.mark.parametrize(
    ("make", "kind"),
    [(augmented, layers.Rescaling), (nested, layers.Normalization), (normalized_later, None)],
)
def test_a_rescaling_layer_is_found_before_the_first_weights(make, kind):
    found = rescaling_layer(make())
    assert found is None if kind is None else isinstance(found, kind)


def test_pixels_are_whole_numbers_of_images():
    pixels = np.random.default_rng(0).integers(0, 256, (5, 8, 8, 1)).astype("float32")
    assert looks_like_pixels(pixels)
    assert not looks_like_pixels(pixels / 255) and not looks_like_pixels(pixels[:, 0, :, 0])
