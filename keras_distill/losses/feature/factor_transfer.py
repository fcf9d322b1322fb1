"""Factor transfer."""

from typing import Any

import keras
from keras import ops

from keras_distill.arguments import check_count, check_model, shown
from keras_distill.losses import schedule
from keras_distill.losses.adapters import ConvolutionStack
from keras_distill.losses.argument_types import LayerNames
from keras_distill.losses.context import LossContext
from keras_distill.losses.layer_pairs import LayerPairLoss
from keras_distill.losses.space import match_space
from keras_distill.losses.tensors import as_floats, flatten, mean_squared_error, unit


def factor_distance(teacher_factors, student_factors):
    """Mean absolute difference of factors, each sample's of unit length.

    Args:
        teacher_factors: Tensor of shape `(batch, ...)`.
        student_factors: Tensor of the same shape.

    Returns:
        Tensor of shape `(batch,)`.

    Reference:
        Kim, Park, Kwak, "Paraphrasing Complex Network", NeurIPS 2018.
    """
    teacher, student = as_floats(teacher_factors, student_factors)
    return ops.mean(ops.abs(unit(flatten(teacher)) - unit(flatten(student))), axis=-1)


@keras.saving.register_keras_serializable("keras_distill")
class FactorTransfer(LayerPairLoss):
    """L1 distance of factors: paraphrased teacher features, translated student features.

    A paraphraser, a convolutional autoencoder of the teacher's features with `rate` times their
    channels in the middle, gives the teacher's factors; a translator of three convolutions gives
    the student's. The loss is the mean absolute difference of the factors, each sample's of unit
    length; the paper writes a sum, its code takes the mean, with weight 500.

    The paper trains the paraphraser before the student: call `pretrain`. Without that it learns
    along with the student, from its reconstruction error relative to the features' mean square.
    That error is added to the distiller's total as a regularizer is, whatever the weight of this
    loss, which is the distance alone; the student's error never reaches the paraphraser. It costs
    ten 3×3 convolutions.

    Args:
        teacher_layer_name: Path of the teacher's layer, shape `(batch, *space, channels)`, or
            `"auto"`: the last activation of the last spatial stage.
        student_layer_name: The same for the student.
        rate: Channels of the factors as a part of the teacher's channels.
        pretrained: Whether the paraphraser is left as it is; `pretrain` sets it.
        name: Name of the loss in the training history.

    Raises:
        TypeError: If `rate` isn't a number, `pretrained` neither `True` nor `False`, or several
            layers are given.
        ValueError: If `rate` isn't positive, or if features have no spatial axis.

    Example:

    ```python
    loss = FactorTransfer("conv4", "conv2")
    assert loss.compute_loss(np.random.rand(2, 4, 4, 8), np.random.rand(2, 4, 4, 3)) > 0
    ```

    Reference:
        Kim, Park, Kwak, "Paraphrasing Complex Network: Network Compression via Factor Transfer",
        NeurIPS 2018.
    """

    automatic_layers = "last_stage"
    taps = "one spatial layer, any channels and sizes"
    needs_space = True

    def __init__(
        self,
        teacher_layer_name: LayerNames = "auto",
        student_layer_name: LayerNames = "auto",
        rate: float = 0.5,
        pretrained: bool = False,
        name: str | None = None,
    ):
        super().__init__(teacher_layer_name, student_layer_name, name)
        if not isinstance(self.teacher_layer_name, str):
            raise TypeError(
                f"FactorTransfer compares one layer of each model. Received: teacher_layer_name="
                f"{shown(teacher_layer_name)}"
            )
        self.rate = schedule.check_constant("rate", rate, 0, 100, low_is_allowed=False)
        self.pretrained = schedule.check_switch("pretrained", pretrained)
        self._paraphraser = Paraphraser(rate, name=f"{self.name}_paraphraser")
        self._translator = _stack(f"{self.name}_translator")

    @property
    def own_layers(self) -> list[keras.Layer]:
        """List of the paraphraser and of the translator."""
        return [self._paraphraser, self._translator]

    def build(self, teacher_shapes: Any, student_shapes: Any) -> None:
        """Builds the paraphraser and the translator."""
        super().build(teacher_shapes, student_shapes)
        if len(teacher_shapes) != len(student_shapes):
            raise self.shape_error(
                teacher_shapes, student_shapes, "both features must have as many spatial axes."
            )
        if not self._paraphraser.built:
            self._paraphraser.build(tuple(teacher_shapes))
        self._paraphraser.trainable = not self.pretrained
        self._translator.match(self._paraphraser.encoder.channels, student_shapes)

    def compare(self, teacher: Any, student: Any, context: LossContext) -> Any:
        """Computes the distance of the factors."""
        factors, error = self._paraphraser(teacher)
        if not self.pretrained:
            self._paraphraser.add_loss(ops.mean(error))
        translated = self._translator(student)
        return factor_distance(*match_space(ops.stop_gradient(factors), translated))

    def pretrain(
        self,
        teacher: Any,
        x: Any,
        epochs: int = 5,
        batch_size: int = 32,
        optimizer: Any = "adam",
        verbose: Any = "auto",
    ) -> Any:
        """Trains the paraphraser on the teacher's features, and then leaves it as it is.

        Call it once the distiller is made, before its `compile`:
        `distiller.distillation_losses[0].pretrain(teacher, x)`.

        Args:
            teacher: The teacher model.
            x: Inputs of the teacher, as for `keras.Model.fit`.
            epochs: Number of passes over `x`.
            batch_size: Samples per step, for arrays.
            optimizer: Keras optimizer, or its name.
            verbose: As for `keras.Model.fit`.

        Returns:
            The `keras.callbacks.History` of the reconstruction error relative to the features'
            mean square: 1 where it predicts nothing.

        Raises:
            TypeError: If `teacher` isn't a model, or a number of passes or samples isn't an
                integer.
            ValueError: If such a number is below 1.
        """
        check_model("teacher", teacher)
        check_count("epochs", epochs)
        check_count("batch_size", batch_size, high=2**31 - 1)
        if optimizer is None:
            raise TypeError(
                f"optimizer must be a Keras optimizer or its name. Received: {optimizer=}"
            )
        if all(leaf is None for leaf in keras.tree.flatten(x)):
            raise ValueError(f"x must hold the teacher's inputs. Received: x={shown(x)}")
        if self.make_feature_model is None:
            raise ValueError(
                "The paraphraser is trained once its distiller is made, which finds the teacher's "
                "layer: distiller.distillation_losses[0].pretrain(teacher, x). Received: a loss "
                "that no distiller has."
            )
        features = self.make_feature_model(teacher, [self.teacher_layer_name])
        model = _Reconstruction(features, self._paraphraser)
        model.compile(optimizer)
        arrays = {"batch_size": batch_size} if hasattr(x, "shape") else {}
        history = model.fit(x, epochs=epochs, verbose=verbose, **arrays)
        self.pretrained = True
        self._paraphraser.trainable = False
        return history


