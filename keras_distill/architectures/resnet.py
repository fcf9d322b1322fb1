"""ResNets: those of the CIFAR experiments, and the small one of MLPerf Tiny."""

from collections.abc import Sequence

import keras

from keras_distill.architectures.building_blocks import (
    MLPERF_CONV,
    average,
    classifier,
    conv,
    image_input,
)


def resnet8(input_shape: Sequence[int] = (32, 32, 3), num_classes: int = 10) -> keras.Model:
    """The image classification network of MLPerf Tiny: a ResNet of three blocks.

    78,666 parameters at the default shape (CIFAR-10); the benchmark asks for 85 % accuracy.
    Where a block changes the number of channels, its shortcut is a 1x1 convolution. As in the
    benchmark, convolutions have a bias and an L2 penalty of 1e-4.

    Args:
        input_shape: (height, width, channels) in pixels, without the batch.
        num_classes: Number of classes, 2 or more.

    Returns:
        An uncompiled `keras.Model` from images to logits, (batch, num_classes). Taps:
        `"stem_out"` (32, 32, 16), `"stage1_out"` (32, 32, 16), `"stage2_out"` (16, 16, 32) and
        `"stage3_out"` (8, 8, 64).

    Raises:
        ValueError: If an argument is not as described.

    Example:
        ```python
        from keras_distill import architectures
        architectures.resnet8().count_params()  # 78666
        ```

    Reference:
        - [Banbury et al., 2021, MLPerf Tiny Benchmark](https://arxiv.org/abs/2106.07597)
    """
    return _residual_network(
        input_shape, num_classes, 1, _projection_shortcut, "resnet8", **MLPERF_CONV
    )


def resnet20(input_shape: Sequence[int] = (32, 32, 3), num_classes: int = 10) -> keras.Model:
    """The 20-layer CIFAR ResNet, a usual student: 0.27 million parameters.

    Shortcuts are the paper's option A, which has no parameters: every second pixel, and zeros
    for the new channels. The paper's weight decay is left to the optimizer. `resnet32`,
    `resnet44`, `resnet56` and `resnet110` are the same with more blocks.

    Args:
        input_shape: (height, width, channels) in pixels, without the batch.
        num_classes: Number of classes, 2 or more.

    Returns:
        An uncompiled `keras.Model` from images to logits, (batch, num_classes). Taps:
        `"stem_out"` (32, 32, 16), `"stage1_out"` (32, 32, 16), `"stage2_out"` (16, 16, 32) and
        `"stage3_out"` (8, 8, 64); each block has its own, `"stage1_block1_out"` and so on, the
        last one of a stage excepted, which is the stage's.

    Raises:
        ValueError: If an argument is not as described.

    Example:
        ```python
        from keras_distill import architectures
        student = architectures.resnet20(num_classes=100)
        student.get_layer("stage3_out").output.shape  # (None, 8, 8, 64)
        ```

    Reference:
        - [He et al., 2016, section 4.2](https://arxiv.org/abs/1512.03385)
    """
    return _residual_network(input_shape, num_classes, 3, _identity_shortcut, "resnet20")


def resnet32(input_shape: Sequence[int] = (32, 32, 3), num_classes: int = 10) -> keras.Model:
    """The 32-layer CIFAR ResNet: 0.46 million parameters, otherwise as `resnet20`."""
    return _residual_network(input_shape, num_classes, 5, _identity_shortcut, "resnet32")


def resnet44(input_shape: Sequence[int] = (32, 32, 3), num_classes: int = 10) -> keras.Model:
    """The 44-layer CIFAR ResNet: 0.66 million parameters, otherwise as `resnet20`."""
    return _residual_network(input_shape, num_classes, 7, _identity_shortcut, "resnet44")


def resnet56(input_shape: Sequence[int] = (32, 32, 3), num_classes: int = 10) -> keras.Model:
    """The 56-layer CIFAR ResNet, a usual teacher: 0.85 million parameters, as `resnet20`."""
    return _residual_network(input_shape, num_classes, 9, _identity_shortcut, "resnet56")


def resnet110(input_shape: Sequence[int] = (32, 32, 3), num_classes: int = 10) -> keras.Model:
    """The 110-layer CIFAR ResNet, a usual teacher: 1.7 million parameters, as `resnet20`."""
    return _residual_network(input_shape, num_classes, 18, _identity_shortcut, "resnet110")


def _residual_network(input_shape, num_classes, blocks, shortcut, name, **settings):
    """A CIFAR ResNet: three stages of `blocks` blocks with 16, 32 and 64 channels."""
    inputs = x = image_input(input_shape, num_classes)
    x = conv(x, 16, 3, name="stem", out="stem_out", **settings)
    for stage, filters in enumerate((16, 32, 64), start=1):
        for block in range(1, blocks + 1):
            block_name = f"stage{stage}_block{block}"
            out = f"stage{stage}_out" if block == blocks else f"{block_name}_out"
            strides = 2 if block == 1 and stage > 1 else 1
            x = _residual_block(x, filters, strides, shortcut, block_name, out, settings)
    return classifier(inputs, average(x), num_classes, name)


def _residual_block(x, filters, strides, shortcut, name, out, settings):
    y = conv(x, filters, 3, strides=strides, name=f"{name}_conv1", **settings)
    y = conv(y, filters, 3, name=f"{name}_conv2", activate=False, **settings)
    if x.shape[-1] != filters:
        x = shortcut(x, filters, strides, name)
    x = keras.layers.Add(name=f"{name}_add")([x, y])
    return keras.layers.ReLU(name=out)(x)


def _projection_shortcut(x, filters, strides, name):
    return keras.layers.Conv2D(
        filters,
        1,
        strides=strides,
        padding="same",
        kernel_initializer="he_normal",
        kernel_regularizer=keras.regularizers.L2(MLPERF_CONV["l2"]),
        name=f"{name}_shortcut",
    )(x)


def _identity_shortcut(x, filters, strides, name):
    # A pool of one pixel is the subsampling: a slice would be a bare operation, and those are
    # left out by tools that walk a model's layers.
    x = keras.layers.MaxPooling2D(1, strides=strides, name=f"{name}_subsample")(x)
    half = (filters - x.shape[-1]) // 2
    # "channels_first" makes ZeroPadding2D pad the last two axes, here columns and channels.
    return keras.layers.ZeroPadding2D(
        ((0, 0), (half, half)), data_format="channels_first", name=f"{name}_shortcut"
    )(x)
