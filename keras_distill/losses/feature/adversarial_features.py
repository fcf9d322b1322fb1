"""Adversarial features: a discriminator tells the teacher's from the student's."""

from typing import Any

import keras
from keras import ops

from keras_distill.arguments import check_count
from keras_distill.losses import schedule
from keras_distill.losses.adapters import ConvolutionStack
from keras_distill.losses.argument_types import LayerNames, Number
from keras_distill.losses.context import LossContext
from keras_distill.losses.gradient_reversal import reverse_gradient
from keras_distill.losses.layer_pairs import ProjectedLoss
from keras_distill.losses.tensors import as_floats, flatten


def discrimination(teacher_scores, student_scores):
    """Binary cross-entropy of a discriminator: teachers are 1, students are 0.

    Args:
        teacher_scores: Logits of the discriminator, tensor of shape `(batch, ...)`.
        student_scores: Tensor of the same shape.

    Returns:
        Tensor of shape `(batch,)`: the mean over the positions of -log D(t) - log(1 - D(s)), which
        is 2 log 2 where it can't tell them apart.

    Reference:
        Goodfellow et al., "Generative Adversarial Nets", NeurIPS 2014.
    """
    teacher, student = as_floats(teacher_scores, student_scores)
    return ops.mean(ops.softplus(-flatten(teacher)) + ops.softplus(flatten(student)), axis=-1)


@keras.saving.register_keras_serializable("keras_distill")
class AdversarialFeatures(ProjectedLoss):
    """Discriminator of teacher and student features, through gradient reversal.

    A discriminator, 1×1 convolutions over the features, learns to tell the teacher's features from
    the student's, which a projector brings to one shape. Its binary cross-entropy is the loss. On
    the way back to the student, and to the projector, the gradient changes its sign, so that one
    step trains the discriminator to tell them apart and the student to make that hard: no second
    optimizer is needed, and every scheme takes it. A value of 2 log 2, about 1.39, is that of a
    discriminator that can't tell.

    It matches distributions, not samples: take it beside a loss that pairs them, such as soft
    targets. The weight scales both players' steps; `strength` the student's alone. Wang et al.
    train a portable student so, in turns, beside a squared distance. No weight is published for
    this form: 0.1 to 1 beside the labels' loss is usual. It costs the discriminator on both
    features.

    Args:
        teacher_layer_name: Path of the teacher's layer, shape `(batch, ..., channels)`, a list
            of paths, or `"auto"`: the last spatial stage, or what enters the last dense layer of a
            model without space.
        student_layer_name: The same for the student. Each pair has a discriminator.
        units: Channels of the discriminator's two hidden layers.
        strength: By how much the reversed gradient is multiplied, number or
            `keras.optimizers.schedules.LearningRateSchedule`.
        projector: `"auto"` makes a `FeatureProjector` where the shapes differ, `None` makes a
            difference an error.
        name: Name of the loss in the training history.

    Raises:
        TypeError: If `units` isn't an integer, or `strength` neither a number nor a schedule.
        ValueError: If a number is out of bounds, or if shapes can't be projected.

    Example:

    ```python
    loss = AdversarialFeatures("conv4", "conv2", units=16)
    value = loss.compute_loss(np.random.rand(2, 4, 4, 8), np.random.rand(2, 4, 4, 3))
    assert value > 0
    ```

    Reference:
        - Wang et al., "Adversarial Learning of Portable Student Networks", AAAI 2018.
        - Ganin & Lempitsky, "Unsupervised Domain Adaptation by Backpropagation", ICML 2015.
    """

    automatic_layers = "last_stage_or_embedding"
    taps = "any layers"

    def __init__(
        self,
        teacher_layer_name: LayerNames = "auto",
        student_layer_name: LayerNames = "auto",
        units: int = 128,
        strength: Number = 1.0,
        projector: str | None = "auto",
        name: str | None = None,
    ):
        super().__init__(teacher_layer_name, student_layer_name, projector, name)
        self.units = check_count("units", units, high=2**20)
        self.strength = schedule.check_number("strength", strength, low=0)
        self._discriminators = [
            ConvolutionStack(activation="leaky_relu", name=f"{self.name}_discriminator_{index}")
            for index in range(len(self._projectors))
        ]

    @property
    def own_layers(self) -> list[keras.Layer]:
        """List of the projectors and of the discriminators."""
        return [*super().own_layers, *self._discriminators]

    def build(self, teacher_shapes: Any, student_shapes: Any) -> None:
        """Builds the projectors and the discriminators."""
        super().build(teacher_shapes, student_shapes)
        for projector, discriminator in zip(self._projectors, self._discriminators, strict=True):
            discriminator.match([self.units, self.units, 1], projector.target_shape)

    def call(self, teacher: Any, student: Any, context: LossContext) -> Any:
        """Sums the discriminators' cross-entropies."""
        strength = schedule.value_at(self.strength, context.step)
        total = 0.0
        pairs = self.project(teacher, student, context)
        for discriminator, (real, made) in zip(self._discriminators, pairs, strict=True):
            made = reverse_gradient(ops.cast(made, "float32"), strength)
            total = total + discrimination(discriminator(real), discriminator(made))
        return total
