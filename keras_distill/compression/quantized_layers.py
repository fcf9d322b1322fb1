"""Quantized layers: they train with the rounding that int8 has on the device."""

from typing import Any

import keras
from keras import ops

from keras_distill._compat import causal_padding
from keras_distill.arguments import check_flag
from keras_distill.compression.compressed_kernel import nonzero
from keras_distill.features.substitute_weights import SubstituteWeights

# Smaller ranges than this would make scales that int8 arithmetic can't represent.
_SMALLEST_RANGE = 1e-6
_MOMENTUM = 0.99
# As many updates as that momentum remembers: what a range from calibration counts for.
_CALIBRATED = 1.0 / (1.0 - _MOMENTUM)


def round_kernel(kernel, per_channel=True, channel_axes=1):
    """Rounds a kernel to the values that 8 bits can hold, symmetric around zero.

    Args:
        kernel: Tensor that ends in its channels.
        per_channel: Whether each channel has a scale of its own.
        channel_axes: Number of axes at the end that are channels.

    Returns:
        Tensor of the same shape, whose gradient is that of `kernel`.
    """
    shape = kernel.shape
    kernel = ops.reshape(kernel, (*shape[: len(shape) - channel_axes], -1))
    axes = tuple(range(len(kernel.shape) - 1)) if per_channel else None
    largest = ops.max(ops.abs(ops.stop_gradient(kernel)), axis=axes)
    largest = ops.maximum(largest, _SMALLEST_RANGE)
    rounded = keras.quantizers.fake_quant_with_min_max_vars(
        kernel,
        -largest,
        largest,
        num_bits=8,
        narrow_range=True,
        axis=-1 if per_channel else None,
    )
    return ops.reshape(rounded, shape)


