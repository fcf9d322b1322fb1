"""TensorFlow Lite Micro on this computer: outputs and arena size of a microcontroller."""

import importlib.util
import json
import pathlib
import re

import numpy as np

from keras_distill.files import temporary_folder
from keras_distill.tflite import subprocesses
from keras_distill.tflite.analysis.arena import Measured

_SCRIPT = pathlib.Path(__file__).with_name("micro_process.py")
# An hour, as for a conversion: some hundred samples of a large model take minutes.
_TIMEOUT_SECONDS = 3600.0


class MicroError(RuntimeError):
    """TensorFlow Lite Micro can't run a model; the message says why.

    Args:
        message: The reason.
        node: Tuple of name and number of the operator at which it stops, or `None`.
    """

    def __init__(self, message, node=None):
        super().__init__(message)
        self.node = node


def is_available():
    """Says whether the package tflite-micro is installed."""
    return importlib.util.find_spec("tflite_micro") is not None


def require():
    """Raises an error that names the extra to install if tflite-micro is missing.

    Raises:
        ImportError: If tflite-micro isn't installed.
    """
    if not is_available():
        raise ImportError(
            "This runs the model on TensorFlow Lite Micro, which isn't installed: "
            'pip install "keras_distill[micro]" (Linux, x86-64).'
        )


def run(content, graph, inputs):
    """Runs a model sample by sample on TensorFlow Lite Micro.

    Args:
        content: The file's bytes.
        graph: `Graph` of the file.
        inputs: List of arrays of shape `(samples, ...)`, one per input, in the inputs' types.

    Returns:
        List of arrays of shape `(samples, ...)`, one per output, in the outputs' types.

    Raises:
        ImportError: If tflite-micro isn't installed.
        MicroError: If it can't run the model; the message names a missing operator.
    """
    arrays = {
        f"input_{position}": array
        for position, array in zip(graph.input_positions, inputs, strict=True)
    }
    answer = _work("run", content, arrays, outputs=len(graph.output_positions))
    return [answer[f"output_{position}"] for position in graph.output_positions]


def minimum_arena(content):
    """Finds the smallest arena in which TensorFlow Lite Micro can run a model.

    Found by bisection on the real interpreter, to 16 bytes; its own account of the memory can be
    too small.

    Args:
        content: The file's bytes.

    Returns:
        Number of bytes.

    Raises:
        ImportError: If tflite-micro isn't installed.
        MicroError: If it can't run the model in any arena.
    """
    return measure_arena(content).minimum


def measure_arena(content):
    """Finds the smallest arena, and its parts as the interpreter accounts for them.

    Args:
        content: The file's bytes.

    Returns:
        `Measured`: the arena, as of `minimum_arena`, the part of it for tensors and scratch
        buffers, and the part for the interpreter's own records.

    Raises:
        ImportError: If tflite-micro isn't installed.
        MicroError: If it can't run the model in any arena.
    """
    return Measured(*(int(count) for count in _work("arena", content, {})["arena"]))


def runs_in_arena(content, arena_bytes):
    """Says whether TensorFlow Lite Micro can run a model in an arena of a given size.

    Args:
        content: The file's bytes.
        arena_bytes: Size of the arena in bytes.

    Raises:
        ImportError: If tflite-micro isn't installed.
    """
    return bool(_work("fits", content, {}, arena_bytes=int(arena_bytes))["fits"])


def run_once(content):
    """Runs a model once, on zeros, in whatever arena it needs.

    Args:
        content: The file's bytes.

    Raises:
        ImportError: If tflite-micro isn't installed.
        MicroError: If it can't run the model.
    """
    _work("once", content, {})


def _work(task, content, arrays, **settings):
    """Runs a task in a subprocess, because the interpreter ends its process where it fails."""
    require()
    with temporary_folder() as folder:
        (folder / "model.tflite").write_bytes(content)
        (folder / "task.json").write_text(json.dumps({"task": task, **settings}))
        np.savez(folder / "arrays.npz", **arrays)
        try:
            result = subprocesses.run(
                _SCRIPT,
                str(folder),
                folder=folder,
                timeout=_TIMEOUT_SECONDS,
                task="TensorFlow Lite Micro",
                advice="give fewer samples, or a smaller model.",
            )
        except subprocesses.ProcessError as error:
            raise MicroError(str(error)) from error
        answer = folder / "answer.npz"
        if result.returncode != 0 or not answer.is_file():
            failed = re.search(r"Node (\w+) \(number (\d+)\) failed", result.stderr)
            raise MicroError(
                _reason(result.stderr, result.returncode),
                failed and (failed[1], int(failed[2])),
            )
        with np.load(answer, allow_pickle=False) as arrays:
            return {name: arrays[name] for name in arrays.files}


def _reason(stderr, returncode):
    failed = "TensorFlow Lite Micro can't run this model"
    missing = re.findall(r"builtin opcode '(\w+)'", stderr)
    if missing:
        return f"TensorFlow Lite Micro has no operator {', '.join(dict.fromkeys(missing))}."
    if returncode < 0:
        return f"{failed}: it {subprocesses.ending(returncode, stderr)}"
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    reason = "; ".join(lines[-4:]) if lines else f"it ended with code {returncode}"
    return f"{failed}: {reason}"
