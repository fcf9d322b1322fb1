"""LiteRT: runs a TensorFlow Lite file as computers and phones do.

It runs in a subprocess, because it crashes on some files.
"""

import contextlib
import json
import pathlib
import re

import numpy as np

from keras_distill.files import temporary_folder
from keras_distill.tflite import subprocesses
from keras_distill.tflite.reused_process import ReusedProcess

_SCRIPT = pathlib.Path(__file__).with_name("litert_process.py")
_IDLE_SECONDS = 300.0
_TIME_LIMIT = 3600.0


class LiteRTError(RuntimeError):
    """LiteRT can't run a model; the message says why."""


@contextlib.contextmanager
def explained():
    """Turns errors of the interpreter into a `LiteRTError` that names LiteRT."""
    try:
        yield
    except (RuntimeError, ValueError) as error:
        raise LiteRTError(f"LiteRT can't run this model: {error}") from error


def run_right(content, graph, inputs):
    """Runs a model on the reference kernels, or on the fast ones where those are wrong or lacking.

    Args:
        content: The file's bytes.
        graph: `Graph` of the file.
        inputs: List of arrays of shape `(samples, ...)`, one per input, in the inputs' types.

    Returns:
        List of arrays of shape `(samples, ...)`, one per output, in the outputs' types.

    Raises:
        LiteRTError: If LiteRT can't run the model.
    """
    # The reference kernel of SUM on integers loses the scales.
    if not any(one.name == "SUM" and one.inputs[0].scales for one in graph.operators):
        # There is none of ELU and ROUND, nor of TILE on int8.
        with contextlib.suppress(LiteRTError):
            return run(content, graph, inputs)
    return run(content, graph, inputs, "fast")


def run(content, graph, inputs, kernels="reference"):
    """Runs a model sample by sample.

    Args:
        content: The file's bytes.
        graph: `Graph` of the file.
        inputs: List of arrays of shape `(samples, ...)`, one per input, in the inputs' types.
        kernels: `"reference"`; `"fast"`, which computers and phones run, XNNPACK's where it has
            them; or `"without XNNPACK"`, the other fast ones.

    Returns:
        List of arrays of shape `(samples, ...)`, one per output, in the outputs' types.

    Raises:
        LiteRTError: If LiteRT can't run the model.
    """
    with temporary_folder() as folder:
        (folder / "model.tflite").write_bytes(content)
        settings = {
            "kernels": kernels,
            "inputs": list(graph.input_indices),
            "outputs": list(graph.output_indices),
        }
        (folder / "task.json").write_text(json.dumps(settings))
        np.savez(folder / "arrays.npz", *inputs)
        with explained():
            status = _reused.do(folder, _TIME_LIMIT, "give fewer samples.", _IDLE_SECONDS)
        if status != 0:
            raise LiteRTError(f"LiteRT can't run this model: {_reason(folder, status)}")
        with np.load(folder / "answer.npz", allow_pickle=False) as answer:
            return [answer[f"arr_{position}"] for position in range(len(answer.files))]


def _reason(folder, status):
    log = folder / "log.txt"
    printed = log.read_text("utf-8", "replace") if log.is_file() else ""
    if status < 0:
        return f"it {subprocesses.ending(status, printed)}"
    lines = [line.strip() for line in printed.splitlines() if line.strip()]
    # What was raised may have lines of its own, after the last line of the traceback.
    raised = [
        place for place, line in enumerate(lines) if re.match(r"\w+(Error|Exception): ", line)
    ]
    return " ".join(lines[raised[-1] :]).partition(": ")[2] if raised else " ".join(lines[-3:])


_reused = ReusedProcess(_SCRIPT, "The process of LiteRT", "LiteRT")
