"""Smaller students: quantised while they train."""

from keras_distill.compression.quantize_aware import quantize_aware
from keras_distill.compression.quantized_layers import (
    ActivationRange,
    QuantizedConv1D,
    QuantizedConv2D,
    QuantizedDense,
    QuantizedDepthwiseConv2D,
)

__all__ = [
    "ActivationRange",
    "QuantizedConv1D",
    "QuantizedConv2D",
    "QuantizedDense",
    "QuantizedDepthwiseConv2D",
    "quantize_aware",
]
