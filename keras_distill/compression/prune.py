"""Pruning: a student's smallest weights become zero while it trains."""

from collections.abc import Sequence

import keras

from keras_distill.arguments import check_finite_weights
from keras_distill.compression import rewriting
from keras_distill.compression.pruned_layers import PRUNED
from keras_distill.compression.pruning_schedule import PruningSchedule
from keras_distill.compression.tfmot import require


def prune(
    student: keras.Model,
    sparsity: float = 0.5,
    pattern: str | None = None,
    *,
    begin_step: int = 0,
    end_step: int | None = None,
    frequency: int = 1,
    initial_sparsity: float = 0.0,
    layers: Sequence[str] | None = None,
) -> keras.Model:
    """Returns a pruned copy of a student: its smallest weights become zero while it trains.

    The kernels of Conv1D, Conv2D and Dense layers are pruned; other layers stay as they are, and
    so does a frozen one. The result is a `keras.Model` of its own, with a copy of the weights and
    the same names of layers: `Distiller` trains it with any loss, saves and resumes it. The steps
    are counted in the layers (no callback is needed), from 1, and only in training. Mixed
    precision, `jit_compile` and `tf.distribute` work. `strip` makes it a plain model afterwards.

    Args:
        student: Built Functional or Sequential `keras.Model`, nested models included. Train it
            before: the weights to keep are chosen by their magnitude.
        sparsity: Share of each kernel's weights that become zero, in (0, 1).
        pattern: `None`, which takes the smallest weights anywhere in a kernel, or `"2:4"`: two of
            every four neighboring input channels, as sparse hardware wants it. These are chosen
            once, in the first step, and no other argument of the schedule is taken.
            Of channels beyond the last full four, two stay.
        begin_step: First step of the schedule.
        end_step: Step at which the sparsity is reached, after growing along a cubic curve from
            `initial_sparsity`; the choice is final then. `None` for the whole sparsity at once,
            and weights that may change places as long as training lasts.
        frequency: Steps between two choices of the weights. They are made at `begin_step`,
            `begin_step + frequency` and so on, from step 1.
        initial_sparsity: Share of zeros at `begin_step`.
        layers: List of names of layers, or of paths through nested models (`"backbone/conv"`);
            `None` for all.

    Returns:
        `keras.Model`.

    Raises:
        ImportError: If the extra `compress` isn't installed.
        TypeError: If an argument is of the wrong type.
        ValueError: If a number is out of bounds, the schedule can't end at `end_step`, a layer is
            unknown or can't be pruned, or the model doesn't show its graph or isn't finite.

    Example:

    ```python
    student = keras.Sequential(
        [keras.Input((8,)), keras.layers.Dense(16, "relu"), keras.layers.Dense(3)]
    )
    x, y = np.random.rand(64, 8).astype("float32"), np.random.randint(0, 3, 64)
    pruned = prune(student, sparsity=0.75, end_step=8)
    pruned.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    pruned.fit(x, y, batch_size=16, epochs=3, verbose=0)
    assert np.mean(pruned.layers[1].kernel == 0) == 0.75
    ```

    Reference:
        - Zhu & Gupta, "To prune, or not to prune: exploring the efficacy of pruning for model
          compression", ICLR 2018 workshop.
        - Mishra et al., "Accelerating Sparse Deep Neural Networks", 2021 (2:4).
    """
    schedule = PruningSchedule(sparsity, pattern, begin_step, end_step, frequency, initial_sparsity)
    require("tensorflow_model_optimization")
    rewriting.refuse_compressed(student)
    chosen = rewriting.chosen_layers(student, layers, PRUNED)
    check_finite_weights(student)

    def replace(layer):
        if layer not in chosen:
            return None
        config = {**layer.get_config(), "schedule": schedule, "calls_per_step": chosen[layer]}
        return PRUNED[type(layer)].from_config(config)

    pruned, _ = rewriting.rewrite(student, replace)
    return pruned
