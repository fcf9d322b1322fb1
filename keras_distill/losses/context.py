"""What a loss may know beyond the two outputs it compares."""

import dataclasses
from typing import Any

from keras_distill.losses.labels import check_known_classes, labels_as_one_hot
from keras_distill.losses.masks import both


@dataclasses.dataclass(frozen=True)
class LossContext:
    """What a loss may know beyond the two outputs it compares.

    Args:
        labels: Labels of the batch, or `None`. With several outputs that take part, a list.
        indices: Index of each sample in the data set, shape `(batch,)`, or `None`.
        mask: Boolean tensor of shape `(batch, length)` that is true at the positions that count
            on both sides, or `None`.
        teacher_mask: The Keras mask of what was tapped of the teacher, or `None`; a list of them
            where a list was tapped.
        student_mask: The same for the student.
        sample_weight: Weights of the samples or of their positions, shape `(batch, ...)`, or a
            list of them, one per output. The distiller applies weights of samples itself; a loss
            with `weighs_positions` applies all of them.
        kinds: List with the kind of each output that takes part: `"softmax"` (exclusive classes),
            `"sigmoid"` (independent labels), `"numbers"` (a regression) or `None`; or `None` if
            none is known.
        step: Number of optimizer updates made so far.
        training: Whether this is a training step.
        teacher_activation: `"softmax"`, `"sigmoid"`, `"linear"`, or `None` if it isn't known; a
            list of them for several outputs.
        student_activation: The same for the student.
        teacher_input_gradient: Function from a function of logits, whose result has their shape,
            to the gradient of the logits, weighted by that result, with respect to the teacher's
            input. Given to losses with `needs_input_gradient`.
        student_input_gradient: The same for the student.
    """

    labels: Any = None
    indices: Any = None
    mask: Any = None
    teacher_mask: Any = None
    student_mask: Any = None
    sample_weight: Any = None
    kinds: Any = None
    step: Any = 0
    training: bool = False
    teacher_activation: Any = None
    student_activation: Any = None
    teacher_input_gradient: Any = None
    student_input_gradient: Any = None

    @property
    def positions(self) -> Any:
        """Mask of the positions that count on both sides, or `None`."""
        return both(self.mask, self.teacher_mask, self.student_mask)

    def one_hot(self, logits: Any, loss: Any) -> Any:
        """Returns the labels as 0 and 1, in the shape of `logits`.

        Args:
            logits: Tensor of shape `(batch, ..., classes)`.
            loss: The loss that asks, for the error.

        Raises:
            ValueError: If there are no labels, or, where their values are known, if one is no
                class.
            TypeError: If they are a dictionary.
        """
        if self.labels is None:
            raise ValueError(
                f"{type(loss).__name__} needs labels: train on (inputs, labels), or, outside a "
                "Distiller, call compute_loss(..., labels=...)."
            )
        if isinstance(self.labels, dict):
            raise TypeError(
                f"{type(loss).__name__} needs the labels of one output, and these are a "
                "dictionary: name the one that it is to use, as in Distiller(..., "
                f"label_key={next(iter(self.labels), None)!r}). Received: labels with the keys "
                f"{sorted(self.labels)}."
            )
        check_known_classes(self.labels, logits, type(loss).__name__)
        return labels_as_one_hot(self.labels, logits)

    def input_gradients(self, weigh: Any, loss: Any) -> Any:
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
