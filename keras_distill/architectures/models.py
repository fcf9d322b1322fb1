"""Small students and their teachers, by their published names."""

import inspect
import numbers

import keras

from keras_distill.arguments import closest, shown

# More would be a slip: no data set has so many classes, no image so many pixels on a side.
_MOST = 2**24


def digits_teacher(input_shape=(8, 8, 1), num_classes=10):
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
    inputs = x = _image_input(input_shape, num_classes, smallest=4)
    for stage, filters in enumerate((32, 64), start=1):
        x = _conv(x, filters, 3, name=f"stage{stage}_conv1")
        x = _conv(x, filters, 3, name=f"stage{stage}_conv2", out=f"stage{stage}_out")
        x = keras.layers.MaxPooling2D(2)(x)
        x = keras.layers.Dropout(0.2)(x)
    x = keras.layers.Flatten()(x)
    x = keras.layers.Dense(128, activation="relu", name="hidden")(x)
    x = keras.layers.Dropout(0.4)(x)
    return _classifier(inputs, x, num_classes, "digits_teacher")


def digits_student(input_shape=(8, 8, 1), num_classes=10, filters=(4, 8)):
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
    filters = _positive_integers(filters, "filters")
    if len(filters) != 2:
        raise ValueError(f"`filters` must be two integers. Received: filters={shown(filters)}")
    inputs = x = _image_input(input_shape, num_classes, smallest=4)
    x = _conv(x, filters[0], 3, name="stage1", out="stage1_out")
    x = keras.layers.MaxPooling2D(2)(x)
    x = _conv(x, filters[1], 3, name="stage2", out="stage2_out")
    # Pooled to a quarter and not to one pixel: where a stroke is tells one digit from another.
    x = keras.layers.AveragePooling2D(2)(x)
    return _classifier(inputs, keras.layers.Flatten()(x), num_classes, "digits_student")


def small_cnn(input_shape, num_classes, filters=(8, 16, 32)):
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
    filters = _positive_integers(filters, "filters")
    inputs = x = _image_input(input_shape, num_classes, smallest=2 ** (len(filters) - 1))
    for stage, channels in enumerate(filters, start=1):
        if stage > 1:
            x = keras.layers.MaxPooling2D(2)(x)
        x = _conv(x, channels, 3, name=f"stage{stage}", out=f"stage{stage}_out")
    return _classifier(inputs, _average(x), num_classes, "small_cnn")


def tutorial_teacher(input_shape=(28, 28, 1), num_classes=10):
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


def tutorial_student(input_shape=(28, 28, 1), num_classes=10):
    """The student of the tutorial, 16 and 32 channels: 20,490 parameters; as its teacher."""
    return _tutorial(input_shape, num_classes, (16, 32), "tutorial_student")


def resnet8(input_shape=(32, 32, 3), num_classes=10):
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
        input_shape, num_classes, 1, _projection_shortcut, "resnet8", **_MLPERF_CONV
    )


def ds_cnn(input_shape=(49, 10, 1), num_classes=12):
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
    inputs = x = _image_input(input_shape, num_classes)
    x = _conv(x, 64, (10, 4), strides=2, name="stem", out="stem_out", **_MLPERF_CONV)
    x = keras.layers.Dropout(0.2)(x)
    for stage in range(1, 5):
        x = _separable(x, 64, 1, f"stage{stage}", f"stage{stage}_out")
    x = keras.layers.Dropout(0.4)(x)
    return _classifier(inputs, _average(x), num_classes, "ds_cnn")


def mobilenet_v1(input_shape=(96, 96, 3), num_classes=2, alpha=0.25):
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
            f"`alpha` must be a number above 0 such as 0.25. Received: alpha={shown(alpha)}"
        )
    inputs = x = _image_input(input_shape, num_classes)
    x = _conv(x, max(1, int(32 * alpha)), 3, strides=2, name="stem", out="stem_out", **_MLPERF_CONV)
    # Channels of the full network, grouped by the resolution at which they run.
    widths = ((64,), (128, 128), (256, 256), (512,) * 6, (1024, 1024))
    for stage, channels in enumerate(widths, start=1):
        for block, full_width in enumerate(channels, start=1):
            name = f"stage{stage}_block{block}"
            strides = 2 if block == 1 and stage > 1 else 1
            out = f"stage{stage}_out" if block == len(channels) else f"{name}_out"
            x = _separable(x, max(1, int(full_width * alpha)), strides, name, out)
    return _classifier(inputs, _average(x), num_classes, "mobilenet_v1")


