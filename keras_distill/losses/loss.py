"""The base class of every distillation loss: which layers it taps, and how it is called."""

import dataclasses
import re
from collections.abc import Sequence
from typing import Any, Self

import keras
from keras import ops

from keras_distill.arguments import shown
from keras_distill.losses.context import LossContext
from keras_distill.losses.logits import activation_of, final_activation
from keras_distill.losses.output_selection import select
from keras_distill.losses.saved_arguments import SavesArguments
from keras_distill.losses.tensor_checks import check_mask, check_tensors


class DistillationLoss(SavesArguments, keras.distillation.DistillationLoss):
    """Compares an output, or layers, of the teacher with those of the student.

    A subclass overrides `call`. It works in `keras_distill.Distiller` and, when it taps at most
    one layer per side and owns no variables, in `keras.distillation.Distiller`.

    A subclass says what else it needs in class attributes: `needs_labels`, `weighs_positions` and
    `takes_masks` (whether it applies `LossContext.sample_weight`, and the masks), `needs_indices`,
    `needs_teacher`, `needs_input_gradient`, `needs_teacher_model` (whether tapped tensors alone, as
    a cache keeps them, aren't enough), `pairs_layers` (whether a list of layers on one side
    needs one of the same length on the other), `taps` (a few words for people) and
    `automatic_layers`, the rule by which `"auto"` chooses layers. Every constructor argument is
    saved and restored, those that a subclass passes on as `**kwargs` too; one that is kept as an
    attribute of its own name is saved as it is then.

    Losses of layers take the two layer names first. Losses of outputs, and others whose settings
    come first, take layer names by keyword, and refuse one in a setting's place.

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
        def call(self, teacher: Any, student: Any, context: LossContext) -> Any:
            return 1.0 - ops.sum(
                ops.normalize(teacher, axis=-1) * ops.normalize(student, axis=-1), axis=-1
            )
    ```
    """

    automatic_layers: str | None = None
    taps = "the output"
    pairs_layers = True
    weighs_positions = False
    needs_teacher = True
    needs_teacher_model = False
    # A subclass may have a property in the place of these.
    needs_labels: Any = False
    takes_masks: Any = False
    needs_indices: Any = False
    needs_input_gradient: Any = False
    compares_outputs: Any = False
    built = False
    outputs = None
    make_feature_model = None

    def __init__(
        self,
        teacher_layer_name: str | Sequence[str] | None = None,
        student_layer_name: str | Sequence[str] | None = None,
        name: str | None = None,
    ):
        self.teacher_layer_name = _checked_layer_name("teacher_layer_name", teacher_layer_name)
        self.student_layer_name = _checked_layer_name("student_layer_name", student_layer_name)
        if name is not None and not _is_name(name):
            raise TypeError(
                "name must be a word for the training history, printable and without a slash, "
                f"since the layers of the loss are named by it. Received: name={shown(name)}"
            )
        self.name = name or to_snake_case(type(self).__name__)
        self.check_layer_names()

    def check_layer_names(self) -> None:
        """Checks that the layer names of the two sides go together.

        Raises:
            ValueError: If they don't.
        """
        sides = (self.teacher_layer_name, self.student_layer_name)
        automatic = [side == "auto" for side in sides]
        if any(automatic) and self.automatic_layers is None:
            raise ValueError(
                f'{type(self).__name__} has no rule for "auto": name the layers, or None for the '
                "output."
            )
        if any(automatic) != all(automatic):
            raise ValueError(
                f'{type(self).__name__} chooses the layers of both models, or of none: "auto" is '
                "for both sides. "
                f"Received: teacher_layer_name={shown(sides[0])}, "
                f"student_layer_name={shown(sides[1])}"
            )
        several = [isinstance(side, list) and self.pairs_layers for side in sides]
        if any(several) and (not all(several) or len(sides[0]) != len(sides[1])):
            raise ValueError(
                f"{type(self).__name__} pairs the teacher's layers with the student's, so both "
                "must be lists of the same length. "
                f"Received: teacher_layer_name={shown(sides[0])}, "
                f"student_layer_name={shown(sides[1])}"
            )

    @property
    def has_automatic_layers(self) -> bool:
        """Whether the layers are still to be chosen."""
        return self.teacher_layer_name == "auto"

    def with_layers(
        self,
        teacher_layer_name: str | Sequence[str] | None,
        student_layer_name: str | Sequence[str] | None,
    ) -> Self:
        """Returns a new loss with the same settings and the given layers.

        Args:
            teacher_layer_name: As for the constructor.
            student_layer_name: As for the constructor.
        """
        names = {
            "teacher_layer_name": _checked_layer_name("teacher_layer_name", teacher_layer_name),
            "student_layer_name": _checked_layer_name("student_layer_name", student_layer_name),
        }
        return type(self).from_config({**self.get_config(), **names})

    @property
    def original(self) -> Any:
        """The loss as the user gave it."""
        return self

    def check_models(self, teacher: Any, student: Any) -> None:
        """Checks the two models, once their shapes are known.

        Args:
            teacher: The teacher's `keras.Model`, or `None`.
            student: The student's.

        Raises:
            ValueError: If they can't be paired.
        """

    def adapt_student(self, teacher: Any, student: Any) -> Any:
        """Returns the student to train, and the loss for it, for losses that change the student.

        Args:
            teacher: The teacher's branch, which cuts its model at a layer.
            student: The student's branch.

        Returns:
            Tuple of a `keras.Model` and a loss; by default the student and this loss as they are.
        """
        return student.model, self

    def shape_error(self, teacher_shape: Any, student_shape: Any, why: str) -> ValueError:
        """Returns an error that names what was tapped of both sides, and its shapes.

        Args:
            teacher_shape: Shape of what is tapped of the teacher.
            student_shape: The same of the student.
            why: What doesn't fit, and what to do.
        """
        return ValueError(
            f"{type(self).__name__}: {why} "
            f"Teacher {shown(self.teacher_layer_name)}: {teacher_shape}, "
            f"Student {shown(self.student_layer_name)}: {student_shape}."
        )

    def teacher_reduction(self, output_activation: Any = None) -> str:
        """Names how `reduce_teacher` reduces; losses that give the same name reduce alike.

        Args:
            output_activation: The activation of the teacher's output, as in `LossContext`.

        Returns:
            A short name, or `""` where nothing is reduced.
        """
        return ""

    def reduce_teacher(self, teacher: Any, output_activation: Any = None) -> Any:
        """Returns a smaller tensor that this loss can't tell from what was tapped of the teacher.

        The loss of the result is the loss of `teacher`, whatever the student. It is what a
        `keras_distill.TeacherCache` keeps.

        Args:
            teacher: One tensor tapped of the teacher.
            output_activation: The activation of the teacher's output, as in `LossContext`.
        """
        return teacher

    def call(self, teacher: Any, student: Any, context: LossContext) -> Any:
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

    def build(self, teacher_shapes: Any, student_shapes: Any) -> None:
        """Checks the shapes of what is compared, and creates variables where there are any.

        Args:
            teacher_shapes: Shape tuple of what is tapped of the teacher, or a list of them.
            student_shapes: The same of the student.

        Raises:
            ValueError: If they can't be compared; the error names both sides' shapes.
        """

    def prepare(self, teacher_shapes: Any, student_shapes: Any) -> None:
        """Builds the loss for its owner, who trains and saves its `layers`.

        Args:
            teacher_shapes: As for `build`.
            student_shapes: As for `build`.
        """
        self.build(teacher_shapes, student_shapes)
        self.built = True

    def check_activations(self, teacher_activation: Any, student_activation: Any) -> None:
        """Checks that the loss suits what the models output, where that is known.

        Args:
            teacher_activation: `"softmax"`, `"sigmoid"`, `"linear"`, or `None` if it isn't known.
            student_activation: The same for the student.

        Raises:
            ValueError: If it doesn't.
        """

    @property
    def own_layers(self) -> list[keras.Layer]:
        """List of the Keras layers whose variables belong to this loss (projectors)."""
        return []

    def compute_loss(self, teacher_outputs: Any, student_outputs: Any, **kwargs: Any) -> Any:
        """Computes the mean loss of a batch.

        Args:
            teacher_outputs: What was tapped of the teacher.
            student_outputs: What was tapped of the student.
            **kwargs: Fields of `LossContext` (`labels`, `mask`, `step`, ...).

        Returns:
            Scalar tensor.
        """
        teacher_outputs = select(self.outputs, teacher_outputs)
        student_outputs = select(self.outputs, student_outputs)
        self.validate_outputs(teacher_outputs, student_outputs)
        known = {**getattr(self, "_known_of_models", {}), **kwargs}
        unknown = set(known) - {field.name for field in dataclasses.fields(LossContext)}
        if unknown:
            raise TypeError(
                f"compute_loss takes the fields of LossContext. Received: {sorted(unknown)}"
            )
        for argument in ("mask", "teacher_mask", "student_mask"):
            check_mask(argument, known.get(argument), student_outputs)
        return ops.mean(self.call(teacher_outputs, student_outputs, LossContext(**known)))

    def validate_outputs(self, teacher_outputs: Any, student_outputs: Any) -> None:
        """Checks that the tapped tensors can be compared.

        Args:
            teacher_outputs: What was tapped of the teacher.
            student_outputs: What was tapped of the student.

        Raises:
            ValueError: If they can't be compared.
        """
        if self.pairs_layers:
            super().validate_outputs(teacher_outputs, student_outputs)
        teacher_shapes = _shapes_of("teacher_outputs", teacher_outputs)
        student_shapes = _shapes_of("student_outputs", student_outputs)
        self.check_batches(teacher_shapes, student_shapes)
        if self.built:
            return
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

    def check_batches(self, teacher_shapes: Any, student_shapes: Any) -> None:
        """Checks that both sides hold as many samples, where that is known.

        Args:
            teacher_shapes: Shape tuple of what is tapped of the teacher, or a structure of them.
            student_shapes: The same of the student.

        Raises:
            ValueError: If they don't: a batch of 1 would be compared with every sample.
        """
        sizes = [
            {shape[0] for shape in flat_shapes(shapes) if shape and shape[0] is not None}
            for shapes in (teacher_shapes, student_shapes)
        ]
        if self.needs_teacher and len(sizes[0] | sizes[1]) > 1:
            raise ValueError(
                f"{type(self).__name__} compares the same samples of both sides, so that both must "
                "have as many. Check teacher_input= and student_input=. Received: "
                f"Teacher: {teacher_shapes}, Student: {student_shapes}."
            )

    def validate_model_compatibility(self, teacher: Any, student: Any) -> None:
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
        self._known_of_models = {
            "teacher_activation": ends[0],
            "student_activation": ends[1],
        }


