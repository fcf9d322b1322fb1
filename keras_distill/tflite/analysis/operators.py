"""The operators that TensorFlow Lite Micro can run, now and in the older Arduino forks."""

# Those of the forks of 2022 and 2023 that the Arduino library manager serves.
ARDUINO = frozenset(
    """
    ABS ADD ADD_N ARG_MAX ARG_MIN AVERAGE_POOL_2D BATCH_TO_SPACE_ND CAST CEIL CONCATENATION CONV_2D
    COS CUMSUM DEPTH_TO_SPACE DEPTHWISE_CONV_2D DEQUANTIZE ELU EQUAL EXP EXPAND_DIMS FILL FLOOR
    FLOOR_DIV FLOOR_MOD FULLY_CONNECTED GATHER GATHER_ND GREATER GREATER_EQUAL HARD_SWISH IF
    L2_NORMALIZATION L2_POOL_2D LEAKY_RELU LESS LESS_EQUAL LOG LOGICAL_AND LOGICAL_NOT LOGICAL_OR
    LOGISTIC MAXIMUM MAX_POOL_2D MEAN MINIMUM MUL NEG NOT_EQUAL PACK PAD PADV2 PRELU QUANTIZE
    REDUCE_MAX RELU RELU6 RESHAPE RESIZE_BILINEAR RESIZE_NEAREST_NEIGHBOR ROUND RSQRT SHAPE SIN
    SOFTMAX SPACE_TO_BATCH_ND SPACE_TO_DEPTH SPLIT SPLIT_V SQUEEZE SQRT SQUARE STRIDED_SLICE SUB
    SVDF TANH TRANSPOSE_CONV TRANSPOSE UNPACK ZEROS_LIKE
    """.split()
)

# Those of Harvard_TinyMLx, whose TensorFlow Lite Micro is of 2020.
HARVARD = frozenset(
    """
    ABS ADD ARG_MAX ARG_MIN AVERAGE_POOL_2D CEIL CONCATENATION CONV_2D COS DEPTHWISE_CONV_2D
    DEQUANTIZE EQUAL FLOOR FULLY_CONNECTED GREATER GREATER_EQUAL HARD_SWISH L2_NORMALIZATION LESS
    LESS_EQUAL LOG LOGICAL_AND LOGICAL_NOT LOGICAL_OR LOGISTIC MAXIMUM MAX_POOL_2D MEAN MINIMUM MUL
    NEG NOT_EQUAL PACK PAD PADV2 PRELU QUANTIZE REDUCE_MAX RELU RELU6 RESHAPE
    RESIZE_NEAREST_NEIGHBOR ROUND RSQRT SIN SOFTMAX SPLIT SPLIT_V SQRT SQUARE STRIDED_SLICE SUB SVDF
    TANH UNPACK
    """.split()
)

MICRO = ARDUINO | frozenset(
    """
    ASSIGN_VARIABLE BATCH_MATMUL BROADCAST_ARGS BROADCAST_TO CALL_ONCE DIV EMBEDDING_LOOKUP
    LOG_SOFTMAX MIRROR_PAD READ_VARIABLE SELECT_V2 SLICE SQUARED_DIFFERENCE SUM
    UNIDIRECTIONAL_SEQUENCE_LSTM VAR_HANDLE WHILE
    """.split()
)

BY_TARGET = {"mobile": None, "mcu": MICRO, "arduino": ARDUINO}

_IRREGULAR = {
    "BATCH_MATMUL": "AddBatchMatMul",
    "CUMSUM": "AddCumSum",
    "PADV2": "AddPadV2",
    "UNIDIRECTIONAL_SEQUENCE_LSTM": "AddUnidirectionalSequenceLSTM",
}


def resolver_method(operator):
    """Returns the method of `MicroMutableOpResolver` that adds a builtin operator.

    Args:
        operator: Builtin name, such as `"CONV_2D"`.

    Raises:
        ValueError: If TensorFlow Lite Micro has no such operator.

    Example:

    ```python
    assert resolver_method("DEPTHWISE_CONV_2D") == "AddDepthwiseConv2D"
    ```
    """
    if operator not in MICRO:
        raise ValueError(f"TensorFlow Lite Micro has no operator {operator!r}.")
    parts = [part if part[0].isdigit() else part.capitalize() for part in operator.split("_")]
    return _IRREGULAR.get(operator, "Add" + "".join(parts))
