"""Scratch memory of CMSIS-NN, Arm's kernels for Cortex-M.

The Arduino libraries Chirale_TensorFLowLite and Harvard_TinyMLx have them built in, and TensorFlow
Lite Micro with `OPTIMIZED_KERNEL_DIR=cmsis_nn`. The sizes are those of CMSIS-NN's public functions
`arm_*_get_buffer_size` (17 June 2026, commit 4ab83cc) as TensorFlow Lite Micro calls them.
"""

from keras_distill.tflite.analysis import scratch
from keras_distill.tflite.analysis.convolution_geometry import geometry_of

# Channels that the vector kernel of a depthwise convolution takes at a time.
_VECTOR_BLOCK = 124
# A transposed convolution with more input channels and strides up to 2 runs as a convolution.
_REVERSIBLE_ABOVE = 16
# By how much the records of these operators are larger than those of the reference kernels.
_RECORDS = {
    "FULLY_CONNECTED": 16,
    "AVERAGE_POOL_2D": 16,
    "MAX_POOL_2D": 16,
    "BATCH_MATMUL": 32,
}


def buffers(operator):
    """Lists the scratch buffers of an operator on a Cortex-M4, M7 or M33.

    Args:
        operator: `Operator` of a graph.

    Returns:
        Tuple of bytes, one for each buffer.
    """
    return _buffers(operator, _DSP)


def older_buffers(operator):
    """Lists the scratch buffers with the CMSIS-NN of 2020 to 2023 that Arduino's libraries have.

    It had no kernels of their own for 3x3 depthwise and for strided 1x1 convolutions.

    Args:
        operator: `Operator` of a graph.

    Returns:
        Tuple of bytes, one for each buffer.
    """
    return _buffers(operator, _OLDER)


def vector_buffers(operator):
    """Lists the scratch buffers with the vector extension, of a Cortex-M55 or M85.

    Args:
        operator: `Operator` of a graph.

    Returns:
        Tuple of bytes, one for each buffer.
    """
    return _buffers(operator, _VECTOR)


def records(operator):
    """Returns what an operator keeps for good beyond what the reference kernels keep.

    Args:
        operator: `Operator` of a graph.

    Returns:
        Bytes.
    """
    return _RECORDS.get(operator.name, 0)


def older_records(operator):
    """Returns what an operator keeps for good with the CMSIS-NN that Arduino's libraries have.

    Args:
        operator: `Operator` of a graph.

    Returns:
        Bytes.
    """
    dense = _takes(operator, "FULLY_CONNECTED", "int8") and _runs_as_convolution(operator)
    scales = 2 * _rounded(4 * operator.outputs[0].shape[-1], 16) if dense else 0
    return records(operator) + scales


def vector_records(operator):
    """Returns what an operator keeps for good with the vector extension: sums of its weights.

    Args:
        operator: `Operator` of a graph.

    Returns:
        Bytes.
    """
    sums = 0
    if _takes(operator, "FULLY_CONNECTED", "int8") and not _runs_as_convolution(operator):
        sums = operator.outputs[0].shape[-1]
    elif _takes(operator, "SVDF", "int8"):
        sums = operator.inputs[1].shape[0]
    return records(operator) + _rounded(4 * sums, 16)


def _buffers(operator, kernels):
    data = _data(operator)
    rule = kernels.get((operator.name, data.dtype)) if data is not None else None
    if rule is None:
        return scratch.buffers(operator)
    return tuple(size for size in rule(operator) if size)


def _data(operator):
    position = 2 if operator.name == "TRANSPOSE_CONV" else 0
    return operator.inputs[position] if len(operator.inputs) > position else None


def _takes(operator, name, dtype):
    return operator.name == name and operator.inputs[0].dtype == dtype


