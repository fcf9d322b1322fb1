"""Plain Keras layers in the place of compressed ones."""

import warnings

import keras

from keras_distill._compat import all_layers
from keras_distill.compression import rewriting
from keras_distill.compression.clustered_layers import CLUSTERED
from keras_distill.compression.pruned_layers import PRUNED

_PLAIN = {made: plain for kinds in (PRUNED, CLUSTERED) for plain, made in kinds.items()}


def strip(model: keras.Model) -> keras.Model:
    """Returns a compressed model with plain Keras layers.

    Pruned weights are exactly zero in it, and clustered kernels hold their centroids. It computes
    what the compressed model does in inference and needs this library no more: save, export and
    measure this one.

    Args:
        model: Result of `prune` or `cluster`, trained.

    Returns:
        Functional `keras.Model`, not compiled.

    Raises:
        TypeError: If `model` isn't a `keras.Model`.
        ValueError: If it isn't pruned or clustered.

    Warns:
        UserWarning: If training ended before the schedule of pruning did.

    Example:

    ```python
    student = keras.Sequential([keras.Input((8,)), keras.layers.Dense(4)])
    pruned = keras_distill.compression.prune(student, pattern="2:4")
    pruned(np.random.rand(1, 8), training=True)
    plain = strip(pruned)
    assert type(plain.layers[1]) is keras.layers.Dense
    ```
    """
    rewriting.graph_of(model, "model")
    compressed = _compressed_layers(model)
    if not compressed:
        raise ValueError(f"The model {model.name!r} is neither pruned nor clustered.")
    for layer in compressed:
        _warn_if_early(layer)
    return plain_model(model)


def plain_model(model):
    """Returns a model with plain Keras layers: itself, if it has no others.

    Args:
        model: A `keras.Model`.
    """
    compressed = _compressed_layers(model)
    if not compressed:
        return model
    plain, made = rewriting.rewrite(
        model,
        lambda layer: (
            _PLAIN[type(layer)].from_config(layer.plain_config()) if layer in compressed else None
        ),
    )
    for layer in compressed:
        made[layer].kernel.assign(layer.kernel)
    return plain


def _compressed_layers(model):
    return [layer for layer in all_layers(model) if type(layer) in _PLAIN]


def _warn_if_early(layer):
    schedule = getattr(layer, "schedule", None)
    if schedule is not None and layer.trainable and int(layer.pruning_step) < schedule.final_step:
        share = float(keras.ops.mean(keras.ops.equal(layer.kernel, 0.0)))
        warnings.warn(
            f"The layer {layer.name!r} was trained for {int(layer.pruning_step)} steps, and its "
            f"sparsity of {schedule.sparsity:.0%} is reached at step {schedule.final_step}: "
            f"it has {share:.0%} now.",
            stacklevel=3,
        )
