"""Feature knowledge: the student's hidden layers imitate the teacher's."""

import keras

from keras_distill.losses import functional
from keras_distill.losses.loss import DistillationLoss, as_pairs
from keras_distill.losses.projector import FeatureProjector


@keras.saving.register_keras_serializable("keras_distill")
class HintLearning(DistillationLoss):
    """Mean squared error between the teacher's features and the student's projected features.

    The paper trains the student up to the hint with this loss alone, then the whole student with
    soft targets; as one term beside others, RepDistiller weighs it 100. Code and paper differ by
    the paper's factor 1/2 and its sum in place of the mean. It costs the projector: one 1×1
    convolution per pair on the student's features.

    Args:
        teacher_layer_name: Path of the teacher's hint layer, shape `(batch, ..., channels)`, or
            a list of paths.
        student_layer_name: Path of the student's guided layer, or a list of the same length. The
            losses of the pairs are summed.
        projector: `"auto"` makes a `FeatureProjector` where the shapes differ: average pooling
            or bilinear resizing for space, a 1×1 convolution for channels. `None` makes a
            difference an error.
        name: Name of the loss in the training history.

    Raises:
        ValueError: If `projector` is neither `"auto"` nor `None`, or if shapes differ and can't
            be projected.

    Example:

    ```python
    loss = HintLearning("block3", "block2", projector=None)
    assert loss.compute_loss(np.ones((2, 4, 4, 8)), np.zeros((2, 4, 4, 8))) == 1.0
    ```

    Reference:
        Romero et al., "FitNets: Hints for Thin Deep Nets", ICLR 2015.
    """

    def __init__(self, teacher_layer_name, student_layer_name, projector="auto", name=None):
        super().__init__(teacher_layer_name, student_layer_name, name)
        if projector not in ("auto", None):
            raise ValueError(f'projector must be "auto" or None, got {projector!r}.')
        self.projector = projector
        pairs = as_pairs(self.teacher_layer_name, self.student_layer_name)
        self._projectors = [
            FeatureProjector(name=f"{self.name}_projector_{index}") for index in range(len(pairs))
        ]

    @property
    def layers(self):
        """List of the projectors, one per pair."""
        return self._projectors

    def build(self, teacher_shapes, student_shapes):
        """Checks the shapes of each pair and builds its projector."""
        pairs = as_pairs(teacher_shapes, student_shapes)
        for projector, (teacher_shape, student_shape) in zip(self._projectors, pairs, strict=True):
            differ = any(
                t != s
                for t, s in zip(teacher_shape[1:], student_shape[1:], strict=True)
                if None not in (t, s)
            )
            ranks_differ = len(teacher_shape) != len(student_shape)
            if ranks_differ or (differ and self.projector is None):
                advice = (
                    "A projector needs the same number of axes on both sides: tap other layers."
                    if ranks_differ
                    else 'Use projector="auto", or tap layers of the same shape.'
                )
                raise ValueError(
                    "HintLearning can't compare features of these shapes. "
                    f"Teacher {self.teacher_layer_name!r}: {tuple(teacher_shape)}, "
                    f"Student {self.student_layer_name!r}: {tuple(student_shape)}. {advice}"
                )
            projector.match(teacher_shape, student_shape)

    def call(self, teacher, student, context):
        """Sums the pairs' mean squared errors."""
        return sum(
            functional.mean_squared_error(teacher_features, projector(student_features))
            for projector, (teacher_features, student_features) in zip(
                self._projectors, as_pairs(teacher, student), strict=True
            )
        )

    def get_config(self):
        """Returns the constructor's arguments."""
        return {**super().get_config(), "projector": self.projector}
