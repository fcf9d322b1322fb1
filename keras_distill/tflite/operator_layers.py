"""The Keras layers that the operators of a TensorFlow Lite file come from."""

import re

import keras

from keras_distill._compat import layer_behind
from keras_distill.features.layer_paths import children, layer_at, layers_by_path, symbolic
from keras_distill.tflite.analysis import schema

# What the converter calls an operator that makes an output of the model.
_OUTPUT = re.compile(r"StatefulPartitionedCall(_\d+)?:(\d+)")


class OperatorLayers:
    """Finds the layers that each operator of a converted file computes.

    The converter names an operator after all that it fused, `"model_1/relu_1/Relu;
    model_1/conv_1/convolution"`; TensorFlow has added numbers to the names of the layers.

    Args:
        model: The `keras.Model` that was converted.
        graph: `Graph` of the file.
    """

    def __init__(self, model, graph):
        self._model = model
        self._paths = layers_by_path(model)
        outputs = symbolic(model, "output")
        self._output_layers = [
            layer_behind(tensor) for tensor in keras.tree.flatten(outputs) if tensor is not None
        ]
        self._of = {operator.outputs[0].name: self._found(operator) for operator in graph.operators}

    def layers_of(self, operator):
        """Returns the paths of the layers that an operator computes, the main one first.

        Args:
            operator: `Operator` of the graph.

        Returns:
            List of paths; empty where none is known.
        """
        return self._of[operator.outputs[0].name]

    def name_of(self, operator):
        """Returns the path of the main layer of an operator, or the operator's own name.

        Args:
            operator: `Operator` of the graph.
        """
        found = self.layers_of(operator)
        return found[0] if found else operator.outputs[0].name.split(";")[0]

    def operators_of(self, layer):
        """Returns the names of the operators that compute a layer, or a layer inside it.

        Args:
            layer: A layer of the model.
        """
        path = next(path for path, one in self._paths.items() if one is layer)
        return [
            name
            for name, found in self._of.items()
            if any(f"{one}/".startswith(f"{path}/") for one in found)
        ]

    def with_operators(self):
        """Returns the paths of all layers that have an operator."""
        found = {path for paths in self._of.values() for path in paths}
        return [path for path in self._paths if path in found]

    def _found(self, operator):
        name = operator.outputs[0].name
        output = _OUTPUT.match(name)
        if output:
            # The name of the weights still tells what the output's hides.
            constants = [one.name for one in operator.inputs[1:2] if one and one.is_constant]
            found = [*map(self._path, ";".join(constants).split(";")), self._output_path(output)]
        else:
            found = list(map(self._path, name.split(";")))
        found = [path for path in dict.fromkeys(found) if path]
        return sorted(found, key=self._rank)

    def _rank(self, path):
        """Layers with a kernel come first, activations and normalizations last."""
        layer = self._paths[path]
        after = (keras.layers.Activation, keras.layers.ReLU, keras.layers.BatchNormalization)
        return 0 if hasattr(layer, "kernel") else 2 if isinstance(layer, after) else 1

    def _output_path(self, match):
        position = int(match[2])
        if position >= len(self._output_layers):
            return None
        layer = self._output_layers[position]
        return next((path for path, one in self._paths.items() if one is layer), None)

    def _path(self, name):
        """Returns the path of the layer that a part of an operator's name tells, or `None`."""
        root, *scopes = name.split("/")
        is_numbered = root != self._model.name
        layer, path = self._model, []
        for scope in scopes:
            layer = _named(children(layer), scope, is_numbered)
            if layer is None:
                break
            path.append(layer.name)
        return "/".join(path) or None


def operators_of_layers(model, content, paths):
    """Finds the operators that compute some layers.

    Args:
        model: The `keras.Model` that was converted.
        content: Bytes of the file.
        paths: List of names of layers, or of paths through nested models.

    Returns:
        List of the names of the operators' first outputs.

    Raises:
        ValueError: If there is no such layer, or one has no operator.
    """
    layers = OperatorLayers(model, schema.parse(content))
    names = []
    for path in paths:
        found = layers.operators_of(layer_at(model, path))
        if not found:
            raise ValueError(
                f"The layer {path!r} has no operator of its own: it is computed with another layer "
                f"or before the conversion. These have one: {', '.join(layers.with_operators())}. "
                f"Received: the layer {path!r}"
            )
        names += found
    return list(dict.fromkeys(names))


def check_float(content, names):
    """Checks that operators are in float, which the converter doesn't do for all kinds.

    Args:
        content: Bytes of the quantized file.
        names: List of names of the operators' first outputs before quantization.

    Raises:
        ValueError: If one is in integers.
    """
    # What makes an output of the model is given a number behind its name.
    wanted = {*names, *(f"{name}1" for name in names)}
    stayed = [
        f"{name.split(';')[0]!r} ({operator.name})"
        for operator in schema.parse(content).operators
        if (name := operator.outputs[0].name) in wanted
        and operator.name != "QUANTIZE"
        and operator.outputs[0].dtype != "float32"
    ]
    if stayed:
        raise ValueError(
            f"The converter leaves {', '.join(stayed)} in int8, which changes none of the values: "
            "leave that layer out of float_layers, and name the one before it."
        )


def _named(layers, scope, is_numbered):
    """Returns the layer that a scope is named after, with a number or as it is."""
    numbered = scope.rpartition("_")
    with_number = layers.get(numbered[0]) if numbered[2].isdigit() else None
    exact = layers.get(scope)
    return (with_number or exact) if is_numbered else (exact or with_number)
