"""Images made from a teacher alone: what its batch normalizations remember of its training."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_distill.arguments import check_count, check_model, shown
from keras_distill.features import FeatureExtractor
from keras_distill.features.layer_paths import layers_by_path, symbolic
from keras_distill.losses import schedule
from keras_distill.losses.logits import final_activation, logits_of
from keras_distill.schemes.classifier_checks import BOUNDS, check_bounds, check_classes, class_array

# Keeps the gradient of a norm finite where it is 0.
_TINY = 1e-12


def statistics_distance(inputs: list, means: list, variances: list) -> Any:
    """Distance of a batch's statistics from those that batch normalizations keep.

    Args:
        inputs: List of what enters each of them, tensors of shape `(batch, ..., channels)`.
        means: List of their moving means, of shape `(channels,)`.
        variances: List of their moving variances, of shape `(channels,)`.

    Returns:
        Scalar tensor: the sum over the layers of the Euclidean distances of the means and of the
        variances.
    """
    total = tf.zeros(())
    for tensor, mean, variance in zip(inputs, means, variances, strict=True):
        axes = list(range(len(tensor.shape) - 1))
        found = tf.nn.moments(tf.cast(tensor, "float32"), axes)
        for value, kept in zip(found, (mean, variance), strict=True):
            total += _norm(value - tf.cast(kept, "float32"))
    return total


def total_variation(images: Any) -> Any:
    """Norm of the differences of neighboring pixels: small for smooth images.

    Args:
        images: Tensor of shape `(batch, height, width, channels)`.

    Returns:
        Scalar tensor: the sum of the norms over the batch of the differences along the rows, the
        columns and both diagonals, as in the authors' code.
    """
    top, bottom = images[:, :-1], images[:, 1:]
    pairs = [
        (images[:, :, :-1], images[:, :, 1:]),
        (top, bottom),
        (bottom[:, :, :-1], top[:, :, 1:]),
        (top[:, :, :-1], bottom[:, :, 1:]),
    ]
    return sum(_norm(first - second) for first, second in pairs)


def _norm(tensor):
    return tf.sqrt(tf.reduce_sum(tf.square(tensor)) + _TINY)


def synthesize(
    teacher: keras.Model,
    labels: Any,
    steps: int = 500,
    learning_rate: float = 0.1,
    statistics_weight: float = 10.0,
    smoothness_weight: float = 1e-3,
    jitter: int = 2,
    bounds: Sequence[float] | None = BOUNDS,
    seed: int = 0,
    batch_size: int = 128,
) -> np.ndarray:
    """Makes images from a teacher, without any data: DeepInversion.

    Noise is optimized by Adam until the teacher sees the wanted class in it, and until the means
    and variances that enter each batch normalization are those that it remembers of its training
    data. The total is the cross-entropy, plus `statistics_weight` times the distance of the
    statistics, plus `smoothness_weight` times the total variation. Train a student on the result
    with `Distiller`, as on any images; `visualization.plot_images` shows them. A step costs one
    pass of the teacher, forward and backward.

    Args:
        teacher: Trained `keras.Model` with a Functional or Sequential graph, one input of images
            `(height, width, channels)`, batch normalizations, and one output of shape
            `(batch, classes)`, logits or probabilities. It stays as it is.
        labels: Integer array of the class of each image to make, shape `(samples,)`. All classes
            should come in each batch, as the statistics are those of all.
        steps: Number of updates of each image.
        learning_rate: Length of an update, in units of the images.
        statistics_weight: Weight of the distance of the statistics.
        smoothness_weight: Weight of the total variation.
        jitter: Pixels by which a batch is moved at random, each step and in both directions.
        bounds: Pair of the smallest and the largest number of an image; `None` for no bounds.
        seed: Seed of the noise and of the jitter.
        batch_size: Number of images that are made at once. More make better statistics.

    Returns:
        Array of shape `(samples, height, width, channels)` in float32.

    Raises:
        TypeError: If an argument is of the wrong type.
        ValueError: If one is out of bounds, or the teacher isn't as described.

    Example:

    ```python
    layers = keras.layers
    teacher = keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            layers.Conv2D(4, 3),
            layers.BatchNormalization(),
            layers.GlobalAveragePooling2D(),
            layers.Dense(3),
        ]
    )
    labels = np.arange(6) % 3
    images = synthesize(teacher, labels, steps=2)
    assert images.shape == (6, 8, 8, 1)
    ```

    Reference:
        Yin et al., "Dreaming to Distill: Data-Free Knowledge Transfer via DeepInversion", CVPR
        2020.
    """
    check_model("teacher", teacher)
    for name, value in (("steps", steps), ("batch_size", batch_size)):
        check_count(name, value)
    check_count("jitter", jitter, low=0)
    schedule.check_constant("learning_rate", learning_rate, low=0, low_is_allowed=False)
    schedule.check_constant("statistics_weight", statistics_weight, low=0)
    schedule.check_constant("smoothness_weight", smoothness_weight, low=0)
    check_bounds(bounds)
    schedule.check_seed(seed)
    labels = class_array("labels", labels)
    shape = image_shape(teacher)
    check_classes("teacher", symbolic(teacher, "output"), "labels", labels)
    if jitter >= min(shape[:2]):
        raise ValueError(
            f"jitter must be below the images' height and width, {shape[:2]}. Received: "
            f"jitter={shown(jitter)}"
        )
    size = min(batch_size, len(labels))
    error = _error(teacher, statistics_weight, smoothness_weight)
    optimization = _Optimization(error, (size, *shape), learning_rate, bounds)
    rng, made = np.random.default_rng(seed), []
    for start in range(0, len(labels), size):
        # The last batch is filled up, so that its statistics are those of as many images.
        wanted = np.take(labels, range(start, start + size), mode="wrap")
        made.append(optimization.run(wanted, steps, jitter, rng))
    return np.concatenate(made)[: len(labels)]


class _Optimization:
    """Batches of images that are optimized one after the other, with one trace for all.

    Args:
        error: Function from images and labels to a scalar tensor, which is minimized.
        shape: Shape of a batch.
        learning_rate: As for `synthesize`.
        bounds: As for `synthesize`.
    """

    def __init__(self, error, shape, learning_rate, bounds):
        self._error, self._bounds = error, bounds
        self._images = keras.Variable(np.zeros(shape, "float32"), dtype="float32")
        self._optimizer = keras.optimizers.Adam(float(learning_rate))
        self._optimizer.build([self._images])
        self._start = [variable.numpy() for variable in self._optimizer.variables]
        self._update = tf.function(self._updated, autograph=False).get_concrete_function(
            tf.TensorSpec(shape[:1], "int64"), tf.TensorSpec((2,), "int32")
        )

    def run(self, labels, steps, jitter, rng):
        """Returns the array of images that noise became.

        Args:
            labels: Array of their classes.
            steps: As for `synthesize`.
            jitter: As for `synthesize`.
            rng: Random generator of NumPy.
        """
        shape, bounds = self._images.shape, self._bounds
        noise = rng.normal(size=shape) if bounds is None else rng.uniform(*bounds, shape)
        self._images.assign(noise.astype("float32"))
        for variable, value in zip(self._optimizer.variables, self._start, strict=True):
            variable.assign(value)
        for _ in range(steps):
            shift = rng.integers(-jitter, jitter + 1, 2).astype("int32")
            self._update(tf.constant(labels), tf.constant(shift))
        return self._images.numpy()

    def _updated(self, labels, shift):
        images = tf.convert_to_tensor(self._images)
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(images)
            total = self._error(tf.roll(images, shift, (1, 2)), labels)
        self._optimizer.apply_gradients([(tape.gradient(total, images), self._images)])
        if self._bounds is not None:
            low, high = map(float, self._bounds)
            self._images.assign(tf.clip_by_value(tf.convert_to_tensor(self._images), low, high))


def _error(teacher, statistics_weight, smoothness_weight):
    """Returns the function that is minimized, from images and labels to a scalar."""
    norms = {
        path: layer
        for path, layer in layers_by_path(teacher).items()
        if isinstance(layer, keras.layers.BatchNormalization)
    }
    if not norms:
        raise ValueError(
            "teacher must have batch normalizations, whose statistics the images are made from. "
            f"Received: teacher={shown(teacher)} without a keras.layers.BatchNormalization"
        )
    paths = [f"{path}:input" for path in norms]
    extractor = FeatureExtractor(teacher, paths, branch="teacher")
    means, variances = (
        [getattr(layer, name) for layer in norms.values()]
        for name in ("moving_mean", "moving_variance")
    )
    activation = final_activation(teacher)

    def error(images, labels):
        output, features = extractor(images, training=False)
        logits = tf.cast(logits_of(output, "auto", activation), "float32")
        errors = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)
        distance = statistics_distance([features[path] for path in paths], means, variances)
        variation = total_variation(images)
        return tf.reduce_mean(errors) + statistics_weight * distance + smoothness_weight * variation

    return error


def image_shape(teacher: keras.Model) -> tuple:
    """Returns the height, width and channels of the images that a teacher takes.

    Args:
        teacher: `keras.Model`.

    Raises:
        ValueError: If it takes something else, or images of a size that isn't known.
    """
    known = keras.tree.flatten(symbolic(teacher, "input"))
    shapes = [tuple(part.shape) if hasattr(part, "shape") else None for part in known]
    shape = shapes[0] if len(shapes) == 1 else None
    if shape is None or len(shape) != 4 or None in shape[1:]:
        raise ValueError(
            "teacher must take one input of images of a known shape (height, width, channels). "
            f"Received: teacher={shown(teacher)} with inputs of shape "
            f"{', '.join(map(str, shapes))}"
        )
    if "float" not in known[0].dtype:
        raise ValueError(
            "teacher must take images of floating point numbers, so that they can be optimized. "
            f"Received: teacher={shown(teacher)} with inputs of {known[0].dtype}"
        )
    return shape[1:]
