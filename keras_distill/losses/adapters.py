"""Small trained networks that losses put between teacher and student, in any number of axes."""

import keras
from keras import ops

_CONVOLUTIONS = {3: keras.layers.Conv1D, 4: keras.layers.Conv2D, 5: keras.layers.Conv3D}


def convolution(rank, channels, size=1, **kwargs):
    """Returns a convolution over features of a number of axes, in float32, keeping their size.

    Args:
        rank: Number of axes of the features, batch and channels included; 2 gives a dense layer.
        channels: Number of output channels.
        size: Size of the kernel along each spatial axis.
        **kwargs: Further arguments of the layer.
    """
    kwargs = {"dtype": "float32", **kwargs}
    if rank == 2:
        return keras.layers.Dense(channels, **kwargs)
    return _CONVOLUTIONS[rank](channels, size, padding="same", **kwargs)


def normalization(name, **kwargs):
    """Returns a batch normalization with the methods' constants: epsilon 1e-5, momentum 0.9.

    Keras's own defaults are 1e-3 and 0.99; the published settings were found with these.

    Args:
        name: Name of the layer.
        **kwargs: Further arguments of the layer.
    """
    return keras.layers.BatchNormalization(epsilon=1e-5, momentum=0.9, name=name, **kwargs)


@keras.saving.register_keras_serializable("keras_distill")
class ConvolutionStack(keras.layers.Layer):
    """Convolutions in a row, over any number of spatial axes, in float32.

    Args:
        size: Size of the kernels along each spatial axis.
        activation: Activation between the convolutions.
        activate_last: Whether it follows the last one too.
        use_bias: Whether the convolutions have biases.
        name: Name of the layer.

    Example:

    ```python
    stack = ConvolutionStack(size=3)
    stack.match([8, 4], (None, 6, 6, 2))
    assert stack(np.zeros((1, 6, 6, 2))).shape == (1, 6, 6, 4)
    ```
    """

    def __init__(
        self,
        size=1,
        activation="relu",
        activate_last=False,
        use_bias=True,
        name=None,
    ):
        super().__init__(name=name, dtype="float32")
        self.size = size
        self.activation = keras.activations.get(activation)
        self.activate_last = activate_last
        self.use_bias = use_bias
        # The loss leaves masked positions out by itself.
        self.supports_masking = True
        self.channels = None
        self.convolutions = []

    def match(self, channels, input_shape):
        """Builds the layer.

        Args:
            channels: Number of output channels of each convolution, a list.
            input_shape: Shape of the features, batch included.
        """
        self.channels = list(channels)
        if not self.built:
            self.build(tuple(input_shape))

    def build(self, input_shape):
        """Creates the convolutions."""
        for index, channels in enumerate(self.channels):
            layer = convolution(
                len(input_shape), channels, self.size, use_bias=self.use_bias, name=f"conv{index}"
            )
            layer.build(input_shape)
            input_shape = (*input_shape[:-1], channels)
            self.convolutions.append(layer)
        self.built = True

    def call(self, features):
        """Returns the features after all convolutions."""
        features = ops.cast(features, "float32")
        for index, layer in enumerate(self.convolutions):
            features = layer(features)
            if self.activate_last or index + 1 < len(self.convolutions):
                features = self.activation(features)
        return features

    def compute_output_shape(self, input_shape):
        """Returns the input's shape with the last convolution's channels."""
        return (*input_shape[:-1], self.channels[-1])
