"""The response loss for those who name none."""

from typing import Any

import keras
from keras import ops

from keras_distill.losses.context import LossContext
from keras_distill.losses.response.logit_matching import LogitMatching
from keras_distill.losses.response.response_loss import ResponseLoss
from keras_distill.losses.response.soft_targets import SoftTargets

_SOFT_TARGETS, _NUMBERS = SoftTargets(temperature=4.0), LogitMatching()


@keras.saving.register_keras_serializable("keras_distill")
class AutoResponse(ResponseLoss):
    """Response loss chosen by what each output is: what to take without a reason for another.

    | output | loss |
    |---|---|
    | exclusive classes | soft targets at T = 4 |
    | independent labels | soft targets at T = 4 of each label, the mean over the labels |
    | numbers (a regression) | mean squared error |
    | unknown | as exclusive classes; of one value, as numbers |

    So each has the scale of Keras's loss for such labels. What an output is follows from its
    activation and from the loss that the student learns with. The temperature won on validation
    data of nine tasks; `docs/results.md` has the table, and `keras_distill.compare` says what wins
    on yours. `losses.get("auto")` makes it. It costs what the chosen loss costs.

    Args:
        from_logits: `True`, `False`, or `"auto"` to recognize a model that ends in softmax or
            sigmoid.
        teacher_layer_name: Path of the teacher's layer that outputs logits, or `None` for the
            teacher's output.
        student_layer_name: The same for the student.
        name: Name of the loss in the training history.
        outputs: Which outputs of models with several take part: a name, a position, or a list of
            them; by default all.

    Example:

    ```python
    loss = keras_distill.losses.get("auto")
    value = loss.compute_loss(np.array([[2.0, 0.0, 1.0]]), np.array([[1.0, 0.5, 0.0]]))
    assert value > 0
    ```

    Reference:
        - Hinton, Vinyals, Dean, "Distilling the Knowledge in a Neural Network", 2015.
        - Ba & Caruana, "Do Deep Nets Really Need to be Deep?", NeurIPS 2014.
    """

    def chosen(self, kind: Any, values: Any) -> Any:
        """Returns the loss that an output has, and how many labels its value is divided by.

        Args:
            kind: As in `LossContext.kinds`.
            values: Number of values of the output, its last axis.
        """
        if kind == "numbers" or (kind is None and values == 1):
            return _NUMBERS, 1
        return _SOFT_TARGETS, values if kind == "sigmoid" else 1

    def check_outputs(self, kinds: Any, shapes: Any, names: Any) -> None:
        """Checks that each output's loss suits it."""
        for kind, shape, name in zip(kinds, shapes, names, strict=True):
            loss, _ = self.chosen(kind, shape[-1])
            loss.check_outputs([kind], [shape], [name])

    def check_activations(self, teacher_activation: Any, student_activation: Any) -> None:
        """Checks that the two sides don't differ in what they are distributions over."""
        _SOFT_TARGETS.check_activations(teacher_activation, student_activation)

    def compare(self, teacher_logits: Any, student_logits: Any, context: LossContext) -> Any:
        """Computes the loss of one output."""
        kind = None if context.kinds is None else context.kinds[0]
        loss, labels = self.chosen(kind, student_logits.shape[-1])
        values = loss.compare(teacher_logits, student_logits, context)
        return ops.divide(values, labels)
