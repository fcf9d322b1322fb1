"""Conversion of models between Keras 3 and tf_keras."""

import collections
import inspect
from typing import Any

import keras
import numpy as np

from keras_distill import _compat
from keras_distill.arguments import check_model, shown
from keras_distill.compression.tfmot import require

_LAYERS = (
    "Activation Add Average AveragePooling1D AveragePooling2D BatchNormalization Concatenate "
    "Conv1D Conv1DTranspose Conv2D Conv2DTranspose Cropping1D Cropping2D Dense DepthwiseConv1D "
    "DepthwiseConv2D Dot Dropout ELU Embedding Flatten GRU GaussianDropout GaussianNoise "
    "GlobalAveragePooling1D GlobalAveragePooling2D GlobalMaxPooling1D GlobalMaxPooling2D "
    "GroupNormalization Identity LSTM LayerNormalization LeakyReLU MaxPooling1D MaxPooling2D "
    "Maximum Minimum MultiHeadAttention Multiply PReLU Permute ReLU RepeatVector Rescaling Reshape "
    "SimpleRNN Softmax SpatialDropout1D SpatialDropout2D Subtract "
    "UnitNormalization UpSampling1D UpSampling2D ZeroPadding1D ZeroPadding2D"
).split()
# Those that compute the same in both; hard_sigmoid, for one, doesn't.
_ACTIVATIONS = (
    "elu exponential gelu leaky_relu linear relu relu6 selu sigmoid silu softmax softplus softsign "
    "swish tanh"
).split()
_FUNCTION_MODULES = ("initializers", "regularizers", "constraints")
# How a layer computes, or draws random numbers, but not what; and what a built model shows itself.
_WITHOUT_MEANING = (
    "batch_input_shape dtype flash_attention implementation key_shape query_shape seed trainable "
    "use_cudnn value_shape"
).split()
_RENAMED = {"negative_slope": "alpha", "alpha": "negative_slope"}
_TOLERANCE = 1e-5

_Graph = collections.namedtuple("_Graph", "inputs outputs calls")
_Call = collections.namedtuple("_Call", "layer args kwargs outputs")


def to_tf_keras(model: keras.Model) -> Any:
    """Converts a model of Keras 3 to tf_keras (Keras 2), with its weights.

    Some tools for TensorFlow models, such as tensorflow-model-optimization, take only models of
    tf_keras. The whole graph is converted: nested models, layers that are called twice, several
    inputs and outputs, names, regularizers, what is trainable. What has no equal is refused, and
    both models are compared on random inputs, layer by layer. Seeds of random numbers are left
    out. In training the two differ where the two Keras do: the moving variance of a batch
    normalization is that of the sample in tf_keras (n - 1), that of the batch in Keras 3 (n).

    Args:
        model: Built Functional or Sequential `keras.Model`, in float32.

    Returns:
        Functional `tf_keras.Model`, not compiled.

    Raises:
        ImportError: If the extra `compress` isn't installed.
        TypeError: If `model` isn't a `keras.Model`.
        ValueError: If a layer, an argument or a function of it can't be converted, or the two
            models differ; the error names the layer.

    Example:

    ```python
    model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(4, "relu")])
    converted = to_tf_keras(model)
    x = np.random.rand(2, 8).astype("float32")
    np.testing.assert_allclose(converted(x), model(x), atol=1e-6)
    ```
    """
    check_model("model", model)
    return _Converter(keras, require("tf_keras"), _graph_of_keras).convert(model)


def from_tf_keras(model: Any) -> keras.Model:
    """Converts a model of tf_keras (Keras 2) to Keras 3, with its weights; see `to_tf_keras`.

    Args:
        model: Built Functional or Sequential `tf_keras.Model`, in float32, of plain layers: strip
            wrappers of tensorflow-model-optimization off before.

    Returns:
        Functional `keras.Model`, not compiled.

    Raises:
        ImportError: If the extra `compress` isn't installed.
        TypeError: If `model` isn't a `tf_keras.Model`.
        ValueError: If a layer, an argument or a function of it can't be converted, or the two
            models differ; the error names the layer.

    Example:

    ```python
    model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(4, "relu")])
    converted = from_tf_keras(to_tf_keras(model))
    assert [layer.name for layer in converted.layers][1:] == [model.layers[0].name]
    ```
    """
    tf_keras = require("tf_keras")
    if not isinstance(model, tf_keras.Model):
        raise TypeError(
            f"model must be a tf_keras.Model. Received: model={shown(model)}, a "
            f"{type(model).__module__}.{type(model).__name__}"
        )
    return _Converter(tf_keras, keras, _graph_of_tf_keras).convert(model)


