"""LiteRT: runs a TensorFlow Lite file as computers and phones do."""

import contextlib

import numpy as np

_WITHOUT_REFERENCE = ("ELU", "ROUND")


class LiteRTError(RuntimeError):
    """LiteRT can't run a model; the message says why."""


@contextlib.contextmanager
def explained():
    """Turns errors of the interpreter into a `LiteRTError` that names LiteRT."""
    try:
        yield
    except (RuntimeError, ValueError) as error:
        raise LiteRTError(f"LiteRT can't run this model: {error}") from error


def has_reference(graph):
    """Says whether LiteRT's reference kernels exist, and are right, for all operators of a graph.

    There is none of ELU and ROUND, and that of SUM on integers loses the scales.

    Args:
        graph: `Graph`.
    """
    return not any(
        operator.name in _WITHOUT_REFERENCE
        or (operator.name == "SUM" and operator.inputs[0].dtype != "float32")
        for operator in graph.operators
    )


def run(content, graph, inputs, kernels=None):
    """Runs a model sample by sample.

    Args:
        content: The file's bytes.
        graph: `Graph` of the file.
        inputs: List of arrays of shape `(samples, ...)`, one per input, in the inputs' types.
        kernels: `"reference"`; `"fast"`, which computers and phones run, XNNPACK's where it has
            them; `"without XNNPACK"`, the other fast ones; or `None`, the reference kernels where
            they are right and the fast ones elsewhere.

    Returns:
        List of arrays of shape `(samples, ...)`, one per output, in the outputs' types.

    Raises:
        LiteRTError: If LiteRT can't run the model.
    """
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    if kernels is None:
        kernels = "reference" if has_reference(graph) else "fast"
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
