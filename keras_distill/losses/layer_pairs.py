"""Base classes of the losses that compare layers pair by pair, with or without a projector."""

import dataclasses
import itertools
from typing import Any

import keras
from keras import ops

from keras_distill.arguments import check_choice
from keras_distill.losses.argument_types import LayerNames
from keras_distill.losses.context import LossContext
from keras_distill.losses.loss import DistillationLoss, as_pairs
from keras_distill.losses.masks import both, fits, zeroed
from keras_distill.losses.projector import FeatureProjector
from keras_distill.losses.space import match_rank


class LayerPairLoss(DistillationLoss):
    """Sums `compare` over the pairs of tapped layers.

    Args:
        teacher_layer_name: Path of the teacher's layer, a list of paths, or `"auto"`.
        student_layer_name: The same for the student.
        name: Name of the loss in the training history.
    """

    needs_space = False
    # How positions that a Keras mask leaves out are kept from the loss: "zeros" puts zeros there
    # on both sides; "mean" also divides by the positions that count, for means over positions.
    padding: Any = None

    def __init__(
        self,
        teacher_layer_name: LayerNames = "auto",
        student_layer_name: LayerNames = "auto",
        name: str | None = None,
    ):
        super().__init__(teacher_layer_name, student_layer_name, name)

    def compare(self, teacher: Any, student: Any, context: LossContext) -> Any:
        """Computes the loss of one pair.

        Args:
            teacher: Tensor tapped of the teacher.
            student: Tensor tapped of the student.
            context: `LossContext`.

        Returns:
            Tensor of shape `(batch,)`.
        """
        raise NotImplementedError(f"{type(self).__name__} must override `compare`.")

    def check_pair(self, teacher_shape: tuple, student_shape: tuple) -> None:
        """Checks the shapes of one pair.

        Args:
            teacher_shape: Shape tuple, batch included.
            student_shape: Shape tuple, batch included.

        Raises:
            ValueError: If they can't be compared.
        """
        if self.needs_space and min(len(teacher_shape), len(student_shape)) < 3:
            raise self.shape_error(
                teacher_shape,
                student_shape,
                "compares features over space, of shape (batch, *space, channels): tap layers "
                "before the pooling or flattening that removes it.",
            )

    def build(self, teacher_shapes: Any, student_shapes: Any) -> None:
        """Checks the shapes of each pair."""
        for teacher_shape, student_shape in as_pairs(teacher_shapes, student_shapes):
            self.check_pair(tuple(teacher_shape), tuple(student_shape))

    @property
    def takes_masks(self) -> bool:
        """Whether masked positions are kept from the loss."""
        return self.padding is not None

    def call(self, teacher: Any, student: Any, context: LossContext) -> Any:
        """Sums the pairs' losses."""
        return self.sum_over(as_pairs(teacher, student), context)

    def sum_over(self, pairs: Any, context: LossContext) -> Any:
        """Sums the losses of pairs of tensors, without the positions that their masks leave out.

        Args:
            pairs: List of `(teacher, student)` tuples of tensors.
            context: `LossContext`.
        """
        total = 0.0
        for index, (teacher, student) in enumerate(pairs):
            masks = {
                name: mask[index] if isinstance(mask, (list, tuple)) else mask
                for name, mask in (
                    ("teacher_mask", context.teacher_mask),
                    ("student_mask", context.student_mask),
                )
            }
            total = total + self._without_padding(
                teacher, student, dataclasses.replace(context, **masks)
            )
        return total

    def _without_padding(self, teacher, student, context):
        masks = both(context.mask, context.teacher_mask), both(context.mask, context.student_mask)
        sides = (teacher, student)
        if self.padding is None or not any(map(fits, masks, sides)):
            return self.compare(teacher, student, context)
        # A side without a mask of its own, as that of a cache, has the positions of the other.
        masks = [
            mask if mask is not None else other
            for mask, other in zip(masks, masks[::-1], strict=True)
        ]
        sides = [
            zeroed(s, mask) if fits(mask, s) else s for s, mask in zip(sides, masks, strict=True)
        ]
        values = self.compare(*sides, context)
        if self.padding == "zeros" or not len(values.shape):
            return values
        mask = masks[1] if fits(masks[1], student) else masks[0]
        counts = ops.cast(mask, values.dtype)
        share = ops.mean(counts, axis=1)
        return values / ops.where(share > 0, share, 1.0)


