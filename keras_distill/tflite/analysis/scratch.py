"""Scratch memory of TensorFlow Lite Micro's own kernels.

A kernel asks for scratch buffers when it is prepared. They lie in the arena while its operator
runs, between the tensors that live then. Sources: the `Prepare` functions of
tensorflow/lite/micro/kernels, 20 August 2026.
"""

_REDUCTIONS = ("MEAN", "SUM", "REDUCE_MAX", "REDUCE_MIN", "REDUCE_ALL")
_POINTER = _INT = 4


def buffers(operator):
    """Lists the scratch buffers of an operator on a 32-bit device, with the reference kernels.

    Args:
        operator: `Operator` of a graph.

    Returns:
        Tuple of bytes, one for each buffer.
    """
    if operator.name in _REDUCTIONS:
        return _of_reduction(operator)
    if operator.name == "SVDF":
        return of_svdf(operator)
    if operator.name == "TRANSPOSE_CONV":
        return of_transposed_convolution(operator)
    if operator.name == "UNIDIRECTIONAL_SEQUENCE_LSTM":
        return 4 * (of_lstm_cell(operator),)
    if operator.name == "MIRROR_PAD":
        return 2 * (_INT * len(operator.inputs[0].shape),)
    if operator.name == "ADD_N":
        return (_POINTER * len(operator.inputs),)
    return ()


def _of_reduction(operator):
    """An accumulator per output value in integers, a position, and the axes."""
    data, axes = operator.inputs[0], operator.inputs[1]
    indices = (_INT * len(data.shape), _INT * axes.size)
    sums = operator.name in ("MEAN", "SUM") and data.dtype in ("int8", "int16")
    return (_INT * operator.outputs[0].size, *indices) if sums else indices


def of_svdf(operator):
    """Returns the buffers of the operator SVDF: its filters, and in integers its units.

    Args:
        operator: `Operator` named `"SVDF"`.
    """
    batch, filters = operator.inputs[0].shape[0], operator.inputs[1].shape[0]
    units = filters // operator.options.rank
    is_float = operator.inputs[0].dtype == "float32"
    return tuple(4 * batch * count for count in ((filters,) if is_float else (filters, units)))


def of_transposed_convolution(operator):
    """Returns the buffers of a transposed convolution in integers: an accumulator per value.

    Args:
        operator: `Operator` named `"TRANSPOSE_CONV"`.
    """
    width = {"int8": 4, "int16": 8}.get(operator.inputs[2].dtype, 0)
    return (width * operator.outputs[0].size,) if width else ()


def of_lstm_cell(operator):
    """Returns the bytes of one state of an LSTM.

    Args:
        operator: `Operator` named `"UNIDIRECTIONAL_SEQUENCE_LSTM"`.
    """
    # The nineteenth and twentieth inputs are the output state and the cell state.
    cell = operator.inputs[19]
    return cell.bytes
