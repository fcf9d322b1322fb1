"""The base class of every distillation loss: which layers it taps, and how it is called."""

import dataclasses
import inspect
import re
from typing import Any

import keras
from keras import ops

from keras_distill.losses import schedule
from keras_distill.losses.functional import labels_as_one_hot
from keras_distill.losses.logits import activation_of, final_activation


@dataclasses.dataclass(frozen=True)
class LossContext:
    """What a loss may know beyond the two outputs it compares.

    Args:
        labels: Labels of the batch, or `None`.
        indices: Index of each sample in the data set, shape `(batch,)`, or `None`.
        mask: Boolean tensor of shape `(batch, length)` that is true at the positions that count,
            or `None`.
        step: Number of optimizer updates made so far.
        training: Whether this is a training step.
        teacher_ends_in: `"softmax"`, `"sigmoid"`, `"linear"`, or `None` if it isn't known.
        student_ends_in: The same for the student.
        teacher_input_gradient: Function from a function of logits, whose result has their shape,
            to the gradient of the logits, weighted by that result, with respect to the teacher's
            input. Given to losses with `needs_input_gradient`.
        student_input_gradient: The same for the student.
    """

    labels: Any = None
    indices: Any = None
    mask: Any = None
    step: Any = 0
    training: bool = False
    teacher_ends_in: str | None = None
    student_ends_in: str | None = None
    teacher_input_gradient: Any = None
    student_input_gradient: Any = None

    def one_hot(self, logits, loss):
        """Returns the labels as 0 and 1, in the shape of `logits`.

        Args:
            logits: Tensor of shape `(batch, ..., classes)`.
            loss: The loss that asks, for the error.

        Raises:
            ValueError: If there are no labels.
        """
        if self.labels is None:
            raise ValueError(
                f"{type(loss).__name__} needs labels: train on (inputs, labels), or, outside a "
                "Distiller, call compute_loss(..., labels=...)."
            )
        return labels_as_one_hot(self.labels, logits)

    def input_gradients(self, weigh, loss):
        """Returns the gradients of both models' weighted logits with respect to their inputs.

        Args:
            weigh: Function from logits to weights of the same shape.
            loss: The loss that asks, for the error.

        Returns:
            Tuple of two tensors of the shape of the input, the teacher's and the student's.

        Raises:
            ValueError: If there are no gradients.
        """
        if self.teacher_input_gradient is None:
            raise ValueError(
                f"{type(loss).__name__} needs gradients with respect to the input, which only "
                "keras_distill.Distiller provides."
            )
        return self.teacher_input_gradient(weigh), self.student_input_gradient(weigh)


