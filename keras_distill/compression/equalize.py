"""Cross-layer equalization: channels of similar ranges, for quantization with one scale for all."""

from typing import Any

import keras
import numpy as np

from keras_distill.arguments import check_choice, check_finite_weights
from keras_distill.compression import channel_pairs, rewriting
from keras_distill.features.extractor import FeatureExtractor
from keras_distill.tflite.inputs import check_shapes, samples_of

_MOST_ROUNDS = 50
_CONVERGED = 1e-3
_RELU6 = ("refuse", "keep", "replace")


def equalize(
    model: keras.Model, representative_data: Any = None, *, relu6: str = "refuse"
) -> keras.Model:
    """Returns an equalized copy of a model: its channels have similar ranges, its outputs are kept.

    Int8 gives all channels of a tensor one scale, so a channel that is much smaller than another
    loses its values; batch normalization makes such channels in depthwise networks. What writes a
    channel is divided by a factor here, and what reads it multiplied by the same, which changes
    nothing in float: of neighboring convolutions, depthwise convolutions and dense layers with
    nothing between but batch normalization, ReLU, leaky ReLU, pooling, padding, dropout or Flatten.
    A sum or a concatenation ends such a chain. Names, layers and zeros stay; the paper's absorption
    of biases and its correction of them are left out. Equalize a trained model, then export it, or
    give it to `quantize_aware`.

    Args:
        model: Built Functional or Sequential `keras.Model`, in float32.
        representative_data: Inputs like those of training, from which the ranges of the channels'
            values are measured: an array of shape `(samples, ...)`, a list or dictionary of arrays,
            or a batched `tf.data.Dataset` of `x` or `(x, y)`, of which the first 500 samples are
            taken. TensorFlow Lite gives the kernels of convolutions a scale per output channel, so
            these matter more there. Without it the weights that write a channel stand for its
            range, as in the paper, which needs no data.
        relu6: What to do where a ReLU6 is between two layers, which no factor passes: `"refuse"`,
            an error; `"keep"`, which leaves these channels as they are; or `"replace"` by ReLU, as
            in the paper, which changes the outputs wherever a value is above 6.

    Returns:
        `keras.Model`, not compiled.

    Raises:
        TypeError: If `model` isn't a `keras.Model`.
        ValueError: If the model doesn't show its graph, is pruned or clustered without `strip`, has
            no neighboring layers of these kinds or a ReLU6 between them, or its weights or
            `representative_data` aren't finite or don't suit it.

    Example:

    ```python
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            layers.Conv2D(8, 1, activation="relu"),
            layers.DepthwiseConv2D(3, activation="relu"),
            layers.Conv2D(4, 1),
        ]
    )
    x = np.random.rand(2, 8, 8, 3).astype("float32")
    np.testing.assert_allclose(equalize(model)(x), model(x), atol=1e-5)
    ```

    Reference:
        - Nagel et al., "Data-Free Quantization Through Weight Equalization and Bias Correction",
          ICCV 2019 ([arXiv:1906.04721](https://arxiv.org/abs/1906.04721)).
        - Xiao et al., "SmoothQuant", ICML 2023 (ranges of values and of weights, balanced).
    """
    check_choice("relu6", relu6, _RELU6)
    rewriting.graph_of(model, "model")
    rewriting.refuse_compressed(model)
    check_finite_weights(model)
    pairs = channel_pairs.pairs_of(model)
    capped = list(dict.fromkeys(layer for pair in pairs for layer in pair.capped))
    _check_pairs(model, pairs, capped, relu6)
    equalized, _ = rewriting.rewrite(
        model, lambda layer: _uncapped(layer) if relu6 == "replace" and layer in capped else None
    )
    pairs = [pair for pair in channel_pairs.pairs_of(equalized) if not pair.capped]
    magnitudes = None
    if representative_data is not None:
        magnitudes = _magnitudes(equalized, pairs, representative_data)
    _balance(pairs, channel_pairs.normalizations_of(equalized), magnitudes)
    return equalized


def _check_pairs(model, pairs, capped, relu6):
    if capped and relu6 == "refuse":
        raise ValueError(
            f"The model {model.name!r} has ReLU6 in {', '.join(layer.name for layer in capped)}, "
            "which cuts channels off at 6 whatever their factor: relu6='keep' leaves their "
            "channels as they are, relu6='replace' makes them ReLU, which changes values above 6. "
            f"Received: relu6={relu6!r}"
        )
    if not [pair for pair in pairs if not pair.capped or relu6 == "replace"]:
        raise ValueError(
            f"The model {model.name!r} has no two neighboring convolutions or dense layers in "
            "float32 between which channels can be scaled: with only batch normalization, ReLU, "
            "pooling, padding, dropout or Flatten between them, and no other reader. "
            f"Received: model={model.name!r}, relu6={relu6!r}"
        )


def _uncapped(layer):
    config = layer.get_config()
    if isinstance(layer, keras.layers.ReLU):
        return keras.layers.ReLU.from_config({**config, "max_value": None})
    return type(layer).from_config({**config, "activation": "relu"})


def _magnitudes(model, pairs, data):
    """Returns the largest magnitude of each channel's values, as arrays, one per pair."""
    arrays = samples_of(model, data, "representative_data")
    check_shapes("representative_data", [tensor.shape for tensor in model.inputs], arrays)
    extractor = FeatureExtractor(model, [f"{pair.path}:input" for pair in pairs])
    largest = [np.zeros(pair.channels) for pair in pairs]
    for start in range(0, len(arrays[0]), 64):
        batch = [array[start : start + 64] for array in arrays]
        _, values = extractor(keras.tree.pack_sequence_as(model.input, batch))
        for found, pair in zip(largest, pairs, strict=True):
            value = np.abs(keras.ops.convert_to_numpy(values[f"{pair.path}:input"]))
            np.maximum(found, value.reshape(-1, len(found)).max(0), out=found)
    return largest


def _balance(pairs, normalizations, magnitudes):
    """Scales the channels of all pairs until none changes, since chains share their layers."""
    for _ in range(_MOST_ROUNDS):
        change = 0.0
        for position, pair in enumerate(pairs):
            read = pair.read(normalizations.get(pair.reader))
            written = pair.written() if magnitudes is None else magnitudes[position]
            # A channel without weights has no range to balance.
            used = (written > 0) & (read > 0)
            factors = np.ones_like(read)
            if magnitudes is not None and pair.reads_by_channel:
                # These weights lose nothing by a factor: the values' ranges alone count.
                factors[used] = written[used] / written.max()
            else:
                factors[used] = np.sqrt(written[used] / read[used])
            pair.scale(factors)
            if magnitudes is not None:
                magnitudes[position] = written / factors
            change = max(change, np.max(np.abs(np.log(factors))))
        if change < _CONVERGED:
            return
