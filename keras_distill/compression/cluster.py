"""Weight clustering: kernels that hold few different weights, which training learns."""

import math
from collections.abc import Sequence

import keras

from keras_distill.arguments import check_choice, check_count, check_finite_weights, check_flag
from keras_distill.compression import rewriting
from keras_distill.compression.clustered_layers import CLUSTERED, INITIALIZATIONS
from keras_distill.compression.compressed_kernel import check_zeros
from keras_distill.compression.tfmot import require


def cluster(
    student: keras.Model,
    clusters: int = 16,
    initialization: str = "kmeans++",
    *,
    keep_zeros: bool = False,
    layers: Sequence[str] | None = None,
) -> keras.Model:
    """Returns a clustered copy of a student: its kernels hold few different, learned weights.

    The kernels of Conv1D, Conv2D and Dense layers are clustered, each with centroids of its own;
    other layers, and kernels that have no more weights than centroids, stay as they are. The file
    stays as large, and compresses well. The result is a `keras.Model` of its own, with a copy of
    the weights and the same names of layers: `Distiller` trains it with any loss, saves and
    resumes it. Mixed precision, `jit_compile` and `tf.distribute` work. A centroid's gradient is
    the sum over its weights: train with Adam, or with a low rate. `strip` makes it a plain
    model afterwards.

    Args:
        student: Built Functional or Sequential `keras.Model`, nested models included. Train it
            before: the centroids are chosen from its weights.
        clusters: Number of different weights in each kernel, 2 or more.
        initialization: How the centroids are chosen: `"kmeans++"`, `"linear"` (evenly between the
            smallest and the largest weight), `"density"` (evenly along the distribution) or
            `"random"`.
        keep_zeros: Whether weights that are zero stay zero, those of a student that was pruned and
            stripped: zero is one of the different weights then, and no other weight becomes zero.
            Without it such zeros take the value of a centroid.
        layers: List of names of layers, or of paths through nested models (`"backbone/conv"`);
            `None` for all.

    Returns:
        `keras.Model`.

    Raises:
        ImportError: If the extra `compress` isn't installed.
        TypeError: If an argument is of the wrong type.
        ValueError: If an argument is out of bounds, a layer is unknown or can't be clustered, the
            model doesn't show its graph, or there are no zeros to keep.

    Example:

    ```python
    student = keras.Sequential(
        [keras.Input((8,)), keras.layers.Dense(16, "relu"), keras.layers.Dense(3)]
    )
    x, y = np.random.rand(64, 8).astype("float32"), np.random.randint(0, 3, 64)
    clustered = cluster(student, clusters=4)
    clustered.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    clustered.fit(x, y, verbose=0)
    assert len(np.unique(clustered.layers[1].kernel)) <= 4
    ```

    Reference:
        Han, Mao, Dally, "Deep Compression: Compressing Deep Neural Networks with Pruning, Trained
        Quantization and Huffman Coding", ICLR 2016.
    """
    clusters = check_count("clusters", clusters, 2)
    check_choice("initialization", initialization, tuple(INITIALIZATIONS))
    check_flag("keep_zeros", keep_zeros)
    require("tensorflow_model_optimization")
    rewriting.refuse_compressed(student)
    chosen = rewriting.chosen_layers(student, layers, CLUSTERED)
    check_finite_weights(student)
    if keep_zeros:
        check_zeros(student, chosen)

    def replace(layer):
        if layer not in chosen or math.prod(layer.kernel.shape) <= clusters:
            return None
        own = {"clusters": clusters, "keeps_zeros": keep_zeros}
        return CLUSTERED[type(layer)].from_config({**layer.get_config(), **own})

    clustered, made = rewriting.rewrite(student, replace)
    for layer in made.values():
        if hasattr(layer, "place_centroids"):
            layer.place_centroids(initialization)
    return clustered
