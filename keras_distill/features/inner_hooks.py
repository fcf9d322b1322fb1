"""Hooks inside layers: the input of the activation; attention's queries, keys, values, scores."""

import inspect
import math
from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from keras_distill import _compat

_ATTENTION = ("scores", "raw_scores", "query", "key", "value")
INNER = ("preactivation", *_ATTENTION)


def has_activation(layer: keras.layers.Layer) -> bool:
    """Returns whether a layer has an activation whose input can be tapped.

    Args:
        layer: A Keras layer.
    """
    kinds = (keras.layers.ReLU, keras.layers.LeakyReLU, keras.layers.PReLU, keras.layers.ELU)
    return isinstance(layer, (*kinds, keras.layers.Activation)) or _has_own_function(layer)


def check_has_inner(layer: keras.layers.Layer, what: str, path: str):
    """Checks that a layer has the inner tensor that is to be tapped.

    Args:
        layer: A Keras layer.
        what: One of `INNER`, or anything else for what isn't inside of a layer.
        path: Its path, for the error.

    Raises:
        ValueError: If it hasn't.
    """
    if what in _ATTENTION and _compat.attention_of(layer) is None:
        raise ValueError(
            f"Layer {path} is a {type(layer).__name__}, which has no {what} to tap: only "
            "keras.layers.MultiHeadAttention and its like have attention heads."
        )
    if what == "preactivation" and not has_activation(layer):
        raise ValueError(
            f"Layer {path} is a {type(layer).__name__}, which has no activation that runs once on "
            "its output."
        )


def call_with_hooks(
    layer: keras.layers.Layer,
    method: str,
    record: Any,
    entered: Any,
    run: Callable,
    replaced: Callable | None,
) -> Callable:
    """Returns a function that does what a layer's call does, and records its inner tensors.

    Args:
        layer: A Keras layer.
        method: Name of its method that is called: `"call"` or `"quantized_call"`.
        record: `keras_distill.features.hooks.Record` of the layer.
        entered: The layer's first input.
        run: The call, which is returned where no inner tensor is wanted.
        replaced: What was set on the layer in the place of its method, or `None`.

    Raises:
        ValueError: If the method was replaced, and inner tensors are wanted.
    """
    is_inside = record.wants("preactivation") and _has_own_function(layer)
    if record.wants("preactivation") and not is_inside:
        record.keep(preactivation=entered)
    if not is_inside and not record.wants(*_ATTENTION):
        return run
    if replaced is not None:
        raise ValueError(
            f"What happens within layer {layer.name!r} can't be tapped, since its {method!r} was "
            f"replaced. Received: {replaced!r}"
        )
    return _call_of_twin(layer, method, record)


def _call_of_twin(layer: keras.layers.Layer, method: str, record: Any) -> Callable:
    """Returns the method of a twin, which has the layer's state and records its inner tensors.

    The layer may be in use by other threads, so that nothing may be set on it.
    """
    twin = object.__new__(type(layer))
    twin.__dict__.update(layer.__dict__)
    del twin.__dict__[method]
    if record.wants("preactivation"):
        twin.__dict__["activation"] = _recorded_activation(layer.activation, record)
    if record.wants(*_ATTENTION):
        _compat.set_attention(twin, _recorded_attention(twin, record))
    own = {method, "activation", *_compat.ATTENTION_NAMES}

    def call(*args, **kwargs):
        before = dict(twin.__dict__)
        output = getattr(twin, method)(*args, **kwargs)
        for name, value in twin.__dict__.items():
            # What a layer remembers of its call.
            if name not in own and before.get(name, own) is not value:
                layer.__dict__[name] = value
        return output

    return call


def _recorded_activation(original: Callable, record: Any) -> Callable:
    def activation(tensor):
        record.keep(preactivation=tensor)
        return original(tensor)

    return activation


def _recorded_attention(twin: keras.layers.Layer, record: Any) -> Callable:
    original = _compat.attention_of(twin)
    signature = inspect.signature(original)

    def compute_attention(*args, **kwargs):
        bound = signature.bind(*args, **kwargs)
        given = bound.arguments
        record.keep(**{name: given[name] for name in ("query", "key", "value")})
        if record.wants("raw_scores"):
            record.keep(raw_scores=_raw_scores(twin, given))
        if not record.wants("scores"):
            return original(*args, **kwargs)
        _compat.return_scores(twin)
        if "return_attention_scores" in signature.parameters:
            given["return_attention_scores"] = True
        output, scores = original(*bound.args, **bound.kwargs)
        record.keep(scores=_without_padded_queries(scores, given.get("attention_mask")))
        return output, scores

    return compute_attention


def _raw_scores(layer: keras.layers.Layer, given: dict) -> Any:
    """Computes the scores before the softmax, 0 where a mask leaves out a query or a key."""
    query, key, mask = given["query"], given["key"], given.get("attention_mask")
    if len(query.shape) != 4:
        raise ValueError(
            f"Layer {layer.name!r} attends over several axes, and raw scores are of one: tap its "
            f"':scores'. Received: queries of shape {tuple(query.shape)}"
        )
    query = ops.multiply(query, 1.0 / math.sqrt(query.shape[-1]))
    scores = ops.einsum("bqhd,bkhd->bhqk", query, key)
    if given.get("use_causal_mask"):
        causal = ops.tril(ops.ones(ops.shape(scores)[2:], dtype="bool"))[None]
        mask = causal if mask is None else ops.logical_and(mask, causal)
    if mask is None:
        return scores
    return ops.where(_with_heads(ops.cast(mask, "bool"), 4), scores, ops.zeros_like(scores))


def _with_heads(mask: Any, rank: int) -> Any:
    while len(mask.shape) < rank:
        mask = ops.expand_dims(mask, axis=1)
    return mask


def _without_padded_queries(scores: Any, mask: Any) -> Any:
    if mask is None:
        return scores
    is_query = ops.any(ops.cast(mask, "bool"), axis=-1, keepdims=True)
    is_query = _with_heads(is_query, len(scores.shape))
    return ops.where(is_query, scores, ops.zeros_like(scores))


def _has_own_function(layer: keras.layers.Layer) -> bool:
    is_activation = isinstance(layer, keras.layers.Activation)
    return not is_activation and callable(layer.__dict__.get("activation"))
