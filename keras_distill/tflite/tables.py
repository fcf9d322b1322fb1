"""Elementwise operators of one int8 tensor as a table of their 256 results."""

import copy
import dataclasses

import numpy as np

from keras_distill.tflite import elementwise
from keras_distill.tflite.analysis import operators, schema

_VALUES = np.arange(-128, 128)
_COMPUTED = ("int8", "float32", "bool")
# Beyond what any scale reaches, where a logarithm or a quotient is infinite.
_HUGE = 1e30


@dataclasses.dataclass(frozen=True)
class _Chain:
    """How a tensor is computed elementwise from another one.

    Args:
        source: `Tensor` of int8 that it is a function of.
        numbers: Numbers of the operators between them, in order.
    """

    source: schema.Tensor
    numbers: tuple


def with_tables(content, target):
    """Replaces elementwise operators that a board can't compute in int8 by tables.

    A chain of them that depends on one int8 tensor has 256 possible results, which are computed
    here in float: GATHER finds them by the tensor's values, brought to 0 to 255 by QUANTIZE and
    CAST. It is exact to half a step.

    Args:
        content: The file's bytes, of a model in int8.
        target: `"mcu"` or `"arduino"`.

    Returns:
        The new file's bytes; `content` itself if there is nothing to replace.
    """
    graph = schema.parse(content)
    model = schema.unpacked(content)
    main = model.subgraphs[0]
    listed = graph.operators[: len(main.operators)]
    chains = _chains(listed)
    foreign = {n for n, one in enumerate(listed) if _is_foreign(one, operators.BY_TARGET[target])}
    ends = [
        number
        for number, one in enumerate(listed)
        if _chain_of(chains, one) is not None
        and foreign.intersection(_chain_of(chains, one).numbers)
        and _is_end(number, listed, chains, graph.output_indices)
    ]
    if not ends:
        return content
    written = _Writer(model)
    for number in ends:
        chain, (output,) = chains[listed[number].outputs[0].index], listed[number].outputs
        written.look_up(number, chain.source.index, output.index, _table(chain, listed, model))
    written.finish({number for chain in chains.values() for number in chain.numbers})
    return schema.packed(model, len(content))


def _is_foreign(operator, kernels):
    """Whether a board can't run an operator, or runs it in float between integers."""
    if operator.name not in kernels or operators.foreign_tensor(operator, kernels) is not None:
        return True
    is_float = all(tensor.dtype == "float32" for tensor in operator.outputs)
    return is_float and operator.name != "DEQUANTIZE"


def _chains(listed):
    """Returns from the index of a tensor to the `_Chain` that computes it, where there is one."""
    found = {}
    for number, one in enumerate(listed):
        if one.name not in elementwise.FUNCTIONS or len(one.outputs) != 1:
            continue
        data = [tensor for tensor in one.inputs if not tensor.is_constant]
        constants = [tensor for tensor in one.inputs if tensor.is_constant]
        before = [found.get(tensor.index) for tensor in data]
        sources = [
            tensor if chain is None else chain.source
            for tensor, chain in zip(data, before, strict=True)
        ]
        if len({tensor.index for tensor in sources}) != 1 or any(t.size != 1 for t in constants):
            continue
        if _is_countable(sources[0]) and _is_elementwise(sources[0], data, one.outputs[0]):
            numbers = {n for chain in before if chain is not None for n in chain.numbers}
            found[one.outputs[0].index] = _Chain(sources[0], (*sorted(numbers), number))
    return found


def _is_countable(tensor):
    return tensor.dtype == "int8" and len(tensor.scales) == 1


def _is_elementwise(source, data, output):
    same_shape = all(tensor.shape == source.shape for tensor in (*data, output))
    return same_shape and all(tensor.dtype in _COMPUTED for tensor in (*data, output))


def _chain_of(chains, operator):
    return chains.get(operator.outputs[0].index) if operator.outputs else None


def _is_end(number, listed, chains, results):
    """Whether something else than the same chain takes what an operator computes."""
    output = listed[number].outputs[0]
    if not _is_countable(output):
        return False
    source = chains[output.index].source.index
    ends = [
        _chain_of(chains, taker)
        for taker in listed
        if any(tensor is not None and tensor.index == output.index for tensor in taker.inputs)
    ]
    return output.index in results or any(end is None or end.source.index != source for end in ends)


