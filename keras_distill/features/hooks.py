"""What a layer shows while its model runs: input, output, attention scores, pre-activation."""

import collections
import contextlib
import functools
import inspect
import math
import threading

import keras
import tensorflow as tf
from keras import ops

from keras_distill import _compat
from keras_distill._compat import mask_of

_ATTENTION = ("scores", "raw_scores", "query", "key", "value")
SUFFIXES = ("input", "preactivation", "kernel", *_ATTENTION)

_recorder = threading.local()
_watchers = {}
_lock = threading.Lock()

_Pass = collections.namedtuple("_Pass", ["records", "calls", "graph"])


class Record:
    """What one layer shows in one forward pass.

    Args:
        wanted: Names of what is to be kept: `"output"` or one of `SUFFIXES`.

    Attributes:
        seen: Dictionary from name to the list of tensors, one per call.
        masks: Dictionary from name to the Keras mask of what was seen last, where it has one.
        is_hidden: Whether something ran in a graph of its own, whose tensors can't be kept.
    """

    def __init__(self, wanted):
        self.seen = {what: [] for what in wanted}
        self.masks = {}
        self.is_hidden = False
        self._graph = _current_graph()

    def wants(self, *names):
        """Returns whether one of the names is wanted."""
        return any(name in self.seen for name in names)

    def keep(self, **tensors):
        """Keeps those of the tensors that are wanted."""
        if self._graph is not _current_graph():
            self.is_hidden = True
            return
        for what, tensor in tensors.items():
            if what in self.seen:
                self.seen[what].append(tensor)


@contextlib.contextmanager
def recording(taps, calls=None):
    """Records what layers show to the current thread.

    Nothing is set on a layer but its `call`, for as long as some thread records: it does what it
    did, and reports to the recorder of the thread that calls it, if that thread has one.

    Args:
        taps: Tuples of a layer and what of it is wanted.
        calls: Dictionary from layer to the function that takes the place of its `call`, or `None`.

    Yields:
        Dictionary from layer to its `Record`.
    """
    wanted = {}
    for layer, what in taps:
        wanted.setdefault(layer, []).append(what)
    records = {layer: Record(names) for layer, names in wanted.items()}
    calls = calls or {}
    outer = getattr(_recorder, "pass_", None)
    with _watched(records.keys() | calls.keys()):
        _recorder.pass_ = _Pass(records, calls, _current_graph())
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
    if what == "kernel" and not hasattr(type(layer), "kernel") and not hasattr(layer, "kernel"):
        raise ValueError(f"Layer {path} is a {type(layer).__name__}, which has no kernel.")


@contextlib.contextmanager
def _watched(layers):
    """Lets layers report their calls, until the last of the threads that watch them is done."""
    with _lock:
        for layer in layers:
            _watchers.setdefault(layer, _Watcher(layer)).enter()
    try:
        yield
    finally:
        with _lock:
            for layer in layers:
                if _watchers[layer].leave():
                    del _watchers[layer]


class _Watcher:
    """What stands in the place of a layer's `call` while a thread records.

    Args:
        layer: A Keras layer.
    """

    def __init__(self, layer):
        self.layer = layer
        is_quantized = getattr(layer, "quantization_mode", None) is not None
        self.method = "quantized_call" if is_quantized else "call"
        self.replaced = None
        self.call = None
        self.threads = 0

    def enter(self):
        """Counts one more thread that watches, and takes the place of `call` for the first."""
        if not self.threads:
            # Past Keras's attribute tracking: functions on the instance are no state of the layer.
            self.replaced = self.layer.__dict__.get(self.method)
            self.call = self._reporting(getattr(self.layer, self.method))
            self.layer.__dict__[self.method] = self.call
        self.threads += 1

    def leave(self):
        """Counts one thread less; returns whether it was the last, and all is as it was."""
        self.threads -= 1
        if not self.threads and self.layer.__dict__.get(self.method) is self.call:
            del self.layer.__dict__[self.method]
            if self.replaced is not None:
                self.layer.__dict__[self.method] = self.replaced
        return not self.threads

    def _reporting(self, original):
        layer = self.layer

        @functools.wraps(original, updated=())
        def call(*args, **kwargs):
            pass_ = getattr(_recorder, "pass_", None)
            record = pass_ and pass_.records.get(layer)
            # A layer is also traced in a graph of its own, by Keras to build it, or by
            # `tf.function` and loops, whose tensors mean nothing outside.
            if pass_ is None or pass_.graph is not _current_graph():
                if record is not None:
                    record.is_hidden = True
                return original(*args, **kwargs)
            run = pass_.calls.get(layer, original)
            if record is None:
                return run(*args, **kwargs)
            entered = args[0] if args else next(iter(kwargs.values()))
            # Attention layers take the masks off what enters them.
            entered_masks = _masks_of_arguments(entered, kwargs)
            output = self._shown(record, entered, run)(*args, **kwargs)
            record.keep(input=entered, output=output)
            of_output = _mask_of_output(layer, entered, output, entered_masks["input"])
            record.masks = {**entered_masks, "output": of_output}
            return output

        return call

    def _shown(self, record, entered, run):
        """Returns a function that does what `run` does, and shows what happens within."""
        is_inner = record.wants("preactivation") and _has_own_function(self.layer)
        if record.wants("preactivation") and not is_inner:
            record.keep(preactivation=entered)
        if not is_inner and not record.wants(*_ATTENTION):
            return run
        if self.replaced is not None:
            raise ValueError(
                f"What happens within layer {self.layer.name!r} can't be tapped, since its "
                f"{self.method!r} was replaced: {self.replaced!r}."
            )
        return _on_twin(self.layer, self.method, record)


