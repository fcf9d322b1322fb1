"""Hint learning."""

from typing import Any

import keras

from keras_distill.losses.context import LossContext
from keras_distill.losses.layer_pairs import ProjectedLoss
from keras_distill.losses.tensors import mean_squared_error


@keras.saving.register_keras_serializable("keras_distill")
class HintLearning(ProjectedLoss):
    """Mean squared error between the teacher's features and the student's projected features.

    The paper trains the student up to the hint with this loss alone, then the whole student with
    soft targets; as one term beside others, RepDistiller weighs it 100. Code and paper differ by
    the paper's factor 1/2 and its sum in place of the mean. It costs the projector: one 1×1
    convolution per pair on the student's features.

    Args:
        teacher_layer_name: Path of the teacher's hint layer, shape `(batch, ..., channels)`, a
            list of paths, or `"auto"`: the middle one of the spatial stages, or what enters the
            last dense layer of a model without space.
        student_layer_name: Path of the student's guided layer, or a list of the same length. The
            losses of the pairs are summed.
        projector: `"auto"` makes a `FeatureProjector` where the shapes differ: averaging
            or interpolation for space, a 1×1 convolution for channels. `None` makes a
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

    automatic_layers = "middle_stage_or_embedding"
    taps = "any layers"
    padding = "mean"

    def compare(self, teacher: Any, student: Any, context: LossContext) -> Any:
        """Computes the mean squared error."""
        return mean_squared_error(teacher, student)
