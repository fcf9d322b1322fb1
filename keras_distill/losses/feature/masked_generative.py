"""Masked generative distillation."""

from typing import Any

import keras
from keras import ops

from keras_distill.arguments import check_choice
from keras_distill.losses import schedule
from keras_distill.losses.adapters import ConvolutionStack
from keras_distill.losses.argument_types import LayerNames
from keras_distill.losses.context import LossContext
from keras_distill.losses.layer_pairs import ProjectedLoss
from keras_distill.losses.loss import as_pairs
from keras_distill.losses.tensors import mean_squared_error

_MASKED = ("positions", "channels")


@keras.saving.register_keras_serializable("keras_distill")
class MaskedGenerative(ProjectedLoss):
    """Generation of the teacher's features from randomly masked student features.

    The student's features are projected to the teacher's shape, a random part of them is set to
    zero, and two 3×3 convolutions generate the teacher's features from the rest. The loss is their
    mean squared error. The authors sum over a sample's values and weigh 2e-5 for detection with
    `mask_ratio` 0.65, and 7e-5 with 0.15 for classification: with the mean taken here, a weight of
    about 1 suits. Evaluation always uses the same mask. It costs the convolutions.

    The paper masks positions, in all channels, as its code for detection and segmentation does;
    the code for classification masks channels, at all positions.

    Args:
        teacher_layer_name: Path of the teacher's layer, shape `(batch, *space, channels)`, a list
            of paths, or `"auto"`: the last activation of the last spatial stage.
        student_layer_name: The same for the student.
        mask_ratio: Part of the positions, or of the channels, that is masked, from 0 to 1.
        projector: `"auto"` makes a `FeatureProjector` where the shapes differ, `None` makes a
            difference an error.
        seed: Integer seed of the masks.
        masked: `"positions"` or `"channels"`.
        name: Name of the loss in the training history.

    Raises:
        TypeError: If `mask_ratio` isn't a number.
        ValueError: If `mask_ratio` is out of bounds, `masked` is unknown, or shapes can't be
            projected.

    Example:

    ```python
    loss = MaskedGenerative("conv4", "conv2")
    assert loss.compute_loss(np.random.rand(2, 4, 4, 8), np.random.rand(2, 4, 4, 8)) > 0
    ```

    Reference:
        Yang et al., "Masked Generative Distillation", ECCV 2022.
    """

    automatic_layers = "last_stage"
    taps = "spatial layers"
    needs_space = True

    def __init__(
        self,
        teacher_layer_name: LayerNames = "auto",
        student_layer_name: LayerNames = "auto",
        mask_ratio: float = 0.65,
        projector: str | None = "auto",
        seed: int = 0,
        masked: str = "positions",
        name: str | None = None,
    ):
        super().__init__(teacher_layer_name, student_layer_name, projector, name)
        self.mask_ratio = schedule.check_constant("mask_ratio", mask_ratio, low=0, high=1)
        self.masked = check_choice("masked", masked, tuple(_MASKED))
        self.seed = schedule.check_seed(seed)
        self._generators = [
            ConvolutionStack(size=3, name=f"{self.name}_generator_{index}")
            for index in range(len(self._projectors))
        ]
        self._masks = RandomMask(mask_ratio, self.seed, masked, name=f"{self.name}_mask")

    @property
    def own_layers(self) -> list[keras.Layer]:
        """List of the projectors, of the generators, and of the source of the masks."""
        return [*super().own_layers, *self._generators, self._masks]

    def build(self, teacher_shapes: Any, student_shapes: Any) -> None:
        """Builds the projectors and the generators."""
        super().build(teacher_shapes, student_shapes)
        pairs = as_pairs(teacher_shapes, student_shapes)
        for generator, (teacher_shape, student_shape) in zip(self._generators, pairs, strict=True):
            rank = min(len(teacher_shape), len(student_shape))
            shape = (*teacher_shape[: rank - 1], teacher_shape[-1])
            generator.match([shape[-1]] * 2, shape)

    def call(self, teacher: Any, student: Any, context: LossContext) -> Any:
        """Sums the mean squared errors of the generated features."""
        total = 0.0
        pairs = self.project(teacher, student, context)
        for generator, (teacher_features, features) in zip(self._generators, pairs, strict=True):
            generated = generator(self._masks(features, training=context.training))
            total = total + mean_squared_error(teacher_features, generated)
        return total


@keras.saving.register_keras_serializable("keras_distill")
class RandomMask(keras.layers.Layer):
    """Sets random positions of feature maps to zero in all channels, or channels at all positions.

    Args:
        ratio: Part of them that is set to zero.
        seed: Integer seed. Outside training the same ones are masked every time.
        masked: `"positions"` or `"channels"`.
        name: Name of the layer.
    """

    def __init__(self, ratio, seed=0, masked="positions", name=None):
        super().__init__(name=name, dtype="float32")
        self.ratio = ratio
        self.masked = masked
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)

    def call(self, features, training=None):
        """Returns the masked features."""
        sizes = tuple(ops.shape(features))
        shape = (*sizes[:-1], 1)
        if self.masked == "channels":
            shape = (sizes[0], *(1,) * (len(sizes) - 2), sizes[-1])
        seed = self.seed_generator if training else self.seed
        return features * ops.cast(keras.random.uniform(shape, seed=seed) >= self.ratio, "float32")