def resnet20(input_shape=(32, 32, 3), num_classes=10):
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


def resnet32(input_shape=(32, 32, 3), num_classes=10):
    """The 32-layer CIFAR ResNet: 0.46 million parameters, otherwise as `resnet20`."""
    return _residual_network(input_shape, num_classes, 5, _identity_shortcut, "resnet32")


def resnet44(input_shape=(32, 32, 3), num_classes=10):
    """The 44-layer CIFAR ResNet: 0.66 million parameters, otherwise as `resnet20`."""
    return _residual_network(input_shape, num_classes, 7, _identity_shortcut, "resnet44")


def resnet56(input_shape=(32, 32, 3), num_classes=10):
    """The 56-layer CIFAR ResNet, a usual teacher: 0.85 million parameters, as `resnet20`."""
    return _residual_network(input_shape, num_classes, 9, _identity_shortcut, "resnet56")


def resnet110(input_shape=(32, 32, 3), num_classes=10):
    """The 110-layer CIFAR ResNet, a usual teacher: 1.7 million parameters, as `resnet20`."""
    return _residual_network(input_shape, num_classes, 18, _identity_shortcut, "resnet110")


def names():
    """Returns the names that `get` knows, a sorted list of strings."""
    return sorted(_ARCHITECTURES)


def get(name, **kwargs):
    """Builds an architecture by its name.

    Args:
        name: One of `names()`.
        **kwargs: Arguments of that function, e.g. `input_shape` and `num_classes`.

    Returns:
        An uncompiled `keras.Model` that ends in logits.

    Raises:
        ValueError: If there is no such architecture.
        TypeError: If the architecture has no such argument, or lacks one.

    Example:
        ```python
        from keras_distill import architectures
        student = architectures.get("resnet8", num_classes=100)
        ```
    """
    if not isinstance(name, str) or name not in _ARCHITECTURES:
        raise ValueError(
            f"Unknown architecture {shown(name)}.{closest(name, names())} "
            f"Known: {', '.join(names())}."
        )
    build = _ARCHITECTURES[name]
    try:
        inspect.signature(build).bind(**kwargs)
    except TypeError as error:
        raise TypeError(
            f"Architecture {name!r} takes {name}{inspect.signature(build)}: {error}. "
            f"Received: {shown(kwargs)}"
        ) from None
    return build(**kwargs)


_CIFAR_RESNETS = (resnet20, resnet32, resnet44, resnet56, resnet110)
_MLPERF_TINY = (resnet8, ds_cnn, mobilenet_v1)
_PAIRS = (digits_teacher, digits_student, tutorial_teacher, tutorial_student)
_ARCHITECTURES = {
    build.__name__: build for build in (*_CIFAR_RESNETS, *_MLPERF_TINY, *_PAIRS, small_cnn)
}

# What MLPerf Tiny gives every convolution.
_MLPERF_CONV = {"use_bias": True, "l2": 1e-4}


def _positive_integers(values, argument):
    """Returns `values` as a tuple of ints of 1 or more, or says what is wrong."""
    integers = isinstance(values, list | tuple) and values
    if not integers or not all(_is_integer(value) and 1 <= value <= _MOST for value in values):
        raise ValueError(
            f"`{argument}` must be a tuple of integers of 1 or more. "
            f"Received: {argument}={shown(values)}"
        )
    return tuple(int(value) for value in values)


def _is_integer(value):
    return isinstance(value, numbers.Integral) and not isinstance(value, bool)


def _image_input(input_shape, num_classes, smallest=1):
    """Checks what every architecture is given, and makes its input."""
    if not _is_integer(num_classes) or not 2 <= num_classes <= _MOST:
        raise ValueError(
            "`num_classes` must be an integer of 2 or more (a yes/no question has 2 logits). "
            f"Received: num_classes={shown(num_classes)}"
        )
    shape = _positive_integers(input_shape, "input_shape")
    if len(shape) != 3:
        raise ValueError(
            "`input_shape` must be (height, width, channels), without the batch; a gray image "
            f"has 1 channel. Received: input_shape={shown(input_shape)}"
        )
    if min(shape[:2]) < smallest:
        raise ValueError(
            f"This architecture needs images of at least {smallest}x{smallest} pixels. "
            f"Received: input_shape={shown(input_shape)}"
        )
    return keras.Input(shape, name="image")


