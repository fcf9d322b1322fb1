"""Multi-level logit distillation."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from keras_distill.arguments import shown
from keras_distill.losses import schedule
from keras_distill.losses.argument_types import LayerNames, Number, OutputNames
from keras_distill.losses.context import LossContext
from keras_distill.losses.response.response_loss import (
    ExclusiveClassesLoss,
    check_rows,
    checked_temperature,
)
from keras_distill.losses.response.soft_targets import soft_targets, standardize_logits
from keras_distill.losses.tensors import as_floats


def multi_level(
    teacher_logits,
    student_logits,
    temperatures,
    instance=1.0,
    batch=1.0,
    classes=1.0,
    standardize=False,
):
    """Alignment of predictions, of samples with each other and of classes with each other.

    Args:
        teacher_logits: Tensor of shape `(batch, classes)`.
        student_logits: Tensor of the same shape.
        temperatures: List of temperatures, over which the parts are summed.
        instance: Weight of the soft targets.
        batch: Weight of `‖P_t P_tᵀ - P_s P_sᵀ‖² / batch`.
        classes: Weight of `‖P_tᵀ P_t - P_sᵀ P_s‖² / classes`.
        standardize: Whether the soft targets are those of standardized logits.

    Returns:
        Tensor of shape `(batch,)`; the parts of the whole batch are in each value.

    Reference:
        Jin, Wang, Lin, "Multi-Level Logit Distillation", CVPR 2023.
    """
    sides = as_floats(teacher_logits, student_logits)
    of_instances = [standardize_logits(side) for side in sides] if standardize else sides
    total = 0.0
    for temperature in temperatures:
        p_t, p_s = (ops.softmax(side / temperature, axis=-1) for side in sides)
        samples = ops.square(p_t @ ops.transpose(p_t) - p_s @ ops.transpose(p_s))
        between = ops.square(ops.transpose(p_t) @ p_t - ops.transpose(p_s) @ p_s)
        total = total + (
            instance * soft_targets(*of_instances, temperature)
            + batch * ops.mean(ops.sum(samples, axis=-1))
            + classes * ops.mean(ops.sum(between, axis=-1))
        )
    return total


@keras.saving.register_keras_serializable("keras_distill")
class MultiLevelLogits(ExclusiveClassesLoss):
    """Instance, batch and class alignment of predictions, at several temperatures.

    Instances: soft targets. The batch: the products P Pᵀ between samples. Classes: the products
    Pᵀ P between classes. The parts are summed over the temperatures, as in the authors' code. That
    weighs the labels 0.1 and each part 0.9 on CIFAR-100, in two views of each image, weakly and
    strongly augmented, which belong to its training loop. Where both views are the same image, and
    the labels weigh 1, its weights are 6.75 for the instances and 2.25 for batch and classes: the
    latter are taken of one view, and of the weak view each part is halved, by a mask of the less
    confident half of the samples that multiplies a number already averaged. No sample is left out,
    there or here. It costs one softmax and two small matrix products per temperature.

    Args:
        temperatures: List of positive numbers.
        instance_weight: Weight of the soft targets, number or
            `keras.optimizers.schedules.LearningRateSchedule`.
        batch_weight: Weight of the products between samples, number or schedule.
        class_weight: Weight of the products between classes, number or schedule.
        from_logits: `True`, `False`, or `"auto"` to recognize a model that ends in softmax.
        teacher_layer_name: Path of the teacher's layer that outputs logits, or `None` for the
            teacher's output. Shape `(batch, classes)`.
        student_layer_name: The same for the student.
        name: Name of the loss in the training history.
        outputs: Which outputs of models with several take part: a name, a position, or a list of
            them; by default all.
        standardize: Whether the soft targets, and they alone, are those of standardized logits, as
            in the code of logit standardization; see `SoftTargets`.

    Raises:
        TypeError: If a weight is neither a number nor a schedule, or `standardize` neither `True`
            nor `False`.
        ValueError: If a weight is negative, a temperature isn't positive, or outputs are
            sequences.

    Example:

    ```python
    teacher, student = np.random.rand(8, 5), np.random.rand(8, 5)
    assert MultiLevelLogits(temperatures=[2.0, 4.0]).compute_loss(teacher, student) > 0
    ```

    Reference:
        - Jin, Wang, Lin, "Multi-Level Logit Distillation", CVPR 2023.
        - Sun et al., "Logit Standardization in Knowledge Distillation", CVPR 2024.
    """

    def __init__(
        self,
        temperatures: Sequence[Number] = (2.0, 3.0, 4.0, 5.0, 6.0),
        instance_weight: Number = 1.0,
        batch_weight: Number = 1.0,
        class_weight: Number = 1.0,
        from_logits: bool | str = "auto",
        teacher_layer_name: LayerNames = None,
        student_layer_name: LayerNames = None,
        name: str | None = None,
        outputs: OutputNames = None,
        standardize: bool = False,
    ):
        super().__init__(from_logits, teacher_layer_name, student_layer_name, name, outputs)
        if not isinstance(temperatures, (list, tuple)) or not temperatures:
            raise ValueError(
                f"temperatures must be a list of numbers.{schedule.layer_hint(temperatures)} "
                f"Received: temperatures={shown(temperatures)}"
            )
        self.temperatures = [checked_temperature(value) for value in temperatures]
        self.instance_weight = schedule.check_number("instance_weight", instance_weight, low=0)
        self.batch_weight = schedule.check_number("batch_weight", batch_weight, low=0)
        self.class_weight = schedule.check_number("class_weight", class_weight, low=0)
        self.standardize = schedule.check_switch("standardize", standardize)

    def build(self, teacher_shapes: Any, student_shapes: Any) -> None:
        """Checks that both sides output rows over the same classes."""
        super().build(teacher_shapes, student_shapes)
        check_rows(self, student_shapes)

    def compare(self, teacher_logits: Any, student_logits: Any, context: LossContext) -> Any:
        """Computes the weighted sum of the three levels."""
        weights = (self.instance_weight, self.batch_weight, self.class_weight)
        instance, batch, classes = (schedule.value_at(each, context.step) for each in weights)
        return multi_level(
            teacher_logits,
            student_logits,
            [schedule.value_at(value, context.step) for value in self.temperatures],
            instance,
            batch,
            classes,
            standardize=self.standardize,
        )
