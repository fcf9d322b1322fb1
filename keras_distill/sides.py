"""One side of a distillation: a model, the inputs it takes of a batch, and what is tapped of it."""

import dataclasses
from typing import Any

import keras
import tensorflow as tf

from keras_distill.features import FeatureExtractor
from keras_distill.losses.logits import final_activation, remembered_logits


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
        """Finds the shapes of the output and of the tapped features before the model runs.

        Args:
            inputs: Structure of tensors or specifications with a batch axis, as the model takes
                them; by default the model's own description.
        """
        self.shapes = self._described_shapes() if inputs is None else None
        if self.shapes is not None:
            return
        inputs = self.symbolic_inputs if inputs is None else inputs
        specs = keras.tree.map_structure(_batch_spec, inputs)
        graph = tf.function(self.extractor).get_concrete_function(specs)
        self.learn_from(Observation(*graph.structured_outputs))

    def learn_from(self, observation):
        """Finds the shapes, and whether the output is probabilities, from a forward pass.

        Args:
            observation: `Observation` of tensors.
        """
        self.shapes = Observation(
            keras.tree.map_structure(_shape_of, observation.output),
            {path: _shape_of(tensor) for path, tensor in observation.features.items()},
        )
        outputs = keras.tree.flatten(observation.output)
        if self.ends_in is None and len(outputs) == 1 and remembered_logits(outputs[0]) is not None:
            self.ends_in = "softmax"

    def _described_shapes(self):
        """Returns the shapes that the model's own layers tell, `None` where they don't."""
        output = _symbolic(self.model, "output")
        features = self.extractor.symbolic_features()
        if output is None or features is None:
            return None
        shapes = {path: _shape_of(tensor) for path, tensor in features.items()}
        # A nested model may be built for any size, and run at one that only a trace tells.
        if any(None in shape[1:] for shape in shapes.values()):
            return None
        return Observation(keras.tree.map_structure(_shape_of, output), shapes)


def _shape_of(tensor):
    return tuple(tensor.shape)


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
