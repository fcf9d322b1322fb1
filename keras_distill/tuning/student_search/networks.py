"""The default space of students: networks for images, for series, and for lists of features."""

import keras

from keras_distill.arguments import shown

# Channels of the first stage, about a factor of 1.4 apart.
_WIDTHS = (4, 6, 8, 12, 16, 24, 32, 48)
_SMALLEST_SIDE = 2
_MOST_STAGES = 4


class DefaultStudents:
    """Stages of convolutions, each half as large as the one before; or dense layers.

    What is chosen: the kind of block (plain or depthwise separable convolutions, with or without a
    sum around), channels, how they grow, stages, blocks per stage, whether the first convolution
    skips every other position, and whether the end keeps four positions apart.

    Args:
        input_shape: Shape of one sample: (height, width, channels), (steps, channels) or
            (features,).
        outputs: Number of outputs, the logits.

    Raises:
        ValueError: If samples have another rank.
    """

    def __init__(self, input_shape, outputs):
        self._shape, self._outputs = tuple(input_shape), outputs
        if not 1 <= len(self._shape) <= 3:
            raise ValueError(
                "The default space has networks for images (height, width, channels), series "
                "(steps, channels) and features (features,): give space=, a function from "
                "keras_tuner.HyperParameters to a model. "
                f"Received: samples of shape {shown(self._shape)}"
            )

    def __call__(self, hp):
        """Returns a new student.

        Args:
            hp: `keras_tuner.HyperParameters`.
        """
        inputs = keras.Input(self._shape)
        x = self._dense(hp, inputs) if len(self._shape) == 1 else self._convolutions(hp, inputs)
        return keras.Model(inputs, keras.layers.Dense(self._outputs, name="logits")(x))

    def _dense(self, hp, x):
        units = hp.Choice("units", [8, 16, 32, 64, 128], default=32)
        for number in range(hp.Int("layers", 1, 3, default=2)):
            x = keras.layers.Dense(units, activation="relu", name=f"stage{number + 1}_out")(x)
        return x

    def _convolutions(self, hp, x):
        block = hp.Choice("block", ["plain", "separable"], default="separable")
        width = hp.Choice("width", list(_WIDTHS), default=8)
        strided = hp.Boolean("strided", default=False)
        side = min(self._shape[:-1]) // (2 if strided else 1)
        stages = hp.Int("stages", 1, _MOST_STAGES, default=3)
        growth = 1.0
        # One stage has none to grow to: two values would make the same student.
        with hp.conditional_scope("stages", list(range(2, _MOST_STAGES + 1))):
            if stages > 1:
                growth = hp.Choice("growth", [1.5, 2.0], default=2.0)
        depth = hp.Int("depth", 1, 3, default=1)
        residual = hp.Boolean("residual", default=True)
        keeps = hp.Boolean("keeps_positions", default=False)
        layers = _Layers(len(self._shape) - 1)
        x = layers.conv(x, width, 3, strides=2 if strided else 1)
        for stage in range(stages):
            if stage and side >= 2 * _SMALLEST_SIDE:
                x, side = layers.halved(x), side // 2
            channels = max(1, round(width * growth**stage))
            for number in range(depth):
                last = number == depth - 1
                name = f"stage{stage + 1}_out" if last else None
                x = layers.block(x, channels, block, residual, name)
        return layers.pooled(x, 2 if keeps else 1)


class _Layers:
    """Layers over one or two dimensions.

    Args:
        rank: Number of dimensions, 1 or 2.
    """

    def __init__(self, rank):
        self._rank = rank

    def _of(self, name):
        return getattr(keras.layers, f"{name}{self._rank}D")

    def conv(self, x, filters, kernel, strides=1, activate=True, name=None):
        x = self._of("Conv")(filters, kernel, strides=strides, padding="same", use_bias=False)(x)
        x = self._normalized(x)
        return keras.layers.ReLU(name=name)(x) if activate else x

    def depthwise(self, x):
        x = self._of("DepthwiseConv")(3, padding="same", use_bias=False)(x)
        return keras.layers.ReLU()(self._normalized(x))

    def _normalized(self, x):
        # With Keras's 0.99 the averages need some 500 updates, and a search has short trainings.
        return keras.layers.BatchNormalization(momentum=0.9)(x)

    def block(self, x, filters, kind, residual, name):
        before, adds = x, residual and x.shape[-1] == filters
        if kind == "separable":
            x = self.conv(
                self.depthwise(x), filters, 1, activate=not adds, name=None if adds else name
            )
        else:
            x = self.conv(x, filters, 3, activate=not adds, name=None if adds else name)
        return keras.layers.ReLU(name=name)(keras.layers.Add()([before, x])) if adds else x

    def halved(self, x):
        return self._of("MaxPooling")(2)(x)

    def pooled(self, x, parts):
        """Averages over space, or over each of some parts of it, and flattens."""
        # Not a GlobalAveragePooling: it converts to MEAN, which older runtimes lack.
        window = tuple(max(1, side // parts) for side in x.shape[1:-1])
        return keras.layers.Flatten()(self._of("AveragePooling")(window)(x))