def _graph_of_keras(model):
    graph = _compat.functional_of(model)
    nodes = _nodes_of(graph, model)
    calls = [
        _Call(node.operation, node.arguments.args, node.arguments.kwargs, node.outputs)
        for node in nodes
        if not node.is_input
    ]
    return _Graph(graph.input, graph.output, calls)


def _graph_of_tf_keras(model):
    calls = [
        _Call(node.layer, node.call_args, node.call_kwargs, keras.tree.flatten(node.outputs))
        for node in _nodes_of(_compat.functional_of(model), model)
        if not node.is_input
    ]
    return _Graph(model.input, model.output, calls)


def _nodes_of(graph, model):
    if graph is None or not model.built:
        raise ValueError(
            f"The model {model.name!r} ({type(model).__name__}) doesn't show its graph: give a "
            "Functional model, or a Sequential one that begins with Input."
        )
    return _compat.nodes_of(graph)


class _Converter:
    """Builds a model of one Keras along the graph of a model of the other.

    Args:
        source: Keras of the given model.
        target: Keras of the new model.
        graph_of: Function from a model of the source to its `_Graph`.
    """

    def __init__(self, source, target, graph_of):
        self._source = source
        self._target = target
        self._graph_of = graph_of
        self._kinds = {getattr(source.layers, name): name for name in _LAYERS}
        self._layers = {}

    def convert(self, model):
        """Returns the new model, compared with the old one."""
        new = self._model(model)
        self._layers[id(model)] = model, new
        # A model's flag is set before those of its layers, which it would overwrite.
        for old, copy in reversed(self._layers.values()):
            copy.trainable = old.trainable
        return new

    def _model(self, model):
        graph = self._graph_of(model)
        tensors = {}
        inputs = keras.tree.map_structure(lambda tensor: self._input(tensor), graph.inputs)
        pairs = zip(keras.tree.flatten(graph.inputs), keras.tree.flatten(inputs), strict=True)
        tensors.update((id(old), new) for old, new in pairs)
        compared = []
        for call in graph.calls:
            args, kwargs = keras.tree.map_structure(
                lambda value: tensors.get(id(value), value), (list(call.args), dict(call.kwargs))
            )
            outputs = keras.tree.flatten(self._layer(call.layer)(*args, **kwargs))
            tensors.update(zip(map(id, call.outputs), outputs, strict=True))
            compared.append((call.layer, call.outputs, outputs))
        outputs = keras.tree.map_structure(lambda tensor: tensors[id(tensor)], graph.outputs)
        new = self._target.Model(inputs, outputs, name=model.name)
        for call in graph.calls:
            self._set_weights(call.layer)
        self._compare(graph, keras.tree.flatten(inputs), compared)
        return new

    def _input(self, tensor):
        layer = _compat.layer_behind(tensor)
        config = layer.get_config()
        if config.get("sparse") or config.get("ragged"):
            raise ValueError(f"The input {layer.name!r} is sparse or ragged: only dense ones are.")
        dtype = getattr(tensor.dtype, "name", tensor.dtype)
        return self._target.Input(
            shape=tuple(tensor.shape[1:]), batch_size=tensor.shape[0], dtype=dtype, name=layer.name
        )

    def _layer(self, layer):
        if id(layer) not in self._layers:
            if isinstance(layer, self._source.Model):
                new = self._model(layer)
            else:
                new = self._new_layer(layer)
            self._layers[id(layer)] = layer, new
        return self._layers[id(layer)][1]

    def _new_layer(self, layer):
        kind = self._kinds.get(type(layer))
        if kind is None:
            raise ValueError(
                f"The layer {layer.name!r} ({type(layer).__module__}.{type(layer).__name__}) can't "
                f"be converted. These layers of {self._source.__name__} can: {', '.join(_LAYERS)}, "
                "and models of them."
            )
        if layer.compute_dtype != "float32":
            raise ValueError(
                f"The layer {layer.name!r} ({kind}) computes in {layer.compute_dtype}: only "
                "float32 can be converted."
            )
        where = f"the layer {layer.name!r} ({kind})"
        target = getattr(self._target.layers, kind)
        return target(**self._config(type(layer), target, layer.get_config(), where))

    def _config(self, source, target, config, where):
        """Returns the arguments that a class of the target takes, for those of the source."""
        known, defaults = _arguments(target), _arguments(source)
        arguments = {}
        for name, value in config.items():
            if name in _WITHOUT_MEANING:
                continue
            new = name if name in known else _RENAMED.get(name)
            if new in known:
                arguments[new] = self._value(value, new, f"{name} of {where}")
            elif value is not None and value != defaults.get(name, False):
                raise ValueError(
                    f"The argument {name}={value!r} of {where} can't be converted: "
                    f"{self._target.__name__}.{target.__name__} takes none like it."
                )
        return arguments

    def _value(self, value, name, where):
        if "activation" in name:
            if value is not None and value not in _ACTIVATIONS:
                raise ValueError(
                    f"The {where} is {value!r}, which can't be converted. These can: "
                    f"{', '.join(_ACTIVATIONS)}."
                )
            return value
        if isinstance(value, (np.ndarray, np.generic)):
            return value.tolist()
        if isinstance(value, dict):
            return self._function(value, where)
        if isinstance(value, (list, tuple)):
            # tf_keras writes the axis of a batch normalization as a list of one.
            return value[0] if name == "axis" and len(value) == 1 else tuple(value)
        return value

    def _function(self, value, where):
        """Returns the initializer, regularizer or constraint that a serialized one is."""
        kind = value.get("class_name", "")
        module = str(value.get("module")).rpartition(".")[2]
        classes = [
            getattr(getattr(k, module, None), kind, None) for k in (self._source, self._target)
        ]
        is_custom = value.get("registered_name") not in (None, kind)
        if module not in _FUNCTION_MODULES or None in classes or is_custom:
            raise ValueError(f"The {where} is {kind or value!r}, which can't be converted.")
        return classes[1](**self._config(*classes, value["config"], where))

    def _set_weights(self, layer):
        old, new = self._layers[id(layer)]
        if isinstance(old, self._source.Model):
            return
        weights = old.get_weights()
        shapes = [[tuple(w.shape) for w in some] for some in (weights, new.get_weights())]
        if shapes[0] != shapes[1]:
            raise ValueError(
                f"The layer {old.name!r} has weights of the shapes {shapes[0]}, and in "
                f"{self._target.__name__} {shapes[1]}: it can't be converted."
            )
        new.set_weights(weights)

    def _compare(self, graph, inputs, compared):
        """Checks on random inputs that every layer's outputs are the same."""
        if not compared:
            return
        old_inputs = keras.tree.flatten(graph.inputs)
        x = [_sample(tensor, graph) for tensor in old_inputs]
        old = self._source.Model(old_inputs, [outputs for _, outputs, _ in compared])
        new = self._target.Model(inputs, [outputs for _, _, outputs in compared])
        found = zip(compared, old(x, training=False), new(x, training=False), strict=True)
        for (layer, _, _), before, after in found:
            for one, two in zip(*map(keras.tree.flatten, (before, after)), strict=True):
                one, two = np.asarray(one, "float64"), np.asarray(two, "float64")
                error = np.max(np.abs(one - two), initial=0.0)
                if not error <= _TOLERANCE * max(1.0, np.max(np.abs(one), initial=0.0)):
                    raise ValueError(
                        f"The layer {layer.name!r} ({type(layer).__name__}) computes something "
                        f"else in {self._target.__name__}: on random inputs of the model its "
                        f"output differs by up to {error:.2g}."
                    )


def _arguments(kind):
    """Returns the arguments that a class takes, its parents' among them, with their defaults."""
    found = {}
    for parent in kind.__mro__:
        parameters = inspect.signature(parent.__init__).parameters
        for name, parameter in parameters.items():
            found.setdefault(name, parameter.default)
        if not any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
            break
    return {**found, "name": None}


def _sample(tensor, graph):
    """Returns random values for an input, of a batch of 2, and of 32 where a size is unknown."""
    rng = np.random.default_rng(0)
    shape = [2 if tensor.shape[0] is None else tensor.shape[0]]
    shape += [32 if size is None else size for size in tensor.shape[1:]]
    dtype = getattr(tensor.dtype, "name", tensor.dtype)
    for call in graph.calls:
        if type(call.layer).__name__ == "Embedding" and call.args[0] is tensor:
            return rng.integers(0, call.layer.input_dim, shape).astype(dtype)
    if keras.backend.is_float_dtype(dtype):
        return rng.normal(size=shape).astype(dtype)
    return rng.integers(0, 2, shape).astype(dtype)
