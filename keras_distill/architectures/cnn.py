"""Plain convolutional networks: the digits pair, the Keras tutorial's pair, `small_cnn`."""

from collections.abc import Sequence

import keras

from keras_distill.architectures.building_blocks import (
    average,
    classifier,
    conv,
    image_input,
    positive_integers,
)
from keras_distill.arguments import shown


def digits_teacher(input_shape: Sequence[int] = (8, 8, 1), num_classes: int = 10) -> keras.Model:
    """A convolutional network that nearly solves the 8x8 digits.

    Four 3x3 convolutions in two stages and a hidden layer; 99,754 parameters at the default
    shape. Its dropout is meant for the training set of `keras_distill.datasets.load("digits")`,
    which has little more than a thousand images.

    Args:
        input_shape: (height, width, channels) in pixels, without the batch.
        num_classes: Number of classes, 2 or more.

    Returns:
        An uncompiled `keras.Model` from images to logits, (batch, num_classes). Taps:
        `"stage1_out"` (8, 8, 32) and `"stage2_out"` (4, 4, 64).

    Raises:
        ValueError: If an argument is not as described.

    Example:
        ```python
        from keras_distill import architectures
        teacher = architectures.digits_teacher()
        teacher.get_layer("stage2_out").output.shape  # (None, 4, 4, 64)
        ```
    """
    inputs = x = image_input(input_shape, num_classes, smallest=4)
    for stage, filters in enumerate((32, 64), start=1):
        x = conv(x, filters, 3, name=f"stage{stage}_conv1")
        x = conv(x, filters, 3, name=f"stage{stage}_conv2", out=f"stage{stage}_out")
        x = keras.layers.MaxPooling2D(2)(x)
        x = keras.layers.Dropout(0.2)(x)
    x = keras.layers.Flatten()(x)
    x = keras.layers.Dense(128, activation="relu", name="hidden")(x)
    x = keras.layers.Dropout(0.4)(x)
    return classifier(inputs, x, num_classes, "digits_teacher")


def digits_student(
    input_shape: Sequence[int] = (8, 8, 1), num_classes: int = 10, filters: Sequence[int] = (4, 8)
) -> keras.Model:
    """A network of 702 parameters for the 8x8 digits, with the taps of `digits_teacher`.

    Two 3x3 convolutions with batch normalization, 2x2 pooling after each, one dense layer; to
    the device these are CONV_2D, MAX_POOL_2D, AVERAGE_POOL_2D, RESHAPE and FULLY_CONNECTED.

    Args:
        input_shape: (height, width, channels) in pixels, without the batch.
        num_classes: Number of classes, 2 or more.
        filters: Channels of the two stages.

    Returns:
        An uncompiled `keras.Model` from images to logits, (batch, num_classes). Taps:
        `"stage1_out"` (8, 8, 4) and `"stage2_out"` (4, 4, 8), as high and wide as the teacher's.

    Raises:
        ValueError: If an argument is not as described.

    Example:
        ```python
        from keras_distill import architectures
        architectures.digits_student().count_params()  # 702
        ```
    """
    filters = positive_integers(filters, "filters")
    if len(filters) != 2:
        raise ValueError(f"filters must be two integers. Received: filters={shown(filters)}")
    inputs = x = image_input(input_shape, num_classes, smallest=4)
    x = conv(x, filters[0], 3, name="stage1", out="stage1_out")
    x = keras.layers.MaxPooling2D(2)(x)
    x = conv(x, filters[1], 3, name="stage2", out="stage2_out")
    # Pooled to a quarter and not to one pixel: where a stroke is tells one digit from another.
    x = keras.layers.AveragePooling2D(2)(x)
    return classifier(inputs, keras.layers.Flatten()(x), num_classes, "digits_student")


def small_cnn(
    input_shape: Sequence[int], num_classes: int, filters: Sequence[int] = (8, 16, 32)
) -> keras.Model:
    """A plain stack of 3x3 convolutions, one stage per entry of `filters`.

    Every stage is convolution, batch normalization and ReLU; a 2x2 max pooling stands between
    stages, and the last map is averaged over space. It converts to CONV_2D, MAX_POOL_2D,
    AVERAGE_POOL_2D, RESHAPE and FULLY_CONNECTED only.

    Args:
        input_shape: (height, width, channels) in pixels, without the batch.
        num_classes: Number of classes, 2 or more.
        filters: Channels of each stage, e.g. `(8, 16, 32)`.

    Returns:
        An uncompiled `keras.Model` from images to logits, (batch, num_classes). Taps:
        `"stage1_out"` to `"stage{len(filters)}_out"`.

    Raises:
        ValueError: If an argument is not as described, or the image is too small.

    Example:
        ```python
        from keras_distill import architectures
        student = architectures.small_cnn((28, 28, 1), 10, filters=(4, 8))
        student.get_layer("stage2_out").output.shape  # (None, 14, 14, 8)
        ```
    """
    filters = positive_integers(filters, "filters")
    inputs = x = image_input(input_shape, num_classes, smallest=2 ** (len(filters) - 1))
    for stage, channels in enumerate(filters, start=1):
        if stage > 1:
            x = keras.layers.MaxPooling2D(2)(x)
        x = conv(x, channels, 3, name=f"stage{stage}", out=f"stage{stage}_out")
    return classifier(inputs, average(x), num_classes, "small_cnn")


def tutorial_teacher(
    input_shape: Sequence[int] = (28, 28, 1), num_classes: int = 10
) -> keras.Model:
    """The teacher of the Keras knowledge distillation tutorial: 256 and 512 channels.

    1,433,610 parameters at the default shape.

    Args:
        input_shape: (height, width, channels) in pixels, without the batch.
        num_classes: Number of classes, 2 or more.

    Returns:
        An uncompiled `keras.Model` from images to logits, (batch, num_classes). Taps:
        `"stage1_out"` (14, 14, 256) and `"stage2_out"` (7, 7, 512). The
        tutorial has no activation after its second convolution, so that tap has none.

    Raises:
        ValueError: If an argument is not as described.

    Example:
        ```python
        from keras_distill import architectures
        architectures.tutorial_teacher().count_params()  # 1433610
        ```

    Reference:
        - [Tutorial](https://keras.io/examples/vision/knowledge_distillation/)
    """
    return _tutorial(input_shape, num_classes, (256, 512), "tutorial_teacher")


def tutorial_student(
    input_shape: Sequence[int] = (28, 28, 1), num_classes: int = 10
) -> keras.Model:
    """The student of the tutorial, 16 and 32 channels: 20,490 parameters; as its teacher."""
    return _tutorial(input_shape, num_classes, (16, 32), "tutorial_student")


def _tutorial(input_shape, num_classes, filters, name):
    inputs = x = image_input(input_shape, num_classes)
    x = keras.layers.Conv2D(filters[0], 3, strides=2, padding="same", name="stage1")(x)
    x = keras.layers.LeakyReLU(negative_slope=0.2, name="stage1_out")(x)
    x = keras.layers.MaxPooling2D(2, strides=1, padding="same")(x)
    x = keras.layers.Conv2D(filters[1], 3, strides=2, padding="same", name="stage2_out")(x)
    return classifier(inputs, keras.layers.Flatten()(x), num_classes, name)
