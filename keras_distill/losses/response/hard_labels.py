"""Hard labels: the teacher's decisions."""

from typing import Any

import keras
from keras import ops

from keras_distill.losses.context import LossContext
from keras_distill.losses.response.response_loss import ExclusiveClassesLoss
from keras_distill.losses.tensors import as_floats


def hard_labels(teacher_logits, student_logits):
    """Cross-entropy of the student with the class that the teacher finds most likely.

    Args:
        teacher_logits: Tensor of shape `(batch, ..., classes)`.
        student_logits: Tensor of the same shape.

    Returns:
        Tensor of shape `(batch, ...)`.

    Reference:
        Touvron et al., "Training Data-Efficient Image Transformers & Distillation Through
        Attention", ICML 2021.
    """
    teacher_logits, student_logits = as_floats(teacher_logits, student_logits)
    decisions = ops.argmax(teacher_logits, axis=-1)
    one_hot = ops.one_hot(decisions, student_logits.shape[-1], dtype=student_logits.dtype)
    log_s = ops.log_softmax(student_logits, axis=-1)
    # Not a product with 0, which is undefined for a class that the student finds impossible.
    return -ops.sum(ops.where(one_hot > 0, log_s, 0.0), axis=-1)


@keras.saving.register_keras_serializable("keras_distill")
class HardLabels(ExclusiveClassesLoss):
    """Cross-entropy of the student with the teacher's decisions.

    The teacher's most likely class takes the place of a label, as in the hard-label distillation
    of DeiT, which gives it and the labels the weight 1/2 each. DeiT's student has two classifiers,
    one on the class token, which learns the labels, and one on the distillation token, which learns
    the decisions: tap the latter with `student_layer_name=`. It isn't zero at the teacher, and
    costs one softmax over the classes.

    Args:
        from_logits: `True`, `False`, or `"auto"` to recognize a model that ends in softmax.
        teacher_layer_name: Path of the teacher's layer that outputs logits, or `None` for the
            teacher's output. Shape `(batch, classes)`, or `(batch, length, classes)`:
            then the mean over the unmasked positions is taken.
        student_layer_name: The same for the student, such as the classifier on a distillation
            token.
        name: Name of the loss in the training history.
        outputs: Which outputs of models with several take part: a name, a position, or a list of
            them; by default all.

    Example:

    ```python
    loss = HardLabels(student_layer_name="distillation_head")
    value = loss.compute_loss(np.array([[2.0, 0.0]]), np.array([[0.0, 0.0]]))
    np.testing.assert_allclose(value, np.log(2.0), rtol=1e-6)
    ```

    Reference:
        Touvron et al., "Training Data-Efficient Image Transformers & Distillation Through
        Attention" (DeiT), ICML 2021.
    """

    def compare(self, teacher_logits: Any, student_logits: Any, context: LossContext) -> Any:
        """Computes the cross-entropy with the teacher's decisions."""
        return hard_labels(teacher_logits, student_logits)
