"""Trial: one inference on TensorFlow Lite Micro before a file is written."""

from keras_distill.tflite.analysis import lint
from keras_distill.tflite.runtime import micro


def findings(content, graph):
    """Runs a model once on TensorFlow Lite Micro, where that is installed.

    Args:
        content: The file's bytes.
        graph: `Graph` of the file.

    Returns:
        List of one `Finding` if it fails; empty otherwise.
    """
    if not micro.is_available():
        return []
    try:
        micro.run_once(content)
    except micro.MicroError as error:
        return [
            lint.Finding(
                "fails-on-tflm",
                "error",
                str(error).rstrip("."),
                _where(graph, error.node),
                'Replace this layer, or use target="mobile".',
            )
        ]
    return []


def _where(graph, node):
    """Returns where the operator stands at which it stopped."""
    if node is None:
        return "the model"
    name, number = node
    # Its number is that in its own subgraph, of which the main one comes first.
    in_place = [graph.operators[number]] if number < len(graph.operators) else []
    found = [one for one in in_place + list(graph.operators) if one.name == name]
    return lint.place_of(found[0]) if found else name
