"""Smaller students: quantized, pruned or clustered while they train."""

from keras_distill.compression.bridge import from_tf_keras, to_tf_keras
from keras_distill.compression.cluster import cluster
from keras_distill.compression.clustered_layers import (
    ClusteredConv1D,
    ClusteredConv2D,
    ClusteredDense,
)
from keras_distill.compression.prune import prune
from keras_distill.compression.pruned_layers import PrunedConv1D, PrunedConv2D, PrunedDense
from keras_distill.compression.quantize_aware import quantize_aware
from keras_distill.compression.quantized_layers import (
    ActivationRange,
    QuantizedConv1D,
    QuantizedConv2D,
    QuantizedDense,
    QuantizedDepthwiseConv2D,
)
from keras_distill.compression.strip import strip
from keras_distill.compression.summary import CompressionSummary, KernelSummary, summarize

__all__ = [
    "ActivationRange",
    "ClusteredConv1D",
    "ClusteredConv2D",
    "ClusteredDense",
    "CompressionSummary",
    "KernelSummary",
    "PrunedConv1D",
    "PrunedConv2D",
    "PrunedDense",
    "QuantizedConv1D",
    "QuantizedConv2D",
    "QuantizedDense",
    "QuantizedDepthwiseConv2D",
    "cluster",
    "from_tf_keras",
    "prune",
    "quantize_aware",
    "strip",
    "summarize",
    "to_tf_keras",
]