def _rounded(count, step):
    return -(-count // step) * step


def _convolution(operator):
    """Two columns of the input, in 16 bits."""
    geometry = geometry_of(operator)
    return (0,) if geometry.is_pointwise else (4 * _rounded(geometry.window, 4),)


def _older_convolution(operator):
    geometry = geometry_of(operator)
    fast = geometry.is_pointwise and not geometry.has_strides and geometry.inputs % 4 == 0
    return (0,) if fast else (4 * geometry.window,)


def _convolution_16(operator):
    return (4 * geometry_of(operator).window,)


def _vector_convolution(operator):
    """Four columns of the input, in whole registers of 16 values."""
    geometry = geometry_of(operator)
    if geometry.is_pointwise:
        return (0,)
    return (_vector_row(geometry) or 4 * _rounded(geometry.window, 16),)


def _vector_row(geometry):
    """Returns the bytes of a convolution along a row; `None` where it isn't computed so."""
    side, channels = geometry.width, geometry.inputs
    is_row = geometry.height.input == geometry.height.kernel == 1 and side.dilation == 1
    if not is_row or side.stride * channels % 4 or channels != geometry.kernel_inputs:
        return None
    # The remainder as C has it: of the sign of the number.
    total = (side.output - 1) * side.stride + side.kernel - side.input
    odd = abs(total) % 2 * (1 if total >= 0 else -1)
    right = max(1, int((side.padding + odd + side.stride - 1) / side.stride))
    right = right if side.padding + odd else 0
    left = max(1, (side.padding + side.stride - 1) // side.stride) if side.padding else 0
    if right + left + max(side.output - right - left, 0) != side.output:
        return None
    before = side.padding * channels
    after = right * channels if odd else before
    return max(side.kernel * channels + before, (side.kernel - 1) * channels + after)


def _vector_convolution_16(operator):
    return (8 * _rounded(geometry_of(operator).window, 8),)


def _depthwise(operator):
    geometry = geometry_of(operator)
    sides = (geometry.height, geometry.width)
    if all(side.kernel == 3 and side.padding <= 1 for side in sides) or geometry.has_dilation:
        return (0,)
    return _older_depthwise(operator)


def _older_depthwise(operator):
    """One column of the input, in 16 bits, where no channel has several outputs."""
    geometry = geometry_of(operator)
    # That of 2020 didn't look at the dilation.
    return (2 * geometry.window if geometry.inputs == geometry.outputs else 0,)


def _vector_depthwise(operator):
    geometry = geometry_of(operator)
    if geometry.inputs == 1 and geometry.outputs > 1:
        # It runs as a convolution, of which it keeps a transposed copy of the weights.
        return (_vector_convolution(operator)[0] + geometry.window * geometry.outputs,)
    if geometry.inputs != geometry.outputs or geometry.has_dilation:
        return (0,)
    return (4 * _VECTOR_BLOCK * geometry.height.kernel * geometry.width.kernel,)


def _runs_as_convolution(operator):
    return len(operator.outputs[0].shape) > 2 and operator.inputs[1].shape[-1] % 4 == 0


def _dense(operator):
    """Scale and shift per output, where a dense layer of many positions runs as a convolution."""
    if _runs_as_convolution(operator) and len(operator.inputs[1].scales) == 1:
        return (8 * operator.outputs[0].shape[-1],)
    return (0,)


def _average(operator):
    """A sum per channel."""
    return (4 * operator.inputs[0].shape[-1],)


def _transposed(operator):
    return _transposed_with(operator, lambda window: 4 * _rounded(window, 4))


def _vector_transposed(operator):
    return _transposed_with(operator, lambda window: 4 * _rounded(window, 16))


def _transposed_with(operator, columns):
    geometry = geometry_of(operator)
    height, width = geometry.height, geometry.width
    if max(height.stride, width.stride) <= 2 and geometry.inputs > _REVERSIBLE_ABOVE:
        return (columns(geometry.window), geometry.window * geometry.outputs)
    # CMSIS-NN takes the stride of the height on both axes.
    row = (width.input - 1) * width.stride + max(width.kernel, height.stride)
    return (4 * row * geometry.outputs * max(height.kernel, height.stride),)


def _lstm(operator):
    return 3 * (scratch.of_lstm_cell(operator),)


def _vector_batch_matmul(operator):
    return (4 * operator.outputs[0].shape[-1],)


_OLDER = {
    ("CONV_2D", "int8"): _older_convolution,
    ("CONV_2D", "int16"): _convolution_16,
    ("DEPTHWISE_CONV_2D", "int8"): _older_depthwise,
    ("AVERAGE_POOL_2D", "int8"): _average,
    ("AVERAGE_POOL_2D", "int16"): _average,
}
_DSP = {
    **_OLDER,
    ("FULLY_CONNECTED", "int8"): _dense,
    ("CONV_2D", "int8"): _convolution,
    ("DEPTHWISE_CONV_2D", "int8"): _depthwise,
    ("TRANSPOSE_CONV", "int8"): _transposed,
    ("UNIDIRECTIONAL_SEQUENCE_LSTM", "int8"): _lstm,
    ("UNIDIRECTIONAL_SEQUENCE_LSTM", "int16"): _lstm,
}
_VECTOR = {
    ("CONV_2D", "int8"): _vector_convolution,
    ("CONV_2D", "int16"): _vector_convolution_16,
    ("DEPTHWISE_CONV_2D", "int8"): _vector_depthwise,
    ("FULLY_CONNECTED", "int8"): _dense,
    ("BATCH_MATMUL", "int8"): _vector_batch_matmul,
    ("TRANSPOSE_CONV", "int8"): _vector_transposed,
    ("UNIDIRECTIONAL_SEQUENCE_LSTM", "int8"): _lstm,
    ("UNIDIRECTIONAL_SEQUENCE_LSTM", "int16"): _lstm,
}
