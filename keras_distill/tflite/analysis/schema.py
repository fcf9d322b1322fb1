"""Parser of TensorFlow Lite files: graph, operators, tensors."""

import dataclasses
import functools
import math
import struct
from typing import Any

import flatbuffers
import numpy as np

from keras_distill.tflite.analysis import flatbuffer, integrity
from keras_distill.tflite.analysis.flatbuffer import DamagedError

# Operators that turn logits into probabilities.
PROBABILITIES = ("SOFTMAX", "LOGISTIC")


@dataclasses.dataclass(frozen=True)
class Tensor:
    """One tensor of the graph.

    Args:
        name: Name, which usually tells the Keras layer.
        shape: Sizes; the batch is 1 in every model that this library exports.
        is_dynamic: Whether an axis behind the batch is only known at run time. An open batch is
            fixed to the size in `shape` by all that doesn't resize it.
        dtype: `"float32"`, `"int8"`, ...
        scales: Quantization scales: none, one, or one per channel.
        zero_points: As many zero points.
        is_constant: Whether the file holds its value.
        index: Number of the tensor in its subgraph.
        not_finite: Which of `"NaN"` and `"infinity"` are in its value or its scales.
    """

    name: str
    shape: tuple
    is_dynamic: bool
    dtype: str
    scales: tuple
    zero_points: tuple
    is_constant: bool
    index: int
    not_finite: tuple

    @property
    def size(self):
        """Number of elements."""
        return math.prod(self.shape)

    @property
    def bytes(self):
        """Number of bytes; 0 for types whose size is only known at run time."""
        return -(-self.size * integrity.BITS[self.dtype] // 8)


@dataclasses.dataclass(frozen=True)
class Operator:
    """One operator of the graph.

    Args:
        name: Builtin name, such as `"CONV_2D"`, or the name of the custom operator.
        is_custom: Whether it is no builtin operator (a flex operator, for instance).
        inputs: Tensors; `None` for an optional one that is left out.
        outputs: Tensors.
        options: The schema's options of the operator.
    """

    name: str
    is_custom: bool
    inputs: tuple
    outputs: tuple
    options: Any


@dataclasses.dataclass(frozen=True)
class Graph:
    """The graph of a TensorFlow Lite file.

    Args:
        operators: Operators of all subgraphs, in order.
        inputs: Input tensors, in the order of the Keras model.
        outputs: Output tensors, in the order of the Keras model.
        input_indices: Tensor indices of the inputs.
        output_indices: Tensor indices of the outputs.
        input_positions: Places of the inputs in the file's own order.
        output_positions: Places of the outputs in the file's own order.
        tensor_count: Number of tensors of the main subgraph, constants included.
    """

    operators: tuple
    inputs: tuple
    outputs: tuple
    input_indices: tuple
    output_indices: tuple
    input_positions: tuple
    output_positions: tuple
    tensor_count: int


def parse(content):
    """Reads a TensorFlow Lite file.

    Args:
        content: The file's bytes.

    Returns:
        `Graph`.

    Raises:
        DamagedError: If the bytes are no TensorFlow Lite file, or a damaged one.
    """
    from ai_edge_litert import schema_py_generated as schema

    model = _unpack(schema, content)
    operators = [
        _operator(schema, model, subgraph, operator)
        for subgraph in model.subgraphs
        for operator in subgraph.operators or []
    ]
    main = model.subgraphs[0]
    inputs, outputs = _ends(model, main)
    return Graph(
        operators=tuple(operators),
        inputs=tuple(_tensor(schema, model, main, index) for index in inputs),
        outputs=tuple(_tensor(schema, model, main, index) for index in outputs),
        input_indices=inputs,
        output_indices=outputs,
        input_positions=tuple(list(main.inputs).index(index) for index in inputs),
        output_positions=tuple(list(main.outputs).index(index) for index in outputs),
        tensor_count=len(main.tensors),
    )


def metadata(content):
    """Returns the metadata entries of a file.

    Args:
        content: The file's bytes.

    Returns:
        Dictionary from name to bytes.

    Raises:
        DamagedError: If the bytes are no TensorFlow Lite file, or a damaged one.
    """
    from ai_edge_litert import schema_py_generated as schema

    model = _unpack(schema, content)
    return {
        _text(entry.name): bytes(_listed(model.buffers[entry.buffer].data))
        for entry in model.metadata or []
    }


def with_metadata(content, name, value):
    """Adds a metadata entry to a file.

    Args:
        content: The file's bytes.
        name: Name of the entry; one of the same name is replaced.
        value: Its bytes.

    Returns:
        The new file's bytes.

    Raises:
        DamagedError: If the bytes are no TensorFlow Lite file, or a damaged one.
    """
    from ai_edge_litert import schema_py_generated as schema

    model = _unpack(schema, content)
    model.metadata = model.metadata or []
    entry = next((entry for entry in model.metadata if entry.name == name.encode()), None)
    if entry is None:
        entry = schema.MetadataT()
        entry.name, entry.buffer = name, len(model.buffers)
        model.metadata.append(entry)
        model.buffers.append(schema.BufferT())
    model.buffers[entry.buffer].data = np.frombuffer(value, "uint8")
    return packed(model, len(content) + len(value))


def unpacked(content):
    """Reads a TensorFlow Lite file into the schema's own objects, to change them.

    Args:
        content: The file's bytes.

    Returns:
        `ModelT` of the schema.

    Raises:
        DamagedError: If the bytes are no TensorFlow Lite file, or a damaged one.
    """
    from ai_edge_litert import schema_py_generated as schema

    return _unpack(schema, content)


def packed(model, size):
    """Returns the bytes of a TensorFlow Lite file.

    Args:
        model: `ModelT` of the schema.
        size: Number of bytes that it will have, about.
    """
    builder = _AligningBuilder(size + 1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def before_probabilities(content):
    """Returns a file that ends where the logits are, before its last softmax or sigmoid.

    Args:
        content: The file's bytes, of a model with one output.

    Returns:
        Tuple of the new file's bytes and the name of the operator that is gone; `None` if the model
        doesn't end in one or consists of it.

    Raises:
        DamagedError: If the bytes are no TensorFlow Lite file, or a damaged one.
    """
    from ai_edge_litert import schema_py_generated as schema

    model = _unpack(schema, content)
    main = model.subgraphs[0]
    if len(main.outputs) != 1 or len(main.operators) < 2:
        return None
    last, (probabilities,) = main.operators[-1], main.outputs
    code = model.operatorCodes[last.opcodeIndex]
    name = _names(schema.BuiltinOperator)[max(code.builtinCode, code.deprecatedBuiltinCode)]
    if name not in PROBABILITIES or probabilities not in last.outputs:
        return None
    logits = last.inputs[0]
    main.operators.pop()
    main.outputs = [logits]
    for signature in model.signatureDefs or []:
        for end in signature.outputs or []:
            end.tensorIndex = logits
    return packed(model, len(content)), name


class _AligningBuilder(flatbuffers.Builder):
    """Begins every array of bytes at a multiple of 16, as devices need that read in place."""

    def StartVector(self, elemSize, numElems, alignment):  # noqa: N802, N803
        """Begins an array."""
        return super().StartVector(elemSize, numElems, 16 if elemSize == 1 else alignment)


def _unpack(schema, content):
    if len(content) < 8 or content[4:8] != b"TFL3":
        raise DamagedError("This is no TensorFlow Lite file: the identifier TFL3 is missing.")
    try:
        flatbuffer.check(content, "Model")
        model = _unpack_checked(schema, content)
        integrity.check(model, _names(schema.BuiltinOperator), _types(schema.TensorType))
    except DamagedError as error:
        raise DamagedError(f"This TensorFlow Lite file is damaged: {error}.") from error
    return model


def _unpack_checked(schema, content):
    try:
        return schema.ModelT.InitFromObj(schema.Model.GetRootAsModel(content, 0))
    except (struct.error, ValueError, IndexError, TypeError) as error:
        # Options of operators are of many kinds, whose arrays aren't checked before.
        raise DamagedError(f"an operator's options lead out of the file ({error})") from error


def _ends(model, main):
    """Returns the indices of inputs and outputs, in the order of the signature's names."""
    ends = []
    of_main = [one for one in model.signatureDefs or [] if one.subgraphIndex == 0]
    for side in ("inputs", "outputs"):
        named = getattr(of_main[0], side) if of_main else None
        in_order = sorted(named, key=lambda end: _natural(end.name)) if named else []
        indices = [int(end.tensorIndex) for end in in_order]
        ends.append(tuple(indices or [int(index) for index in getattr(main, side)]))
    return ends


def _natural(name):
    stem, _, number = _text(name).rpartition("_")
    return (stem, int(number)) if number.isdecimal() else (_text(name), 0)


def _operator(schema, model, subgraph, operator):
    code = model.operatorCodes[operator.opcodeIndex]
    builtin = max(code.builtinCode, code.deprecatedBuiltinCode)
    is_custom = builtin == schema.BuiltinOperator.CUSTOM
    name = _text(code.customCode) if is_custom else _names(schema.BuiltinOperator)[builtin]
    tensors = lambda indices: tuple(  # noqa: E731
        None if index < 0 else _tensor(schema, model, subgraph, index) for index in _listed(indices)
    )
    return Operator(
        name,
        is_custom,
        tensors(operator.inputs),
        tensors(operator.outputs),
        operator.builtinOptions,
    )


def _tensor(schema, model, subgraph, index):
    tensor = subgraph.tensors[index]
    quantization = tensor.quantization
    scales = _listed(quantization.scale) if quantization is not None else ()
    zeros = _listed(quantization.zeroPoint) if quantization is not None else ()
    data = _listed(model.buffers[tensor.buffer].data)
    dtype = _types(schema.TensorType)[tensor.type]
    return Tensor(
        name=_text(tensor.name),
        shape=tuple(int(side) for side in _listed(tensor.shape)),
        is_dynamic=any(side < 0 for side in _listed(tensor.shapeSignature)[1:]),
        dtype=dtype,
        scales=tuple(float(scale) for scale in scales),
        zero_points=tuple(int(zero) for zero in zeros),
        is_constant=len(data) > 0,
        index=int(index),
        not_finite=_not_finite(data, dtype, scales),
    )


def _not_finite(data, dtype, scales):
    """Names the non-finite values, NaN or infinity, of a constant and its scales."""
    values = [np.asarray(scales, "float32")]
    if len(data) and dtype in ("float16", "float32", "float64"):
        values.append(np.asarray(data, "uint8").view(dtype))
    checks = (("NaN", np.isnan), ("infinity", np.isinf))
    return tuple(name for name, check in checks if any(check(part).any() for part in values))


def _text(name):
    """Returns a name; published files have tensors without one."""
    return (name or b"").decode("utf-8", "replace")


def _listed(values):
    return () if values is None else values


@functools.cache
def _names(enumeration):
    return {number: name for name, number in vars(enumeration).items() if name.isupper()}


@functools.cache
def _types(enumeration):
    return {number: name.lower() for number, name in _names(enumeration).items()}
