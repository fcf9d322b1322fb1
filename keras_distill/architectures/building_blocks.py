"""Building blocks of the architectures, and the checks of what each is given."""

import numbers

import keras

from keras_distill.arguments import shown

# More would be a slip: no data set has so many classes, no image so many pixels on a side.
_MOST = 2**24
# What MLPerf Tiny gives every convolution.
MLPERF_CONV = {"use_bias": True, "l2": 1e-4}


def positive_integers(values, argument):
    """Returns a tuple or list as a tuple of integers, each checked to be 1 or more.

    Args:
        values: What was given.
        argument: The argument.

    Raises:
        ValueError: If it is something else.
    """
    is_list = isinstance(values, list | tuple) and values
    if not is_list or not all(_is_integer(value) and 1 <= value <= _MOST for value in values):
        raise ValueError(
            f"{argument} must be a tuple of integers of 1 or more. "
            f"Received: {argument}={shown(values)}"
        )
    return tuple(int(value) for value in values)


def _is_integer(value):
    return isinstance(value, numbers.Integral) and not isinstance(value, bool)


def image_input(input_shape, num_classes, smallest=1):
    """Input of an architecture, with the arguments checked that all of them have.

    Args:
        input_shape: (height, width, channels).
        num_classes: Number of classes.
        smallest: Fewest pixels on a side that the architecture can take.

    Raises:
        ValueError: If an argument is out of bounds.
    """
    if not _is_integer(num_classes) or not 2 <= num_classes <= _MOST:
        raise ValueError(
            "num_classes must be an integer of 2 or more (a yes/no question has 2 logits). "
            f"Received: num_classes={shown(num_classes)}"
        )
    shape = positive_integers(input_shape, "input_shape")
    if len(shape) != 3:
        raise ValueError(
            "input_shape must be (height, width, channels), without the batch; a gray image "
            f"has 1 channel. Received: input_shape={shown(input_shape)}"
        )
    if min(shape[:2]) < smallest:
        raise ValueError(
            f"This architecture needs images of at least {smallest}x{smallest} pixels. "
            f"Received: input_shape={shown(input_shape)}"
        )
    return keras.Input(shape, name="image")


def conv(x, filters, kernel, *, name, strides=1, out=None, activate=True, use_bias=False, l2=0.0):
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


def separable(x, filters, strides, name, out):
    """Depthwise separable convolution of MLPerf Tiny: 3x3 depthwise, then 1x1."""
    x = keras.layers.DepthwiseConv2D(
        3,
        strides=strides,
        padding="same",
        depthwise_initializer="he_normal",
        depthwise_regularizer=keras.regularizers.L2(MLPERF_CONV["l2"]),
        name=f"{name}_depthwise",
    )(x)
    x = keras.layers.BatchNormalization(name=f"{name}_depthwise_bn")(x)
    x = keras.layers.ReLU(name=f"{name}_depthwise_relu")(x)
    return conv(x, filters, 1, name=f"{name}_pointwise", out=out, **MLPERF_CONV)


def average(x):
    """Mean over space, as (batch, channels)."""
    # A GlobalAveragePooling2D would convert to MEAN, which older device runtimes lack.
    pooled = keras.layers.AveragePooling2D(tuple(x.shape[1:3]), name="average")(x)
    return keras.layers.Flatten()(pooled)


def classifier(inputs, x, num_classes, name):
    """Model that ends in a dense layer of logits on `x`."""
    return keras.Model(inputs, keras.layers.Dense(int(num_classes), name="logits")(x), name=name)
