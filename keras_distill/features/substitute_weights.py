"""A layer with substitute weights, for the `call` of its class."""

from typing import Any

import keras


class SubstituteWeights:
    """A layer with another kernel and bias, which the `call` of its class takes for the layer.

    Args:
        layer: The layer.
        kernel: Tensor in place of its kernel.
        bias: Tensor in place of its bias, or `None`.
    """

    def __init__(self, layer: keras.layers.Layer, kernel: Any, bias: Any):
        self._layer = layer
        self.kernel = kernel
        self.bias = bias
        self.use_bias = bias is not None

    def __getattr__(self, name):
        return getattr(self._layer, name)
