"""The trained adapter that gives the student's features the shape of the teacher's."""

import keras

from keras_distill.losses import functional


@keras.saving.register_keras_serializable("keras_distill")
class FeatureProjector(keras.layers.Layer):
    """Resizes the spatial axes, then maps the channels with a 1×1 convolution.

    It is the identity, without variables, where the shapes already agree. It computes in float32
    whatever the dtype policy of the student, belongs to the distiller, and is no part of the
    student.

    Args:
        target_shape: Shape of the teacher's features, `(batch, *space, channels)`. It may be
            given to `match` later.
        name: Name of the layer.

    Example:

    ```python
    projector = FeatureProjector((None, 4, 4, 32))
    assert projector(np.zeros((2, 8, 8, 3))).shape == (2, 4, 4, 32)
    ```

    Reference:
        Romero et al., "FitNets: Hints for Thin Deep Nets", ICLR 2015.
    """

    def __init__(self, target_shape=None, name=None, **kwargs):
        kwargs.setdefault("dtype", "float32")
        super().__init__(name=name, **kwargs)
        self.target_shape = None if target_shape is None else tuple(target_shape)
        self.channels = None

    def match(self, target_shape, source_shape):
        """Builds the layer from both sides' shapes, batch included.

        Args:
            target_shape: Shape of the teacher's features.
            source_shape: Shape of the student's features.
        """
        self.target_shape = tuple(target_shape)
        if not self.built:
            self.build(tuple(source_shape))

    def build(self, input_shape):
        """Creates the channel map if the channels differ."""
        if input_shape[-1] != self.target_shape[-1]:
            self.channels = keras.layers.Dense(
                self.target_shape[-1], name="channels", dtype=self.dtype
            )
            self.channels.build((*input_shape[:-1], input_shape[-1]))
        self.built = True

    def call(self, features):
        """Returns the features in the teacher's shape."""
        space = self.target_shape[1:-1]
        features = functional.resize_space(features, space) if space else features
        return features if self.channels is None else self.channels(features)

    def compute_output_shape(self, input_shape):
        """Returns the target shape with the batch size of the input."""
        return (input_shape[0], *self.target_shape[1:])

    def get_config(self):
        """Returns the constructor's arguments."""
        return {**super().get_config(), "target_shape": self.target_shape}
