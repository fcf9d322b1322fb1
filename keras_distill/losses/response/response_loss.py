"""The base class of the response losses: logits of both models, whatever they output."""

import dataclasses
from typing import Any

import keras

from keras_distill.arguments import check_choice, shown
from keras_distill.losses import schedule
from keras_distill.losses.argument_types import LayerNames, OutputNames
from keras_distill.losses.context import LossContext
from keras_distill.losses.logits import logits_of
from keras_distill.losses.loss import DistillationLoss, flat_shapes, same_shapes
from keras_distill.losses.masks import both, mean_over_positions, with_rank


class ResponseLoss(DistillationLoss):
    """Compares logits: finds them behind a softmax, takes several outputs, respects masks.

    Args:
        from_logits: `True` if the models output logits, `False` if probabilities, `"auto"` to
            recognize a model that ends in softmax.
        teacher_layer_name: Path of the teacher's layer that outputs logits, or `None` for the
            teacher's output.
        student_layer_name: The same for the student.
        name: Name of the loss in the training history.
        outputs: Which outputs of models with several take part: a name, a position, or a list of
            them; by default all.

    Raises:
        TypeError: If `outputs` is none of these.
        ValueError: If `from_logits` is none of the three.
    """

    weighs_positions = True
    takes_masks = True

    def __init__(
        self,
        from_logits: bool | str = "auto",
        teacher_layer_name: LayerNames = None,
        student_layer_name: LayerNames = None,
        name: str | None = None,
        outputs: OutputNames = None,
    ):
        super().__init__(teacher_layer_name, student_layer_name, name)
        self.outputs = _checked_outputs(outputs)
        hint = schedule.layer_hint(from_logits)
        self.from_logits = check_choice("from_logits", from_logits, (True, False, "auto"), hint)

    @property
    def compares_outputs(self) -> bool:
        """Whether the loss compares outputs of the models, and not layers."""
        return self.student_layer_name is None

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

    def call(self, teacher: Any, student: Any, context: LossContext) -> Any:
        """Sums `compare` over the outputs, each averaged over its unmasked positions."""
        keras.tree.assert_same_structure(teacher, student)
        outputs = list(zip(keras.tree.flatten(teacher), keras.tree.flatten(student), strict=True))
        total = 0.0
        for index, (teacher_output, student_output) in enumerate(outputs):
            of_output = _of_output(context, index, len(outputs))
            values = self.compare(
                logits_of(teacher_output, self.from_logits, of_output.teacher_activation),
                logits_of(student_output, self.from_logits, of_output.student_activation),
                of_output,
            )
            total = total + _mean(values, of_output)
        return total

    def check_outputs(self, kinds: Any, shapes: Any, names: Any) -> None:
        """Checks that the loss suits each of the outputs that take part.

        Args:
            kinds: List with the kind of each, as in `LossContext`.
            shapes: List with the shape of each.
            names: List with the name of each, for the error.

        Raises:
            ValueError: If it doesn't suit one.
        """

    def teacher_reduction(self, output_activation: Any = None) -> str:
        """Names what is kept of an output: its logits, or itself where it is told to be them."""
        return output_reduction(self.from_logits, output_activation)

    def reduce_teacher(self, teacher: Any, output_activation: Any = None) -> Any:
        """Returns the logits of an output."""
        return reduced_output(teacher, self.from_logits, output_activation)

    @property
    def own_layers(self) -> list[keras.Layer]:
        """List of the temperatures that are learned."""
        several = [getattr(self, "temperature", None), *getattr(self, "temperatures", ())]
        return [value for value in several if isinstance(value, schedule.LearnedNumber)]

    def build(self, teacher_shapes: Any, student_shapes: Any) -> None:
        """Checks that both sides have as many outputs, of equal shapes."""
        for layer in self.own_layers:
            if not layer.built:
                layer.build()
        if not same_shapes(flat_shapes(teacher_shapes), flat_shapes(student_shapes)):
            raise ValueError(
                f"{type(self).__name__} compares outputs of the same shape. "
                f"Teacher: {teacher_shapes}, Student: {student_shapes}. Give both models the same "
                "number of classes, or tap other layers with teacher_layer_name and "
                "student_layer_name."
            )


