"""Clones of models with some layers replaced."""

import collections

import keras

from keras_distill._compat import all_layers, functional_of, layer_behind, nodes_of
from keras_distill.arguments import check_model, shown
from keras_distill.features.layer_paths import layer_at


def graph_of(model, name="student"):
    """Returns the Functional model that shows a model's graph.

    Args:
        model: Built Functional or Sequential `keras.Model`.
        name: What to call it in errors.

    Raises:
        TypeError: If it is no `keras.Model`.
        ValueError: If it doesn't show its graph.
    """
    graph = functional_of(check_model(name, model))
    if graph is None or not model.built:
        raise ValueError(
            f"The {name} {model.name!r} ({type(model).__name__}) doesn't show its graph: give a "
            "Functional model, or a Sequential one that begins with keras.Input."
        )
    return graph


def calls_in(model):
    """Counts how often each layer is called when a model is called once.

    Args:
        model: Built Functional or Sequential `keras.Model`; nested models are walked too.

    Returns:
        Dictionary from layer to number of calls, in the order of the graph.

    Raises:
        TypeError: If it is no `keras.Model`.
        ValueError: If it, or a model in it, doesn't show its graph.
    """
    calls = collections.Counter()
    for node in nodes_of(graph_of(model)):
        if not node.is_input:
            calls[node.operation] += 1
            if isinstance(node.operation, keras.Model):
                calls.update(calls_in(node.operation))
    return calls


def chosen_layers(model, layers, kinds):
    """Finds the layers whose kernels are to be compressed.

    Args:
        model: Built Functional or Sequential `keras.Model`.
        layers: List of names or paths, or `None` for all of these kinds.
        kinds: Classes of layers that can be.

    Returns:
        Dictionary from layer to the number of its calls in one call of the model.

    Raises:
        TypeError: If `model` is no `keras.Model`, or `layers` no list.
        ValueError: If a layer is unknown or of another kind, or if there is none at all.
    """
    calls = calls_in(model)
    possible = {
        layer: count
        for layer, count in calls.items()
        if type(layer) in kinds and layer.quantization_mode is None and not layer.lora_enabled
    }
    names = ", ".join(sorted(kind.__name__ for kind in kinds))
    if layers is None:
        if not possible:
            raise ValueError(f"The model {model.name!r} has no layer of these kinds: {names}.")
        return possible
    is_list = isinstance(layers, (list, tuple))
    if not is_list or not all(isinstance(path, str) for path in layers):
        raise TypeError(
            f"layers must be a list of names of layers. Received: layers={shown(layers)}"
        )
    if not layers:
        raise ValueError(
            "layers must name at least one layer; None stands for all that are possible. "
            f"Received: layers={shown(layers)}"
        )
    chosen = {layer_at(model, path, "student"): path for path in layers}
    for layer, path in chosen.items():
        if layer not in possible:
            raise ValueError(
                f"The layer {path!r} is a {type(layer).__name__}, whose kernel can't be "
                f"compressed: possible are {names}, unquantized and without LoRA, in the model's "
                "own graph."
            )
    return {layer: possible[layer] for layer in chosen}


def refuse_compressed(model):
    """Checks that no layer of a model is pruned or clustered already.

    Args:
        model: A `keras.Model`.

    Raises:
        ValueError: If one is, by its name.
    """
    for layer in all_layers(model) if isinstance(model, keras.Model) else ():
        if hasattr(layer, "compressed_as"):
            raise ValueError(
                f"The layer {layer.name!r} of the model {model.name!r} is {layer.compressed_as} "
                "already: compression.strip(model) makes a plain model of it."
            )


def rewrite(model, replace):
    """Clones a model with its names and weights, and replaces some of its layers.

    Args:
        model: Built Functional or Sequential `keras.Model`.
        replace: Function from a layer to the new one in its place, or to `None` for a copy. A new
            one's first weights take the values of the old one's.

    Returns:
        Tuple of the Functional `keras.Model` and the dictionary from old layers to new ones.

    Raises:
        ValueError: If a layer can't be copied, by its name.
    """
    made = {}

    def new(operation):
        if operation not in made:
            made[operation] = (
                build(operation)
                if isinstance(operation, keras.Model)
                else replace(operation) or _copy(operation)
            )
        return made[operation]

    def build(nested):
        graph = graph_of(nested)
        inputs = keras.tree.map_structure(copied_input, graph.input)
        return clone(graph, nested.name, inputs, new)

    result = build(model)
    layers = {old: new for old, new in made.items() if isinstance(old, keras.layers.Layer)} | {
        model: result
    }
    # A model's flag is set before those of its layers, which it would overwrite.
    for old, copy in reversed(layers.items()):
        copy.trainable = old.trainable
    for old, copy in layers.items():
        if not isinstance(old, keras.Model):
            for before, after in zip(old.weights, copy.weights, strict=False):
                after.assign(before)
    return result, layers


def clone(graph, name, inputs, clone_function, call_function=None):
    """Clones a Functional model as an uncompiled `keras.Model`.

    Args:
        graph: Result of `graph_of`.
        name: Name of the clone.
        inputs: Its inputs, in the structure of `graph.input`.
        clone_function: Function from a layer, or model, to the new one.
        call_function: Function that calls a new layer; see `keras.models.clone_model`.
    """
    # A clone is compiled, and of a class of its own, as the original is: this one is not.
    original = keras.Model(graph.input, graph.output, name=name)
    return keras.models.clone_model(
        original,
        input_tensors=inputs,
        clone_function=clone_function,
        call_function=call_function,
    )


def copied_input(tensor):
    """Returns a new input like one of a model.

    Args:
        tensor: Symbolic input.
    """
    layer = layer_behind(tensor)
    return keras.Input(
        batch_shape=tensor.shape,
        dtype=tensor.dtype,
        sparse=tensor.sparse,
        name=layer.name,
        optional=layer.optional,
    )


def _copy(operation):
    try:
        return type(operation).from_config(operation.get_config())
    except Exception as error:
        raise ValueError(
            f"The layer {operation.name!r} ({type(operation).__name__}) can't be copied from its "
            f"config: {error}"
        ) from error
