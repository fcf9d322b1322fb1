"""The base class of the response losses: logits of both models, whatever they output."""

import dataclasses

import keras
from keras import ops

from keras_distill.losses import schedule
from keras_distill.losses.logits import logits_of
from keras_distill.losses.loss import DistillationLoss


class ResponseLoss(DistillationLoss):
    """Compares logits: finds them behind a softmax, takes several outputs, respects masks.

    Args:
        from_logits: `True` if the models output logits, `False` if probabilities, `"auto"` to
            recognise a model that ends in softmax.
        teacher_layer_name: Path of the teacher's layer that outputs logits, or `None` for the
            teacher's output.
        student_layer_name: The same for the student.
        name: Name of the loss in the training history.

    Raises:
        ValueError: If `from_logits` is none of the three.
    """

    def __init__(
        self, from_logits="auto", teacher_layer_name=None, student_layer_name=None, name=None
    ):
        super().__init__(teacher_layer_name, student_layer_name, name)
        if from_logits not in (True, False, "auto"):
            raise ValueError(
                f'from_logits must be True, False or "auto".{schedule.layer_hint(from_logits)} '
                f"Received: from_logits={from_logits!r}"
            )
        self.from_logits = from_logits

    def compare(self, teacher_logits, student_logits, context):
        """Computes the loss from logits.

        Args:
            teacher_logits: Tensor of shape `(batch, ..., classes)`.
            student_logits: Tensor of the same shape.
            context: `LossContext`.

        Returns:
            Tensor of shape `(batch, ...)`.
        """
        raise NotImplementedError(f"{type(self).__name__} must override `compare`.")

    def call(self, teacher, student, context):
        """Sums `compare` over the outputs, each averaged over its unmasked positions."""
        keras.tree.assert_same_structure(teacher, student)
        outputs = list(zip(keras.tree.flatten(teacher), keras.tree.flatten(student), strict=True))
        labels = keras.tree.flatten(context.labels)
        labels = labels if len(labels) == len(outputs) else [context.labels] * len(outputs)
        total = 0.0
        for (teacher_output, student_output), output_labels in zip(outputs, labels, strict=True):
            values = self.compare(
                logits_of(teacher_output, self.from_logits, context.teacher_ends_in),
                logits_of(student_output, self.from_logits, context.student_ends_in),
                dataclasses.replace(context, labels=output_labels),
            )
            total = total + _mean_over_positions(values, context.mask)
        return total

    def teacher_reduction(self, ends_in=None):
        """Names what is kept of an output: its logits, or itself where it is told to be them."""
        is_known = ends_in in ("softmax", "sigmoid")
        return (
            "output"
            if self.from_logits is False or (self.from_logits is True and is_known)
            else "logits"
        )

    def reduce_teacher(self, teacher, ends_in=None):
        """Returns the logits of an output."""
        is_output = self.teacher_reduction(ends_in) == "output"
        return teacher if is_output else logits_of(teacher, self.from_logits, ends_in)

    def build(self, teacher_shapes, student_shapes):
        """Checks that both sides have as many outputs, of equal shapes."""
        sides = [flat_shapes(side) for side in (teacher_shapes, student_shapes)]
        fits = len(sides[0]) == len(sides[1]) and all(
            len(t) == len(s)
            and all(a is None or b is None or a == b for a, b in zip(t, s, strict=True))
            for t, s in zip(*sides, strict=True)
        )
        if not fits:
            raise ValueError(
                f"{type(self).__name__} compares outputs of the same shape. "
                f"Teacher: {teacher_shapes}, Student: {student_shapes}. Give both models the same "
                "number of classes, or tap other layers with teacher_layer_name and "
                "student_layer_name."
            )


class ExclusiveClassesLoss(ResponseLoss):
    """Compares distributions over classes of which one holds: what a softmax outputs."""

    def build(self, teacher_shapes, student_shapes):
        """Checks that both sides have as many outputs, of equal shapes, over several classes."""
        super().build(teacher_shapes, student_shapes)
        if any(shape[-1] == 1 for shape in flat_shapes(student_shapes)):
            raise ValueError(
                f"{type(self).__name__} compares distributions over two classes or more, and these "
                f"models have outputs of one value. Teacher: {teacher_shapes}, "
                f"Student: {student_shapes}. Give a binary classifier two outputs, or use "
                "SigmoidTargets or LogitMatching."
            )

    def check_activations(self, teacher_ends_in, student_ends_in):
        """Checks that neither output is probabilities of independent labels."""
        taps_output = self.teacher_layer_name is None and self.student_layer_name is None
        if taps_output and "sigmoid" in (teacher_ends_in, student_ends_in):
            raise ValueError(
                f"{type(self).__name__} compares distributions over exclusive classes, but a model "
                f"ends in sigmoid. Teacher: {teacher_ends_in}, Student: {student_ends_in}. Use "
                "SigmoidTargets, or LogitMatching on the layers before the sigmoid."
            )


def check_rows(loss, shapes):
    """Checks that outputs are one row per sample.

    Args:
        loss: The loss, for the error.
        shapes: Shape of an output, or a structure of them.

    Raises:
        ValueError: If an output has further axes.
    """
    if any(len(shape) != 2 for shape in flat_shapes(shapes)):
        raise ValueError(
            f"{type(loss).__name__} relates the samples of a batch, so it needs outputs of shape "
            f"(batch, classes), got {shapes}. For sequences use SoftTargets or DecoupledKD."
        )


def flat_shapes(shapes):
    """Returns the shape tuples in a structure of them as a list."""
    if isinstance(shapes, tuple) and all(not isinstance(side, (tuple, list)) for side in shapes):
        return [shapes]
    values = shapes.values() if isinstance(shapes, dict) else shapes
    return [shape for part in values for shape in flat_shapes(part)]


def _mean_over_positions(values, mask):
    positions = tuple(range(1, len(values.shape)))
    if not positions:
        return values
    if mask is None or len(mask.shape) != len(values.shape):
        return ops.mean(values, axis=positions)
    mask = ops.cast(mask, values.dtype)
    # A masked position may hold anything, even NaN, so it is replaced and not multiplied by 0.
    values = ops.where(mask > 0, values, 0.0)
    return ops.sum(values, axis=positions) / ops.maximum(ops.sum(mask, axis=positions), 1.0)
