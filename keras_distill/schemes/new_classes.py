"""A classifier with more classes: a copy of it, with a second head beside the old one."""

import keras

from keras_distill._compat import functional_of, layer_behind, nodes_of
from keras_distill.arguments import check_model, shown
from keras_distill.features.layer_paths import symbolic
from keras_distill.schemes.self_taught import copy_of


def with_new_classes(model, count):
    """Returns a copy of a classifier that has further classes, and its layer of the old logits.

    The old head keeps its weights and name; a new head, with the same settings and new weights,
    stands beside it. The copy outputs the classes of both, the old ones first: logits where the
    model outputs these, else the probabilities of one softmax over all.

    Args:
        model: `keras.Model`, a built Functional or Sequential one with one output of shape
            `(batch, classes)`. It ends in a `Dense` layer, or in what this function made of one,
            and may have a softmax behind it.
        count: Number of new classes.

    Returns:
        Tuple of a `keras.Model` and a layer path.

    Raises:
        TypeError: If the model is no Keras model.
        ValueError: If no such head is found, or all layers are frozen.
    """
    _check_output(check_model("model", model))
    base = copy_of(model, "model")
    graph = functional_of(base)
    logits, ends_in_softmax = _logits_of(graph, model)
    heads = _heads_of(graph, logits, model)
    features = _node_of(graph, heads[0]).input_tensors[0]
    if ends_in_softmax and logits is heads[0]:
        heads[0].activation = keras.activations.linear
    old = logits(features) if logits is heads[0] else _node_of(graph, logits).output_tensors[0]
    name = f"new_classes_{len(heads)}"
    _check_trains(base, model)
    own = {"name": name, "units": count, "activation": None, "trainable": True}
    settings = {**heads[0].get_config(), **own}
    new = keras.layers.Dense.from_config(settings)(features)
    dtype = heads[0].dtype_policy
    joined = keras.layers.Concatenate(name=f"classes_{len(heads)}", dtype=dtype)
    output = joined([old, new])
    if ends_in_softmax:
        output = keras.layers.Softmax(name=f"probabilities_{len(heads)}", dtype=dtype)(output)
    return keras.Model(symbolic(base, "input"), output, name=model.name), logits.name


def _check_output(model):
    graph = functional_of(model)
    shapes = [tuple(each.shape) for each in keras.tree.flatten(graph.outputs)] if graph else []
    if len(shapes) != 1 or len(shapes[0]) != 2 or shapes[0][1] in (None, 1):
        raise ValueError(
            "model must be a built Functional or Sequential model with one output of shape (batch, "
            "classes), of two classes or more. "
            f"Received: model={shown(model)} with outputs of the shapes {shapes}"
        )


def _check_trains(base, model):
    # The layers' own settings: a model that taught before is itself not trainable.
    if not any(layer.trainable_weights for layer in base.layers):
        raise ValueError(
            "model has no layer that is trained, so that there is nothing to forget: set "
            f"model.trainable = True. Received: model={shown(model)}, all of whose layers have "
            "trainable=False"
        )


def _logits_of(graph, model):
    """Returns the layer whose output is the logits, and whether a softmax follows them."""
    layer, ends_in_softmax = layer_behind(graph.outputs[0]), False
    activation = getattr(layer, "activation", None)
    if isinstance(layer, keras.layers.Softmax) or (
        isinstance(layer, keras.layers.Activation) and activation is keras.activations.softmax
    ):
        layer, ends_in_softmax = layer_behind(_node_of(graph, layer).input_tensors[0]), True
        activation = getattr(layer, "activation", None)
    elif activation is keras.activations.softmax:
        return layer, True
    if activation not in (None, keras.activations.linear):
        raise ValueError(
            "model must output logits, or the probabilities of a softmax: the layer of its classes "
            "has another activation. Received: "
            f"model={shown(model)}, layer {layer.name!r} with activation={activation.__name__!r}"
        )
    return layer, ends_in_softmax


def _heads_of(graph, logits, model):
    """Returns the list of the `Dense` layers whose outputs are, side by side, the logits."""
    if isinstance(logits, keras.layers.Concatenate):
        tensors = _node_of(graph, logits).input_tensors
        # The one before may itself hold the heads of several additions.
        heads = [head for each in tensors for head in _heads_of(graph, layer_behind(each), model)]
        inputs = {id(_node_of(graph, head).input_tensors[0]) for head in heads}
    else:
        heads, inputs = [logits], {None}
    if len(inputs) != 1 or not all(type(head) is keras.layers.Dense for head in heads):
        raise ValueError(
            "model must end in a Dense layer of its classes, with nothing but a softmax behind it, "
            "so that new classes can be put beside them: a layer of another kind, a nested model "
            "or a wrapped layer is no such head. "
            f"Received: model={shown(model)}, which ends in {type(logits).__name__} {logits.name!r}"
        )
    return heads


def _node_of(graph, layer):
    return next(node for node in nodes_of(graph) if node.operation is layer)
