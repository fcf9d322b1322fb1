"""One side of a distillation: a model, the inputs it takes of a batch, and what is tapped of it."""

import dataclasses
from typing import Any

import keras
import tensorflow as tf
from keras.optimizers.schedules import LearningRateSchedule

from keras_distill.arguments import shown, takes
from keras_distill.features import FeatureExtractor
from keras_distill.features.layer_paths import symbolic
from keras_distill.losses.logits import (
    final_activation,
    logits_of,
    output_activations,
    remembered_logits,
)


@dataclasses.dataclass(frozen=True)
class Observation:
    """What one forward pass showed: the output, and the feature of each tapped path.

    Args:
        output: Output of the model, any structure of tensors (or of shapes).
        features: Dictionary from layer path to tensor (or shape).
        input_gradient: Function from a function of logits to the gradient of the logits, weighted
            by its result, with respect to the input; `None` unless it was asked for.
    """

    output: Any
    features: dict
    input_gradient: Any = None

    def pick(self, layer_name, loss=None):
        """Returns what a loss taps: the output for `None`, else one or several features.

        Args:
            layer_name: What the loss taps.
            loss: The loss, which only matters to a cache.
        """
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
        input_function: How the model's inputs are taken from a batch's `x`: `None` (as they are), a
            callable on `x`, or a key of a dictionary batch.
        gives_input_gradient: Whether observations hold the gradient with respect to the input.

    Raises:
        ValueError: If a path is unknown.
        TypeError: If `input_function` is none of the three.
    """

    def __init__(self, name, model, paths, input_function=None, gives_input_gradient=False):
        check_input_function(input_function, f"{name}_input")
        self.name = name
        self.model = model
        self.input_function = input_function
        self.gives_input_gradient = gives_input_gradient
        self.extractor = FeatureExtractor(model, paths, branch=name, folds=name == "teacher")
        self.shapes = None
        self.output_activation = final_activation(model)
        self._output_activations = output_activations(model)

    def inputs_of(self, x):
        """Returns the model's inputs, taken from a batch's `x`.

        Args:
            x: The batch's inputs, any structure of tensors.

        Raises:
            ValueError: If `input_function` is a key that the batch doesn't have.
        """
        return (
            x if self.input_function is None else take(self.input_function, x, f"{self.name}_input")
        )

    def observe(self, x, training):
        """Runs the model once on a batch.

        Args:
            x: The batch's inputs.
            training: Whether the model runs in training mode.

        Returns:
            `Observation` of tensors.
        """
        inputs = self.inputs_of(x)
        if not self.gives_input_gradient:
            return Observation(*self.extractor(inputs, training=training))
        inputs = self._as_declared(inputs)
        if len(keras.tree.flatten(inputs)) != 1 or not _is_floating(inputs):
            raise ValueError(
                f"The gradient with respect to the {self.name}'s input needs one input of floating "
                f"point numbers, got {keras.tree.map_structure(_describe, inputs)}."
            )
        with tf.GradientTape(persistent=True, watch_accessed_variables=False) as tape:
            tape.watch(inputs)
            output, features = self.extractor(inputs, training=training)
            if not hasattr(output, "shape"):
                raise ValueError(
                    f"The gradient with respect to the {self.name}'s input needs one output, got "
                    f"{keras.tree.map_structure(_describe, output)}."
                )
            logits = logits_of(output, "auto", self.output_activation)

        def input_gradient(weigh):
            return tape.gradient(logits, inputs, output_gradients=weigh(logits))

        return Observation(output, features, input_gradient)

    def _as_declared(self, inputs):
        """Casts integer images to the floating point numbers that the model declares."""
        declared = self.symbolic_inputs
        if not hasattr(declared, "dtype") or not hasattr(inputs, "dtype"):
            return inputs
        is_cast = _is_floating(declared) and not _is_floating(inputs)
        return keras.ops.cast(inputs, declared.dtype) if is_cast else inputs

    @property
    def symbolic_inputs(self):
        """The model's own description of its inputs, or `None` for a subclassed model."""
        return symbolic(self.model, "input")

    def activation_of(self, layer_name, loss=None):
        """Names the activation of what a loss taps, as in `LossContext`: a list for outputs.

        Args:
            layer_name: What the loss taps: `None` for the output, a path, or a list of paths.
            loss: The loss, which only matters to a cache.
        """
        if layer_name is None:
            has_several = self._output_activations and len(self._output_activations) > 1
            return self._output_activations if has_several else self.output_activation
        paths = [layer_name] if isinstance(layer_name, str) else layer_name
        found = {self.extractor.activation_at(path) for path in paths}
        return found.pop() if len(found) == 1 else None

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
        if (
            self.output_activation is None
            and len(outputs) == 1
            and remembered_logits(outputs[0]) is not None
        ):
            self.output_activation = "softmax"

    def _described_shapes(self):
        """Returns the shapes that the model's own layers tell, `None` where they don't."""
        output = symbolic(self.model, "output")
        features = self.extractor.symbolic_features()
        if output is None or features is None:
            return None
        shapes = {path: _shape_of(tensor) for path, tensor in features.items()}
        # A nested model may be built for any size, and run at one that only a trace tells.
        if any(None in shape[1:] for shape in shapes.values()):
            return None
        return Observation(keras.tree.map_structure(_shape_of, output), shapes)


