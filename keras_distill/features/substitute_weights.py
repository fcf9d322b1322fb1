"""A layer with other weights, for its own class's `call`."""


class Reweighted:
    """A layer as its own class's `call` sees it, with another kernel and bias.

    Args:
        layer: The layer.
        kernel: Tensor in the place of its kernel.
        bias: Tensor in the place of its bias, or `None`.
    """

    def __init__(self, layer, kernel, bias):
        self._layer = layer
        self.kernel = kernel
        self.bias = bias
        self.use_bias = bias is not None

    def __getattr__(self, name):
        return getattr(self._layer, name)
