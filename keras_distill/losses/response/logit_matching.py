"""Logit matching."""

from typing import Any

import keras
from keras import ops

from keras_distill.losses.context import LossContext
from keras_distill.losses.response.response_loss import ResponseLoss
from keras_distill.losses.tensors import as_floats


@keras.saving.register_keras_serializable("keras_distill")
class LogitMatching(ResponseLoss):
    """Mean squared error of the logits, the limit of soft targets at a high temperature.

    Logits are compared as they are, with their mean. For a model that ends in softmax the logits
    under the softmax are used where they are known. The paper uses it alone (weight 1, no
    labels). It costs next to nothing.

    Args:
        from_logits: `True`, `False`, or `"auto"` to recognize a model that ends in softmax.
        teacher_layer_name: Path of the teacher's layer that outputs logits, shape
            `(batch, ..., classes)`, or `None` for the teacher's output.
        student_layer_name: The same for the student.
        name: Name of the loss in the training history.
        outputs: Which outputs of models with several take part: a name, a position, or a list of
            them; by default all.

    Example:

    ```python
    value = LogitMatching().compute_loss(np.array([[2.0, 0.0]]), np.array([[1.0, 1.0]]))
    assert float(value) == 1.0
    ```

    Reference:
        Ba & Caruana, "Do Deep Nets Really Need to be Deep?", NeurIPS 2014.
    """

    def compare(self, teacher_logits: Any, student_logits: Any, context: LossContext) -> Any:
        """Computes the mean squared difference over the classes."""
        teacher_logits, student_logits = as_floats(teacher_logits, student_logits)
        return ops.mean(ops.square(teacher_logits - student_logits), axis=-1)
