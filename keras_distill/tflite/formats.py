"""Formats of an export: kinds of quantization, and targets."""

QUANTIZATIONS = (None, "float16", "dynamic", "int8", "int16x8")
TARGETS = ("mobile", "mcu", "arduino")


def quantization_of(graph):
    """Returns how a graph is quantized, one of `QUANTIZATIONS`.

    Args:
        graph: `Graph`.
    """
    dtype = graph.inputs[0].dtype
    if dtype in ("int8", "int16"):
        return "int8" if dtype == "int8" else "int16x8"
    constants = {
        tensor.dtype
        for operator in graph.operators
        for tensor in operator.inputs
        if tensor is not None and tensor.is_constant
    }
    if "float16" in constants:
        return "float16"
    return "dynamic" if "int8" in constants else None
