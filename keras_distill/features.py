"""Layer paths to a multi-output model: predictions and tapped features in one forward pass."""

import difflib
import functools
import threading

import keras
import tensorflow as tf

SUFFIXES = ("input",)
_recorder = threading.local()


class FeatureExtractor:
    """Runs a model once and returns its output together with the features of tapped layers.

    Works for Functional, Sequential, nested and subclassed models alike, since it records what
    the layers see while the model runs, in place of rebuilding the model's graph. The model itself
    keeps no trace in what it saves.

    Args:
        model: The `keras.Model`.
        paths: Layer paths: a layer name, names joined by `/` through nested models and layers
            (`"backbone/conv4"`; the name of the attribute works too in a subclassed model),
            each with an optional `":input"` for the layer's input.
        side: What to call the model in errors: `"teacher"` or `"student"`.

    Raises:
        ValueError: If a path is unknown; the error lists the closest paths of the model.

    Example:

    ```python
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, name="hidden")])
    output, features = FeatureExtractor(model, ["hidden:input"])(np.zeros((2, 4)))
    assert features["hidden:input"].shape == (2, 4)
    ```
    """

    def __init__(self, model, paths, side="model"):
        self.model = model
        self.side = side
        self.paths = list(dict.fromkeys(paths))
        self._taps = {}
        for path in self.paths:
            layer, what = self._resolve(path)
            _make_observable(layer)
            self._taps[path] = (layer, what)

    def __call__(self, inputs, training=False):
        """Runs the model once.

        Args:
            inputs: The model's inputs.
            training: Whether the model runs in training mode.

        Returns:
            Tuple of the model's output and a dictionary from path to feature.

        Raises:
            ValueError: If a tapped layer was not called in the pass, or more than once.
        """
        outer = getattr(_recorder, "pass_", None)
        records = {id(layer): [] for layer, _ in self._taps.values()}
        _recorder.pass_ = (records, _current_graph())
        try:
            output = self.model(inputs, training=training)
        finally:
            _recorder.pass_ = outer
        return output, {path: self._pick(path, records) for path in self.paths}

    def symbolic_features(self):
        """Returns a dictionary from path to symbolic tensor, or `None` where a layer has none."""
        tensors = {}
        for path, (layer, what) in self._taps.items():
            try:
                tensors[path] = layer.input if what == "input" else layer.output
            except (AttributeError, ValueError):
                return None
            if not isinstance(tensors[path], keras.KerasTensor):
                return None
        return tensors

    def _pick(self, path, records):
        layer, what = self._taps[path]
        calls = records[id(layer)]
        if len(calls) != 1:
            raise ValueError(
                f"Layer {path!r} of the {self.side} is called {len(calls)} times in one forward "
                "pass, so that it has no single output: tap a layer that is called once."
            )
        seen_input, seen_output = calls[0]
        return seen_input if what == "input" else seen_output

    def _resolve(self, path):
        layer_path, colon, what = path.partition(":")
        if colon and what not in SUFFIXES:
            raise ValueError(
                f"Unknown suffix {':' + what!r} in the {self.side}'s layer path {path!r}. "
                f"Allowed: {', '.join(':' + suffix for suffix in SUFFIXES)}, or none for the "
                "layer's output."
            )
        layer = self.model
        for part in layer_path.split("/"):
            layer = _children(layer).get(part) or _attribute_layer(layer, part)
            if layer is None:
                raise ValueError(self._unknown(layer_path))
        return layer, what

    def _unknown(self, path):
        known = list(layer_paths(self.model))
        close = difflib.get_close_matches(path, known, n=5, cutoff=0.5)
        close += [other for other in known if other.split("/")[-1] == path.split("/")[-1]]
        nearest = list(dict.fromkeys(close)) or known[:10]
        return (
            f"The {self.side} model {self.model.name!r} has no layer {path!r}. "
            f"Closest: {', '.join(map(repr, nearest)) or 'it has no layers yet'}."
        )


class FeatureModel(keras.Model):
    """A model with several outputs: those of the tapped layers of another model.

    Args:
        model: The `keras.Model`.
        paths: Layer paths, as for `FeatureExtractor`.
        name: Name of the model.

    Raises:
        ValueError: If a path is unknown.

    Example:

    ```python
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, name="hidden")])
    features = FeatureModel(model, ["hidden"]).predict(np.zeros((2, 4)), verbose=0)
    assert features["hidden"].shape == (2, 3)
    ```
    """

    def __init__(self, model, paths, name=None):
        super().__init__(name=name or f"{model.name}_features")
        self.model = model
        self.extractor = FeatureExtractor(model, paths)

    def call(self, inputs, training=None):
        """Returns a dictionary from path to feature."""
        return self.extractor(inputs, training=bool(training))[1]


def layer_paths(model, prefix=""):
    """Yields the path of every layer of a model, nested ones included.

    Args:
        model: A `keras.Model` or layer.
        prefix: Path of the model itself, ending in `/`.

    Yields:
        Paths, outer layers before what they contain.
    """
    for name, layer in _children(model).items():
        if not isinstance(layer, keras.layers.InputLayer):
            yield prefix + name
            yield from layer_paths(layer, f"{prefix}{name}/")


def _children(layer):
    return {child.name: child for child in layer._flatten_layers(False, False)}


def _attribute_layer(layer, name):
    child = getattr(layer, name, None) if name.isidentifier() else None
    return child if isinstance(child, keras.layers.Layer) else None


def _current_graph():
    return None if tf.executing_eagerly() else tf.compat.v1.get_default_graph()


def _make_observable(layer):
    """Lets a layer report its calls to the recorder of the current thread, if there is one."""
    if getattr(layer.call, "is_observable", False):
        return
    original = layer.call

    @functools.wraps(original)
    def call(*args, **kwargs):
        output = original(*args, **kwargs)
        records, graph = getattr(_recorder, "pass_", None) or ({}, None)
        # Keras builds a layer by tracing its call in a graph of its own, which is no pass.
        if id(layer) in records and graph is _current_graph():
            seen_input = args[0] if args else next(iter(kwargs.values()))
            records[id(layer)].append((seen_input, output))
        return output

    call.is_observable = True
    # Written past Keras's attribute tracking: a function on the instance is no state of the layer.
    layer.__dict__["call"] = call
