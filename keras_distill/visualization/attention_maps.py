"""Attention maps: of a feature map, of a head's scores, or of a class."""

import numbers
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_distill.arguments import check_count, check_model, check_text, shown
from keras_distill.features import FeatureExtractor
from keras_distill.features.automatic_layers import candidates
from keras_distill.losses.logits import final_activation, logits_of
from keras_distill.visualization.plot_data import class_numbers, finite_array

# Samples that run at a time.
_BATCH = 64
_SCORES = (":scores", ":raw_scores")


def attention_map(features: Any) -> np.ndarray:
    """Attention map of a feature map: the mean of squares over channels.

    Each sample's map is divided by its L2 norm, as in attention transfer. A sample without any
    activation has a map of zeros.

    Args:
        features: Array or tensor (batch, height, width, channels).

    Returns:
        A float32 array (batch, height, width), not negative, each sample of L2 norm 1.

    Raises:
        ValueError: If `features` has another rank, or holds NaN, infinity or no numbers.

    Example:
        ```python
        import numpy as np

        from keras_distill.visualization import attention_map

        attention_map(np.ones((2, 4, 4, 8))).shape  # (2, 4, 4)
        ```

    Reference:
        - [Zagoruyko & Komodakis, 2017](https://arxiv.org/abs/1612.03928)
    """
    # In float64, since the square of a square leaves the range of float16 and strains float32.
    values = finite_array(features, "features", rank=4).astype("float64")
    maps = np.square(values).mean(axis=-1)
    return _of_norm_one(maps)


def attention_maps(
    model: keras.Model,
    images: Any,
    layer: str | None = None,
    head: int | None = None,
    query: int | str = "mean",
    classes: Any = None,
) -> np.ndarray:
    """Attention maps of a model, for `plot_attention`: of a feature map, a head, or a class.

    What `layer` names decides: a feature map or tokens give the mean of squares over the channels,
    as `attention_map` does; scores of attention, `"block/attention:scores"`, give what a head's
    query looks at. With `classes` it is a class activation map: the channels of a feature map,
    weighted by the mean gradient of the class's logit (Grad-CAM). Tokens lie in a square grid; a
    first token beyond it, such as a class token, is left out.

    Args:
        model: A `keras.Model`.
        images: The model's inputs, array (samples, height, width, channels).
        layer: Layer path, as for `features.FeatureExtractor`. With `classes` a feature map, by
            default the end of the last stage.
        head: Head of the scores, from 0. Defaults to the mean over the heads.
        query: Query of the scores: its position, e.g. 0 for a class token, or `"mean"` over all.
        classes: Class of the map: one for all samples, an array (samples,) or scores
            (samples, classes) of which the largest counts.

    Returns:
        A float32 array (samples, map height, map width), not negative, each sample of L2 norm 1 or
        zeros.

    Raises:
        TypeError: If an argument is of another type.
        ValueError: If the layer is unknown or isn't over space, `head` or `query` are given for
            something else than scores or are too large, or a class is unknown.

    Example:
        ```python
        import numpy as np

        from keras_distill import architectures
        from keras_distill.visualization import attention_maps, plot_attention

        model, images = architectures.digits_student(), np.random.rand(2, 8, 8, 1)
        maps = {
            "stage": attention_maps(model, images, "stage1"),
            "class 3": attention_maps(model, images, classes=3),
        }
        figure = plot_attention(images, maps, overlay=True)
        ```

    Reference:
        - [Zagoruyko & Komodakis, 2017](https://arxiv.org/abs/1612.03928)
        - [Selvaraju et al., 2017](https://arxiv.org/abs/1610.02391), Grad-CAM
    """
    check_model("model", model)
    images = finite_array(images, "images", rank=4)
    if layer is not None:
        check_text("layer", layer)
    if classes is not None:
        _refuse_choice_of_scores(head, query, "classes")
        return _class_maps(model, images, layer, classes)
    if layer is None:
        raise ValueError(
            "layer is missing: name a layer of the model, or give classes for class activation "
            "maps. Received: layer=None"
        )
    features = _features(model, images, layer)
    if layer.endswith(_SCORES):
        return _of_norm_one(_on_grid(_looked_at(features, head, query), layer))
    _refuse_choice_of_scores(head, query, f"layer={layer!r}")
    if features.ndim == 3:
        features = _on_grid(features, layer)
    if features.ndim != 4:
        raise ValueError(
            "layer must give features over space, (samples, height, width, channels), tokens, or "
            f"scores of attention. Received: layer={layer!r} of shape {features.shape}"
        )
    return attention_map(features)