class DistillationLoss(keras.distillation.DistillationLoss):
    """Compares an output, or layers, of the teacher with those of the student.

    A subclass overrides `call`. It works in `keras_distill.Distiller` and, when it taps at most
    one layer per side and owns no variables, in `keras.distillation.Distiller`.

    A subclass says what else it needs in class attributes: `needs_labels`, `needs_indices`,
    `needs_teacher`, `needs_input_gradient`, `needs_teacher_model` (whether tapped tensors alone, as
    a cache keeps them, aren't enough), `pairs_layers` (whether a list of layers on one side
    needs one of the same length on the other), `taps` (a few words for people) and `auto_taps`,
    the rule by which `"auto"` chooses layers (see `keras_distill.taps`). Every constructor argument
    is kept under its own name, and is then saved and restored.

    Args:
        teacher_layer_name: Path of the teacher's layer (`"conv4"`, `"backbone/conv4"`,
            `"conv4:input"`), a list of paths, `None` for the teacher's output, or `"auto"` where
            the loss has a rule.
        student_layer_name: The same for the student; a list of the same length.
        name: Name of the loss in the training history. Defaults to the class name in snake case.

    Raises:
        TypeError: If a layer name is neither a string, nor a list of strings, nor `None`.
        ValueError: If the two lists differ in length, or one side is a list and the other is not.

    Example:

    ```python
    @keras.saving.register_keras_serializable("my_project")
    class CosineDistance(DistillationLoss):
        def call(self, teacher, student, context):
            return 1.0 - ops.sum(
                ops.normalize(teacher, axis=-1) * ops.normalize(student, axis=-1), axis=-1
            )
    ```
    """

    auto_taps = None
    taps = "the output"
    pairs_layers = True
    needs_labels = False
    needs_indices = False
    needs_teacher = True
    needs_input_gradient = False
    needs_teacher_model = False
    built = False

    def __init__(self, teacher_layer_name=None, student_layer_name=None, name=None):
        self.teacher_layer_name = _checked_layer_name("teacher_layer_name", teacher_layer_name)
        self.student_layer_name = _checked_layer_name("student_layer_name", student_layer_name)
        self.name = name or to_snake_case(type(self).__name__)
        self.check_layer_names()

    def check_layer_names(self):
        """Checks that the layer names of the two sides go together.

        Raises:
            ValueError: If they don't.
        """
        sides = (self.teacher_layer_name, self.student_layer_name)
        automatic = [side == "auto" for side in sides]
        if any(automatic) and self.auto_taps is None:
            raise ValueError(
                f'{type(self).__name__} has no rule for "auto": name the layers, or None for the '
                "output."
            )
        if any(automatic) != all(automatic):
            raise ValueError(
                f'{type(self).__name__} chooses the layers of both models, or of none: "auto" is '
                f"for both sides. Teacher: {sides[0]!r}, Student: {sides[1]!r}."
            )
        several = [isinstance(side, list) and self.pairs_layers for side in sides]
        if any(several) and (not all(several) or len(sides[0]) != len(sides[1])):
            raise ValueError(
                f"{type(self).__name__} pairs the teacher's layers with the student's, so both "
                "must be lists of the same length. "
                f"Teacher: {sides[0]!r}, Student: {sides[1]!r}."
            )

    @property
    def has_automatic_layers(self):
        """Whether the layers are still to be chosen."""
        return self.teacher_layer_name == "auto"

    def with_layers(self, teacher_layer_name, student_layer_name):
        """Returns a new loss with the same settings and the given layers.

        Args:
            teacher_layer_name: As for the constructor.
            student_layer_name: As for the constructor.
        """
        names = {
            "teacher_layer_name": teacher_layer_name,
            "student_layer_name": student_layer_name,
        }
        return type(self).from_config({**self.get_config(), **names})

    def adapt_student(self, teacher, student):
        """Returns the student to train, and the loss for it, for losses that change the student.

        Args:
            teacher: The teacher model.
            student: The student model.

        Returns:
            Tuple of a `keras.Model` and a loss; by default the student and this loss as they are.
        """
        return student, self

    def shape_error(self, teacher_shape, student_shape, why):
        """Returns an error that names what was tapped of both sides, and its shapes.

        Args:
            teacher_shape: Shape of what is tapped of the teacher.
            student_shape: The same of the student.
            why: What doesn't fit, and what to do.
        """
        return ValueError(
            f"{type(self).__name__}: {why} "
            f"Teacher {self.teacher_layer_name!r}: {teacher_shape}, "
            f"Student {self.student_layer_name!r}: {student_shape}."
        )

    def teacher_reduction(self, ends_in=None):
        """Names how `reduce_teacher` reduces; losses that give the same name reduce alike.

        Args:
            ends_in: The activation of the teacher's output, as in `LossContext`.

        Returns:
            A short name, or `""` where nothing is reduced.
        """
        return ""

    def reduce_teacher(self, teacher, ends_in=None):
        """Returns a smaller tensor that this loss can't tell from what was tapped of the teacher.

        The loss of the result is the loss of `teacher`, whatever the student. It is what a
        `keras_distill.TeacherCache` keeps.

        Args:
            teacher: One tensor tapped of the teacher.
            ends_in: The activation of the teacher's output, as in `LossContext`.
        """
        return teacher

    def call(self, teacher, student, context):
        """Computes the loss of each sample.

        Args:
            teacher: What was tapped of the teacher: a tensor, or a list of tensors if
                `teacher_layer_name` is a list.
            student: The same of the student.
            context: `LossContext`.

        Returns:
            Tensor of shape `(batch,)`, one value per sample, or a scalar for a loss that only
            has a value for the whole batch.
        """
        raise NotImplementedError(f"{type(self).__name__} must override `call`.")

    def build(self, teacher_shapes, student_shapes):
        """Checks the shapes of what is compared, and creates variables where there are any.

        Args:
            teacher_shapes: Shape tuple of what is tapped of the teacher, or a list of them.
            student_shapes: The same of the student.

        Raises:
            ValueError: If they can't be compared; the error names both sides' shapes.
        """

    def prepare(self, teacher_shapes, student_shapes):
        """Builds the loss for its owner, who trains and saves its `layers`.

        Args:
            teacher_shapes: As for `build`.
            student_shapes: As for `build`.
        """
        self.build(teacher_shapes, student_shapes)
        self.built = True

    def check_activations(self, teacher_ends_in, student_ends_in):
        """Checks that the loss suits what the models output, where that is known.

        Args:
            teacher_ends_in: `"softmax"`, `"sigmoid"`, `"linear"`, or `None` if it isn't known.
            student_ends_in: The same for the student.

        Raises:
            ValueError: If it doesn't.
        """

    @property
    def own_layers(self):
        """List of the Keras layers whose variables belong to this loss (projectors)."""
        return []

    def compute_loss(self, teacher_outputs, student_outputs, **kwargs):
        """Computes the mean loss of a batch.

        Args:
            teacher_outputs: What was tapped of the teacher.
            student_outputs: What was tapped of the student.
            **kwargs: Fields of `LossContext` (`labels`, `mask`, `step`, ...).

        Returns:
            Scalar tensor.
        """
        self.validate_outputs(teacher_outputs, student_outputs)
        known = {**getattr(self, "_known_of_models", {}), **kwargs}
        return ops.mean(self.call(teacher_outputs, student_outputs, LossContext(**known)))

    def validate_outputs(self, teacher_outputs, student_outputs):
        """Checks that the tapped tensors can be compared.

        Args:
            teacher_outputs: What was tapped of the teacher.
            student_outputs: What was tapped of the student.

        Raises:
            ValueError: If they can't be compared.
        """
        if self.pairs_layers:
            super().validate_outputs(teacher_outputs, student_outputs)
        if self.built:
            return
        teacher_shapes = keras.tree.map_structure(_static_shape, teacher_outputs)
        student_shapes = keras.tree.map_structure(_static_shape, student_outputs)
        self.build(teacher_shapes, student_shapes)
        is_in_keras_distiller = hasattr(self, "_known_of_models")
        if is_in_keras_distiller and any(layer.variables for layer in self.own_layers):
            raise ValueError(
                f"{type(self).__name__} has variables of its own for the teacher's features "
                f"{teacher_shapes} and the student's {student_shapes}, and only "
                "keras_distill.Distiller trains and saves them: use it in place of "
                "keras.distillation.Distiller, or tap layers of the same shape."
            )
        self.built = bool(self.own_layers)

    def validate_model_compatibility(self, teacher, student):
        """Called by `keras.distillation.Distiller` with the two models, before training.

        Args:
            teacher: The teacher model.
            student: The student model.

        Raises:
            ValueError: If this loss can't be used with them.
        """
        if self.has_automatic_layers:
            raise ValueError(
                f"{type(self).__name__} is to choose its layers, as only keras_distill.Distiller "
                "does: use that in place of keras.distillation.Distiller, or name the layers."
            )
        ends = (
            _activation_at(teacher, self.teacher_layer_name),
            _activation_at(student, self.student_layer_name),
        )
        self.check_activations(*ends)
        self._known_of_models = {"teacher_ends_in": ends[0], "student_ends_in": ends[1]}

    def clone(self):
        """Returns a new loss with the same settings and no variables."""
        return type(self).from_config(self.get_config())

    def get_config(self):
        """Returns the constructor's arguments as a dictionary that `json` can write."""
        parameters = inspect.signature(type(self).__init__).parameters
        kept = [name for name in parameters if name != "self" and hasattr(self, name)]
        return {name: schedule.serialize(getattr(self, name)) for name in kept}

    @classmethod
    def from_config(cls, config):
        """Returns the loss that `get_config` described."""
        return cls(**{name: schedule.deserialize(value) for name, value in config.items()})

    def __repr__(self):
        settings = ", ".join(f"{key}={value!r}" for key, value in self.get_config().items())
        return f"{type(self).__name__}({settings})"


