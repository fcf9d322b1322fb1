"""The base class of every distillation loss: which layers it taps, and how it is called."""

import dataclasses
import inspect
import re
from typing import Any

import keras
from keras import ops

from keras_distill.losses.logits import final_activation


@dataclasses.dataclass(frozen=True)
class LossContext:
    """What a loss may know beyond the two outputs it compares.

    Args:
        labels: Labels of the batch, or `None`.
        mask: Boolean tensor of shape `(batch, length)` that is true at the positions that count,
            or `None`.
        step: Number of optimizer updates made so far.
        teacher_ends_in_softmax: Whether the teacher is known to output probabilities.
        student_ends_in_softmax: Whether the student is known to output probabilities.
    """

    labels: Any = None
    mask: Any = None
    step: Any = 0
    teacher_ends_in_softmax: bool = False
    student_ends_in_softmax: bool = False


class DistillationLoss(keras.distillation.DistillationLoss):
    """Compares an output, or layers, of the teacher with those of the student.

    A subclass overrides `call`. It works in `keras_distill.Distiller` and, when it taps at most
    one layer per side and owns no variables, in `keras.distillation.Distiller`.

    Args:
        teacher_layer_name: Path of the teacher's layer (`"conv4"`, `"backbone/conv4"`,
            `"conv4:input"`), a list of paths, or `None` for the teacher's output.
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

    def __init__(self, teacher_layer_name=None, student_layer_name=None, name=None):
        self.teacher_layer_name = _checked_layer_name("teacher_layer_name", teacher_layer_name)
        self.student_layer_name = _checked_layer_name("student_layer_name", student_layer_name)
        sides = (self.teacher_layer_name, self.student_layer_name)
        several = [isinstance(side, list) for side in sides]
        if any(several) and (not all(several) or len(sides[0]) != len(sides[1])):
            raise ValueError(
                f"{type(self).__name__} pairs the teacher's layers with the student's, so both "
                "must be lists of the same length. "
                f"Teacher: {sides[0]!r}, Student: {sides[1]!r}."
            )
        self.name = name or to_snake_case(type(self).__name__)

    built = False

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
    def layers(self):
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
        super().validate_outputs(teacher_outputs, student_outputs)
        if self.built:
            return
        teacher_shapes = keras.tree.map_structure(ops.shape, teacher_outputs)
        student_shapes = keras.tree.map_structure(ops.shape, student_outputs)
        self.build(teacher_shapes, student_shapes)
        if any(layer.trainable_variables for layer in self.layers):
            raise ValueError(
                f"{type(self).__name__} needs a projector between the teacher's features "
                f"{teacher_shapes} and the student's {student_shapes}, and only "
                "keras_distill.Distiller trains and saves one: use it in place of "
                "keras.distillation.Distiller, or tap layers of the same shape."
            )

    def validate_model_compatibility(self, teacher, student):
        """Called by `keras.distillation.Distiller` with the two models, before training.

        Args:
            teacher: The teacher model.
            student: The student model.

        Raises:
            ValueError: If this loss can't be used with them.
        """
        ends = final_activation(teacher), final_activation(student)
        self.check_activations(*ends)
        self._known_of_models = {
            "teacher_ends_in_softmax": ends[0] == "softmax",
            "student_ends_in_softmax": ends[1] == "softmax",
        }

    def clone(self):
        """Returns a new loss with the same settings and no variables."""
        return type(self).from_config(self.get_config())

    def get_config(self):
        """Returns the constructor's arguments as a dictionary that `json` can write."""
        config = {"name": self.name}
        if "teacher_layer_name" in inspect.signature(type(self).__init__).parameters:
            config["teacher_layer_name"] = self.teacher_layer_name
            config["student_layer_name"] = self.student_layer_name
        return config

    @classmethod
    def from_config(cls, config):
        """Returns the loss that `get_config` described."""
        return cls(**config)

    def __repr__(self):
        settings = ", ".join(f"{key}={value!r}" for key, value in self.get_config().items())
        return f"{type(self).__name__}({settings})"


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
