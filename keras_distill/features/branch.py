"""Branches: what gives, once per batch, an output and the tapped features."""

import dataclasses
from typing import Any

import keras

from keras_distill._compat import mask_of, set_logits, set_mask
from keras_distill.arguments import shown
from keras_distill.losses.logits import remembered_logits

# Rules of automatic layers, and endings of paths, by which a loss taps weights.
_WITH_KERNEL = ("class_maps", "class_logits", "classifier")
_OF_WEIGHTS = (":kernel", ":bias")


@dataclasses.dataclass(frozen=True)
class Forward:
    """One forward pass of a branch: the output, and the feature of each tapped layer.

    Args:
        output: Output of the branch, any structure of tensors (or of shapes).
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
            layer_name: A layer path, a list of them, or `None`.
            loss: The loss, by which a cache picks what it keeps for that loss.
        """
        if layer_name is None:
            return self.output
        if isinstance(layer_name, str):
            return self.features[layer_name]
        return [self.features[path] for path in layer_name]

    def detached(self):
        """Returns the same forward pass as one through which no gradient runs back."""
        input_gradient = self.input_gradient
        if input_gradient is not None:

            def input_gradient(weigh):
                return keras.ops.stop_gradient(self.input_gradient(weigh))

        return dataclasses.replace(
            self,
            output=keras.tree.map_structure(_detached, self.output),
            features=keras.tree.map_structure(_detached, self.features),
            input_gradient=input_gradient,
        )


def _detached(tensor):
    made, logits = keras.ops.stop_gradient(tensor), remembered_logits(tensor)
    if mask_of(tensor) is not None:
        set_mask(made, mask_of(tensor))
    if logits is not None:
        set_logits(made, keras.ops.stop_gradient(logits))
    return made


