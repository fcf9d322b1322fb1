"""What each operator of a model costs, and the memory that no interpreter can do without."""

import dataclasses

import numpy as np

# Their output can lie where their input is.
_IN_PLACE = ("EXPAND_DIMS", "RESHAPE", "SQUEEZE")
_BRANCHING = ("CALL_ONCE", "IF", "WHILE")


@dataclasses.dataclass(frozen=True)
class OperatorCost:
    """What one operator costs.

    Args:
        name: Builtin name, such as `"CONV_2D"`.
        where: Name of its output, which usually tells the Keras layer.
        shape: Shape of its output.
        macs: Multiplications and additions, in pairs.
        constant_bytes: Bytes of its weights and other constants.
        output_bytes: Bytes of its outputs.
    """

    name: str
    where: str
    shape: tuple
    macs: int
    constant_bytes: int
    output_bytes: int


def operator_costs(graph):
    """Lists what each operator costs.

    Args:
        graph: `Graph`.

    Returns:
        List of `OperatorCost`, in the order of execution.
    """
    return [
        OperatorCost(
            operator.name,
            operator.outputs[0].name if operator.outputs else "",
            operator.outputs[0].shape if operator.outputs else (),
            multiplications(operator),
            sum(_bytes(t) for t in operator.inputs if t is not None and t.is_constant),
            sum(_bytes(tensor) for tensor in operator.outputs),
        )
        for operator in graph.operators
    ]


def multiplications(operator):
    """Counts the multiply-accumulates of one operator.

    Args:
        operator: `Operator` of a graph.

    Returns:
        Number of pairs of multiplication and addition; 0 for operators without weights.
    """
    if operator.name == "CONV_2D":
        _, height, width, channels = operator.inputs[1].shape
        return operator.outputs[0].size * height * width * channels
    if operator.name == "DEPTHWISE_CONV_2D":
        _, height, width, _ = operator.inputs[1].shape
        return operator.outputs[0].size * height * width
    if operator.name == "TRANSPOSE_CONV":
        outputs, height, width, _ = operator.inputs[1].shape
        return operator.inputs[2].size * height * width * outputs
    if operator.name == "FULLY_CONNECTED":
        return operator.outputs[0].size * operator.inputs[1].shape[-1]
    if operator.name == "BATCH_MATMUL":
        contracted = operator.inputs[0].shape[-2 if operator.options.adjX else -1]
        return operator.outputs[0].size * contracted
    return 0


def live_bytes(graph):
    """Returns the largest sum of bytes of the tensors that are needed at the same time.

    No arena can be smaller, however well it is planned: while an operator runs, its inputs, its
    outputs and what later operators take are there at once. Constants stay in flash.

    Args:
        graph: `Graph`.

    Returns:
        Bytes; `None` for models with branches or loops, whose order isn't fixed.
    """
    if any(operator.name in _BRANCHING for operator in graph.operators):
        return None
    home, last, sizes = {}, {}, {}
    for tensor in graph.inputs:
        sizes[tensor.index], home[tensor.index] = _bytes(tensor), tensor.index
    for step, operator in enumerate(graph.operators):
        inputs = _variable(operator.inputs)
        for tensor in inputs:
            last[home.setdefault(tensor.index, tensor.index)] = step
            sizes.setdefault(tensor.index, _bytes(tensor))
        for tensor in _variable(operator.outputs):
            shares = operator.name in _IN_PLACE and inputs
            home[tensor.index] = home[inputs[0].index] if shares else tensor.index
            last[home[tensor.index]] = step
            sizes.setdefault(home[tensor.index], _bytes(tensor))
    for tensor in graph.outputs:
        last[home.get(tensor.index, tensor.index)] = len(graph.operators)
    alive, largest = {home[tensor.index] for tensor in graph.inputs}, 0
    for step, operator in enumerate(graph.operators):
        alive |= {home[tensor.index] for tensor in _variable(operator.outputs)}
        largest = max(largest, sum(sizes[index] for index in alive))
        alive = {index for index in alive if last[index] > step}
    return largest


def _variable(tensors):
    return [tensor for tensor in tensors if tensor is not None and not tensor.is_constant]


def _bytes(tensor):
    width = {"bool": 1, "string": 0}.get(tensor.dtype)
    return tensor.size * (np.dtype(tensor.dtype).itemsize if width is None else width)
