"""Batch-norm folding: convolutions that apply the batch normalization after them."""

from collections.abc import Callable, Iterable

import keras
from keras import ops

from keras_distill._compat import all_layers, functional_of, nodes_of
from keras_distill.features.substitute_weights import SubstituteWeights

_CONVOLUTIONS = (
    keras.layers.Conv1D,
    keras.layers.Conv2D,
    keras.layers.Conv3D,
    keras.layers.DepthwiseConv1D,
    keras.layers.DepthwiseConv2D,
)


def folded_calls(model: keras.Model, tapped: Iterable[tuple] = ()) -> dict:
    """Finds the batch normalizations that can be folded into the convolution before them.

    In inference a batch normalization multiplies each channel by a constant and adds another,
    which the kernel and the bias of the convolution before it can do at no cost. The weights are
    read each time, so that they may change.

    A pair is folded only where the model's own graph shows that nothing else uses the
    convolution's output: in Functional and Sequential models and those nested in them, for layers
    of Keras in float32 that are called once, without activation between them, and not tapped
    between them.

    Args:
        model: A `keras.Model`.
        tapped: Tuples of a layer and what of it is tapped (`"output"`, `"input"`, ...).

    Returns:
        Dictionary from layer to the function that takes the place of its `call` in inference.
    """
    graphs = list(_graphs(model))
    nodes = [node for graph in graphs for node in nodes_of(graph) if not node.is_input]
    hidden = _hidden_layers(nodes)
    uses: dict[int, int] = {}
    consumers: dict[int, list] = {}
    for node in nodes:
        uses[id(node.operation)] = uses.get(id(node.operation), 0) + 1
        for tensor in node.input_tensors:
            consumers.setdefault(id(tensor), []).append(node.operation)
    outputs = {id(tensor) for graph in graphs for tensor in graph.outputs}
    taps = {(id(layer), what) for layer, what in tapped}
    calls: dict[keras.layers.Layer, Callable] = {}
    for node in nodes:
        layer, tensor = node.operation, node.output_tensors[0]
        after = consumers.get(id(tensor), [])
        if id(tensor) in outputs or len(after) != 1 or not _are_foldable(layer, after[0]):
            continue
        pair = (layer, after[0])
        is_private = all(uses[id(part)] == 1 and id(part) not in hidden for part in pair)
        between = {(id(layer), "output"), (id(layer), "preactivation"), (id(after[0]), "input")}
        if is_private and not between & taps:
            calls |= {layer: _folded_call(*pair), after[0]: _pass_on}
    return calls


def _graphs(model):
    """Yields the Functional models whose graphs are the model's: itself, and nested ones."""
    graph = functional_of(model)
    if graph is None:
        return
    yield graph
    for layer in {id(node.operation): node.operation for node in nodes_of(graph)}.values():
        if isinstance(layer, keras.Model):
            yield from _graphs(layer)


def _hidden_layers(nodes):
    """Returns the identities of the layers inside layers that have no graph."""
    hidden = set()
    for node in nodes:
        layer = node.operation
        if isinstance(layer, keras.Layer) and not list(_graphs(layer)):
            hidden.update(id(part) for part in all_layers(layer, include_self=False))
    return hidden


def _are_foldable(convolution, normalization):
    return (
        type(convolution) in _CONVOLUTIONS
        and type(normalization) is keras.layers.BatchNormalization
        and convolution.activation in (None, keras.activations.linear)
        and convolution.data_format == "channels_last"
        and normalization.axis in (-1, convolution.rank + 1)
        and convolution.built
        and normalization.built
        and all(
            layer.compute_dtype == "float32" and getattr(layer, "quantization_mode", None) is None
            for layer in (convolution, normalization)
        )
    )


def _folded_call(convolution, normalization):
    def call(inputs):
        scale = ops.rsqrt(normalization.moving_variance + normalization.epsilon)
        if normalization.gamma is not None:
            scale = scale * normalization.gamma
        bias = -normalization.moving_mean
        if convolution.bias is not None:
            bias = bias + convolution.bias
        bias = bias * scale
        if normalization.beta is not None:
            bias = bias + normalization.beta
        kernel = ops.convert_to_tensor(convolution.kernel)
        # A depthwise kernel ends in (channels, multiplier), in the order of the output's channels.
        depthwise = hasattr(convolution, "depth_multiplier")
        scale = ops.reshape(scale, kernel.shape[-2:]) if depthwise else scale
        folded = SubstituteWeights(convolution, kernel * scale, bias)
        return type(convolution).call(folded, inputs)

    return call


def _pass_on(inputs, **kwargs):
    return inputs