def _table(chain, listed, model):
    """Returns the int8 results of a chain for the values -128 to 127 of its source."""
    scale, zero = chain.source.scales[0], chain.source.zero_points[0]
    known = {chain.source.index: scale * (_VALUES - zero)}
    for number in chain.numbers:
        one = listed[number]
        inputs = [
            _constant(tensor, model) if tensor.is_constant else known[tensor.index]
            for tensor in one.inputs
        ]
        known[one.outputs[0].index] = elementwise.value(one.name, one.options, inputs)
    output = listed[chain.numbers[-1]].outputs[0]
    real = np.nan_to_num(known[output.index], nan=0.0, posinf=_HUGE, neginf=-_HUGE)
    steps = np.round(real / output.scales[0]) + output.zero_points[0]
    return np.clip(steps, -128, 127).astype("int8")


def _constant(tensor, model):
    """Returns the value of a constant of one element."""
    buffer = model.subgraphs[0].tensors[tensor.index].buffer
    value = np.asarray(model.buffers[buffer].data, "uint8").view(tensor.dtype)
    if not tensor.scales:
        return value.astype("float64").reshape(())
    return ((value - float(tensor.zero_points[0])) * tensor.scales[0]).reshape(())


class _Writer:
    """Puts look-ups into a model.

    Args:
        model: The schema's object of the model.
    """

    def __init__(self, model):
        from ai_edge_litert import schema_py_generated as flat

        self._flat = flat
        self._model = model
        self._main = model.subgraphs[0]
        self._indices = {}
        self._inserted = {}

    def look_up(self, number, source, output, table):
        """Computes a tensor by a table, in the place of an operator.

        Args:
            number: Number of the operator.
            source: Index of the tensor that it is a function of.
            output: Index of the tensor to compute.
            table: Its values for -128 to 127.
        """
        made = self._inserted.setdefault(number, [])
        if source not in self._indices:
            wide, index = self._like(source, "INT16"), self._like(source, "INT32")
            quantization = copy.deepcopy(self._main.tensors[source].quantization)
            # The step stays, and -128 becomes 0.
            quantization.zeroPoint = np.asarray(quantization.zeroPoint) + 128
            self._main.tensors[wide].quantization = quantization
            made += [
                self._operator("QUANTIZE", "Quantize", [source], wide),
                self._operator("CAST", "Cast", [wide], index),
            ]
            self._indices[source] = index
        held = self._like(output, "INT8")
        self._main.tensors[held].shape = np.array([len(table)], "int32")
        self._main.tensors[held].quantization = self._main.tensors[output].quantization
        self._main.tensors[held].buffer = len(self._model.buffers)
        buffer = self._flat.BufferT()
        buffer.data = table.view("uint8")
        self._model.buffers.append(buffer)
        made.append(self._operator("GATHER", "Gather", [held, self._indices[source]], output))

    def finish(self, elementwise_numbers):
        """Orders the operators, without those that nothing takes any more.

        Args:
            elementwise_numbers: Numbers of the operators that may go.
        """
        replaced = {one.outputs[0] for made in self._inserted.values() for one in made}
        kept, needed = [], set(map(int, self._main.outputs))
        for number in reversed(range(len(self._main.operators))):
            one = self._main.operators[number]
            group = list(self._inserted.get(number, ()))
            outputs = set(map(int, one.outputs))
            is_dead = outputs <= replaced or not outputs & needed
            if not (number in elementwise_numbers and is_dead):
                group.append(one)
            needed |= {int(index) for made in group for index in made.inputs}
            kept = group + kept
        self._main.operators = kept

    def _like(self, index, dtype):
        """Returns the index of a new tensor of the shape of another one."""
        old, new = self._main.tensors[index], self._flat.TensorT()
        new.name = old.name + f"/{dtype.lower()}".encode()
        new.shape, new.type, new.buffer = old.shape, getattr(self._flat.TensorType, dtype), 0
        self._main.tensors.append(new)
        return len(self._main.tensors) - 1

    def _operator(self, name, options, inputs, output):
        made = self._flat.OperatorT()
        made.opcodeIndex = self._code(getattr(self._flat.BuiltinOperator, name))
        made.inputs, made.outputs = np.array(inputs, "int32"), np.array([output], "int32")
        made.builtinOptionsType = getattr(self._flat.BuiltinOptions, f"{options}Options")
        made.builtinOptions = getattr(self._flat, f"{options}OptionsT")()
        return made

    def _code(self, builtin):
        """Returns the number of an operator's code, which is added where it isn't there yet."""
        codes = self._model.operatorCodes
        for number, code in enumerate(codes):
            if max(code.builtinCode, code.deprecatedBuiltinCode) == builtin:
                return number
        code = self._flat.OperatorCodeT()
        code.builtinCode, code.deprecatedBuiltinCode, code.version = builtin, builtin, 2
        codes.append(code)
        return len(codes) - 1