def _activation_at(model, layer_name):
    if layer_name is None:
        return final_activation(model)
    layers = {layer.name: layer for layer in model.layers}
    is_known = isinstance(layer_name, str) and layer_name in layers
    return activation_of(layers[layer_name]) if is_known else None


def _static_shape(tensor):
    # The sizes that are known while a graph is made, None for the others.
    return tuple(tensor.shape)


def _checked_layer_name(argument, value):
    if isinstance(value, tuple):
        value = list(value)
    parts = value if isinstance(value, list) else [value]
    is_text = all(isinstance(part, str) and part for part in parts)
    if value is not None and (not is_text or not parts):
        raise TypeError(
            f"{argument} must be a layer path, a list of layer paths, or None for the model's "
            f"output, got {value!r}."
        )
    return value


def to_snake_case(name):
    """Returns a class name in snake case: `"SoftTargets"` becomes `"soft_targets"`."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()


def as_pairs(teacher, student):
    """Pairs the tapped tensors of the two sides.

    Args:
        teacher: A tensor, or a list of them.
        student: The same for the student.

    Returns:
        List of `(teacher, student)` tuples.
    """
    if isinstance(teacher, (list, tuple)) and not _is_shape(teacher):
        return list(zip(teacher, student, strict=True))
    return [(teacher, student)]


def _is_shape(value):
    return isinstance(value, tuple) and all(side is None or isinstance(side, int) for side in value)