class Branch:
    """A source of outputs and features: a model, a cache, a function, or nobody.

    A subclass overrides `forward`, and what differs from the defaults below, which are those of a
    branch that knows its shapes from its first forward pass and has no layers to choose from.

    Args:
        source: What the branch runs or reads.
        name: `"teacher"` or `"student"`: the name of the branch in errors.
        input_function: How the branch's inputs are taken from a batch's `x`: `None` (as they
            are), a function of `x`, or a key of a dictionary batch.

    Attributes:
        model: The `keras.Model` that runs, or `None`.
        shapes: `Forward` of shapes, or `None` while they are unknown.
        output_activation: `"softmax"`, `"sigmoid"`, `"linear"`, or `None` if it isn't known.
        output_names: List of the outputs' names, or `None`.
        symbolic_inputs: The branch's own description of its inputs, or `None` if it has none.
        supports_jit: Whether XLA can compile the forward pass.
        computes: Whether outputs are computed of a batch's inputs, so that a cache can be built.
        needs_labels: Whether the output depends on the labels of a batch too.
        is_trained: Whether the step trains it, so that it runs inside the tape.
        follows_mode: Whether a branch that isn't trained runs in training mode where the others do.
    """

    model: Any = None
    shapes: Forward | None = None
    output_activation: str | list | None = None
    output_names: list[str] | None = None
    symbolic_inputs: Any = None
    supports_jit = True
    computes = True
    needs_labels = False
    is_trained = False
    follows_mode = False

    def __init__(self, source, name="teacher", input_function=None):
        self.source = source
        self.name = name
        self.input_function = input_function

    @classmethod
    def accepts(cls, source):
        """Returns whether this kind of branch can be made of `source`."""
        return False

    def forward(self, x, training):
        """Runs the branch once on a batch.

        Args:
            x: The batch's `x`, joined with a cache or not.
            training: Whether the branch runs in training mode.

        Returns:
            `Forward` of tensors.
        """
        raise NotImplementedError(f"{type(self).__name__} must override `forward`.")

    @property
    def trainable_weights(self):
        """List of the weights that training the branch changes."""
        return [] if self.model is None else self.model.trainable_weights

    def run(self, x, training, forwards):
        """Runs the branch once on a batch, after others whose forward passes it may need.

        Args:
            x: As for `forward`.
            training: As for `forward`.
            forwards: Dictionary from each branch that ran before to its `Forward`.

        Returns:
            `Forward` of tensors.
        """
        return self.forward(x, training)

    @property
    def parts(self):
        """The branches that run so that this one has an output, by default itself."""
        return (self,)

    def as_source(self, forwards):
        """Returns the branch's forward pass as a teacher's, through which no gradient runs back.

        Args:
            forwards: Dictionary from each branch that ran on a batch to its `Forward`.
        """
        return forwards[self].detached() if self.is_trained else forwards[self]

    def with_labels(self, forward, labels, checks):
        """Returns a forward pass with what depends on the labels of its batch.

        Args:
            forward: `Forward` of tensors, as from `forward`.
            labels: `BatchLabels` of the batch.
            checks: `Checks` of the step.
        """
        return forward

    def tap(self, wanted):
        """Prepares the branch for what losses tap of it.

        Args:
            wanted: List of tuples of a layer name, as of `Forward.pick`, and the loss that taps
                it, or `None` where no loss does.

        Raises:
            ValueError: If a layer is unknown, or the branch can't give it.
        """

    def check_serves(self, loss):
        """Checks that the branch can be the source of a loss.

        Args:
            loss: `DistillationLoss`.

        Raises:
            ValueError: If it can't.
        """

    def check_kinds(self, kinds):
        """Checks that the branch's output suits the kinds of the student's outputs.

        Args:
            kinds: List with the kind of each output, as in `LossContext`.

        Raises:
            ValueError: If it doesn't.
        """

    def has_batch(self, x):
        """Returns whether the branch can give an output for a batch."""
        return True

    def candidates(self, rule):
        """Returns the layers among which `"auto"` chooses.

        Args:
            rule: `DistillationLoss.automatic_layers`.

        Raises:
            ValueError: If the branch has no such layers.
        """
        raise ValueError(
            f'"auto" chooses among the layers of a Keras model, and the {self.name} is none: name '
            "the features with teacher_layer_name and student_layer_name. "
            f"Received: {self.name}={shown(self.source)}"
        )

    def all_candidates(self):
        """Returns a dictionary from each rule to its candidates, where it finds any."""
        return {}

    def activation_of(self, layer_name, loss=None):
        """Returns the activation of what a loss taps, as in `LossContext`.

        Args:
            layer_name: As for `Forward.pick`.
            loss: The loss, if the activation of what a cache keeps for it is asked for.
        """
        return self.output_activation if layer_name is None else None

    def learn_shapes(self, inputs=None):
        """Finds the shapes of the output and the features before the first batch.

        Args:
            inputs: Structure of tensors or specifications with a batch axis; by default the
                branch's own description.
        """

    def learn_from(self, forward):
        """Finds the shapes in a forward pass.

        Args:
            forward: `Forward` of tensors.
        """
        self.shapes = Forward(
            keras.tree.map_structure(shape_of, forward.output),
            {path: shape_of(tensor) for path, tensor in forward.features.items()},
        )


class NoBranch(Branch):
    """Nobody: the teacher of losses that need none."""

    symbolic_inputs = ()
    shapes = Forward(None, {})
    computes = False

    @classmethod
    def accepts(cls, source):
        """Returns whether there is no source."""
        return source is None

    def forward(self, x, training):
        """Returns a `Forward` of nothing."""
        return self.shapes

    def learn_from(self, forward):
        """Does nothing: there are no shapes."""


def beyond_tensors(loss):
    """Returns what a loss needs of the teacher beyond one tensor per sample.

    Args:
        loss: `DistillationLoss`.

    Returns:
        The end of a sentence that begins with the loss's name; `None` if tensors suffice.
    """
    if loss.needs_input_gradient:
        return "needs gradients through the teacher"
    if loss.needs_teacher_model:
        return "builds with the teacher's layers"
    paths = keras.tree.flatten(loss.teacher_layer_name)
    to_choose = loss.has_automatic_layers and loss.automatic_layers in _WITH_KERNEL
    if to_choose or any(path is not None and path.endswith(_OF_WEIGHTS) for path in paths):
        return "taps a kernel of the teacher"
    return None


def shape_of(tensor):
    """Returns the static shape of a tensor as a tuple."""
    return tuple(tensor.shape)
