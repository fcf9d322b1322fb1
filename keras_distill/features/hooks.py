"""Hooks on layers: what a layer computes while its model runs, recorded for one thread."""

import collections
import contextlib
import functools
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import keras
import tensorflow as tf

from keras_distill._compat import mask_of
from keras_distill.features.inner_hooks import INNER, call_with_hooks, check_has_inner

WEIGHTS = ("kernel", "bias")
SUFFIXES = ("input", *WEIGHTS, *INNER)

_recorder = threading.local()
_hooked: dict = {}
_lock = threading.Lock()

_Pass = collections.namedtuple("_Pass", ["records", "calls", "graph"])


class Record:
    """What one layer computes in one forward pass.

    Args:
        wanted: Names of what is to be kept: `"output"` or one of `SUFFIXES`.

    Attributes:
        kept: Dictionary from name to the list of tensors, one per call.
        masks: Dictionary from name to the Keras mask of the last tensor, where it has one.
        is_hidden: Whether something ran in a graph of its own, whose tensors can't be kept.
    """

    def __init__(self, wanted: Iterable[str]):
        self.kept: dict[str, list] = {what: [] for what in wanted}
        self.masks: dict[str, Any] = {}
        self.is_hidden = False
        self._graph = _current_graph()

    def wants(self, *names: str) -> bool:
        """Returns whether one of the names is wanted."""
        return any(name in self.kept for name in names)

    def keep(self, **tensors: Any):
        """Keeps those of the tensors that are wanted."""
        if self._graph is not _current_graph():
            self.is_hidden = True
            return
        for what, tensor in tensors.items():
            if what in self.kept:
                self.kept[what].append(tensor)


@contextlib.contextmanager
def recording(taps: Iterable[tuple], calls: dict | None = None) -> Iterator[dict]:
    """Records what layers compute in the current thread.

    Nothing is set on a layer but its `call`, for as long as some thread records: the hook does
    what `call` did, and reports to the recorder of the thread that calls it, if that has one.

    Args:
        taps: Tuples of a layer and what of it is wanted.
        calls: Dictionary from layer to the function that takes the place of its `call`, or `None`.

    Yields:
        Dictionary from layer to its `Record`.
    """
    wanted: dict[keras.layers.Layer, list[str]] = {}
    for layer, what in taps:
        wanted.setdefault(layer, []).append(what)
    records = {layer: Record(names) for layer, names in wanted.items()}
    calls = calls or {}
    outer = getattr(_recorder, "pass_", None)
    with _hooks_on(records.keys() | calls.keys()):
        _recorder.pass_ = _Pass(records, calls, _current_graph())
        try:
            yield records
        finally:
            _recorder.pass_ = outer


def check_tappable(layer: keras.layers.Layer, what: str, path: str):
    """Checks that a layer has what is to be tapped.

    Args:
        layer: A Keras layer.
        what: One of `SUFFIXES`, or anything else for what every layer has.
        path: Its path, for the error.

    Raises:
        ValueError: If it hasn't.
    """
    check_has_inner(layer, what, path)
    if what in WEIGHTS and not hasattr(type(layer), what) and not hasattr(layer, what):
        raise ValueError(f"Layer {path} is a {type(layer).__name__}, which has no {what}.")
    if what == "bias" and not getattr(layer, "use_bias", True):
        raise ValueError(f"Layer {path} has no bias: it was made with use_bias=False.")


@contextlib.contextmanager
def _hooks_on(layers: Iterable) -> Iterator[None]:
    """Keeps hooks on layers, until the last of the threads that record them is done."""
    with _lock:
        for layer in layers:
            _hooked.setdefault(layer, _Hook(layer)).enter()
    try:
        yield
    finally:
        with _lock:
            for layer in layers:
                if _hooked[layer].leave():
                    del _hooked[layer]


class _Hook:
    """Takes the place of a layer's `call` while a thread records.

    Args:
        layer: A Keras layer.
    """

    def __init__(self, layer: keras.layers.Layer):
        self.layer = layer
        is_quantized = getattr(layer, "quantization_mode", None) is not None
        self.method = "quantized_call" if is_quantized else "call"
        self.replaced = None
        self.call = None
        self.threads = 0

    def enter(self):
        """Counts one more thread that records, and takes the place of `call` for the first."""
        if not self.threads:
            # Past Keras's attribute tracking: functions on the instance are no state of the layer.
            self.replaced = self.layer.__dict__.get(self.method)
            self.call = self._reporting(getattr(self.layer, self.method))
            self.layer.__dict__[self.method] = self.call
        self.threads += 1

    def leave(self) -> bool:
        """Counts one thread less; returns whether it was the last, and all is as it was."""
        self.threads -= 1
        if not self.threads and self.layer.__dict__.get(self.method) is self.call:
            del self.layer.__dict__[self.method]
            if self.replaced is not None:
                self.layer.__dict__[self.method] = self.replaced
        return not self.threads

    def _reporting(self, original: Callable) -> Callable:
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
            run = call_with_hooks(layer, self.method, record, entered, run, self.replaced)
            output = run(*args, **kwargs)
            record.keep(input=entered, output=output)
            of_output = _mask_of_output(layer, entered, output, entered_masks["input"])
            record.masks = {**entered_masks, "output": of_output}
            return output

        return call


def _masks_of_arguments(entered: Any, kwargs: dict) -> dict:
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


def _mask_of_output(layer: keras.layers.Layer, entered: Any, output: Any, entered_mask: Any) -> Any:
    """Returns the Keras mask that the output of a layer will have, once its call is over."""
    mask = mask_of(output)
    if mask is not None or not layer.supports_masking:
        return mask
    return layer.compute_mask(entered, entered_mask)


def _current_graph():
    return None if tf.executing_eagerly() else tf.compat.v1.get_default_graph()
