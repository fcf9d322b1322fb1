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
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    resolvers = {
        "reference": OpResolverType.BUILTIN_REF,
        "fast": OpResolverType.AUTO,
        "without XNNPACK": OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
    }
    outputs = [[] for _ in graph.output_indices]
    with explained():
        interpreter = Interpreter(
            model_content=content,
            num_threads=1,
            experimental_op_resolver_type=resolvers[kernels],
        )
        interpreter.allocate_tensors()
        for sample in range(len(inputs[0])):
            for index, array in zip(graph.input_indices, inputs, strict=True):
                interpreter.set_tensor(index, array[sample : sample + 1])
            interpreter.invoke()
            for values, index in zip(outputs, graph.output_indices, strict=True):
                values.append(interpreter.get_tensor(index))
    return [np.concatenate(values) for values in outputs]
