"""Pairs of layers between which channels can be scaled without changing what a model computes."""

import collections
import dataclasses
from typing import Any

import keras
import numpy as np

from keras_distill._compat import functional_of, layer_behind
from keras_distill.features.graphs import steps_of

_kl = keras.layers
_WRITERS = (_kl.Conv1D, _kl.Conv2D, _kl.DepthwiseConv2D, _kl.Dense)
# A positive factor of a channel passes through these.
_HOMOGENEOUS = ("linear", "relu", "leaky_relu")
_PASSING = (
    _kl.AveragePooling1D,
    _kl.AveragePooling2D,
    _kl.Cropping1D,
    _kl.Cropping2D,
    _kl.Dropout,
    _kl.Flatten,
    _kl.GlobalAveragePooling1D,
    _kl.GlobalAveragePooling2D,
    _kl.GlobalMaxPooling1D,
    _kl.GlobalMaxPooling2D,
    _kl.Identity,
    _kl.LeakyReLU,
    _kl.MaxPooling1D,
    _kl.MaxPooling2D,
    _kl.PReLU,
    _kl.SpatialDropout1D,
    _kl.SpatialDropout2D,
    _kl.UpSampling1D,
    _kl.UpSampling2D,
    _kl.ZeroPadding1D,
    _kl.ZeroPadding2D,
)


@dataclasses.dataclass(eq=False)
class Pair:
    """A layer that writes channels and the only one that reads them.

    Args:
        writer: Convolution or dense layer.
        normalization: `BatchNormalization` right after it, or `None`.
        reader: Convolution or dense layer.
        path: Path of the reader.
        capped: List of the layers between that cut values off at 6.
    """

    writer: Any
    normalization: Any
    reader: Any
    path: str
    capped: list

    @property
    def channels(self):
        """Number of channels."""
        kernel = self.writer.kernel.shape
        return int(np.prod(kernel[-2:])) if _is_depthwise(self.writer) else kernel[-1]

    @property
    def reads_by_channel(self):
        """Whether each channel is read by a kernel of its own, with a scale of its own in int8."""
        return _is_depthwise(self.reader)

    def scale(self, factors):
        """Divides the channels by factors, and multiplies what reads them.

        Args:
            factors: Array of shape `(channels,)`, above 0.
        """
        after, writer = self.normalization, self.writer
        if after is not None:
            _divide(after.gamma, factors)
            _divide(after.beta, factors)
        else:
            # A depthwise kernel ends in (channels, multiplier), in the order of the output's.
            ends = writer.kernel.shape[-2:] if _is_depthwise(writer) else (self.channels,)
            _divide(writer.kernel, factors.reshape(ends))
            if writer.bias is not None:
                _divide(writer.bias, factors)
        kernel = self.reader.kernel
        kernel.assign((self._by_input(_numpy(kernel)) * factors[:, None]).reshape(kernel.shape))

    def written(self):
        """Returns the largest magnitude of the weights that write each channel."""
        kernel = np.abs(_numpy(self.writer.kernel) * _folded(self.writer, self.normalization))
        return kernel.reshape(-1, self.channels).max(0)

    def read(self, normalization):
        """Returns the largest magnitude of the weights that read each channel.

        Args:
            normalization: `BatchNormalization` right after the reader, or `None`.
        """
        kernel = np.abs(_numpy(self.reader.kernel) * _folded(self.reader, normalization))
        return self._by_input(kernel).max((0, 2))

    def _by_input(self, kernel):
        """Returns a reader's kernel as an array `(others, channels, outputs)`."""
        return kernel.reshape(-1, self.channels, kernel.shape[-1])


def pairs_of(model):
    """Finds the pairs of a model, those across ReLU6 too.

    Args:
        model: Built Functional or Sequential `keras.Model`, nested models included.

    Returns:
        List of `Pair`, in the order of the graph.
    """
    graph = _Graph(model)
    found = (graph.pair_from(step) for step in graph.steps if graph.is_weighted(step))
    return [pair for pair in found if pair is not None]


