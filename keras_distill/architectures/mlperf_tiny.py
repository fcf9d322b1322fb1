"""MobileNet and DS-CNN, depthwise separable networks of MLPerf Tiny."""

import numbers
from collections.abc import Sequence

import keras

from keras_distill.architectures.building_blocks import (
    MLPERF_CONV,
    average,
    classifier,
    conv,
    image_input,
    separable,
)
from keras_distill.arguments import shown


def ds_cnn(input_shape: Sequence[int] = (49, 10, 1), num_classes: int = 12) -> keras.Model:
    """The keyword spotting network of MLPerf Tiny: depthwise separable convolutions.

    24,908 parameters at the default shape (49 frames of 10 mel-frequency coefficients, 12
    words); the benchmark asks for 90 % accuracy. As in the benchmark, convolutions have a bias
    and an L2 penalty of 1e-4.

    Args:
        input_shape: (frames, coefficients, channels), without the batch.
        num_classes: Number of classes, 2 or more.

    Returns:
        An uncompiled `keras.Model` from features to logits, (batch, num_classes). Taps:
        `"stem_out"` and `"stage1_out"` to `"stage4_out"`, all (25, 5, 64).

    Raises:
        ValueError: If an argument is not as described.

    Example:
        ```python
        from keras_distill import architectures
        architectures.ds_cnn().count_params()  # 24908
        ```

    Reference:
        - [Zhang et al., 2017, Hello Edge](https://arxiv.org/abs/1711.07128)
    """
    inputs = x = image_input(input_shape, num_classes)
    x = conv(x, 64, (10, 4), strides=2, name="stem", out="stem_out", **MLPERF_CONV)
    x = keras.layers.Dropout(0.2)(x)
    for stage in range(1, 5):
        x = separable(x, 64, 1, f"stage{stage}", f"stage{stage}_out")
    x = keras.layers.Dropout(0.4)(x)
    return classifier(inputs, average(x), num_classes, "ds_cnn")


def mobilenet_v1(
    input_shape: Sequence[int] = (96, 96, 3), num_classes: int = 2, alpha: float = 0.25
) -> keras.Model:
    """The visual wake words network of MLPerf Tiny: MobileNet at a quarter of its width.

    221,794 parameters at the default shape and width; the benchmark asks for 80 % accuracy. It
    differs from `keras.applications.MobileNet` as the benchmark's model does: ReLU where that
    has ReLU6, biases in its convolutions, an L2 penalty of 1e-4, no dropout.

    Args:
        input_shape: (height, width, channels) in pixels, without the batch.
        num_classes: Number of classes, 2 or more.
        alpha: Width multiplier, greater than 0; 1.0 is the full MobileNet of 1,024 channels.

    Returns:
        An uncompiled `keras.Model` from images to logits, (batch, num_classes). Taps, one per
        resolution, at the default shape: `"stage1_out"` (48, 48, 16), `"stage2_out"` (24, 24,
        32), `"stage3_out"` (12, 12, 64), `"stage4_out"` (6, 6, 128) and `"stage5_out"` (3, 3,
        256); `"stem_out"` (48, 48, 8) before them.

    Raises:
        ValueError: If an argument is not as described.

    Example:
        ```python
        from keras_distill import architectures
        student = architectures.mobilenet_v1((64, 64, 1), num_classes=4, alpha=0.125)
        student.get_layer("stage5_out").output.shape  # (None, 2, 2, 128)
        ```

    Reference:
        - [Howard et al., 2017, MobileNets](https://arxiv.org/abs/1704.04861)
    """
    is_number = isinstance(alpha, numbers.Real) and not isinstance(alpha, bool)
    if not is_number or not 0 < alpha < 100:
        raise ValueError(
            f"alpha must be a number above 0 such as 0.25. Received: alpha={shown(alpha)}"
        )
    inputs = x = image_input(input_shape, num_classes)
    x = conv(x, max(1, int(32 * alpha)), 3, strides=2, name="stem", out="stem_out", **MLPERF_CONV)
    # Channels of the full network, grouped by the resolution at which they run.
    widths = ((64,), (128, 128), (256, 256), (512,) * 6, (1024, 1024))
    for stage, channels in enumerate(widths, start=1):
        for block, full_width in enumerate(channels, start=1):
            name = f"stage{stage}_block{block}"
            strides = 2 if block == 1 and stage > 1 else 1
            out = f"stage{stage}_out" if block == len(channels) else f"{name}_out"
            x = separable(x, max(1, int(full_width * alpha)), strides, name, out)
    return classifier(inputs, average(x), num_classes, "mobilenet_v1")
