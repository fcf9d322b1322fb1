"""The branch of a Keras model: it runs once per batch, and its layers are tapped."""

import keras
import tensorflow as tf

from keras_distill.features import automatic_layers, model_cutting
from keras_distill.features.batches import inputs_of, take
from keras_distill.features.branch import Branch, Forward, shape_of
from keras_distill.features.extractor import FeatureExtractor
from keras_distill.features.layer_paths import output_names, symbolic
from keras_distill.losses.logits import (
    final_activation,
    logits_of,
    output_activations,
    remembered_logits,
)


class ModelBranch(Branch):
    """A Keras model, teacher or student.

    Args:
        source: The `keras.Model`.
        name: As for `Branch`.
        input_function: As for `Branch`.
    """

    def __init__(self, source, name="teacher", input_function=None):
        super().__init__(source, name, input_function)
        self._wanted = []
        self.use(source)

    @classmethod
    def accepts(cls, source):
        """Returns whether the source is a Keras model."""
        return isinstance(source, keras.Model)

    def use(self, model):
        """Replaces the model by another.

        Args:
            model: `keras.Model`.
        """
        self.model = self.source = model
        self.output_names = output_names(model)
        self.output_activation = final_activation(model)
        self._output_activations = output_activations(model)
        self.shapes = None

    def tap(self, wanted):
        """Makes the extractor of the tapped layers."""
        self._wanted += wanted
        names = keras.tree.flatten([layer_name for layer_name, _ in self._wanted])
        paths = [path for path in names if path is not None]
        is_source = self.name == "teacher"
        self.extractor = FeatureExtractor(self.model, paths, branch=self.name, folds=is_source)
        losses = [loss for _, loss in self._wanted if loss is not None]
        self._gives_input_gradient = any(loss.needs_input_gradient for loss in losses)

    def forward(self, x, training):
        """Runs the model once on a batch."""
        inputs = self.inputs_of(x)
        if not self._gives_input_gradient:
            return Forward(*self.extractor(inputs, training=training))
        inputs = self._as_declared(inputs)
        if len(keras.tree.flatten(inputs)) != 1 or not _is_floating(inputs):
            raise ValueError(
                f"The gradient with respect to the {self.name}'s input needs one input of floating "
                f"point numbers. Received: {keras.tree.map_structure(_describe, inputs)}"
            )
        with tf.GradientTape(persistent=True, watch_accessed_variables=False) as tape:
            tape.watch(inputs)
            output, features = self.extractor(inputs, training=training)
            if not hasattr(output, "shape"):
                raise ValueError(
                    f"The gradient with respect to the {self.name}'s input needs one output. "
                    f"Received: {keras.tree.map_structure(_describe, output)}"
                )
            logits = logits_of(output, "auto", self.output_activation)

        def input_gradient(weigh):
            return tape.gradient(logits, inputs, output_gradients=weigh(logits))

        return Forward(output, features, input_gradient)

    def inputs_of(self, x):
        """Returns the model's inputs, taken from a batch's `x`.

        Args:
            x: The batch's `x`, joined with a cache or not.

        Raises:
            ValueError: If `input_function` is a key that the batch doesn't have.
        """
        return take(self.input_function, inputs_of(x), f"{self.name}_input")

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

    def candidates(self, rule):
        """Returns the layers among which `"auto"` chooses."""
        return automatic_layers.candidates(rule, self.model, self.name)

    def all_candidates(self):
        """Returns a dictionary from each rule to its candidates, where it finds any."""
        return automatic_layers.all_candidates(self.model)

    def activation_of(self, layer_name, loss=None):
        """Returns the activation of what a loss taps: a list for several outputs."""
        if layer_name is None:
            has_several = self._output_activations and len(self._output_activations) > 1
            return self._output_activations if has_several else self.output_activation
        paths = [layer_name] if isinstance(layer_name, str) else layer_name
        found = {self.extractor.activation_at(path) for path in paths}
        return found.pop() if len(found) == 1 else None

    def learn_shapes(self, inputs=None):
        """Finds the shapes without running the model: in its graph, or by tracing it."""
        self.shapes = self._described_shapes() if inputs is None else None
        if self.shapes is not None:
            return
        inputs = self.symbolic_inputs if inputs is None else self.inputs_of(inputs)
        specs = keras.tree.map_structure(_batch_spec, inputs)
        graph = tf.function(self.extractor, autograph=False).get_concrete_function(specs)
        self.learn_from(Forward(*graph.structured_outputs))

    def learn_from(self, forward):
        """Finds the shapes, and whether the output is probabilities, in a forward pass."""
        super().learn_from(forward)
        outputs = keras.tree.flatten(forward.output)
        is_known = self.output_activation is not None or len(outputs) != 1
        if not is_known and remembered_logits(outputs[0]) is not None:
            self.output_activation = "softmax"

    def _described_shapes(self):
        """Returns the shapes that the model's graph holds, `None` where it has none."""
        output = symbolic(self.model, "output")
        features = self.extractor.symbolic_features()
        if output is None or features is None:
            return None
        shapes = {path: shape_of(tensor) for path, tensor in features.items()}
        # A nested model may be built for any size, and run at one that only a trace tells.
        if any(None in shape[1:] for shape in shapes.values()):
            return None
        return Forward(keras.tree.map_structure(shape_of, output), shapes)

    def cut_at(self, path):
        """Returns the output of a layer, as a symbolic tensor in the graph of the whole model.

        Args:
            path: Layer path; a model nested in the other is cut at the layer.

        Raises:
            ValueError: If the model, or one nested in it around the layer, has no graph.
        """
        return model_cutting.cut_at(self.model, path, self.name)

    def models_after(self, path):
        """Returns the models from a layer to the model's first output, the inner one first.

        Args:
            path: A layer path at which `cut_at` has cut.
        """
        return model_cutting.models_after(self.model, path)


def _is_floating(tensor):
    return "float" in keras.backend.standardize_dtype(keras.tree.flatten(tensor)[0].dtype)


def _describe(tensor):
    return f"{keras.backend.standardize_dtype(tensor.dtype)} of shape {tuple(tensor.shape)}"


def _batch_spec(tensor):
    dtype = keras.backend.standardize_dtype(tensor.dtype)
    return tf.TensorSpec((None, *tensor.shape[1:]), dtype)