def flat_shapes(shapes):
    """Returns the shape tuples in a structure of them as a list; `None` has none."""
    if shapes is None:
        return []
    if _is_shape(shapes):
        return [shapes]
    values = shapes.values() if isinstance(shapes, dict) else shapes
    return [shape for part in values for shape in flat_shapes(part)]


def same_shapes(first, second):
    """Returns whether two lists of shape tuples are equal, where both sizes are known.

    Args:
        first: List of shape tuples.
        second: List of shape tuples.
    """
    return len(first) == len(second) and all(
        len(a) == len(b)
        and all(None in sizes or sizes[0] == sizes[1] for sizes in zip(a, b, strict=True))
        for a, b in zip(first, second, strict=True)
    )


def _activation_at(model, layer_name):
    if layer_name is None:
        return final_activation(model)
    layers = {layer.name: layer for layer in model.layers}
    is_known = isinstance(layer_name, str) and layer_name in layers
    return activation_of(layers[layer_name]) if is_known else None


def _is_name(name):
    return isinstance(name, str) and bool(name) and name.isprintable() and "/" not in name


def _shapes_of(argument, outputs):
    check_tensors(argument, outputs)
    return keras.tree.map_structure(_static_shape, outputs)


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
            f"output. Received: {argument}={shown(value)}"
        )
    return value


def to_snake_case(name: str) -> str:
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
