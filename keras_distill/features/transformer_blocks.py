"""Attention layers and hidden states of a transformer, found in a model."""

from collections.abc import Iterator

import keras

from keras_distill.features.layer_paths import layers_by_path

_ATTENTION_LAYERS = (keras.layers.MultiHeadAttention, keras.layers.GroupQueryAttention)


def attention_layers(model: keras.Model, branch: str = "model") -> list[str]:
    """Finds the attention layers, wherever they are nested.

    Args:
        model: A `keras.Model`.
        branch: What to call the model in errors: `"teacher"` or `"student"`.

    Returns:
        List of paths, from early to late.

    Raises:
        ValueError: If there are none.
    """
    layers = layers_by_path(model).items()
    paths = [path for path, layer in layers if isinstance(layer, _ATTENTION_LAYERS)]
    if not paths:
        raise ValueError(
            f'"auto" found no MultiHeadAttention in the {branch} model {model.name!r}: name the '
            "layers with teacher_layer_name and student_layer_name."
        )
    return paths


def hidden_states(model: keras.Model, branch: str = "model") -> list[str]:
    """Finds the hidden states of a transformer: each block's input, and the last block's output.

    A block is the layer around one attention layer, or around self- and cross-attention together;
    where attention stands in the model itself, the attention layer.

    Args:
        model: A `keras.Model`.
        branch: As for `attention_layers`.

    Returns:
        List of paths, from the embeddings to the last hidden state.

    Raises:
        ValueError: If there is no attention, or the output of the last block can't be found.
    """
    attention = attention_layers(model, branch)
    layers = layers_by_path(model)
    blocks = list(dict.fromkeys(_block_of(path, attention, layers) for path in attention))
    last = blocks[-1]
    if isinstance(layers[last], _ATTENTION_LAYERS):
        last = _last_sequence(model, last, branch)
    return [*(f"{path}:input" for path in blocks), last]


def _block_of(path: str, attention: list[str], layers: dict) -> str:
    """Returns the path of the block around an attention layer."""

    def count_in(container):
        return sum(other.startswith(f"{container}/") for other in attention)

    block = path
    while "/" in block:
        outer = block.rpartition("/")[0]
        # A layer that holds more attention than the block does is a stack of blocks.
        is_stack = block != path and count_in(outer) > count_in(block)
        if is_stack or isinstance(layers[outer], keras.Model):
            break
        block = outer
    return block


def _last_sequence(model: keras.Model, attention: str, branch: str) -> str:
    """Returns what enters the pooling, or else the last layer that outputs a sequence."""
    layers = list(_layers_of_models(model))
    paths = [path for path, _ in layers]
    after = layers[paths.index(attention) :] if attention in paths else []
    shape = _symbolic_shape(after[0][1], "output") if after else None
    found = None
    for path, layer in after:
        entering, leaving = (_symbolic_shape(layer, what) for what in ("input", "output"))
        if shape is None or leaving is None:
            continue
        is_sequence = len(leaving) == 3 and leaving[-1] == shape[-1]
        if is_sequence and not isinstance(layer, keras.layers.Dropout):
            found = path
        if entering == shape and len(leaving) == 2:
            return f"{path}:input"
    if found is None:
        raise ValueError(
            f'"auto" can\'t tell what leaves the last attention block of the {branch} model '
            f"{model.name!r}: name the layers with teacher_layer_name and student_layer_name. "
            f"Received: attention layer {attention!r}"
        )
    return found


def _layers_of_models(model: keras.Model, prefix: str = "") -> Iterator[tuple]:
    """Yields path and layer of a model's layers, in its order, those of nested models included."""
    for layer in model.layers:
        path = prefix + layer.name
        if isinstance(layer, keras.Model):
            yield from _layers_of_models(layer, f"{path}/")
        else:
            yield path, layer


def _symbolic_shape(layer: keras.layers.Layer, what: str) -> tuple | None:
    try:
        return tuple(getattr(layer, what).shape)
    except (AttributeError, ValueError):
        return None
