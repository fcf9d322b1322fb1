"""Operators of TensorFlow Lite Micro and the types that each takes, per library.

Read from the kernels' sources, with CMSIS-NN's where a library has them:

- tflm: tensorflow/tflite-micro, commit 90b983c2 of 20 August 2026;
- chirale: Chirale_TensorFLowLite 2.0.0, commit 46da2f98 of 5 July 2024;
- harvard: Harvard_TinyMLx 1.2.4, commit 2e829a70 of 9 December 2025, whose TensorFlow is 2.4.
"""

# NumPy's character of each type; "*" stands for all, "-" for a library without the operator.
_TABLE = """
operator                      tflm    chirale harvard
ABS                           fbh     fbh     f
ADD                           fbhi    fbh     fb
ADD_N                         fb      fb      -
ARG_MAX                       fb      fb      fb
ARG_MIN                       fb      fb      fb
ASSIGN_VARIABLE               *       *       -
AVERAGE_POOL_2D               fbh     fb      fb
BATCH_MATMUL                  fbh     -       -
BATCH_TO_SPACE_ND             fb      fb      -
BROADCAST_ARGS                iq      iq      -
BROADCAST_TO                  *       *       -
CALL_ONCE                     *       *       -
CAST                          fbhiI?  fbhi    -
CEIL                          f       f       f
CIRCULAR_BUFFER               b       b       b
CONCATENATION                 fbhiq?  fbhiq?  fbiq
CONV_2D                       fbh     fbh     fb
COS                           f       f       f
CUMSUM                        fb      fb      -
DEPTH_TO_SPACE                fb      fb      -
DEPTHWISE_CONV_2D             fbh     fbh     fb
DEQUANTIZE                    bhB     bhB     bhB
DIV                           fbi     fb      -
DYNAMIC_UPDATE_SLICE          fbhi    -       -
ELU                           fb      fb      -
EMBEDDING_LOOKUP              fb      -       -
EQUAL                         fbiq?   fbiq?   fbiq?
EXP                           f       f       -
EXPAND_DIMS                   fbh     fb      -
FILL                          fbi     fbi     -
FLOOR                         f       f       f
FLOOR_DIV                     f       f       -
FLOOR_MOD                     f       f       -
FULLY_CONNECTED               fbh     fbh     fb
GATHER                        fb      fb      -
GATHER_ND                     fb      fb      -
GREATER                       fbhiq   fbiq    fbiq
GREATER_EQUAL                 fbiq    fbiq    fbiq
HARD_SWISH                    fb      fb      fb
IF                            ?       ?       -
L2_NORMALIZATION              fb      fb      fb
L2_POOL_2D                    f       f       -
LEAKY_RELU                    fbh     fbh     -
LESS                          fbiq    fbiq    fbiq
LESS_EQUAL                    fbiq    fbiq    fbiq
LOG                           f       f       f
LOGICAL_AND                   ?       ?       ?
LOGICAL_NOT                   ?       ?       ?
LOGICAL_OR                    ?       ?       ?
LOGISTIC                      fbh     fbh     fb
LOG_SOFTMAX                   fb      fb      -
MAXIMUM                       fbhiq   fbiq    fbiq
MAX_POOL_2D                   fbh     fb      fb
MEAN                          fbh     fbh     fb
MINIMUM                       fbhiq   fbiq    fbiq
MIRROR_PAD                    fb      fb      -
MUL                           fbhi    fbhi    fb
NEG                           f       f       f
NOT_EQUAL                     fbiq?   fbiq?   fbiq?
PACK                          fbhiq   fbiq    fbiq
PAD                           fbhi    fbhi    fbi
PADV2                         fbhi    fbhi    fbi
PRELU                         fbh     fb      fb
QUANTIZE                      fbhiB   fbhiB   fbh
READ_VARIABLE                 *       *       -
REDUCE_ALL                    ?       -       -
REDUCE_MAX                    fb      fb      fb
REDUCE_MIN                    fb      -       -
RELU                          fbh     fb      fb
RELU6                         fbh     fb      fb
RESHAPE                       *       *       *
RESIZE_BILINEAR               fb      fb      -
RESIZE_NEAREST_NEIGHBOR       fbh     fbh     fb
REVERSE_V2                    fbhiqB? -       -
ROUND                         f       f       f
RSQRT                         fbh     fb      f
SELECT_V2                     fbh     fbh     -
SHAPE                         *       *       *
SIN                           f       f       f
SLICE                         fbhi?   fbhi    -
SOFTMAX                       fbh     fbh     fbh
SPACE_TO_BATCH_ND             fb      fb      -
SPACE_TO_DEPTH                fb      fb      -
SPLIT                         fbhi    fbhi    fbhi
SPLIT_V                       fbhi    fbhi    fbhi
SQRT                          f       f       f
SQUARE                        f       f       f
SQUARED_DIFFERENCE            fbhi    fbi     -
SQUEEZE                       *       *       -
STRIDED_SLICE                 fbhi?   fbhi?   fb
SUB                           fbhi    fbh     fb
SUM                           fbh     fbh     -
SVDF                          fb      fb      fb
TANH                          fbh     fbh     fbh
TRANSPOSE                     fbh     fb      -
TRANSPOSE_CONV                fbh     fbh     -
UNIDIRECTIONAL_SEQUENCE_LSTM  fbh     fb      -
UNPACK                        fbhi    fbi     fbi
VAR_HANDLE                    *       *       -
WHILE                         *       *       -
ZEROS_LIKE                    fbiq    fbiq    -
SignalDelay                         *       -       -
SignalEnergy                        *       -       -
SignalFftAutoScale                  *       -       -
SignalFilterBank                    *       -       -
SignalFilterBankLog                 *       -       -
SignalFilterBankSpectralSubtraction *       -       -
SignalFilterBankSquareRoot          *       -       -
SignalFramer                        *       -       -
SignalIrfft                         *       -       -
SignalOverlapAdd                    *       -       -
SignalPCAN                          *       -       -
SignalRfft                          *       -       -
SignalStacker                       *       -       -
SignalWindow                        *       -       -
TFLM_DECODE                         *       -       -
TFLite_Detection_PostProcess        *       *       *
"""
_TYPES = {
    "f": "float32",
    "b": "int8",
    "h": "int16",
    "i": "int32",
    "q": "int64",
    "B": "uint8",
    "I": "uint32",
    "?": "bool",
}
# Where the tensor stands whose type is meant, if it isn't the first input.
_DATA = {"EMBEDDING_LOOKUP": 1, "FILL": 1, "SELECT_V2": 1, "SPLIT": 1, "TRANSPOSE_CONV": 2}
# What all libraries want of another tensor.
_INDICES = {"GATHER": 1, "GATHER_ND": 1}
_RESULTS = {"ARG_MAX": "i", "ARG_MIN": "i", "SHAPE": "i"}

