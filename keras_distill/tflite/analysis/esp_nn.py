"""Scratch memory of ESP-NN, Espressif's kernels for ESP32.

They are part of the ESP32 board package. The sizes are those of ESP-NN's functions
`esp_nn_get_*_scratch_size` (version 1.2.3, commit d45b843) as esp-tflite-micro calls them: on the
ESP32-S3, whose kernels copy inputs and weights into vectors, and the generic ones elsewhere.
"""

from keras_distill.tflite.analysis import scratch
from keras_distill.tflite.analysis.convolution_geometry import geometry_of

# Depthwise convolutions that take more are computed in strips.
_WHOLE_INPUT = 40 * 1024
_WHOLE_INPUT_16 = 48 * 1024


def buffers(operator):
    """Lists the scratch buffers of an operator on an ESP32.

    Args:
        operator: `Operator` of a graph.

    Returns:
        Tuple of bytes, one for each buffer.
    """
    return _of_softmax(operator) or scratch.buffers(operator)


def s3_buffers(operator):
    """Lists the scratch buffers of an operator on an ESP32-S3.

    Args:
        operator: `Operator` of a graph.

    Returns:
        Tuple of bytes, one for each buffer.
    """
    rule = {"CONV_2D": _convolution, "DEPTHWISE_CONV_2D": _depthwise}.get(operator.name)
    if rule is None or operator.inputs[0].dtype != "int8":
        return buffers(operator)
    return (rule(geometry_of(operator)),)


def _of_softmax(operator):
    if operator.name != "SOFTMAX" or operator.inputs[0].dtype != "int8":
        return ()
    shape = operator.inputs[0].shape
    return (4 * shape[1],) if len(shape) > 1 else ()


def _rounded(count, step):
    return -(-count // step) * step


def _overhang(side):
    """Returns how far the last position of the kernel reaches out of the input, at most."""
    return max(0, side.output * side.stride + side.kernel - 1 - side.input)


def _convolution(geometry):
    height, width, channels = geometry.height, geometry.width, geometry.inputs
    if height.kernel == width.kernel == 1 and not (geometry.has_padding or geometry.has_strides):
        return _pointwise(geometry)
    row = width.kernel * channels
    if row < 16 <= geometry.window:
        # Sums of the weights, and weights and one column of the input in whole vectors.
        return 4 * geometry.outputs + (geometry.outputs + 1) * _rounded(geometry.window, 16) + 96
    padded = (height.input + 2 * height.padding) * (width.input + 2 * width.padding)
    weights = height.kernel * width.kernel * _rounded(channels, 16) * geometry.outputs
    rows = _rounded(row, 16) * height.kernel * geometry.outputs
    below, right = _overhang(height), _overhang(width)
    beyond = (height.input + below) * (width.input + right) if below or right else 0
    inputs = (padded if geometry.has_padding else 0) + beyond
    return inputs * channels + weights + rows + 64 + 4 * geometry.outputs


def _pointwise(geometry):
    positions = geometry.height.input * geometry.width.input
    wide = _rounded(geometry.inputs, 8)
    copied = positions * wide if geometry.inputs % 8 else 0
    transposed = 16 * wide if positions >= 8 else 0
    return copied + wide * geometry.outputs + transposed + 64


def _depthwise(geometry):
    channels, multiplier = geometry.inputs, geometry.outputs // geometry.inputs
    positions = geometry.height.input * geometry.width.input
    weights = geometry.height.kernel * geometry.width.kernel * channels * multiplier
    if multiplier == 1 and channels % 8 == 0:
        if geometry.height.kernel == geometry.width.kernel == 3:
            return _depthwise_3x3(geometry, weights, positions)
        whole = 2 * (weights + positions * channels)
        strip = 2 * (weights + geometry.width.input * geometry.height.kernel * channels)
        return 32 + (whole if whole <= _WHOLE_INPUT_16 else strip)
    if multiplier == 1 and channels > 3:
        return _padded_depthwise(geometry, positions)
    return 32 + (2 * (weights + positions * channels) if multiplier % 4 == 0 else 0)


def _depthwise_3x3(geometry, weights, positions):
    height, width, channels = geometry.height, geometry.width, geometry.inputs
    if channels == 8:
        return 2 * (weights + positions * channels) + 32
    if channels % 16:
        wide = _rounded(channels, 16)
        sides = [side.input + 2 * side.padding + _overhang(side) for side in (height, width)]
        outputs = height.output * width.output
        return (9 + sides[0] * sides[1] + outputs) * wide + 64
    if geometry.has_padding:
        rows, columns = (side.input + 2 * side.padding for side in (height, width))
    else:
        rows, columns = (side.output * side.stride + 2 for side in (height, width))
    if (rows, columns) == (height.input, width.input):
        return weights + 16
    whole = rows * columns * channels
    return weights + 16 + (whole if whole <= _WHOLE_INPUT else 3 * columns * channels)


def _padded_depthwise(geometry, positions):
    """Everything in channels of a multiple of 8, one after the other at multiples of 16."""
    wide = _rounded(geometry.inputs, 8)
    parts = (
        2 * geometry.height.kernel * geometry.width.kernel * wide,
        2 * positions * wide,
        geometry.height.output * geometry.width.output * wide,
    )
    return sum(_rounded(part, 16) for part in parts) + 3 * 4 * wide + 16
