"""Softmax regression representation learning."""

from typing import Any

import keras
from keras import ops

from keras_distill.losses.argument_types import LayerNames
from keras_distill.losses.context import LossContext
from keras_distill.losses.loss import DistillationLoss
from keras_distill.losses.projector import FeatureProjector
from keras_distill.losses.tensors import as_floats


def softmax_regression(teacher_embedding, student_embedding, kernel):
    """Mean squared errors of embeddings, and of the logits that one classifier makes of them.

    Args:
        teacher_embedding: Tensor of shape `(batch, channels)`, what enters the teacher's
            classifier.
        student_embedding: Tensor of the same shape.
        kernel: The classifier's kernel, shape `(channels, classes)`. Its bias makes no difference.

    Returns:
        Tensor of shape `(batch,)`.

    Reference:
        Yang et al., "Knowledge Distillation via Softmax Regression Representation Learning", ICLR
        2021.
    """
    teacher, student, kernel = as_floats(teacher_embedding, student_embedding, kernel)
    gap = student - teacher
    of_logits = ops.mean(ops.square(gap @ kernel), axis=-1)
    return ops.mean(ops.square(gap), axis=-1) + of_logits


@keras.saving.register_keras_serializable("keras_distill")
class SoftmaxRegression(DistillationLoss):
    """The student's features through the teacher's classifier, and mean squared errors of both.

    The student's features are mapped to the teacher's channels, by a 1×1 convolution with batch
    normalization and ReLU, and averaged over space. The loss is the mean squared error of what
    enters the teacher's classifier, plus that of the logits that this classifier makes of it.
    Weight 1 in the authors' code. It costs the convolution and one product with the kernel.

    Args:
        teacher_layer_name: `[features, kernel]`, the paths of what enters the teacher's
            classifier, shape `(batch, ..., channels)`, averaged over the axes between, and of the
            classifier's kernel (`"logits:kernel"`); or `"auto"`: those of the last dense layer.
        student_layer_name: Path of the student's features, shape `(batch, ..., channels)`, or
            `"auto"`: what enters its last dense layer.
        name: Name of the loss in the training history.

    Raises:
        ValueError: If the teacher's side isn't features and the kernel that takes them.

    Example:

    ```python
    loss = SoftmaxRegression(["pool", "logits:kernel"], "conv2")
    teacher = [np.random.rand(4, 8), np.random.rand(8, 3)]
    assert loss.compute_loss(teacher, np.random.rand(4, 6, 6, 5)) > 0
    ```

    Reference:
        Yang et al., "Knowledge Distillation via Softmax Regression Representation Learning", ICLR
        2021.
    """

    automatic_layers = "classifier"
    pairs_layers = False
    taps = "what enters the classifier, and the teacher's kernel"

    def __init__(
        self,
        teacher_layer_name: LayerNames = "auto",
        student_layer_name: LayerNames = "auto",
        name: str | None = None,
    ):
        super().__init__(teacher_layer_name, student_layer_name, name)
        self._projector = FeatureProjector(name=f"{self.name}_projector", normalize=True)

    @property
    def own_layers(self) -> list[keras.Layer]:
        """List of the projector."""
        return [self._projector]

    def build(self, teacher_shapes: Any, student_shapes: Any) -> None:
        """Checks the teacher's classifier, and builds the projector."""
        is_pair = isinstance(teacher_shapes, list) and len(teacher_shapes) == 2
        fits = is_pair and teacher_shapes[0][-1] == teacher_shapes[1][-2]
        if not fits or isinstance(student_shapes, list) or len(student_shapes) < 2:
            raise self.shape_error(
                teacher_shapes,
                student_shapes,
                "tap of the teacher what enters its classifier and the classifier's kernel, which "
                "must take its channels, and one layer of the student.",
            )
        channels = teacher_shapes[0][-1]
        self._projector.match((*student_shapes[:-1], channels), student_shapes)

    def check_batches(self, teacher_shapes: Any, student_shapes: Any) -> None:
        """Checks that both sides hold as many samples; a kernel holds none."""
        is_list = isinstance(teacher_shapes, list)
        super().check_batches(teacher_shapes[0] if is_list else teacher_shapes, student_shapes)

    def call(self, teacher: Any, student: Any, context: LossContext) -> Any:
        """Computes the two mean squared errors."""
        features, kernel = teacher
        projected = ops.relu(self._projector(student, training=context.training))
        kernel = ops.reshape(kernel, (features.shape[-1], kernel.shape[-1]))
        return softmax_regression(_pooled(features), _pooled(projected), kernel)


def _pooled(features):
    space = tuple(range(1, len(features.shape) - 1))
    return ops.mean(features, axis=space) if space else features