def check_input_function(input_function, argument):
    """Checks how something is to be taken from a batch.

    Args:
        input_function: `None`, a callable, or a key.
        argument: Name of the argument, for the error.

    Raises:
        TypeError: If `input_function` is none of the three.
    """
    is_function = callable(input_function) and not isinstance(
        input_function, (type, LearningRateSchedule)
    )
    is_function = is_function and takes(input_function, 1)
    if (
        input_function is None
        or is_function
        or (isinstance(input_function, str) and input_function)
    ):
        return
    raise TypeError(
        f"{argument} must be a function of the batch's x, a key of a dictionary batch, or None. "
        f"Received: {argument}={shown(input_function)}"
    )


def take(input_function, x, argument):
    """Takes something from a batch's `x`.

    Args:
        input_function: A callable on `x`, or a key of a dictionary batch.
        x: The batch's inputs, any structure of tensors.
        argument: Name of the argument, for the error.

    Raises:
        ValueError: If `input_function` is a key that the batch doesn't have.
    """
    if callable(input_function):
        return input_function(x)
    if not isinstance(x, dict) or input_function not in x:
        found = f"keys {sorted(x)}" if isinstance(x, dict) else type(x).__name__
        raise ValueError(
            f"{argument}={shown(input_function)} needs dictionary batches with that key. "
            f"Received: {found}"
        )
    return x[input_function]


class NoSide:
    """The teacher of a distillation that has none: it shows nothing."""

    symbolic_inputs = ()
    output_activation = None
    model = None

    def __init__(self):
        self.shapes = Observation(None, {})

    def inputs_of(self, x):
        """Returns `x`."""
        return x

    def activation_of(self, layer_name, loss=None):
        """Returns `None`: it has no layers."""

    def learn_shapes(self, inputs=None):
        """There are none to learn."""

    def learn_from(self, observation):
        """There is nothing to learn."""

    def observe(self, x, training):
        """Returns an `Observation` of nothing."""
        return Observation(None, {})


class Sides:
    """The two sides, in an object whose attributes Keras does not track as layers.

    Args:
        teacher: `Side` or `NoSide`.
        student: `Side`.
    """

    def __init__(self, teacher, student):
        self.teacher = teacher
        self.student = student
        self.batch_spec = None

    def __iter__(self):
        return iter((self.teacher, self.student))

    @property
    def are_unknown(self):
        """Whether the shapes of a side are still to be learned."""
        return self.teacher.shapes is None or self.student.shapes is None


def spec_of(tensor):
    """Returns a symbolic tensor of the shape and type of a batch, of any number of samples."""
    dtype = keras.backend.standardize_dtype(tensor.dtype)
    return keras.KerasTensor((None, *tensor.shape[1:]), dtype)


def read_spec(spec):
    """Returns the structure of symbolic tensors that was written as shapes and types."""
    if isinstance(spec, (list, tuple)):
        return [read_spec(part) for part in spec]
    if set(spec) == {"shape", "dtype"} and isinstance(spec["dtype"], str):
        return keras.KerasTensor(spec["shape"], spec["dtype"])
    return {key: read_spec(part) for key, part in spec.items()}


def _is_floating(tensor):
    return "float" in keras.backend.standardize_dtype(keras.tree.flatten(tensor)[0].dtype)


def _describe(tensor):
    return f"{keras.backend.standardize_dtype(tensor.dtype)} of shape {tuple(tensor.shape)}"


def _shape_of(tensor):
    return tuple(tensor.shape)


def _batch_spec(tensor):
    dtype = keras.backend.standardize_dtype(tensor.dtype)
    return tf.TensorSpec((None, *tensor.shape[1:]), dtype)
