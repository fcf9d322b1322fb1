"""Whether a file computes what its Keras model does; at the logits, where it ends in a softmax."""

import keras
import numpy as np

from keras_distill._compat import all_layers
from keras_distill.features.layer_paths import symbolic
from keras_distill.tflite.analysis import schema
from keras_distill.tflite.analysis.tensor_info import info_of
from keras_distill.tflite.runtime import litert, measures, sample_notes

_MOST_OFF = 0.002
# That many more may be off, because of single samples beyond the representative data.
_FEW_OFF = 2
# The first of the representative data: an export shouldn't take longer for this than a second.
_SAMPLES = 100
_FORCING = ("MAXIMUM", "MINIMUM", "SELECT", "SELECT_V2")
_NORMALIZING = (
    keras.layers.GroupNormalization,
    keras.layers.LayerNormalization,
    keras.layers.RMSNormalization,
    keras.layers.UnitNormalization,
)


def are_few(off):
    """Says whether so few values are off that single samples explain it.

    Args:
        off: Result of `measures.off`.
    """
    return bool(off.sum() <= max(_FEW_OFF, _MOST_OFF * off.size))


def off_at_logits(content, inputs, expected, run):
    """Compares what comes before a last softmax or sigmoid, which makes many steps of one.

    Args:
        content: The file's bytes.
        inputs: List of arrays, one per input, in the inputs' types.
        expected: List of arrays, one per output, of the Keras model.
        run: Function of a file's bytes, its graph and inputs that returns its outputs.

    Returns:
        Tuple of the result of `measures.off`, the bytes of the file without that operator, and its
        outputs; `None` if the file doesn't end in one.
    """
    ended = schema.before_probabilities(content)
    if ended is None:
        return None
    shorter, operator = ended
    graph = schema.parse(shorter)
    outputs = [info_of(tensor) for tensor in graph.outputs]
    logits = run(shorter, graph, inputs)
    values = measures.dequantized(logits, outputs)[0]
    off = measures.off(
        [measures.logits_of(expected[0], operator, is_logits=False)],
        [measures.logits_of(values, operator, is_logits=True)],
        [info.scale for info in outputs],
    )
    return off, shorter, logits


def notes(tflite_model, model, samples):
    """Notes that a file doesn't compute what its model does, with the likely cause.

    Args:
        tflite_model: `TFLiteModel` that was just made.
        model: `keras.Model`.
        samples: List of float arrays, one per input, that it was made with.

    Returns:
        List of texts.
    """
    samples = [array[:_SAMPLES] for array in samples]
    inputs = tflite_model.quantize_inputs(samples)
    expected = _expected(model, samples)
    values = litert.run_right(tflite_model.content, tflite_model.graph, inputs)
    outputs = tflite_model.outputs
    off = measures.off(
        expected, measures.dequantized(values, outputs), [info.scale for info in outputs]
    )
    if off.mean() > _MOST_OFF:
        at_logits = off_at_logits(tflite_model.content, inputs, expected, litert.run_right)
        off = off if at_logits is None else at_logits[0]
    if off.mean() <= _MOST_OFF:
        return []
    return [
        f"{100 * off.mean():.2g} % of the file's values are off from Keras by more than 5 % of "
        f"their range, on the first {len(samples[0])} samples of representative_data. "
        f"{_cause(tflite_model, model)}"
    ]


def _expected(model, samples):
    structure = symbolic(model, "input")
    whole = samples if len(samples) > 1 else samples[0]
    if structure is not None:
        whole = keras.tree.pack_sequence_as(structure, samples)
    return [np.asarray(part) for part in keras.tree.flatten(model(whole, training=False))]


def _cause(tflite_model, model):
    if not set(tflite_model.operators).isdisjoint(_FORCING):
        return sample_notes.FORCED_SCALE
    layers = [layer.name for layer in all_layers(model) if isinstance(layer, _NORMALIZING)]
    if layers:
        return (
            f"Normalization of each sample loses much in 8 bits, in {', '.join(layers)}: use "
            "BatchNormalization, or keep those layers in float by float_layers=[...]."
        )
    return (
        "sensitivity() of the result says which layer costs most; float_layers=[...] keeps it in "
        'float, and quantization="int16x8" all in 16 bits.'
    )
