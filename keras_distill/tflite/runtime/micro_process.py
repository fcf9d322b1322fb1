"""The script that runs TensorFlow Lite Micro, which ends its process where an allocation fails.

It is run as a script, so that it imports nothing but NumPy and tflite-micro.
"""

import json
import os
import pathlib
import re
import signal
import sys
import tempfile

import numpy as np
from tflite_micro import runtime

GRANULARITY = 16
LARGEST_ARENA = 64 * 1024 * 1024
# Damaged files loop for ever.
SECONDS_PER_RUN = 60


def interpreter(content, arena_bytes):
    """Returns an interpreter of a model in an arena of a given size."""
    return runtime.Interpreter.from_bytes(content, arena_size=arena_bytes)


def run(content, arrays, outputs):
    """Runs a model on each sample of `arrays`; returns its outputs."""
    size = largest_needed(content)
    signal.alarm(SECONDS_PER_RUN)
    micro = interpreter(content, size)
    answers = [[] for _ in range(outputs)]
    for sample in range(len(next(iter(arrays.values())))):
        signal.alarm(SECONDS_PER_RUN)
        for name, array in arrays.items():
            micro.set_input(array[sample : sample + 1], int(name.rpartition("_")[2]))
        micro.invoke()
        for position, values in enumerate(answers):
            values.append(micro.get_output(position))
    return {f"output_{index}": np.concatenate(values) for index, values in enumerate(answers)}


def fits(content, arena_bytes):
    """Says whether a model is allocated and invoked in an arena, without risk to this process."""
    child = os.fork()
    if child == 0:
        devnull = os.open(os.devnull, os.O_WRONLY)
        os.dup2(devnull, 2)
        signal.alarm(SECONDS_PER_RUN)
        try:
            micro = interpreter(content, arena_bytes)
            for position in range(number_of_inputs(content)):
                details = micro.get_input_details(position)
                micro.set_input(np.zeros(details["shape"], details["dtype"]), position)
            micro.invoke()
            os._exit(0)
        except BaseException:
            os._exit(1)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGALRM:
        raise RuntimeError(f"One inference takes longer than {SECONDS_PER_RUN} seconds.")
    return status == 0


def number_of_inputs(content):
    """Returns how many inputs a model has."""
    model = runtime.convert_bytearray_to_object(content)
    return len(model.subgraphs[0].inputs)


def largest_needed(content):
    """Returns an arena size in which the model runs, by doubling, or fails loudly."""
    size = 16 * 1024
    while not fits(content, size):
        size *= 2
        if size > LARGEST_ARENA:
            # Not in a child this time, so that the interpreter's own words reach the parent.
            signal.alarm(SECONDS_PER_RUN)
            interpreter(content, LARGEST_ARENA).invoke()
            raise RuntimeError(f"The model needs an arena of more than {LARGEST_ARENA} bytes.")
    return size


def minimum_arena(content):
    """Returns the smallest arena, to 16 bytes, in which the model runs."""
    high = largest_needed(content)
    low = 0
    while high - low > GRANULARITY:
        middle = (low + high) // 2 // GRANULARITY * GRANULARITY
        if fits(content, middle):
            high = middle
        else:
            low = middle
    return high


def parts(content):
    """Returns bytes of the plan and of the interpreter's own, as it prints them on stderr."""
    with tempfile.TemporaryFile() as printed:
        stderr = os.dup(2)
        os.dup2(printed.fileno(), 2)
        try:
            interpreter(content, largest_needed(content)).print_allocations()
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)
        printed.seek(0)
        said = printed.read()
        found = [re.search(rb"%s (\d+) bytes" % part, said) for part in (b"head", b"tail")]
        if None in found:
            raise RuntimeError("It doesn't say how its arena is used.")
        return [int(match[1]) for match in found]


def main(folder):
    """Does the task that `folder/task.json` names; writes `folder/answer.npz`."""
    task = json.loads((folder / "task.json").read_text())
    content = (folder / "model.tflite").read_bytes()
    if task["task"] == "run":
        with np.load(folder / "arrays.npz", allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        answer = run(content, arrays, task["outputs"])
    elif task["task"] == "arena":
        answer = {"arena": np.array([minimum_arena(content), *parts(content)])}
    elif task["task"] == "once":
        answer = {"arena": np.array(largest_needed(content))}
    else:
        answer = {"fits": np.array(fits(content, task["arena_bytes"]))}
    np.savez(folder / "answer.npz", **answer)


if __name__ == "__main__":
    try:
        main(pathlib.Path(sys.argv[1]))
    except Exception as error:
        sys.exit(str(error))