@keras.saving.register_keras_serializable("keras_distill")
class Paraphraser(keras.layers.Layer):
    """A convolutional autoencoder of feature maps.

    Args:
        rate: Channels in the middle as a part of the input's channels.
        name: Name of the layer.
    """

    def __init__(self, rate=0.5, name=None):
        super().__init__(name=name, dtype="float32")
        self.rate = rate
        self.encoder = _stack("encoder")
        self.decoder = _stack("decoder")

    def build(self, input_shape):
        """Creates the convolutions."""
        channels = input_shape[-1]
        middle = max(1, round(channels * self.rate))
        self.encoder.match([channels, middle, middle], input_shape)
        self.decoder.match([middle, channels, channels], (*input_shape[:-1], middle))
        self.built = True

    def call(self, features):
        """Returns the factors, and each sample's reconstruction error.

        The error is divided by the batch's mean square of the features, so that its gradient, and
        the step of an optimizer like SGD, doesn't depend on their scale.
        """
        features = ops.stop_gradient(ops.cast(features, "float32"))
        factors = self.encoder(features)
        restored = self.decoder(factors)
        power = ops.mean(ops.square(features))
        error = mean_squared_error(features, restored)
        return factors, error / ops.where(power > 0, power, 1.0)


class _Reconstruction(keras.Model):
    """Trains a paraphraser on a frozen model's features."""

    def __init__(self, features, paraphraser):
        super().__init__(name="paraphraser_pretraining")
        self.features = features
        self.paraphraser = paraphraser
        self.features.trainable = False

    def call(self, inputs, training=None):
        (features,) = self.features(inputs, training=False).values()
        _, error = self.paraphraser(features)
        return error

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        return ops.mean(y_pred)


def _stack(name):
    return ConvolutionStack(size=3, activation=_leaky_relu, activate_last=True, name=name)


def _leaky_relu(features):
    return keras.activations.leaky_relu(features, negative_slope=0.1)