def normalizations_of(model):
    """Returns a dictionary from layer to the batch normalization that can be folded into it.

    Args:
        model: Built Functional or Sequential `keras.Model`.
    """
    graph = _Graph(model)
    pairs = ((step.layer, graph.normalization_after(step)) for step in graph.steps)
    return {layer: after.layer for layer, after in pairs if after is not None}


class _Graph:
    """Steps of a model with their consumers.

    Args:
        model: Built Functional or Sequential `keras.Model`.
    """

    def __init__(self, model):
        self.steps = steps_of(model)
        self._uses = collections.Counter(step.layer for step in self.steps)
        self._consumers = collections.defaultdict(list)
        for step in self.steps:
            for before in step.inputs:
                self._consumers[before].append(step)
        self._ends = set(_output_layers(functional_of(model)))

    def is_weighted(self, step):
        """Whether a step is a layer with a kernel whose channels can be scaled."""
        layer = step.layer
        return (
            type(layer) in _WRITERS
            and self._uses[layer] == 1
            and getattr(layer, "data_format", "channels_last") == "channels_last"
            and layer.compute_dtype == "float32"
            and layer.quantization_mode is None
            and not getattr(layer, "lora_enabled", False)
        )

    def normalization_after(self, step):
        """Returns the step of the batch normalization that can be folded into one, or `None`."""
        after = self._only_consumer(step)
        if after is None or type(after.layer) is not _kl.BatchNormalization:
            return None
        is_whole = after.layer.gamma is not None and after.layer.beta is not None
        is_last = after.layer.axis in (-1, len(after.shape) - 1)
        is_plain = self.is_weighted(step) and _activation(step.layer) == "linear"
        return after if is_whole and is_last and is_plain else None

    def pair_from(self, step):
        """Returns the pair whose channels a step writes, or `None`."""
        writer, capped = step.layer, []
        normalization = self.normalization_after(step)
        step = normalization or step
        if not _is_passed(step.layer if normalization is None else None, capped):
            return None
        while (step := self._only_consumer(step)) is not None:
            if self.is_weighted(step):
                if getattr(step.layer, "groups", 1) != 1:
                    return None
                norm = None if normalization is None else normalization.layer
                return Pair(writer, norm, step.layer, step.path, capped)
            if not _is_passed(step.layer, capped):
                return None
        return None

    def _only_consumer(self, step):
        after = self._consumers[step]
        if step.layer in self._ends or len(after) != 1 or len(after[0].inputs) != 1:
            return None
        return after[0] if self._uses[after[0].layer] == 1 else None


def _is_passed(layer, capped):
    """Whether a factor passes a layer; one that does but for its cut at 6 is added to a list."""
    if layer is None or type(layer) in _PASSING:
        return getattr(layer, "data_format", "channels_last") != "channels_first"
    if type(layer) is _kl.ReLU:
        if layer.max_value is not None:
            capped.append(layer)
        return not layer.threshold
    if type(layer) is _kl.Activation or type(layer) in _WRITERS:
        name = _activation(layer)
        if name == "relu6":
            capped.append(layer)
        return name == "relu6" or name in _HOMOGENEOUS
    return False


def _activation(layer):
    activation = getattr(layer, "activation", None)
    return "linear" if activation is None else getattr(activation, "__name__", str(activation))


def _output_layers(graph):
    for tensor in graph.outputs:
        layer = layer_behind(tensor)
        inner = functional_of(layer)
        if inner is None:
            yield layer
        else:
            yield from _output_layers(inner)


def _is_depthwise(layer):
    return isinstance(layer, _kl.DepthwiseConv2D)


def _divide(weight, factors):
    weight.assign(_numpy(weight) / factors)


def _folded(layer, normalization):
    """Returns what a batch normalization multiplies a kernel by."""
    if normalization is None:
        return 1.0
    variance = _numpy(normalization.moving_variance) + normalization.epsilon
    factors = _numpy(normalization.gamma) / np.sqrt(variance)
    return factors.reshape(layer.kernel.shape[-2:]) if _is_depthwise(layer) else factors


def _numpy(weight):
    return keras.ops.convert_to_numpy(weight).astype("float64")
