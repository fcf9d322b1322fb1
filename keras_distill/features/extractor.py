"""Multi-output feature extraction: a model's output and tapped layers in one forward pass."""

from collections.abc import Sequence
from typing import Any

import keras

from keras_distill._compat import set_mask
from keras_distill.arguments import check_flag, check_model, check_text, shown
from keras_distill.features.batch_norm_folding import folded_calls
from keras_distill.features.hooks import SUFFIXES, WEIGHTS, check_tappable, recording
from keras_distill.features.layer_paths import layers_along, symbolic
from keras_distill.losses.logits import activation_of


class FeatureExtractor:
    """Runs a model once and returns its output together with the features of tapped layers.

    Works for Functional, Sequential, nested and subclassed models alike, since it records what
    the layers compute while the model runs, and doesn't rebuild the model's graph. Nothing of it
    stays in the model, and several threads may run extractors on one model, or the model itself.

    Args:
        model: The `keras.Model`.
        paths: Layer paths: a layer name, names joined by `/` through nested models and layers
            (`"backbone/conv4"`; the name of the attribute works too in a subclassed model),
            each with an optional suffix:
            `":input"`, what enters the layer;
            `":preactivation"`, what enters its activation;
            `":kernel"` and `":bias"`, its weights;
            `":scores"`, the attention scores of a `MultiHeadAttention`, after the softmax and
            before dropout, shape `(batch, heads, queries, keys)`, 0 at padded queries;
            `":raw_scores"`, the same before the softmax, 0 at padded queries and masked keys;
            `":query"`, `":key"`, `":value"`, its projected vectors, shape
            `(batch, length, heads, size)`.
        branch: What to call the model in errors: `"teacher"` or `"student"`.
        folds: Whether inference runs with batch normalizations folded into the convolutions
            before them, where that is harmless. It is faster, and equal up to the rounding of
            float32.

    Raises:
        TypeError: If the model is none, or `paths` isn't a list of strings.
        ValueError: If a path is unknown; the error lists the closest paths of the model.

    Example:

    ```python
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, name="hidden")])
    output, features = FeatureExtractor(model, ["hidden:input"])(np.zeros((2, 4)))
    assert features["hidden:input"].shape == (2, 4)
    ```
    """

    def __init__(
        self, model: keras.Model, paths: Sequence[str], branch: str = "model", folds: bool = False
    ):
        self.model = check_model("model", model)
        self.branch = check_text("branch", branch)
        check_flag("folds", folds)
        self.paths = _checked_paths(paths)
        self._taps = {}
        for path in self.paths:
            layer, what = self._resolve(path)
            self._taps[path] = (layer, what)
        self._folded = folded_calls(model, self._taps.values()) if folds else {}

    def __call__(self, inputs: Any, training: bool = False) -> tuple[Any, dict[str, Any]]:
        """Runs the model once.

        Args:
            inputs: The model's inputs.
            training: Whether the model runs in training mode.

        Returns:
            Tuple of the model's output and a dictionary from path to feature.

        Raises:
            ValueError: If a tapped layer was not called in the pass, or more than once.
        """
        calls = None if training else self._folded
        with recording(self._taps.values(), calls) as records:
            output = self.model(inputs, training=training)
        return output, {path: self._pick(path, records) for path in self.paths}

    def symbolic_features(self) -> dict[str, Any] | None:
        """Returns a dictionary from path to symbolic tensor, or `None` where a layer has none."""
        tensors = {}
        for path, (layer, what) in self._taps.items():
            try:
                tensors[path] = getattr(layer, what) if what in ("input", "output") else None
            except (AttributeError, ValueError):
                return None
            if not isinstance(tensors[path], keras.KerasTensor):
                return None
        return tensors

    def activation_at(self, path: str) -> str | None:
        """Returns the activation's name of a layer whose output is tapped, `None` for other taps.

        Args:
            path: One of the layer paths.
        """
        layer, what = self._taps[path]
        return activation_of(layer) if what == "output" else None

    def _pick(self, path, records):
        layer, what = self._taps[path]
        if what in WEIGHTS:
            return keras.ops.convert_to_tensor(getattr(layer, what))
        record = records[layer]
        kept = record.kept[what]
        if not kept and record.is_hidden:
            raise ValueError(_runs_in_own_graph(f"{path!r} of the {self.branch}", "has a loop"))
        if len(kept) != 1:
            raise ValueError(
                f"Layer {path!r} of the {self.branch} is called {len(kept)} times in one forward "
                "pass, so that it has no single output: tap a layer that is called once."
            )
        mask = record.masks.get(what)
        if hasattr(mask, "shape"):
            set_mask(kept[0], mask)
        return kept[0]

    def _resolve(self, path):
        layer_path, colon, what = path.partition(":")
        if colon and what not in SUFFIXES:
            raise ValueError(
                f"Unknown suffix {':' + what!r} in a layer path of the {self.branch}. "
                f"Allowed: {', '.join(':' + suffix for suffix in SUFFIXES)}, or none for the "
                f"layer's output. Received: layer path {path!r}"
            )
        *around, layer = layers_along(self.model, layer_path, self.branch)
        _check_is_reached(layer_path, [self.model, *around], what, self.branch)
        if getattr(layer, "data_format", None) == "channels_first":
            raise ValueError(
                f"Layer {path!r} of the {self.branch} has data_format='channels_first'. Features "
                "are compared with their channels last: rebuild the model with "
                "data_format='channels_last'."
            )
        check_tappable(layer, what, f"{path!r} of the {self.branch}")
        return layer, what or "output"


