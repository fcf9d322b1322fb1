"""The script that runs LiteRT, which crashes on some files.

`job_server` runs it, so that nothing but NumPy and LiteRT is imported.
"""

import json
import signal

import numpy as np
from ai_edge_litert.interpreter import Interpreter, OpResolverType

RESOLVERS = {
    "reference": OpResolverType.BUILTIN_REF,
    "fast": OpResolverType.AUTO,
    "without XNNPACK": OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
}
# Damaged files loop for ever.
SECONDS_PER_SAMPLE = 60


def do(folder):
    """Runs `folder/model.tflite` on the samples of `arrays.npz`; writes `answer.npz`."""
    task = json.loads((folder / "task.json").read_text())
    with np.load(folder / "arrays.npz", allow_pickle=False) as file:
        inputs = [file[f"arr_{position}"] for position in range(len(file.files))]
    limit()
    interpreter = Interpreter(
        model_content=(folder / "model.tflite").read_bytes(),
        num_threads=1,
        experimental_op_resolver_type=RESOLVERS[task["kernels"]],
    )
    interpreter.allocate_tensors()
    outputs = [[] for _ in task["outputs"]]
    for sample in range(len(inputs[0])):
        limit()
        for index, array in zip(task["inputs"], inputs, strict=True):
            interpreter.set_tensor(index, array[sample : sample + 1])
        interpreter.invoke()
        for values, index in zip(outputs, task["outputs"], strict=True):
            values.append(interpreter.get_tensor(index))
    np.savez(folder / "answer.npz", *map(np.concatenate, outputs))


def limit():
    """Lets this process end if the next step takes too long, where the system can."""
    if hasattr(signal, "alarm"):
        signal.alarm(SECONDS_PER_SAMPLE)
