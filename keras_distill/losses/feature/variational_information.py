"""Variational information distillation."""

import math
from typing import Any

import keras
from keras import ops

from keras_distill.losses import schedule
from keras_distill.losses.adapters import ConvolutionStack
from keras_distill.losses.argument_types import LayerNames
from keras_distill.losses.context import LossContext
from keras_distill.losses.layer_pairs import LayerPairLoss
from keras_distill.losses.loss import as_pairs
from keras_distill.losses.space import match_space
from keras_distill.losses.tensors import as_floats, flatten

# Keeps a variance away from 0, as in the paper.
_SMALLEST_VARIANCE = 1e-5


def variational_information(teacher_features, student_means, variances):
    """Negative log-likelihood of the teacher's features under a Gaussian, without its constant.

    Args:
        teacher_features: Tensor of shape `(batch, ..., channels)`.
        student_means: Tensor of the same shape, predicted from the student.
        variances: Tensor of shape `(channels,)`, positive.

    Returns:
        Tensor of shape `(batch,)`: the mean of `(log σ² + (t - μ)² / σ²) / 2`.

    Reference:
        Ahn et al., "Variational Information Distillation for Knowledge Transfer", CVPR 2019.
    """
    teacher, means = as_floats(teacher_features, student_means)
    variances = ops.cast(variances, means.dtype)
    likelihood = ops.log(variances) + ops.square(teacher - means) / variances
    return 0.5 * ops.mean(flatten(likelihood), axis=-1)


@keras.saving.register_keras_serializable("keras_distill")
class VariationalInformation(LayerPairLoss):
    """Variational lower bound on the mutual information of the two models' features.

    Three 1×1 convolutions on the student's features predict the teacher's, and each channel has a
    learned variance: the loss is the Gaussian negative log-likelihood without its constant, which
    may be negative and isn't zero at the teacher. Maps of different size are resized to the
    smaller. Weight 1 in the authors' code. It costs the convolutions.

    Args:
        teacher_layer_name: Path of the teacher's layer, shape `(batch, ..., channels)`, a list of
            paths, or `"auto"`: the last activation of each spatial stage.
        student_layer_name: The same for the student.
        initial_variance: Variance of every channel at the start.
        name: Name of the loss in the training history.

    Raises:
        TypeError: If `initial_variance` isn't a number.
        ValueError: If `initial_variance` is below 1e-4, or if the two features of a pair have
            different numbers of axes.

    Example:

    ```python
    loss = VariationalInformation("conv4", "conv2")
    value = loss.compute_loss(np.random.rand(2, 4, 4, 8), np.random.rand(2, 4, 4, 3))
    ```

    Reference:
        Ahn et al., "Variational Information Distillation for Knowledge Transfer", CVPR 2019.
    """

    automatic_layers = "stages"
    taps = "any layers"

    def __init__(
        self,
        teacher_layer_name: LayerNames = "auto",
        student_layer_name: LayerNames = "auto",
        initial_variance: float = 5.0,
        name: str | None = None,
    ):
        super().__init__(teacher_layer_name, student_layer_name, name)
        self.initial_variance = schedule.check_constant(
            "initial_variance", initial_variance, low=1e-4, high=500
        )
        pairs = range(len(as_pairs(self.teacher_layer_name, self.student_layer_name)))
        self._regressors = [
            ConvolutionStack(use_bias=False, name=f"{self.name}_regressor_{index}")
            for index in pairs
        ]
        self._variances = [
            ChannelVariance(initial_variance, name=f"{self.name}_variance_{index}")
            for index in pairs
        ]

    @property
    def own_layers(self) -> list[keras.Layer]:
        """List of the regressors and of the variances."""
        return [*self._regressors, *self._variances]

    def check_pair(self, teacher_shape: tuple, student_shape: tuple) -> None:
        """Checks that both features have as many axes."""
        if len(teacher_shape) != len(student_shape):
            raise self.shape_error(
                teacher_shape, student_shape, "both features must have as many axes."
            )

    def build(self, teacher_shapes: Any, student_shapes: Any) -> None:
        """Builds the regressors and the variances."""
        super().build(teacher_shapes, student_shapes)
        pairs = as_pairs(teacher_shapes, student_shapes)
        for index, (teacher_shape, student_shape) in enumerate(pairs):
            self._regressors[index].match([teacher_shape[-1]] * 3, student_shape)
            if not self._variances[index].built:
                self._variances[index].build(tuple(teacher_shape))

    def call(self, teacher: Any, student: Any, context: LossContext) -> Any:
        """Sums the negative log-likelihoods of the pairs."""
        total = 0.0
        for index, pair in enumerate(as_pairs(teacher, student)):
            teacher_features, student_features = match_space(*pair)
            means = self._regressors[index](student_features)
            variances = self._variances[index](teacher_features)
            total = total + variational_information(teacher_features, means, variances)
        return total


@keras.saving.register_keras_serializable("keras_distill")
class ChannelVariance(keras.layers.Layer):
    """A positive number per channel, trained.

    Args:
        initial: Its value at the start.
        name: Name of the layer.
    """

    def __init__(self, initial=5.0, name=None):
        super().__init__(name=name, dtype="float32")
        self.initial = initial

    def build(self, input_shape):
        """Creates the variable, of which the variance is the softplus."""
        start = math.log(math.expm1(self.initial - _SMALLEST_VARIANCE))
        self.scale = self.add_weight(
            shape=(input_shape[-1],),
            initializer=keras.initializers.Constant(start),
            name="scale",
        )
        self.built = True

    def call(self, features):
        """Returns the variances, of shape `(channels,)`."""
        return ops.softplus(self.scale) + _SMALLEST_VARIANCE