_IRREGULAR = {
    "BATCH_MATMUL": "AddBatchMatMul",
    "CUMSUM": "AddCumSum",
    "PADV2": "AddPadV2",
    "TFLM_DECODE": "AddDecode",
    "TFLite_Detection_PostProcess": "AddDetectionPostprocess",
    "UNIDIRECTIONAL_SEQUENCE_LSTM": "AddUnidirectionalSequenceLSTM",
}


def _column(library):
    """Returns what a library takes: a dictionary from operator to `None` or names of types."""
    head, *rows = (line.split() for line in _TABLE.split("\n") if line)
    place = head.index(library)
    return {row[0]: _dtypes(row[place]) for row in rows if row[place] != "-"}


def _dtypes(characters):
    return None if characters == "*" else tuple(_TYPES[character] for character in characters)


# From the name of an operator, builtin or TensorFlow Lite Micro's own custom one, to the types that
# it takes; `None` for all.
MICRO = _column("tflm")
ARDUINO = _column("chirale")
HARVARD = _column("harvard")

BY_TARGET = {"mobile": None, "mcu": MICRO, "arduino": ARDUINO}


def foreign_tensor(operator, kernels):
    """Returns a tensor of an operator whose type its kernel doesn't take, and what it takes.

    Args:
        operator: `Operator` that `kernels` holds.
        kernels: Dictionary from the name of an operator to the types that it takes.

    Returns:
        Tuple of a `Tensor` and names of types, or `None` if all are taken.
    """
    wanted = [(operator.inputs, _DATA.get(operator.name, 0), kernels[operator.name])]
    if operator.name in _INDICES:
        wanted.append((operator.inputs, _INDICES[operator.name], _dtypes("i")))
    if operator.name in _RESULTS:
        wanted.append((operator.outputs, 0, _dtypes(_RESULTS[operator.name])))
    if operator.name == "CAST":
        wanted.append((operator.outputs, 0, tuple(t for t in kernels["CAST"] if t != "bool")))
    for tensors, place, dtypes in wanted:
        tensor = tensors[place] if place < len(tensors) else None
        if tensor is not None and dtypes is not None and tensor.dtype not in dtypes:
            return tensor, dtypes
    return None


def resolver_method(operator):
    """Returns the method of `MicroMutableOpResolver` that adds an operator.

    Args:
        operator: Builtin name, such as `"CONV_2D"`, or that of a custom operator which TensorFlow
            Lite Micro has, such as `"SignalRfft"`.

    Raises:
        ValueError: If TensorFlow Lite Micro has no such operator.

    Example:

    ```python
    assert resolver_method("DEPTHWISE_CONV_2D") == "AddDepthwiseConv2D"
    ```
    """
    if operator not in MICRO:
        raise ValueError(f"TensorFlow Lite Micro has no operator {operator!r}.")
    if operator.startswith("Signal"):
        return operator.replace("Signal", "Add", 1)
    parts = [part if part[0].isdigit() else part.capitalize() for part in operator.split("_")]
    return _IRREGULAR.get(operator, "Add" + "".join(parts))