def _refuse_choice_of_scores(head, query, given):
    if head is not None or not _is_mean(query):
        raise ValueError(
            "head and query choose among the scores of an attention layer: name a layer that ends "
            f"in ':scores'. Received: {given} with head={shown(head)}, query={shown(query)}"
        )


def _features(model, images, layer):
    """Returns what a layer gives for all samples, as an array."""
    extractor = FeatureExtractor(model, [layer])
    batches = (images[start : start + _BATCH] for start in range(0, len(images), _BATCH))
    found = [keras.ops.convert_to_numpy(extractor(batch)[1][layer]) for batch in batches]
    return np.concatenate([np.atleast_1d(part) for part in found])


def _looked_at(scores, head, query):
    """Returns how much the query of a head looks at each key, an array (samples, keys)."""
    _, heads, queries, _ = scores.shape
    if head is None:
        scores = scores.mean(axis=1)
    else:
        scores = scores[:, check_count("head", head, low=0, high=heads - 1)]
    if _is_mean(query):
        return scores.mean(axis=1)
    hint = ' Or "mean" over all queries.'
    return scores[:, check_count("query", query, low=0, high=queries - 1, hint=hint)]


def _is_mean(query):
    return isinstance(query, str) and query == "mean"


def _on_grid(tokens, layer):
    """Returns tokens (samples, length, ...) as a square grid, without a first one beyond it."""
    length = tokens.shape[1]
    side = int(np.sqrt(length))
    if side * side + 1 < length or side < 2:
        raise ValueError(
            "layer must give the tokens of a square grid, with or without a class token before "
            f"them, to be drawn over an image. Received: layer={layer!r} of {length} tokens"
        )
    patches = tokens[:, length - side * side :]
    return patches.reshape(len(tokens), side, side, *tokens.shape[2:])


def _class_maps(model, images, layer, classes):
    chosen = _class_of_each(classes, len(images))
    layer = candidates("each_last_stage", model) if layer is None else layer
    extractor = FeatureExtractor(model, [layer])
    maps = [
        _maps_by_gradient(
            extractor, images[start : start + _BATCH], layer, chosen[start : start + _BATCH]
        )
        for start in range(0, len(images), _BATCH)
    ]
    return _of_norm_one(np.maximum(np.concatenate(maps), 0))


def _maps_by_gradient(extractor, images, layer, classes):
    """Returns the channels, each by its mean gradient of the class's logit, summed."""
    images = keras.ops.convert_to_tensor(images, keras.config.floatx())
    with tf.GradientTape() as tape:
        # The weights of a frozen model aren't watched.
        tape.watch(images)
        output, features = extractor(images)
        features = features[layer]
        if features.ndim != 4 or not hasattr(output, "shape") or output.ndim != 2:
            raise ValueError(
                "classes need a model with one output (samples, classes), and a layer with a "
                "feature map (samples, height, width, channels). Received: "
                f"layer={layer!r} of shape {tuple(features.shape)}"
            )
        if classes.max() >= output.shape[-1]:
            raise ValueError(
                f"classes must be of 0 to {output.shape[-1] - 1}, which the model has. "
                f"Received: classes={shown(classes)}"
            )
        logits = logits_of(output, "auto", final_activation(extractor.model))
        of_class = tf.gather(logits, classes, axis=1, batch_dims=1)
    gradient = tape.gradient(of_class, features)
    if gradient is None:
        raise ValueError(f"layer must come before the model's output. Received: layer={layer!r}")
    weights = keras.ops.mean(gradient, axis=(1, 2), keepdims=True)
    return keras.ops.convert_to_numpy(keras.ops.sum(weights * features, axis=-1))


def _class_of_each(classes, samples):
    if isinstance(classes, numbers.Number):
        return np.full(samples, check_count("classes", classes, low=0, high=2**31 - 1))
    chosen = class_numbers(classes, "classes")
    if len(chosen) != samples or chosen.min() < 0:
        raise ValueError(
            f"classes must be one class from 0 on, or one for each of the {samples} images. "
            f"Received: classes={shown(classes)}"
        )
    return chosen


def _of_norm_one(maps):
    maps = np.asarray(maps, "float64")
    norms = np.sqrt(np.square(maps).sum(axis=(1, 2), keepdims=True))
    return np.divide(maps, norms, out=np.zeros_like(maps), where=norms > 0).astype("float32")