class ProjectedLoss(LayerPairLoss):
    """Sums `compare` over pairs of features, the student's in the teacher's shape.

    Where the features differ in shape, a projector adapts the student's: averaging or
    interpolation for space, a 1×1 convolution for channels. Surplus spatial axes of one side
    are averaged first. The projectors are trained and saved with the distiller.

    Args:
        teacher_layer_name: Path of the teacher's layer, shape `(batch, ..., channels)`, a list
            of paths, or `"auto"`.
        student_layer_name: The same for the student.
        projector: `"auto"` or `None`, which makes a difference of shapes an error.
        name: Name of the loss in the training history.

    Raises:
        ValueError: If `projector` is neither `"auto"` nor `None`.
    """

    normalizes = False

    def __init__(
        self,
        teacher_layer_name: LayerNames = "auto",
        student_layer_name: LayerNames = "auto",
        projector: str | None = "auto",
        name: str | None = None,
    ):
        super().__init__(teacher_layer_name, student_layer_name, name)
        self.projector = check_choice("projector", projector, ("auto", None))
        pairs = as_pairs(self.teacher_layer_name, self.student_layer_name)
        self._projectors = [
            FeatureProjector(
                name=f"{self.name}_projector_{index}",
                normalize=self.normalizes and projector is not None,
            )
            for index in range(len(pairs))
        ]

    @property
    def own_layers(self) -> list[keras.Layer]:
        """List of the projectors, one per pair."""
        return self._projectors

    def check_pair(self, teacher_shape: tuple, student_shape: tuple) -> None:
        """Checks that the features can be brought to one shape."""
        super().check_pair(teacher_shape, student_shape)
        ranks = len(teacher_shape), len(student_shape)
        if ranks[0] != ranks[1] and min(ranks) < 3:
            raise self.shape_error(
                teacher_shape,
                student_shape,
                "features with and without spatial axes can't be compared. A projector needs the "
                "same number of axes on both sides, or at least one spatial axis: tap other "
                "layers.",
            )
        differ = ranks[0] != ranks[1] or any(
            t != s
            for t, s in zip(teacher_shape[1:], student_shape[1:], strict=True)
            if None not in (t, s)
        )
        if differ and self.projector is None:
            raise self.shape_error(
                teacher_shape,
                student_shape,
                "can't compare features of different shapes without a projector. Use "
                'projector="auto", or tap layers of the same shape.',
            )

    def build(self, teacher_shapes: Any, student_shapes: Any) -> None:
        """Checks the shapes of each pair and builds its projector."""
        super().build(teacher_shapes, student_shapes)
        pairs = as_pairs(teacher_shapes, student_shapes)
        for projector, (teacher_shape, student_shape) in zip(self._projectors, pairs, strict=True):
            rank = min(len(teacher_shape), len(student_shape))
            projector.match(
                (*teacher_shape[: rank - 1], teacher_shape[-1]),
                (*student_shape[: rank - 1], student_shape[-1]),
            )

    def project(self, teacher: Any, student: Any, context: LossContext) -> Any:
        """Brings the student's features to the teacher's shapes.

        Args:
            teacher: What is tapped of the teacher.
            student: What is tapped of the student.
            context: `LossContext`.

        Returns:
            List of pairs of tensors of equal shapes.
        """
        if self.projector is None:
            return as_pairs(teacher, student)
        pairs = []
        for projector, (teacher_features, student_features) in zip(
            self._projectors, as_pairs(teacher, student), strict=True
        ):
            if len(teacher_features.shape) != len(student_features.shape):
                teacher_features, student_features = match_rank(teacher_features, student_features)
            projected = projector(student_features, training=context.training)
            pairs.append((teacher_features, projected))
        return pairs

    def call(self, teacher: Any, student: Any, context: LossContext) -> Any:
        """Sums the losses of the pairs, the student's features projected."""
        return self.sum_over(self.project(teacher, student, context), context)


class SuccessiveLayersLoss(ProjectedLoss):
    """Sums `between` over successive pairs of the tapped layers.

    Args:
        teacher_layer_name: List of paths of two layers or more, from early to late, or `"auto"`.
        student_layer_name: The same for the student.
        projector: As for `ProjectedLoss`.
        name: Name of the loss in the training history.
    """

    automatic_layers = "stages"
    taps = "two spatial layers or more"
    needs_space = True

    def between(self, teacher, student):
        """Compares what lies between two layers of each model.

        Args:
            teacher: Pair of tensors of shape `(batch, *space, channels)`.
            student: Pair of tensors with the teacher's numbers of channels.

        Returns:
            Tensor of shape `(batch,)`.
        """
        raise NotImplementedError(f"{type(self).__name__} must override `between`.")

    def build(self, teacher_shapes: Any, student_shapes: Any) -> None:
        """Checks that there are two layers or more, and builds their projectors."""
        if not isinstance(student_shapes, list) or len(student_shapes) < 2:
            raise self.shape_error(
                teacher_shapes,
                student_shapes,
                "it compares what lies between two layers of each model: give lists of two layers "
                "or more.",
            )
        super().build(teacher_shapes, student_shapes)

    def call(self, teacher: Any, student: Any, context: LossContext) -> Any:
        """Sums the distances between successive layers."""
        pairs = itertools.pairwise(self.project(teacher, student, context))
        return sum(
            self.between((t_first, t_second), (s_first, s_second))
            for (t_first, s_first), (t_second, s_second) in pairs
        )
