"""Consistency of a parsed TensorFlow Lite file, on which later code relies."""

import collections

import numpy as np

from keras_distill.tflite.analysis.flatbuffer import DamagedError

_VERSION = 3
# Bits of an element; 0 where the size isn't in the type.
BITS = {
    **dict.fromkeys(("string", "resource", "variant"), 0),
    "int2": 2,
    **dict.fromkeys(("int4", "uint4"), 4),
    **dict.fromkeys(("bool", "int8", "uint8", "float8_e4m3fn", "float8_e5m2"), 8),
    **dict.fromkeys(("int16", "uint16", "float16", "bfloat16"), 16),
    **dict.fromkeys(("int32", "uint32", "float32"), 32),
    **dict.fromkeys(("int64", "uint64", "float64", "complex64"), 64),
    "complex128": 128,
}
_Needs = collections.namedtuple("_Needs", "inputs rank_of rank options", defaults=(None, 0, None))
# What this library reads from operators: number of inputs, the rank of one of them, the options.
_NEEDS = {
    "BATCH_MATMUL": _Needs(2, 0, 2, "BatchMatMulOptionsT"),
    "CONV_2D": _Needs(2, 1, 4),
    "DEPTHWISE_CONV_2D": _Needs(2, 1, 4),
    "FULLY_CONNECTED": _Needs(2, 1, 1),
    "RELU6": _Needs(1),
    "RESHAPE": _Needs(1),
    "SOFTMAX": _Needs(1, options="SoftmaxOptionsT"),
    "TRANSPOSE_CONV": _Needs(3, 1, 4),
}


def check(model, builtin_names, type_names):
    """Checks numbers that refer to something else, and sizes that must agree.

    Args:
        model: `ModelT` of the schema.
        builtin_names: Dictionary from the number of a builtin operator to its name.
        type_names: Dictionary from the number of a type to its name.

    Raises:
        DamagedError: If one doesn't; the message names the tensor or operator.
    """
    _demand(model.version == _VERSION, f"its version is {model.version}, not {_VERSION}")
    _demand(model.subgraphs, "it has no graph")
    buffers = model.buffers or []
    for entry in model.metadata or []:
        _demand(entry.name is not None, "an entry of its metadata has no name")
        _demand(
            entry.buffer < len(buffers),
            f"its metadata {entry.name.decode(errors='replace')!r} has no buffer",
        )
    names = [_operator_name(code, builtin_names) for code in model.operatorCodes or []]
    for subgraph in model.subgraphs:
        for tensor in _listed(subgraph.tensors):
            _check_tensor(tensor, buffers, type_names)
        for operator in _listed(subgraph.operators):
            _check_operator(operator, names, _listed(subgraph.tensors))
        for side in ("inputs", "outputs"):
            for index in _listed(getattr(subgraph, side)):
                _check_index(index, subgraph, f"its {side}")
    for side in ("inputs", "outputs"):
        _demand(len(_listed(getattr(model.subgraphs[0], side))), f"it has no {side}")
    for signature in _listed(model.signatureDefs):
        _check_signature(signature, model.subgraphs)


def _demand(condition, otherwise):
    if not condition:
        raise DamagedError(otherwise)


def _listed(values):
    return [] if values is None else values


def _operator_name(code, builtin_names):
    number = max(code.builtinCode, code.deprecatedBuiltinCode)
    _demand(number in builtin_names, f"its schema has no operator of the number {number}")
    is_named = builtin_names[number] != "CUSTOM" or code.customCode is not None
    _demand(is_named, "a custom operator has no name")
    return builtin_names[number]


def _check_tensor(tensor, buffers, type_names):
    name = f"the tensor {(tensor.name or b'').decode(errors='replace')!r}"
    _demand(tensor.type in type_names, f"{name} is of an unknown type, {tensor.type}")
    dtype, shape = type_names[tensor.type], [int(side) for side in _listed(tensor.shape)]
    _demand(all(side >= 0 for side in shape), f"{name} has the shape {shape}")
    _demand(tensor.buffer < len(buffers), f"{name} has no buffer")
    data = buffers[tensor.buffer].data
    if data is not None and len(data) and tensor.sparsity is None and BITS[dtype]:
        expected = -(-int(np.prod(shape, dtype=object)) * BITS[dtype] // 8)
        held = f"{name} of type {dtype} and shape {shape} has {len(data)} bytes"
        _demand(len(data) == expected, f"{held}, not {expected}")
    if tensor.quantization is not None:
        _check_scales(tensor.quantization, name, dtype, shape)


def _check_scales(quantization, name, dtype, shape):
    scales, zeros = _listed(quantization.scale), _listed(quantization.zeroPoint)
    counts = f"{len(scales)} scales and {len(zeros)} zero points"
    _demand(not len(scales) or len(zeros) in (0, len(scales)), f"{name} has {counts}")
    if len(scales) > 1:
        axis = quantization.quantizedDimension
        # Published files give biases the axis of their weights.
        axis = 0 if len(shape) == 1 else axis
        fits = 0 <= axis < len(shape) and shape[axis] == len(scales)
        _demand(fits, f"{name} of shape {shape} has {counts} along axis {axis}")
    if len(scales) and len(zeros) and dtype in ("int8", "uint8", "int16"):
        limits = np.iinfo(dtype)
        within = limits.min <= zeros.min() and zeros.max() <= limits.max
        _demand(within, f"{name} of type {dtype} has a zero point beyond that type")


def _check_operator(operator, names, tensors):
    known = operator.opcodeIndex < len(names)
    _demand(known, f"it has no operator code {operator.opcodeIndex}")
    name, needs = names[operator.opcodeIndex], _NEEDS.get(names[operator.opcodeIndex])
    inputs, outputs = _listed(operator.inputs), _listed(operator.outputs)
    for indices, least in ((inputs, -1), (outputs, 0)):
        within = all(least <= index < len(tensors) for index in indices)
        _demand(within, f"an operator {name} has tensors that aren't there")
    if needs is None:
        return
    complete = len(inputs) >= needs.inputs and all(i >= 0 for i in inputs[: needs.inputs])
    _demand(complete and len(outputs), f"an operator {name} lacks inputs or outputs")
    if needs.rank_of is not None:
        shape = _listed(tensors[inputs[needs.rank_of]].shape)
        is_exact = needs.rank == len(shape) or (needs.rank < 4 and needs.rank < len(shape))
        _demand(is_exact, f"an operator {name} has an input of {len(shape)} axes")
    kind = type(operator.builtinOptions).__name__
    _demand(needs.options in (None, kind), f"an operator {name} has the options of another")


def _check_index(index, subgraph, what):
    within = 0 <= index < len(_listed(subgraph.tensors))
    _demand(within, f"{what} have tensors that aren't there")


def _check_signature(signature, subgraphs):
    within = signature.subgraphIndex < len(subgraphs)
    _demand(within, "a signature is of a graph that isn't there")
    for side in ("inputs", "outputs"):
        ends = [int(index) for index in _listed(getattr(subgraphs[signature.subgraphIndex], side))]
        for end in _listed(getattr(signature, side)):
            named = end.name is not None and end.tensorIndex in ends
            _demand(named, f"the {side} of a signature aren't those of its graph")
