"""Clustered layers: their kernels hold few different weights, which training learns."""

from typing import Any

import keras
import tensorflow as tf
from keras import ops

from keras_distill import _compat
from keras_distill.arguments import check_count, check_flag
from keras_distill.compression.compressed_kernel import CompressedKernel, nonzero
from keras_distill.compression.tfmot import require

INITIALIZATIONS = {
    "kmeans++": "KMEANS_PLUS_PLUS",
    "linear": "LINEAR",
    "density": "DENSITY_BASED",
    "random": "RANDOM",
}


class _ClusteredKernel(CompressedKernel):
    """Kernel of centroids in the place of its weights, for a class of Keras that it comes before.

    As in tensorflow-model-optimization each weight becomes its nearest centroid. A centroid's
    gradient is the sum of its weights' gradients; the weights learn too, and may move to another
    centroid.

    Args:
        *args: Arguments of the layer's own class.
        clusters: Number of different weights.
        keeps_zeros: Whether weights that are zero stay zero; zero is one of the clusters then.
        **kwargs: Arguments of the layer's own class.
    """

    compressed_as = "clustered"
    own_arguments = ("clusters", "keeps_zeros")

    def __init__(self, *args: Any, clusters: int, keeps_zeros: bool = False, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self.keeps_zeros = check_flag("keeps_zeros", keeps_zeros)
        self.clusters = check_count("clusters", clusters, 2)
        self.centroids = None

    def build(self, input_shape):
        """Creates the kernel, the bias and the centroids."""
        super().build(input_shape)
        self.centroids = self.add_weight(
            shape=(self.clusters - self.keeps_zeros,),
            initializer="zeros",
            dtype=self.variable_dtype,
            name="centroids",
        )

    def place_centroids(self, initialization):
        """Chooses the centroids from the kernel.

        Args:
            initialization: One of `INITIALIZATIONS`.
        """
        kind = _clustering().CentroidInitialization[INITIALIZATIONS[initialization]]
        initializer = _compat.centroid_initializers().get_centroid_initializer(kind)
        kernel = tf.convert_to_tensor(_compat.tf_variable(_compat.kernel_variable(self)))
        settings = {"preserve_sparsity": True} if self.keeps_zeros else {}
        found = initializer(kernel, self.clusters, **settings).get_cluster_centroids()
        if self.keeps_zeros:
            # Zero needs no centroid, as its weights are known; of a kernel of zeros it is the only.
            found = found[tf.not_equal(found, 0)]
            missing = self.clusters - 1 - len(found)
            found = tf.pad(found, [(0, missing)], constant_values=found[-1] if len(found) else 1.0)
        self.centroids.assign(found)

    @property
    def kernel(self):
        """The kernel, with each weight's centroid in its place."""
        kernel = super().kernel
        if self.centroids is None:
            return kernel
        algorithm = _clustering().ClusteringAlgorithm(_compat.tf_variable(self.centroids))
        weights = _compat.tf_variable(_compat.kernel_variable(self))
        clustered = algorithm.get_clustered_weight(algorithm.get_pulling_indices(weights), weights)
        if self.keeps_zeros:
            clustered = clustered * nonzero(weights)
        return ops.cast(clustered, ops.convert_to_tensor(kernel).dtype)

    def get_config(self):
        """Returns the constructor's arguments."""
        own = {"clusters": self.clusters, "keeps_zeros": self.keeps_zeros}
        return {**super().get_config(), **own}


def _clustering():
    return require("tensorflow_model_optimization").clustering.keras


@keras.saving.register_keras_serializable("keras_distill")
class ClusteredConv1D(_ClusteredKernel, keras.layers.Conv1D):
    """`Conv1D` whose kernel holds few different weights."""


@keras.saving.register_keras_serializable("keras_distill")
class ClusteredConv2D(_ClusteredKernel, keras.layers.Conv2D):
    """`Conv2D` whose kernel holds few different weights."""


@keras.saving.register_keras_serializable("keras_distill")
class ClusteredDense(_ClusteredKernel, keras.layers.Dense):
    """`Dense` whose kernel holds few different weights."""


CLUSTERED = {
    keras.layers.Conv1D: ClusteredConv1D,
    keras.layers.Conv2D: ClusteredConv2D,
    keras.layers.Dense: ClusteredDense,
}