class _RoundedKernel:
    """Call with the kernel rounded to 8 bits, for a class of Keras that it comes before.

    Args:
        *args: Arguments of the layer's own class.
        keeps_zeros: Whether weights that are zero stay zero in training.
        **kwargs: Arguments of the layer's own class.
    """

    _per_channel = True
    _channel_axes = 1

    def __init__(self, *args: Any, keeps_zeros: bool = False, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self.keeps_zeros = check_flag("keeps_zeros", keeps_zeros)

    def call(self, inputs):
        """Returns what the layer returns, with the rounded kernel."""
        kernel = round_kernel(self._kept_kernel(), self._per_channel, self._channel_axes)
        layer_class = super(_RoundedKernel, type(self))
        return layer_class.call(SubstituteWeights(self, kernel, self.bias), inputs)

    def _kept_kernel(self):
        """Returns the kernel, through which no gradient comes to zeros that are kept."""
        kernel = ops.convert_to_tensor(self.kernel)
        return kernel * nonzero(kernel) if self.keeps_zeros else kernel

    def get_config(self):
        """Returns the constructor's arguments."""
        return {**super().get_config(), "keeps_zeros": self.keeps_zeros}


@keras.saving.register_keras_serializable("keras_distill")
class QuantizedConv1D(_RoundedKernel, keras.layers.Conv1D):
    """`Conv1D` whose kernel is rounded to 8 bits, each output channel with its own scale."""

    def call(self, inputs: Any) -> Any:
        """Returns what the layer returns, with the rounded kernel."""
        padding = self.padding
        if padding == "causal":
            inputs, padding = ops.pad(inputs, causal_padding(self)), "valid"
        # As a convolution of planes of height 1: the converter reads no scale per channel through
        # the axis that it would add to the kernel itself.
        outputs = ops.conv(
            ops.expand_dims(inputs, 1),
            round_kernel(self._kept_kernel()[None]),
            strides=[1, *self.strides],
            padding=padding,
            dilation_rate=[1, *self.dilation_rate],
        )
        if self.bias is not None:
            outputs = outputs + self.bias
        return ops.squeeze(self.activation(outputs), 1)


@keras.saving.register_keras_serializable("keras_distill")
class SequenceNormalization(keras.layers.BatchNormalization):
    """`BatchNormalization` of sequences, computed on planes of height 1 as `QuantizedConv1D` is.

    The converter then fuses both into one operator.
    """

    def build(self, input_shape):
        """Creates the weights for inputs of shape `(batch, steps, channels)`."""
        self.axis = -1
        super().build((input_shape[0], 1, *input_shape[1:]))
        self.input_spec = keras.layers.InputSpec(ndim=3, axes={-1: input_shape[-1]})

    def call(self, inputs, training=None, mask=None):
        """Returns the normalized inputs."""
        mask = None if mask is None else mask[:, None]
        outputs = super().call(ops.expand_dims(inputs, 1), training=training, mask=mask)
        return ops.squeeze(outputs, 1)


@keras.saving.register_keras_serializable("keras_distill")
class QuantizedConv2D(_RoundedKernel, keras.layers.Conv2D):
    """`Conv2D` whose kernel is rounded to 8 bits, each output channel with its own scale."""


@keras.saving.register_keras_serializable("keras_distill")
class QuantizedDepthwiseConv2D(_RoundedKernel, keras.layers.DepthwiseConv2D):
    """`DepthwiseConv2D` whose kernel is rounded to 8 bits, each channel with its own scale."""

    _channel_axes = 2


@keras.saving.register_keras_serializable("keras_distill")
class QuantizedDense(_RoundedKernel, keras.layers.Dense):
    """`Dense` whose kernel is rounded to 8 bits with one scale, as every interpreter reads it."""

    _per_channel = False


@keras.saving.register_keras_serializable("keras_distill")
class ActivationRange(keras.layers.Layer):
    """Rounding of activations to 8 bits, over a range that training learns.

    The range is a moving average of the batches' smallest and largest values; the first batch, or
    calibration, sets it. Zero is always in it, as padding needs it.

    Args:
        **kwargs: Arguments of `keras.layers.Layer`.
    """

    # What the export looks for.
    holds_range = True

    def __init__(self, **kwargs: Any):
        super().__init__(**kwargs)
        self.supports_masking = True
        self.is_calibrating = False

    def build(self, input_shape: Any) -> None:
        """Creates the range."""
        for name, start in (("minimum", -6.0), ("maximum", 6.0), ("updates", 0.0)):
            weight = self.add_weight(
                shape=(),
                initializer=keras.initializers.Constant(start),
                dtype="float32",
                trainable=False,
                aggregation="mean",
                name=name,
            )
            setattr(self, name, weight)

    def call(self, inputs: Any, training: Any = None) -> Any:
        """Returns the rounded inputs."""
        ends = (self.minimum, self.maximum)
        if self.is_calibrating:
            ends = self._widen(inputs)
        elif training:
            ends = self._learn(inputs)
        low, high = (ops.stop_gradient(ops.convert_to_tensor(end)) for end in ends)
        return keras.quantizers.fake_quant_with_min_max_vars(inputs, low, high, num_bits=8)

    def _learn(self, inputs):
        """Moves the range towards that of a batch."""
        lowest, highest = _range_of(inputs)
        momentum = ops.minimum(_MOMENTUM, self.updates / (self.updates + 1.0))
        minimum = momentum * self.minimum + (1.0 - momentum) * lowest
        maximum = momentum * self.maximum + (1.0 - momentum) * highest
        return self._assign(minimum, maximum, self.updates + 1.0)

    def _widen(self, inputs):
        """Widens the range until a batch fits in."""
        lowest, highest = _range_of(inputs)
        is_first = ops.equal(self.updates, 0.0)
        minimum = ops.where(is_first, lowest, ops.minimum(self.minimum, lowest))
        maximum = ops.where(is_first, highest, ops.maximum(self.maximum, highest))
        return self._assign(minimum, maximum, _CALIBRATED)

    def _assign(self, minimum, maximum, updates):
        self.minimum.assign(minimum)
        self.maximum.assign(maximum)
        self.updates.assign(updates)
        return minimum, maximum

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Returns the shape of the inputs."""
        return input_shape


def _range_of(inputs):
    """Smallest and largest value, zero among them, and never one number alone."""
    values = ops.cast(ops.stop_gradient(inputs), "float32")
    lowest = ops.minimum(ops.min(values), 0.0)
    return lowest, ops.maximum(ops.max(values), ops.maximum(lowest + _SMALLEST_RANGE, 0.0))
