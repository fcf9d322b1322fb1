"""Compression of students: quantization-aware training, pruning, clustering."""

from keras_distill.compression.cluster import cluster
from keras_distill.compression.clustered_layers import (
    ClusteredConv1D,
    ClusteredConv2D,
    ClusteredDense,
)
from keras_distill.compression.equalize import equalize
from keras_distill.compression.prune import prune
from keras_distill.compression.pruned_layers import PrunedConv1D, PrunedConv2D, PrunedDense
from keras_distill.compression.pruning_schedule import PruningSchedule
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
from keras_distill.compression.tf_keras_conversion import from_tf_keras, to_tf_keras

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
    "PruningSchedule",
    "QuantizedConv1D",
    "QuantizedConv2D",
    "QuantizedDense",
    "QuantizedDepthwiseConv2D",
    "cluster",
    "equalize",
    "from_tf_keras",
    "prune",
    "quantize_aware",
    "strip",
    "summarize",
    "to_tf_keras",
]