class ExclusiveClassesLoss(ResponseLoss):
    """Compares distributions over classes of which one holds: what a softmax outputs."""

    takes_independent_labels = False

    def build(self, teacher_shapes: Any, student_shapes: Any) -> None:
        """Checks that both sides have as many outputs, of equal shapes, over several classes."""
        super().build(teacher_shapes, student_shapes)
        if any(shape[-1] == 1 for shape in flat_shapes(student_shapes)):
            raise self._one_value_error(student_shapes)

    def check_activations(self, teacher_activation: Any, student_activation: Any) -> None:
        """Checks that neither output is probabilities of independent labels."""
        taps_output = self.teacher_layer_name is None and self.student_layer_name is None
        if taps_output and "sigmoid" in keras.tree.flatten(
            [teacher_activation, student_activation]
        ):
            raise ValueError(
                f"{type(self).__name__} compares distributions over exclusive classes, but a model "
                f"ends in sigmoid. Teacher: {teacher_activation}, Student: {student_activation}. "
                "Use SoftTargets or SigmoidTargets, or name the outputs that take part with "
                "outputs=."
            )

    def check_outputs(self, kinds: Any, shapes: Any, names: Any) -> None:
        """Checks that each output is a distribution over classes."""
        for kind, shape, name in zip(kinds, shapes, names, strict=True):
            if kind == "numbers" and self.from_logits == "auto":
                raise ValueError(
                    f"{type(self).__name__} compares distributions over classes, but the student's "
                    f"{name} learns with a loss for numbers, a regression: a softmax of them means "
                    "nothing. Use LogitMatching for it, name the outputs that take part with "
                    "outputs=, or say from_logits=True if these numbers are logits after all."
                )
            if kind == "sigmoid" and not self.takes_independent_labels:
                raise ValueError(
                    f"{type(self).__name__} compares distributions over exclusive classes, but the "
                    f"labels of the student's {name} are independent: it learns with a binary "
                    "cross-entropy. Use SoftTargets or SigmoidTargets, or name the outputs that "
                    "take part with outputs=."
                )
            if shape[-1] == 1 and kind != "sigmoid":
                raise self._one_value_error(shape)

    def _one_value_error(self, shapes):
        return ValueError(
            f"{type(self).__name__} compares distributions over two classes or more, and these "
            f"models have outputs of one value. Student: {shapes}. Compile with "
            "keras.losses.BinaryCrossentropy, by which SoftTargets knows a binary classifier, give "
            "it two outputs, or use SigmoidTargets or LogitMatching."
        )


def output_reduction(from_logits, output_activation):
    """Names what a cache keeps of an output: its logits, or itself where it is told to be them.

    Args:
        from_logits: As for `ResponseLoss`.
        output_activation: As in `LossContext`.

    Returns:
        `"output"` or `"logits"`.
    """
    is_known = output_activation in ("softmax", "sigmoid")
    is_output = from_logits is False or (from_logits is True and is_known)
    return "output" if is_output else "logits"


def reduced_output(output, from_logits, output_activation):
    """Returns what a cache keeps of an output, as `output_reduction` names it.

    Args:
        output: Tensor that a model returned.
        from_logits: As for `ResponseLoss`.
        output_activation: As in `LossContext`.
    """
    if output_reduction(from_logits, output_activation) == "output":
        return output
    return logits_of(output, from_logits, output_activation)


def checked_temperature(value):
    """Returns the temperature of a response loss: a number, a schedule, or one that is learned.

    Args:
        value: What was given. Of a `CurriculumTemperature` each loss has one of its own.

    Raises:
        TypeError: If it is something else.
        ValueError: If it isn't positive.
    """
    if isinstance(value, schedule.LearnedNumber):
        return value.clone()
    return schedule.check_temperature(value)


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
            f"(batch, classes). For sequences use SoftTargets or DecoupledKD. Received: {shapes}"
        )


def _checked_outputs(outputs):
    given = outputs if isinstance(outputs, (list, tuple)) else [outputs]
    is_known = all(
        (isinstance(key, str) and key)
        or (isinstance(key, int) and not isinstance(key, bool) and key >= 0)
        for key in given
    )
    if outputs is not None and (not given or not is_known):
        raise TypeError(
            "outputs must be the name or the position of an output, a list of them, or None for "
            f"all. Received: outputs={shown(outputs)}"
        )
    return list(outputs) if isinstance(outputs, tuple) else outputs


def _of_output(context, index, count):
    """Returns the context of one output among several."""

    def pick(value):
        parts = list(value) if isinstance(value, (list, tuple)) else keras.tree.flatten(value)
        return parts[index] if len(parts) == count and value is not None else value

    per_output = ("labels", "mask", "teacher_mask", "student_mask", "sample_weight")
    picked = {name: pick(getattr(context, name)) for name in (*per_output, *_ENDS)}
    kind = None if context.kinds is None else context.kinds[index]
    return dataclasses.replace(context, **picked, kinds=[kind])


_ENDS = ("teacher_activation", "student_activation")


def _mean(values, context):
    """Averages one output's values over the positions that count, by their weights."""
    rank = len(values.shape)
    masks = [
        mask
        for mask in (context.mask, context.teacher_mask, context.student_mask)
        if mask is not None and len(mask.shape) == rank
    ]
    weights = context.sample_weight
    if weights is not None:
        if len(weights.shape) == rank + 1 and weights.shape[-1] == 1:
            weights = weights[..., 0]
        if len(weights.shape) > rank:
            raise ValueError(
                "sample_weight must have one weight per sample or per position of the output. "
                f"Received: sample_weight of shape {tuple(weights.shape)} for values of shape "
                f"{tuple(values.shape)}."
            )
        weights = with_rank(weights, rank)
    return mean_over_positions(values, both(*masks), weights)
