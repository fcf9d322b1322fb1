"""Graph of a Functional or Sequential model, with nested models unfolded into their layers."""

import dataclasses
from typing import Any

import keras

from keras_distill._compat import functional_of, nodes_of


@dataclasses.dataclass(eq=False)
class Step:
    """One call of a layer, or of another operation, in a model's graph.

    Args:
        path: Path of the layer in the model.
        layer: The layer or operation.
        shape: Shape of its first output, as the graph describes it.
        inputs: List of the steps whose outputs enter it.
    """

    path: str
    layer: Any
    shape: tuple
    inputs: list


def steps_of(model: keras.Model) -> list[Step]:
    """Returns the list of a model's `Step` objects, each after those that enter it.

    Args:
        model: A `keras.Model`. One without a graph has no steps; nested in another it is a step.
    """
    steps: list[Step] = []
    graph = functional_of(model)
    if graph is not None:
        _unfold(graph, "", {}, steps)
    return steps


def _unfold(graph, prefix, entering, steps):
    """Adds the graph's steps; returns a dictionary from the identity of a tensor to its step."""
    made = dict(entering)
    for node in nodes_of(graph):
        if node.is_input:
            continue
        path = prefix + node.operation.name
        inner = functional_of(node.operation)
        if inner is None:
            shape = tuple(node.output_tensors[0].shape)
            inputs = [made[id(tensor)] for tensor in node.input_tensors if id(tensor) in made]
            step = Step(path, node.operation, shape, inputs)
            steps.append(step)
            made |= {id(tensor): step for tensor in node.output_tensors}
            continue
        given = zip(inner.inputs, node.input_tensors, strict=False)
        known = {id(own): made[id(outer)] for own, outer in given if id(outer) in made}
        within = _unfold(inner, f"{path}/", known, steps)
        leaving = zip(node.output_tensors, inner.outputs, strict=False)
        made |= {id(outer): within[id(own)] for outer, own in leaving if id(own) in within}
    return made


def longest_line(steps: list[Step]) -> list[Step]:
    """Returns the longest chain of steps, each of which enters the next: the model's main line.

    It goes through the blocks of a residual network, one path of an Inception block, and
    down and up in a U-Net.

    Args:
        steps: Result of `steps_of`.
    """
    length: dict[Step | None, int] = {None: 0}
    before: dict[Step, Step | None] = {}
    for step in steps:
        before[step] = max(step.inputs, key=length.__getitem__, default=None)
        length[step] = 1 + length[before[step]]
    last = max(steps, key=length.__getitem__, default=None)
    line = []
    while last is not None:
        line.append(last)
        last = before[last]
    return line[::-1]


def dependencies_of(steps: list[Step]) -> dict[Step, int]:
    """Returns a dictionary from step to the set of steps that it depends on, itself included.

    A set is an integer with a bit for each step, which makes them small and fast to compare.

    Args:
        steps: Result of `steps_of`.
    """
    depends_on = {}
    for index, step in enumerate(steps):
        depends_on[step] = 1 << index
        for source in step.inputs:
            depends_on[step] |= depends_on[source]
    return depends_on