def _conv(x, filters, kernel, *, name, strides=1, out=None, activate=True, use_bias=False, l2=0.0):
    """Convolution, batch normalization and, unless `activate=False`, a ReLU named `out`."""
    x = keras.layers.Conv2D(
        filters,
        kernel,
        strides=strides,
        padding="same",
        use_bias=use_bias,
        kernel_initializer="he_normal",
        kernel_regularizer=keras.regularizers.L2(l2) if l2 else None,
        name=name,
    )(x)
    x = keras.layers.BatchNormalization(name=f"{name}_bn")(x)
    return keras.layers.ReLU(name=out or f"{name}_relu")(x) if activate else x


def _separable(x, filters, strides, name, out):
    """The depthwise separable pair of MLPerf Tiny: 3x3 depthwise, then 1x1."""
    x = keras.layers.DepthwiseConv2D(
        3,
        strides=strides,
        padding="same",
        depthwise_initializer="he_normal",
        depthwise_regularizer=keras.regularizers.L2(_MLPERF_CONV["l2"]),
        name=f"{name}_depthwise",
    )(x)
    x = keras.layers.BatchNormalization(name=f"{name}_depthwise_bn")(x)
    x = keras.layers.ReLU(name=f"{name}_depthwise_relu")(x)
    return _conv(x, filters, 1, name=f"{name}_pointwise", out=out, **_MLPERF_CONV)


def _average(x):
    # A GlobalAveragePooling2D would convert to MEAN, which older device runtimes lack.
    pooled = keras.layers.AveragePooling2D(tuple(x.shape[1:3]), name="average")(x)
    return keras.layers.Flatten()(pooled)


def _classifier(inputs, x, num_classes, name):
    return keras.Model(inputs, keras.layers.Dense(int(num_classes), name="logits")(x), name=name)


def _tutorial(input_shape, num_classes, filters, name):
    inputs = x = _image_input(input_shape, num_classes)
    x = keras.layers.Conv2D(filters[0], 3, strides=2, padding="same", name="stage1")(x)
    x = keras.layers.LeakyReLU(negative_slope=0.2, name="stage1_out")(x)
    x = keras.layers.MaxPooling2D(2, strides=1, padding="same")(x)
    x = keras.layers.Conv2D(filters[1], 3, strides=2, padding="same", name="stage2_out")(x)
    return _classifier(inputs, keras.layers.Flatten()(x), num_classes, name)


def _projection_shortcut(x, filters, strides, name):
    return keras.layers.Conv2D(
        filters,
        1,
        strides=strides,
        padding="same",
        kernel_initializer="he_normal",
        kernel_regularizer=keras.regularizers.L2(_MLPERF_CONV["l2"]),
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


def _residual_block(x, filters, strides, shortcut, name, out, conv):
    y = _conv(x, filters, 3, strides=strides, name=f"{name}_conv1", **conv)
    y = _conv(y, filters, 3, name=f"{name}_conv2", activate=False, **conv)
    if x.shape[-1] != filters:
        x = shortcut(x, filters, strides, name)
    x = keras.layers.Add(name=f"{name}_add")([x, y])
    return keras.layers.ReLU(name=out)(x)


def _residual_network(input_shape, num_classes, blocks, shortcut, name, **conv):
    """A CIFAR ResNet: three stages of `blocks` blocks with 16, 32 and 64 channels."""
    inputs = x = _image_input(input_shape, num_classes)
    x = _conv(x, 16, 3, name="stem", out="stem_out", **conv)
    for stage, filters in enumerate((16, 32, 64), start=1):
        for block in range(1, blocks + 1):
            block_name = f"stage{stage}_block{block}"
            out = f"stage{stage}_out" if block == blocks else f"{block_name}_out"
            strides = 2 if block == 1 and stage > 1 else 1
            x = _residual_block(x, filters, strides, shortcut, block_name, out, conv)
    return _classifier(inputs, _average(x), num_classes, name)
