"""Exits: classifiers on inner layers of a network, and the branches that train them."""

import math

import keras

from keras_distill.features.batches import inputs_of
from keras_distill.features.model_branch import ModelBranch
from keras_distill.losses.adapters import convolution, normalization

# Of a head: the layer whose output is compared with what enters the network's own classifier.
FEATURES = "features"
_SEPARABLE = {3: keras.layers.SeparableConv1D, 4: keras.layers.SeparableConv2D}
_POOLING = {
    3: keras.layers.GlobalAveragePooling1D,
    4: keras.layers.GlobalAveragePooling2D,
    5: keras.layers.GlobalAveragePooling3D,
}


class ExitBranch(ModelBranch):
    """An exit: the head on a layer of a network that runs before it, once per batch.

    Args:
        head: `keras.Model` from the layer's output to an output like the network's.
        network: `ModelBranch` of the network, which taps the layer.
        path: Path of the layer.
        name: Name of the branch in errors.
    """

    def __init__(self, head, network, path, name):
        super().__init__(head, name)
        self._network, self._path = network, path

    @property
    def trainable_weights(self):
        """List of the weights of the network and of the head."""
        return [*self._network.trainable_weights, *super().trainable_weights]

    def run(self, x, training, forwards):
        """Runs the head on what the network computed."""
        return self.forward(forwards[self._network].features[self._path], training)

    def inputs_of(self, x):
        """Returns the layer's output as it is."""
        return inputs_of(x)


def make_head(shape, deepest, classes, activation, name, dtype):
    """Returns the head of an exit: a bottleneck, pooling and a classifier.

    Features over space go through convolutions, each of which halves their size, until they have
    the size and the channels of the network's last stage: separable ones, as in the paper.

    Args:
        shape: Shape of the layer's output, `(batch, ..., channels)`.
        deepest: Shape of the network's last stage, or of what enters its classifier.
        classes: Number of classes.
        activation: Activation at the end, or `None`.
        name: Name of the head.
        dtype: Type or policy of its layers, but for the last.

    Returns:
        `keras.Model`, whose layer `"features"` has vectors of `deepest[-1]` numbers.
    """
    rank, channels = len(shape), deepest[-1]
    inputs = keras.Input(shape[1:], dtype=keras.DTypePolicy(dtype.name).compute_dtype)
    if rank == 2:
        outputs = keras.layers.Dense(channels, "relu", name=FEATURES, dtype=dtype)(inputs)
    else:
        outputs = inputs
        for index, (filters, strides) in enumerate(_halvings(shape, deepest)):
            outputs = _separable(rank, filters, strides, f"conv{index}", dtype)(outputs)
            outputs = normalization(f"norm{index}", dtype=dtype)(outputs)
            outputs = keras.layers.ReLU(name=f"relu{index}", dtype=dtype)(outputs)
        outputs = _POOLING[rank](name=FEATURES, dtype=dtype)(outputs)
    outputs = keras.layers.Dense(classes, activation, name="logits", dtype="float32")(outputs)
    return keras.Model(inputs, outputs, name=name)


def _separable(rank, filters, strides, name, dtype):
    settings = {"strides": strides, "use_bias": False, "name": name, "dtype": dtype}
    if rank not in _SEPARABLE:
        return convolution(rank, filters, 3, **settings)
    return _SEPARABLE[rank](filters, 3, padding="same", **settings)


def _halvings(shape, deepest):
    """Returns the channels and the stride of each convolution of a head, at least one."""
    sizes, ends = shape[1:-1], deepest[1:-1] or (1,)
    is_known = None not in (*sizes, *ends)
    count = max(round(math.log2(max(sizes) / max(ends))), 0) if is_known else 0
    if not count:
        return [(deepest[-1], 1)]
    growth = (deepest[-1] / shape[-1]) ** (1 / count)
    return [(round(shape[-1] * growth ** (index + 1)), 2) for index in range(count)]
