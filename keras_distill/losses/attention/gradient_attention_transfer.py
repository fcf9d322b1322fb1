"""Gradient-based attention transfer."""

from typing import Any

import keras
from keras import ops

from keras_distill.losses.context import LossContext
from keras_distill.losses.loss import DistillationLoss
from keras_distill.losses.tensors import as_float, as_floats, flatten, length


def gradient_attention(teacher_gradients, student_gradients):
    """Euclidean distance of the losses' gradients with respect to the input.

    Args:
        teacher_gradients: Tensor of shape `(batch, ...)`.
        student_gradients: Tensor of the same shape.

    Returns:
        Tensor of shape `(batch,)`.

    Reference:
        Zagoruyko & Komodakis, "Paying More Attention to Attention", ICLR 2017, section 3.2.
    """
    teacher_gradients, student_gradients = as_floats(teacher_gradients, student_gradients)
    return length(flatten(teacher_gradients - student_gradients))


@keras.saving.register_keras_serializable("keras_distill")
class GradientAttentionTransfer(DistillationLoss):
    """Distance of the two models' gradients of the labels' loss with respect to the input.

    J is the gradient of each sample's cross-entropy with respect to the input, and the loss is
    ‖J_s - J_t‖₂, which the paper weighs β/2.
    It costs a backward pass through the teacher, and a second-order backward pass through the
    student, so that a step takes about twice the time. Only `keras_distill.Distiller` provides
    the gradients. The models must take the same floating-point input.

    Args:
        name: Name of the loss in the training history.

    Raises:
        ValueError: When called, if there are no labels, or outside a `keras_distill.Distiller`.

    Example:

    ```python
    x, y = np.random.rand(32, 4), np.random.randint(0, 3, 32)
    teacher, student = (
        keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)]) for _ in range(2)
    )
    distiller = keras_distill.Distiller(teacher, student, GradientAttentionTransfer())
    distiller.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    history = distiller.fit(x, y, verbose=0)
    ```

    Reference:
        Zagoruyko & Komodakis, "Paying More Attention to Attention", ICLR 2017, section 3.2.
    """

    taps = "the input's gradient"
    needs_labels = True
    needs_input_gradient = True

    def __init__(self, *, name: str | None = None):
        super().__init__(name=name)

    def call(self, teacher: Any, student: Any, context: LossContext) -> Any:
        """Computes the distance of the two models' input gradients."""

        def cross_entropy_gradient(logits):
            logits = as_float(logits)
            return ops.softmax(logits, axis=-1) - context.one_hot(logits, self)

        return gradient_attention(*context.input_gradients(cross_entropy_gradient, self))
