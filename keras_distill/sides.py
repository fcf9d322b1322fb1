"""One side of a distillation: a model, the inputs it takes of a batch, and what is tapped of it."""

import dataclasses
from typing import Any

import keras
import tensorflow as tf

from keras_distill.features import FeatureExtractor
from keras_distill.losses.logits import final_activation, graph_activation


@dataclasses.dataclass(frozen=True)
class Observation:
    """What one forward pass showed: the output, and the feature of each tapped path.

    Args:
        output: Output of the model, any structure of tensors (or of shapes).
        features: Dictionary from layer path to tensor (or shape).
    """

    output: Any
    features: dict

    def pick(self, layer_name):
        """Returns what a loss taps: the output for `None`, else one or several features."""
        if layer_name is None:
            return self.output
        if isinstance(layer_name, str):
            return self.features[layer_name]
        return [self.features[path] for path in layer_name]


class Side:
    """The teacher or the student of a distillation.

    Args:
        name: `"teacher"` or `"student"`.
        model: The `keras.Model`.
        paths: Layer paths to tap.
        route: How the model's inputs are taken from a batch's `x`: `None` (as they are), a
            callable on `x`, or a key of a dictionary batch.

    Raises:
        ValueError: If a path is unknown.
        TypeError: If `route` is none of the three.
    """

    def __init__(self, name, model, paths, route=None):
        if route is not None and not callable(route) and not isinstance(route, str):
            raise TypeError(
                f"{name}_input must be a callable on the batch's x, a key of a dictionary batch, "
                f"or None, got {route!r}."
            )
        self.name = name
        self.model = model
        self.route = route
        self.extractor = FeatureExtractor(model, paths, side=name)
        self.shapes = None
        self.ends_in = final_activation(model)

    def inputs_of(self, x):
        """Returns the model's inputs, taken from a batch's `x`.

        Args:
            x: The batch's inputs, any structure of tensors.

        Raises:
            ValueError: If `route` is a key that the batch doesn't have.
        """
        if self.route is None:
            return x
        if callable(self.route):
            return self.route(x)
        if not isinstance(x, dict) or self.route not in x:
            found = f"keys {sorted(x)}" if isinstance(x, dict) else type(x).__name__
            raise ValueError(
                f"{self.name}_input={self.route!r} needs dictionary batches with that key, "
                f"got {found}."
            )
        return x[self.route]

    def observe(self, x, training):
        """Runs the model once on a batch.

        Args:
            x: The batch's inputs.
            training: Whether the model runs in training mode.

        Returns:
            `Observation` of tensors.
        """
        return Observation(*self.extractor(self.inputs_of(x), training=training))

    @property
    def symbolic_inputs(self):
        """The model's own description of its inputs, or `None` for a subclassed model."""
        return _symbolic(self.model, "input")

    def learn_shapes(self, inputs=None):
        """Finds the shapes of the output and of the tapped features, and the last activation.

        Args:
            inputs: Structure of tensors or specifications with a batch axis, as the model takes
                them; by default the model's own description.
        """
        inputs = self.symbolic_inputs if inputs is None else inputs
        if not self.extractor.paths and self.ends_in is not None:
            shapes = keras.tree.map_structure(
                lambda t: tuple(t.shape), _symbolic(self.model, "output")
            )
            self.shapes = Observation(shapes, {})
            return
        specs = keras.tree.map_structure(_batch_spec, inputs)
        graph = tf.function(self.extractor).get_concrete_function(specs)
        self.shapes = Observation(
            *keras.tree.map_structure(lambda t: tuple(t.shape), graph.structured_outputs)
        )
        if self.ends_in is None:
            self.ends_in = graph_activation(graph.structured_outputs[0], graph.outputs)


def _symbolic(model, what):
    """Returns the structure of a model's symbolic inputs or outputs, `None` if it has none."""
    try:
        if isinstance(model, keras.Sequential):
            return getattr(model, f"{what}s")[0]
        return getattr(model, what)
    except (AttributeError, ValueError, TypeError):
        return None


def _batch_spec(tensor):
    dtype = keras.backend.standardize_dtype(tensor.dtype)
    return tf.TensorSpec((None, *tensor.shape[1:]), dtype)
