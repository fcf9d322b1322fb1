"""Cutting a model in two at a layer."""

import keras

from keras_distill._compat import functional_of, nodes_of
from keras_distill.features.layer_paths import layer_at


def cut_at(model, path, branch="model"):
    """Returns the output of a layer, as a symbolic tensor in the graph of the whole model.

    A nested model is cut at the layer, and called where the whole of it was.

    Args:
        model: `keras.Model`.
        path: Layer path.
        branch: The name of the model in errors.

    Raises:
        ValueError: If the model, or one nested in it around the layer, has no graph.
    """
    name, _, rest = path.partition("/")
    layer = layer_at(model, name, branch)
    node = _only_call(model, layer)
    inner = functional_of(layer)
    if node is None or (rest and inner is None):
        raise ValueError(
            f"The models are cut at a layer, so the {branch} must be a Functional or Sequential "
            "model, and so must be the models nested in it around the layer, each called once. "
            f"Received: layer {path!r}, model {model.name!r}"
        )
    if not rest:
        return node.output_tensors[0]
    tensor = cut_at(layer, rest, branch)
    if tensor is inner.outputs[0]:
        return node.output_tensors[0]
    return keras.Model(inner.inputs, tensor, name=layer.name)(list(node.input_tensors))


def models_after(model, path):
    """Returns the models that lead from a layer to the model's first output, the inner one first.

    Args:
        model: A model that `cut_at` has cut.
        path: As for `cut_at`.
    """
    name, _, rest = path.partition("/")
    layer = layer_at(model, name)
    tensor = _only_call(model, layer).output_tensors[0]
    inner = models_after(layer, rest) if rest else []
    output = functional_of(model).outputs[0]
    return inner if tensor is output else [*inner, keras.Model(tensor, output)]


def _only_call(model, layer):
    """Returns the node of a model's graph that calls a layer, `None` if there isn't just one."""
    graph = functional_of(model)
    nodes = [] if graph is None else [each for each in nodes_of(graph) if each.operation is layer]
    return nodes[0] if len(nodes) == 1 else None