def _masks_of_arguments(entered, kwargs):
    """Returns the Keras masks of what enters a layer, by the names of what is tapped."""
    carried = keras.tree.map_structure(mask_of, entered)
    mask = kwargs.get("mask", kwargs.get("query_mask", carried))
    value_mask = kwargs.get("value_mask")
    key_mask = kwargs.get("key_mask")
    return {
        "input": mask,
        "preactivation": mask,
        "query": mask,
        "key": value_mask if key_mask is None else key_mask,
        "value": value_mask,
    }


def _mask_of_output(layer, entered, output, entered_mask):
    """Returns the Keras mask that the output of a layer will have, once its call is over."""
    mask = mask_of(output)
    if mask is not None or not layer.supports_masking:
        return mask
    return layer.compute_mask(entered, entered_mask)


def _on_twin(layer, method, record):
    """Returns the method of a twin, which has the layer's state and shows what happens within.

    The layer may be in use by other threads, so that nothing may be set on it.
    """
    twin = object.__new__(type(layer))
    twin.__dict__.update(layer.__dict__)
    del twin.__dict__[method]
    if record.wants("preactivation"):
        twin.__dict__["activation"] = _showing_preactivation(layer.activation, record)
    if record.wants(*_ATTENTION):
        _compat.set_attention(twin, _showing_attention(twin, record))
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


def _showing_preactivation(original, record):
    def activation(tensor):
        record.keep(preactivation=tensor)
        return original(tensor)

    return activation


def _showing_attention(twin, record):
    original = _compat.attention_of(twin)
    arguments = inspect.signature(original)

    def compute_attention(*args, **kwargs):
        bound = arguments.bind(*args, **kwargs)
        given = bound.arguments
        record.keep(**{name: given[name] for name in ("query", "key", "value")})
        if record.wants("raw_scores"):
            record.keep(raw_scores=_raw_scores(twin, given))
        if not record.wants("scores"):
            return original(*args, **kwargs)
        # A fused kernel would skip the scores.
        _compat.return_scores(twin)
        if "return_attention_scores" in arguments.parameters:
            given["return_attention_scores"] = True
        output, scores = original(*bound.args, **bound.kwargs)
        record.keep(scores=_without_padded_queries(scores, given.get("attention_mask")))
        return output, scores

    return compute_attention


def _raw_scores(layer, given):
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


def _with_heads(mask, rank):
    while len(mask.shape) < rank:
        mask = ops.expand_dims(mask, axis=1)
    return mask


def _without_padded_queries(scores, mask):
    if mask is None:
        return scores
    counts = ops.any(ops.cast(mask, "bool"), axis=-1, keepdims=True)
    counts = _with_heads(counts, len(scores.shape))
    return ops.where(counts, scores, ops.zeros_like(scores))


def has_activation(layer):
    """Tells whether a layer has an activation whose input can be tapped.

    Args:
        layer: A Keras layer.
    """
    kinds = (keras.layers.ReLU, keras.layers.LeakyReLU, keras.layers.PReLU, keras.layers.ELU)
    return isinstance(layer, (*kinds, keras.layers.Activation)) or _has_own_function(layer)


def _has_own_function(layer):
    is_activation = isinstance(layer, keras.layers.Activation)
    return not is_activation and callable(layer.__dict__.get("activation"))


def _current_graph():
    return None if tf.executing_eagerly() else tf.compat.v1.get_default_graph()
