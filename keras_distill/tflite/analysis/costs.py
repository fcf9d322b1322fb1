"""Costs of operators (MACs, bytes) and lifetimes of tensors in memory."""

import dataclasses

# Its output can lie where its input is: TensorFlow Lite Micro copies only if it doesn't.
_IN_PLACE = ("RESHAPE",)
_BRANCHING = ("CALL_ONCE", "IF", "WHILE")


@dataclasses.dataclass(frozen=True)
class OperatorCost:
    """MACs and bytes of one operator.

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
    shape: tuple[int, ...]
    macs: int
    constant_bytes: int
    output_bytes: int


def operator_costs(graph):
    """Lists MACs and bytes of each operator.

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
            sum(t.bytes for t in operator.inputs if t is not None and t.is_constant),
            sum(tensor.bytes for tensor in operator.outputs),
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


@dataclasses.dataclass(frozen=True)
class Lifetime:
    """Steps during which a block of memory is in use.

    Args:
        indices: Numbers of the tensors that lie there.
        size: Bytes.
        first: Step of the operator that writes it; -1 for inputs of the model.
        last: Step of the last operator that reads it; the number of operators for outputs.
    """

    indices: tuple[int, ...]
    size: int
    first: int
    last: int

    def meets(self, other):
        """Whether both are needed at the same time."""
        return self.first <= other.last and other.first <= self.last


def lifetimes(graph, in_place=True):
    """Lists the steps during which the memory of each tensor is in use, constants left out.

    Args:
        graph: `Graph`.
        in_place: Whether what only changes the shape writes where it reads.

    Returns:
        List of `Lifetime`; `None` for models with branches or loops, whose order isn't fixed.
    """
    if any(operator.name in _BRANCHING for operator in graph.operators):
        return None
    home, sizes, first, last = {}, {}, {}, {}

    def appears(tensor, step, place=None):
        place = home.setdefault(tensor.index, tensor.index if place is None else place)
        sizes.setdefault(place, tensor.bytes)
        first.setdefault(place, step)
        last.setdefault(place, step)

    for tensor in graph.inputs:
        appears(tensor, -1)
    for step, operator in enumerate(graph.operators):
        inputs = _variable(operator.inputs)
        for tensor in inputs:
            appears(tensor, step)
            last[home[tensor.index]] = step
        for tensor in _variable(operator.outputs):
            shares = in_place and operator.name in _IN_PLACE and inputs
            appears(tensor, step, home[inputs[0].index] if shares else None)
            last[home[tensor.index]] = step
    for tensor in graph.outputs:
        appears(tensor, len(graph.operators))
        last[home[tensor.index]] = len(graph.operators)
    return [
        Lifetime(
            tuple(index for index, at in home.items() if at == place),
            size,
            first[place],
            last[place],
        )
        for place, size in sizes.items()
    ]


def live_bytes(graph):
    """Returns the largest sum of bytes of the tensors that are needed at the same time.

    No arena can be smaller, however well it is planned: while an operator runs, its inputs, its
    outputs and what later operators take are there at once. Constants stay in flash.

    Args:
        graph: `Graph`.

    Returns:
        Bytes; `None` for models with branches or loops, whose order isn't fixed.
    """
    lives = lifetimes(graph)
    return None if lives is None else most_at_once(lives)


def most_at_once(lives):
    """Returns the largest sum of bytes that are needed at the same time.

    Args:
        lives: List of `Lifetime`.
    """
    steps = {life.first for life in lives}
    sums = (sum(life.size for life in lives if life.first <= s <= life.last) for s in steps)
    return max(sums, default=0)


def _variable(tensors):
    return [tensor for tensor in tensors if tensor is not None and not tensor.is_constant]
