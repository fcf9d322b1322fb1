"""The trained adapter that gives the student's features the shape of the teacher's."""

import numbers
from typing import Any

import keras

from keras_distill.arguments import check_flag, shown
from keras_distill.losses.adapters import normalization
from keras_distill.losses.space import resize_space


@keras.saving.register_keras_serializable("keras_distill")
class FeatureProjector(keras.layers.Layer):
    """Resizes the spatial axes, then maps the channels with a 1×1 convolution.

    It is the identity, without variables, where the shapes already agree. It computes in float32
    whatever the dtype policy of the student, belongs to the distiller, and is no part of the
    student.

    Args:
        target_shape: Shape of the teacher's features, `(batch, *space, channels)`. It may be
            given to `match` later.
        normalize: Whether a 1×1 convolution is made in any case and batch normalization follows
            it, as methods that compare pre-activations do.
        name: Name of the layer.

    Example:

    ```python
    projector = FeatureProjector((None, 4, 4, 32))
    assert projector(np.zeros((2, 8, 8, 3))).shape == (2, 4, 4, 32)
    ```

    Reference:
        Romero et al., "FitNets: Hints for Thin Deep Nets", ICLR 2015.
    """

    def __init__(
        self,
        target_shape: tuple | None = None,
        normalize: bool = False,
        name: str | None = None,
        **kwargs: Any,
    ):
        kwargs.setdefault("dtype", "float32")
        super().__init__(name=name, **kwargs)
        self.target_shape: Any = None
        if target_shape is not None:
            self.target_shape = _checked_shape(target_shape)
        self.normalize = check_flag("normalize", normalize)
        # The loss leaves masked positions out by itself.
        self.supports_masking = True
        self.channels: Any = None
        self.normalization: Any = None

    def match(self, target_shape: tuple, source_shape: tuple) -> None:
        """Builds the layer from both sides' shapes, batch included.

        Args:
            target_shape: Shape of the teacher's features.
            source_shape: Shape of the student's features.
        """
        self.target_shape = tuple(target_shape)
        if not self.built:
            self.build(tuple(source_shape))

    def build(self, input_shape: Any) -> None:
        """Creates the channel map if the channels differ, and the normalization if asked."""
        channels = self.target_shape[-1]
        if input_shape[-1] != channels or self.normalize:
            self.channels = keras.layers.Dense(
                channels, use_bias=not self.normalize, name="channels", dtype=self.dtype
            )
            self.channels.build(input_shape)
        if self.normalize:
            self.normalization = normalization("normalization", dtype=self.dtype)
            self.normalization.build((*input_shape[:-1], channels))
        self.built = True

    def call(self, features: Any, training: Any = None) -> Any:
        """Returns the features in the teacher's shape."""
        space = self.target_shape[1:-1]
        features = resize_space(features, space) if space else features
        features = features if self.channels is None else self.channels(features)
        if self.normalization is None:
            return features
        return self.normalization(features, training=training)

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Returns the target shape with the batch size of the input."""
        return (input_shape[0], *self.target_shape[1:])

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        own = {"target_shape": self.target_shape, "normalize": self.normalize}
        return {**super().get_config(), **own}


def _checked_shape(shape):
    is_shape = isinstance(shape, (list, tuple)) and len(shape) >= 2
    sizes = shape[1:] if is_shape else ()
    if not sizes or not all(_is_size(size) for size in sizes) or sizes[-1] is None:
        raise ValueError(
            "target_shape must be (batch, *space, channels), of positive integers or None where a "
            f"size isn't known. Received: target_shape={shown(shape)}"
        )
    return tuple(shape)


def _is_size(size):
    is_integer = isinstance(size, numbers.Integral) and not isinstance(size, bool)
    return size is None or (is_integer and 1 <= size < 2**31)
