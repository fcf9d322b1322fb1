"""Latency on this computer, with the kernels that phones use."""

import dataclasses
import time
from typing import TYPE_CHECKING

import numpy as np

from keras_distill.arguments import check_count, shown
from keras_distill.tflite.runtime import litert

if TYPE_CHECKING:
    from keras_distill.tflite.model import TFLiteModel

_WARM_UP = 10
_MOST_THREADS = 1024
_SECONDS = 1.0


@dataclasses.dataclass(frozen=True)
class Latency:
    """Time of one inference with LiteRT's XNNPACK kernels.

    Args:
        median_ms: Median in milliseconds.
        slowest_ms: 95th percentile in milliseconds.
        runs: Number of inferences that were measured.
        threads: Number of threads.
    """

    median_ms: float
    slowest_ms: float
    runs: int
    threads: int

    def __str__(self):
        return (
            f"latency    {self.median_ms:.3f} ms (95th percentile {self.slowest_ms:.3f} ms), "
            f"{self.runs} runs on this computer with {self.threads} "
            f"thread{'s' * (self.threads > 1)}, XNNPACK"
        )


def latency(model: "TFLiteModel", threads: int = 1) -> Latency:
    """Measures the time of one inference on this computer.

    Args:
        model: `TFLiteModel`.
        threads: Number of threads.

    Returns:
        `Latency`.

    Raises:
        LiteRTError: If LiteRT can't run the model.
        TypeError: If `model` is no `TFLiteModel`, or `threads` no integer.
        ValueError: If `threads` is below 1 or above 1,024.
    """
    if not isinstance(getattr(model, "content", None), bytes):
        raise TypeError(f"model must be a TFLiteModel. Received: model={shown(model)}")
    threads = check_count("threads", threads, high=_MOST_THREADS)
    with litert.explained():
        return _measured(model, threads)


def _measured(model, threads):
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_content=model.content, num_threads=threads)
    interpreter.allocate_tensors()
    rng = np.random.default_rng(0)
    for details in interpreter.get_input_details():
        values = rng.random(details["shape"])
        if np.issubdtype(details["dtype"], np.integer):
            values = values * (1 if details["dtype"] != np.int8 else 127)
        interpreter.set_tensor(details["index"], values.astype(details["dtype"]))
    for _ in range(_WARM_UP):
        interpreter.invoke()
    taken, started = [], time.perf_counter()
    while time.perf_counter() - started < _SECONDS or len(taken) < _WARM_UP:
        before = time.perf_counter()
        interpreter.invoke()
        taken.append(1000 * (time.perf_counter() - before))
    return Latency(float(np.median(taken)), float(np.percentile(taken, 95)), len(taken), threads)