def _checked_paths(paths):
    is_list = isinstance(paths, (list, tuple))
    if not is_list or not all(isinstance(path, str) for path in paths):
        raise TypeError(f"paths must be a list of layer paths. Received: paths={shown(paths)}")
    return list(dict.fromkeys(paths))


def _check_is_reached(path, around, what, branch):
    """Refuses a layer that runs in a loop, or in a `tf.function`, of a layer around it."""
    loops = (keras.layers.RNN, keras.layers.TimeDistributed)
    for depth, layer in enumerate(around):
        if what in WEIGHTS:
            return
        if isinstance(layer, loops):
            loop = "/".join(path.split("/")[:depth])
            raise ValueError(
                f"Layer {path!r} of the {branch} runs once per time step, in the loop of the "
                f"{type(layer).__name__} {loop!r}, so that it has no single output: tap {loop!r} "
                "in its place, a recurrent layer with return_sequences=True where each step "
                "counts."
            )
        if hasattr(layer.call, "get_concrete_function"):
            raise ValueError(
                _runs_in_own_graph(
                    f"{path!r} of the {branch}", f"of {layer.name!r} is a tf.function"
                )
            )


def _runs_in_own_graph(layer, why):
    return (
        f"Layer {layer} runs in a graph of its own, whose tensors can't be reached: `call` {why}. "
        "Leave @tf.function away from `call` (Keras compiles the whole training step anyway), or "
        "tap a layer outside of it."
    )


@keras.saving.register_keras_serializable("keras_distill")
class FeatureModel(keras.Model):
    """A model with several outputs: those of the tapped layers of another model.

    It is saved and loaded like any Keras model, the other model within it.

    Args:
        model: The `keras.Model`.
        paths: Layer paths, as for `FeatureExtractor`.
        name: Name of the model. Defaults to that of the other model and `_features`.
        trainable: Whether the model's weights are trained, as for `keras.Model`.
        dtype: Type or policy, as for `keras.Model`.

    Raises:
        TypeError: If the model is none, or `paths` isn't a list of strings.
        ValueError: If a path is unknown, or there is none.

    Example:

    ```python
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, name="hidden")])
    features = FeatureModel(model, ["hidden"]).predict(np.zeros((2, 4)), verbose=0)
    assert features["hidden"].shape == (2, 3)
    ```
    """

    def __init__(
        self,
        model: keras.Model,
        paths: Sequence[str],
        name: str | None = None,
        trainable: bool = True,
        dtype: Any = None,
    ):
        check_model("model", model)
        if not _checked_paths(paths):
            raise ValueError(f"paths is empty: give at least one layer path. Received: {paths=}")
        name = f"{model.name}_features" if name is None else check_text("name", name)
        super().__init__(name=name, trainable=check_flag("trainable", trainable), dtype=dtype)
        self.model = model
        self.extractor = FeatureExtractor(model, paths)
        inputs = symbolic(model, "input")
        if inputs is not None:
            self(keras.tree.map_structure(_like, inputs))

    def call(self, inputs: Any, training: bool | None = None) -> dict[str, Any]:
        """Returns a dictionary from path to feature."""
        return self.extractor(inputs, training=bool(training))[1]

    def build(self, input_shape: Any) -> None:
        """Builds the other model."""
        if not self.model.built:
            self.model.build(input_shape)
        self.built = True

    def get_config(self) -> dict:
        """Returns the constructor's arguments, the other model among them."""
        model = keras.saving.serialize_keras_object(self.model)
        return {**super().get_config(), "model": model, "paths": self.extractor.paths}

    @classmethod
    def from_config(cls, config: dict, custom_objects: dict | None = None) -> "FeatureModel":
        """Returns the model that `get_config` described."""
        deserialize = keras.saving.deserialize_keras_object
        config = {
            **config,
            "model": deserialize(config["model"], custom_objects),
            "dtype": deserialize(config["dtype"], custom_objects),
        }
        return cls(**config)


def _like(tensor):
    return keras.KerasTensor(tensor.shape, tensor.dtype)
