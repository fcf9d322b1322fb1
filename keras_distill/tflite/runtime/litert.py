"""LiteRT: runs a TensorFlow Lite file as computers and phones do."""

import contextlib

import numpy as np


class LiteRTError(RuntimeError):
    """LiteRT can't run a model; the message says why."""


@contextlib.contextmanager
def explained():
    """Turns errors of the interpreter into a `LiteRTError` that names LiteRT."""
    try:
        yield
    except (RuntimeError, ValueError) as error:
        raise LiteRTError(f"LiteRT can't run this model: {error}") from error


def run(content, graph, inputs, fast=False):
    """Runs a model sample by sample, on the reference kernels unless asked otherwise.

    Args:
        content: The file's bytes.
        graph: `Graph` of the file.
        inputs: List of arrays of shape `(samples, ...)`, one per input, in the inputs' types.
        fast: Whether to run the kernels that devices run, XNNPACK's where it has them.

    Returns:
        List of arrays of shape `(samples, ...)`, one per output, in the outputs' types.

    Raises:
        LiteRTError: If LiteRT can't run the model.
    """
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    # The optimized kernels are known to compute some int8 operators wrongly.
    kernels = OpResolverType.AUTO if fast else OpResolverType.BUILTIN_REF
    outputs = [[] for _ in graph.output_indices]
    with explained():
        interpreter = Interpreter(
            model_content=content, num_threads=1, experimental_op_resolver_type=kernels
        )
        interpreter.allocate_tensors()
        for sample in range(len(inputs[0])):
            for index, array in zip(graph.input_indices, inputs, strict=True):
                interpreter.set_tensor(index, array[sample : sample + 1])
            interpreter.invoke()
            for values, index in zip(outputs, graph.output_indices, strict=True):
                values.append(interpreter.get_tensor(index))
    return [np.concatenate(values) for values in outputs]
