"""What a layer shows while its model runs: input, output, attention scores, pre-activation."""

import contextlib
import functools
import inspect
import threading

import keras
import tensorflow as tf
from keras import ops

_ATTENTION = ("scores", "query", "key", "value")
SUFFIXES = ("input", "preactivation", "kernel", *_ATTENTION)

_recorder = threading.local()


class Record:
    """What one layer shows in one forward pass.

    Args:
        wanted: Names of what is to be kept: `"output"` or one of `SUFFIXES`.
    """

    def __init__(self, wanted):
        self.seen = {what: [] for what in wanted}

    def keep(self, **tensors):
        """Keeps those of the tensors that are wanted."""
        for what, tensor in tensors.items():
            if what in self.seen:
                self.seen[what].append(tensor)


@contextlib.contextmanager
def recording(taps, calls=None):
    """Records what layers show to the current thread.

    Args:
        taps: Tuples of a layer that was made observable, and what of it is wanted.
        calls: Dictionary from the identity of a layer that was made observable to the function
            that takes the place of its `call`, or `None`.

    Yields:
        Dictionary from the identity of a layer to its `Record`.
    """
    wanted = {}
    for layer, what in taps:
        wanted.setdefault(id(layer), []).append(what)
    records = {layer: Record(names) for layer, names in wanted.items()}
    outer = getattr(_recorder, "pass_", None)
    _recorder.pass_ = (records, calls or {}, _current_graph())
    try:
        yield records
    finally:
        _recorder.pass_ = outer


def check_observable(layer, what, path):
    """Checks that a layer has what is wanted of it.

    Args:
        layer: A Keras layer.
        what: One of `SUFFIXES`, or anything else for what every layer has.
        path: Its path, for the error.

    Raises:
        ValueError: If it hasn't.
    """
    if what in _ATTENTION and not hasattr(layer, "_compute_attention"):
        raise ValueError(
            f"Layer {path} is a {type(layer).__name__}, which has no {what} to tap: only "
            "keras.layers.MultiHeadAttention and its like have attention heads."
        )
    if what == "preactivation" and not _has_activation(layer):
        raise ValueError(f"Layer {path} is a {type(layer).__name__}, which has no activation.")
    if what == "kernel" and not hasattr(type(layer), "kernel") and not hasattr(layer, "kernel"):
        raise ValueError(f"Layer {path} is a {type(layer).__name__}, which has no kernel.")


def make_observable(layer):
    """Lets a layer report its calls to the recorder of the current thread, if there is one.

    Args:
        layer: A Keras layer. It keeps no trace in what it saves.
    """
    if getattr(layer.call, "is_observable", False):
        return
    # Written past Keras's attribute tracking: functions on the instance are no state of the layer.
    layer.__dict__["call"] = _observable_call(layer, layer.call)
    if hasattr(layer, "_compute_attention"):
        layer.__dict__["_compute_attention"] = _observable_attention(
            layer, layer._compute_attention
        )


def _observable_call(layer, original):
    @functools.wraps(original)
    def call(*args, **kwargs):
        run = _call_of(layer, original)
        record = _record_of(layer)
        if record is None:
            return run(*args, **kwargs)
        entered = args[0] if args else next(iter(kwargs.values()))
        with _observed_activation(layer, record, entered):
            output = run(*args, **kwargs)
        record.keep(input=entered, output=output)
        return output

    call.is_observable = True
    return call


@contextlib.contextmanager
def _observed_activation(layer, record, entered):
    """Keeps what enters the layer's activation, for the time of one call."""
    if "preactivation" not in record.seen:
        yield
        return
    if not _has_own_function(layer):
        record.keep(preactivation=entered)
        yield
        return
    original = layer.activation

    def activation(tensor):
        record.keep(preactivation=tensor)
        return original(tensor)

    layer.__dict__["activation"] = activation
    try:
        yield
    finally:
        layer.__dict__["activation"] = original


def _observable_attention(layer, original):
    arguments = inspect.signature(original)

    @functools.wraps(original)
    def compute_attention(*args, **kwargs):
        record = _record_of(layer)
        if record is None or not set(_ATTENTION) & set(record.seen):
            return original(*args, **kwargs)
        bound = arguments.bind(*args, **kwargs)
        given = bound.arguments
        record.keep(**{name: given[name] for name in ("query", "key", "value")})
        if "scores" not in record.seen:
            return original(*args, **kwargs)
        with _explicit_scores(layer):
            if "return_attention_scores" in arguments.parameters:
                given["return_attention_scores"] = True
            output, scores = original(*bound.args, **bound.kwargs)
        record.keep(scores=_without_padded_queries(scores, given.get("attention_mask")))
        return output, scores

    return compute_attention


@contextlib.contextmanager
def _explicit_scores(layer):
    """Makes an attention layer compute its scores, where a fused kernel would skip them."""
    settings = {"_flash_attention": False, "_return_attention_scores": True}
    before = {name: layer.__dict__[name] for name in settings if name in layer.__dict__}
    layer.__dict__.update({name: settings[name] for name in before})
    try:
        yield
    finally:
        layer.__dict__.update(before)


def _without_padded_queries(scores, mask):
    if mask is None:
        return scores
    counts = ops.any(ops.cast(mask, "bool"), axis=-1, keepdims=True)
    while len(counts.shape) < len(scores.shape):
        counts = ops.expand_dims(counts, axis=1)
    return ops.where(counts, scores, ops.zeros_like(scores))


def _has_activation(layer):
    kinds = (keras.layers.ReLU, keras.layers.LeakyReLU, keras.layers.PReLU, keras.layers.ELU)
    return isinstance(layer, kinds) or callable(getattr(layer, "activation", None))


def _has_own_function(layer):
    is_activation = isinstance(layer, keras.layers.Activation)
    return not is_activation and callable(layer.__dict__.get("activation"))


def _record_of(layer):
    records, _, graph = getattr(_recorder, "pass_", None) or ({}, {}, None)
    # Keras builds a layer by tracing its call in a graph of its own, which is no pass.
    return records.get(id(layer)) if graph is _current_graph() else None


def _call_of(layer, original):
    _, calls, graph = getattr(_recorder, "pass_", None) or ({}, {}, None)
    return calls.get(id(layer), original) if graph is _current_graph() else original


def _current_graph():
    return None if tf.executing_eagerly() else tf.compat.v1.get_default_graph()
