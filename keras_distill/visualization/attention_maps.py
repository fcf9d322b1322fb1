"""Attention maps: of a feature map, of tokens, of a head's scores, or of a class."""

import numbers
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_distill.arguments import check_count, check_model, check_text, shown
from keras_distill.features import FeatureExtractor
from keras_distill.features.automatic_layers import candidates
from keras_distill.features.layer_paths import symbolic
from keras_distill.losses.logits import final_activation, logits_of
from keras_distill.visualization.plot_data import class_numbers, finite_array
from keras_distill.visualization.token_grids import TokenPlaces

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
    grid: tuple[int, int] | None = None,
    special_tokens: int | None = None,
) -> np.ndarray:
    """Attention maps of a model: of a feature map, tokens, a head, or a class.

    What `layer` names decides: a feature map or tokens give the mean of squares over the channels,
    as `attention_map` does; scores of attention, `"block/attention:scores"`, give what a head's
    query looks at. With `classes` it is a class activation map: the channels of a feature map or of
    tokens, weighted by the mean gradient of the class's logit (Grad-CAM).

    Tokens over images lie in a grid, which is known from the images' size where that leaves no
    doubt: of square patches, or of others that fill the image. A class token or registers in front
    are left out. Of series and text the maps are one value per token; `plot_sequence_attention`
    draws them, and `plot_attention` those over images.

    Args:
        model: A `keras.Model`.
        images: The model's inputs: array of images (samples, height, width, channels), of series
            (samples, steps, channels) or of tokens (samples, steps), or a structure of arrays, of
            which the first is what the maps lie over.
        layer: Layer path, as for `features.FeatureExtractor`. With `classes` a feature map or
            tokens, by default the end of the last stage.
        head: Head of the scores, from 0. Defaults to the mean over the heads.
        query: Query of the scores: its position, e.g. 0 for a class token, or `"mean"` over all.
        classes: Class of the map: one for all samples, an array (samples,) or scores
            (samples, classes) of which the largest counts. A model with one sigmoid or logit has
            the classes 0 and 1.
        grid: Rows and columns of the tokens. Defaults to what the images' size tells.
        special_tokens: Number of tokens in front that have no place, such as a class token and
            registers. Defaults to what the inputs' size tells.

    Returns:
        A float32 array (samples, map height, map width), of series and text (samples, tokens), not
        negative, each sample of L2 norm 1 or zeros.

    Raises:
        TypeError: If an argument is of another type.
        ValueError: If the layer is unknown or isn't over space or time, it can't be known where the
            tokens lie, `head` or `query` are given for something else than scores or are too large,
            `grid` or `special_tokens` for something else than tokens, or a class is unknown.

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
    images, size = _checked_inputs(model, images)
    places = TokenPlaces(size, grid, special_tokens)
    if layer is not None:
        check_text("layer", layer)
    if classes is not None:
        _refuse_choice_of_scores(head, query, "classes")
        return _class_maps(model, images, layer, classes, places)
    if layer is None:
        raise ValueError(
            "layer is missing: name a layer of the model, or give classes for class activation "
            "maps. Received: layer=None"
        )
    features = _features(model, images, layer)
    if layer.endswith(_SCORES):
        return _of_norm_one(places.arranged(_looked_at(features, head, query), layer))
    _refuse_choice_of_scores(head, query, f"layer={layer!r}")
    if features.ndim not in (3, 4):
        raise ValueError(
            "layer must give features over space, (samples, height, width, channels), tokens, or "
            f"scores of attention. Received: layer={layer!r} of shape {features.shape}"
        )
    # In float64, as in `attention_map`.
    squares = np.square(finite_array(features, layer, features.ndim).astype("float64"))
    return _of_norm_one(_in_places(squares.mean(axis=-1), layer, places))


def _checked_inputs(model, images):
    """Returns the inputs as arrays, and the size of what the maps lie over."""
    parts = images.values() if isinstance(images, dict) else images
    is_several = isinstance(images, dict | list | tuple) and len(images)
    # Rows in nested lists are one array.
    if is_several and all(hasattr(each, "shape") and len(each.shape) > 1 for each in parts):
        images = keras.tree.map_structure(_checked_array, images)
    else:
        images = _checked_array(images)
    arrays = keras.tree.flatten(images)
    expected = keras.tree.flatten(symbolic(model, "input"))
    fits = len(arrays) != len(expected) or all(map(_fits, arrays, expected))
    if not fits or any(len(each) != len(arrays[0]) for each in arrays):
        raise ValueError(
            "images must be the model's inputs, arrays of equally many samples, of the shapes "
            f"{[each.shape for each in expected if each is not None]}. "
            f"Received: images={shown(images)}"
        )
    shape = arrays[0].shape
    return images, (shape[1:3] if len(shape) == 4 else shape[1:2])


def _fits(array, symbol):
    if symbol is None:
        return True
    pairs = zip(array.shape, symbol.shape, strict=False)
    same_rank = array.ndim == len(symbol.shape)
    return same_rank and all(size is None or size == own for own, size in pairs)


def _checked_array(values):
    rank = len(getattr(values, "shape", ()))
    if not rank and isinstance(values, list | tuple):
        values = finite_array(values, "images", rank=None)
        rank = values.ndim
    return finite_array(values, "images", rank=rank if 2 <= rank <= 4 else 4)


def _in_places(maps, layer, places):
    """Returns maps (samples, height, width) as they are, and those of tokens in their places."""
    if maps.ndim == 2:
        return places.arranged(maps, layer)
    if places.is_given:
        raise ValueError(
            "grid and special_tokens say where tokens lie, and this layer gives a feature map, "
            f"which has its places. Received: layer={layer!r} with maps of shape {maps.shape}"
        )
    return maps


def _refuse_choice_of_scores(head, query, given):
    if head is not None or not _is_mean(query):
        raise ValueError(
            "head and query choose among the scores of an attention layer: name a layer that ends "
            f"in ':scores'. Received: {given} with head={shown(head)}, query={shown(query)}"
        )


def _batches(images):
    """Yields the inputs of some samples at a time, and which samples these are."""
    for start in range(0, len(keras.tree.flatten(images)[0]), _BATCH):
        part = slice(start, start + _BATCH)
        yield keras.tree.map_structure(lambda array, part=part: array[part], images), part


def _features(model, images, layer):
    """Returns what a layer gives for all samples, as an array."""
    extractor = FeatureExtractor(model, [layer])
    found = [keras.ops.convert_to_numpy(extractor(x)[1][layer]) for x, _ in _batches(images)]
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


def _class_maps(model, images, layer, classes, places):
    chosen = _class_of_each(classes, len(keras.tree.flatten(images)[0]))
    layer = _last_stage(model) if layer is None else layer
    extractor = FeatureExtractor(model, [layer])
    maps = [_maps_by_gradient(extractor, x, layer, chosen[part]) for x, part in _batches(images)]
    return _of_norm_one(_in_places(np.maximum(np.concatenate(maps), 0), layer, places))


def _last_stage(model):
    try:
        return candidates("each_last_stage", model)
    except ValueError:
        raise ValueError(
            f"No stage over space is found in the model {model.name!r}: name a layer of features "
            "(samples, ..., channels). Received: layer=None"
        ) from None


def _maps_by_gradient(extractor, images, layer, classes):
    """Returns the channels, each by its mean gradient of the class's logit, summed."""
    images = keras.tree.map_structure(_as_tensor, images)
    with tf.GradientTape() as tape:
        # The weights of a frozen model aren't watched, and tokens can't be.
        tape.watch([each for each in keras.tree.flatten(images) if each.dtype.is_floating])
        tape.watch([variable.value for variable in extractor.model.variables])
        output, features = extractor(images)
        features = features[layer]
        if features.ndim not in (3, 4) or not hasattr(output, "shape") or output.ndim != 2:
            raise ValueError(
                "classes need a model with one output (samples, classes), and a layer with a "
                "feature map (samples, height, width, channels) or tokens (samples, tokens, "
                f"channels). Received: layer={layer!r} of shape {tuple(features.shape)}"
            )
        logits = _logits_of_classes(output, extractor.model)
        if classes.max() >= logits.shape[-1]:
            raise ValueError(
                f"classes must be of 0 to {logits.shape[-1] - 1}, which the model has. "
                f"Received: classes={shown(classes)}"
            )
        of_class = tf.gather(logits, classes, axis=1, batch_dims=1)
    gradient = tape.gradient(of_class, features)
    if gradient is None:
        raise ValueError(f"layer must come before the model's output. Received: layer={layer!r}")
    places = tuple(range(1, features.ndim - 1))
    weights = keras.ops.mean(gradient, axis=places, keepdims=True)
    return keras.ops.convert_to_numpy(keras.ops.sum(weights * features, axis=-1))


def _as_tensor(array):
    # Tokens stay integers, and images of bytes become what their gradient can have.
    is_real = array.ndim == 4 or np.issubdtype(array.dtype, np.floating)
    return keras.ops.convert_to_tensor(array, keras.config.floatx() if is_real else array.dtype)


def _logits_of_classes(output, model):
    """Returns logits (samples, classes), two of them for a model with one output number."""
    logits = logits_of(output, "auto", final_activation(model))
    return keras.ops.concatenate([-logits, logits], axis=-1) if logits.shape[-1] == 1 else logits


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
    norms = np.sqrt(np.square(maps).sum(axis=tuple(range(1, maps.ndim)), keepdims=True))
    return np.divide(maps, norms, out=np.zeros_like(maps), where=norms > 0).astype("float32")
