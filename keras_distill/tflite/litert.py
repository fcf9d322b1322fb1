"""LiteRT: what a TensorFlow Lite file answers on a computer or phone."""

import numpy as np


def run(content, graph, inputs, fast=False):
    """Runs a model sample by sample, on the reference kernels unless asked otherwise.

    Args:
        content: The file's bytes.
        graph: `Graph` of the file.
        inputs: List of arrays of shape `(samples, ...)`, one per input, in the inputs' types.
        fast: Whether to run the kernels that devices run, XNNPACK's where it has them.

    Returns:
        List of arrays of shape `(samples, ...)`, one per output, in the outputs' types.
    """
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    # The optimised kernels are known to compute some int8 operators wrongly.
    kernels = OpResolverType.AUTO if fast else OpResolverType.BUILTIN_REF
    interpreter = Interpreter(
        model_content=content, num_threads=1, experimental_op_resolver_type=kernels
    )
    interpreter.allocate_tensors()
    outputs = [[] for _ in graph.output_indices]
    for sample in range(len(inputs[0])):
        for index, array in zip(graph.input_indices, inputs, strict=True):
            interpreter.set_tensor(index, array[sample : sample + 1])
        interpreter.invoke()
        for values, index in zip(outputs, graph.output_indices, strict=True):
            values.append(interpreter.get_tensor(index))
    return [np.concatenate(values) for values in outputs]
