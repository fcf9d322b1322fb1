"""A TensorFlow Lite file, read with the published schema into plain tensors and operators."""

import dataclasses
import math
from typing import Any

import flatbuffers
import numpy as np


@dataclasses.dataclass(frozen=True)
class Tensor:
    """One tensor of the graph.

    Args:
        name: Name, which usually tells the Keras layer.
        shape: Sizes; the batch is 1 in every model that this library exports.
        is_dynamic: Whether an axis of the shape is only known at run time.
        dtype: `"float32"`, `"int8"`, ...
        scales: Quantisation scales: none, one, or one per channel.
        zero_points: As many zero points.
        is_constant: Whether the file holds its value.
        index: Number of the tensor in its subgraph.
    """

    name: str
    shape: tuple
    is_dynamic: bool
    dtype: str
    scales: tuple
    zero_points: tuple
    is_constant: bool
    index: int

    @property
    def size(self):
        """Number of elements."""
        return math.prod(self.shape)


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
    """All that a TensorFlow Lite file says of its model.

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
        ValueError: If the bytes are no TensorFlow Lite file.
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
    """Returns what a file carries beside its graphs.

    Args:
        content: The file's bytes.

    Returns:
        Dictionary from name to bytes.

    Raises:
        ValueError: If the bytes are no TensorFlow Lite file.
    """
    from ai_edge_litert import schema_py_generated as schema

    model = _unpack(schema, content)
    return {
        entry.name.decode(): bytes(model.buffers[entry.buffer].data)
        for entry in model.metadata or []
    }


def with_metadata(content, name, value):
    """Adds an entry to what a file carries beside its graphs.

    Args:
        content: The file's bytes.
        name: Name of the entry; one of the same name is replaced.
        value: Its bytes.

    Returns:
        The new file's bytes.

    Raises:
        ValueError: If the bytes are no TensorFlow Lite file.
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
    builder = _AligningBuilder(len(content) + len(value) + 1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


class _AligningBuilder(flatbuffers.Builder):
    """Begins every array of bytes at a multiple of 16, as devices need that read in place."""

    def StartVector(self, elemSize, numElems, alignment):  # noqa: N802, N803
        """Begins an array."""
        return super().StartVector(elemSize, numElems, 16 if elemSize == 1 else alignment)


def _unpack(schema, content):
    if len(content) < 8 or content[4:8] != b"TFL3":
        raise ValueError("This is no TensorFlow Lite file: the identifier TFL3 is missing.")
    try:
        return schema.ModelT.InitFromObj(schema.Model.GetRootAsModel(content, 0))
    except Exception as error:
        raise ValueError(f"This TensorFlow Lite file is damaged: {error}.") from error


def _ends(model, main):
    """Returns the indices of inputs and outputs, in the order of the signature's names."""
    ends = []
    for side in ("inputs", "outputs"):
        named = getattr(model.signatureDefs[0], side) if model.signatureDefs else None
        in_order = sorted(named, key=lambda end: _natural(end.name)) if named else []
        indices = [int(end.tensorIndex) for end in in_order]
        ends.append(tuple(indices or [int(index) for index in getattr(main, side)]))
    return ends


def _natural(name):
    stem, _, number = name.decode().rpartition("_")
    return (stem, int(number)) if number.isdigit() else (name.decode(), 0)


def _operator(schema, model, subgraph, operator):
    code = model.operatorCodes[operator.opcodeIndex]
    builtin = max(code.builtinCode, code.deprecatedBuiltinCode)
    is_custom = builtin == schema.BuiltinOperator.CUSTOM
    name = code.customCode.decode() if is_custom else _name_of(schema.BuiltinOperator, builtin)
    tensors = lambda indices: tuple(  # noqa: E731
        None if index < 0 else _tensor(schema, model, subgraph, index)
        for index in (indices if indices is not None else [])
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
    scales = () if quantization is None or quantization.scale is None else quantization.scale
    zeros = () if quantization is None or quantization.zeroPoint is None else quantization.zeroPoint
    signature = tensor.shapeSignature if tensor.shapeSignature is not None else ()
    data = model.buffers[tensor.buffer].data
    return Tensor(
        name=tensor.name.decode(),
        shape=tuple(int(side) for side in (tensor.shape if tensor.shape is not None else ())),
        is_dynamic=any(side < 0 for side in signature),
        dtype=_name_of(schema.TensorType, tensor.type).lower(),
        scales=tuple(float(scale) for scale in scales),
        zero_points=tuple(int(zero) for zero in zeros),
        is_constant=data is not None and len(data) > 0,
        index=int(index),
    )


def _name_of(enumeration, value):
    return next(
        name for name, number in vars(enumeration).items() if number == value and name.isupper()
    )
