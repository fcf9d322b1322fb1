"""Golden vectors: samples with their expected outputs, by which a device checks itself."""

import contextlib
import dataclasses

import numpy as np

from keras_distill.tflite.runtime import answers as runtime_answers
from keras_distill.tflite.runtime import litert, micro

_FAST = ("fast", "without XNNPACK")
# Kernels of one kind agree within this, as a share of the largest output.
_FLOAT_TOLERANCE = 1e-4
# Beyond this share of the answers' range, fast kernels aren't inaccurate but wrong.
_LARGEST_SHARE = 0.05


@dataclasses.dataclass(frozen=True)
class Golden:
    """Samples with their expected outputs.

    Args:
        samples: Array of shape `(samples, ...)` in the input's type.
        answers: Array of shape `(samples, ...)` in the output's type.
        tolerance: Largest difference of an output that isn't an error, in the output's own
            numbers: quantization steps, or the unit of a float output.
    """

    samples: np.ndarray
    answers: np.ndarray
    tolerance: float


def on_micro(tflite_model, samples):
    """Returns golden vectors of TensorFlow Lite Micro, whose kernels agree within one step.

    Args:
        tflite_model: `TFLiteModel` with one input and one output.
        samples: Float array of shape `(samples, ...)`.

    Returns:
        `Golden`.

    Raises:
        ImportError: If tflite-micro isn't installed.
    """
    inputs = tflite_model.quantize_inputs(samples)
    answers = micro.run(tflite_model.content, tflite_model.graph, inputs)[0]
    return Golden(inputs[0], answers, _rounding(answers))


def on_litert(tflite_model, samples):
    """Returns golden vectors of LiteRT's fast kernels, which computers and phones run.

    They round in other places on every processor, so twice the difference that is seen here, with
    and without XNNPACK and to the reference kernels, is let pass. Kernels that are wrong, being
    far from the others, are left out.

    Args:
        tflite_model: `TFLiteModel` with one input and one output.
        samples: Float array of shape `(samples, ...)`.

    Returns:
        `Golden`.
    """
    inputs = tflite_model.quantize_inputs(samples)
    content, graph = tflite_model.content, tflite_model.graph
    runs = [litert.run(content, graph, inputs, kernels)[0] for kernels in _FAST]
    # There are no reference kernels of some operators.
    with contextlib.suppress(litert.LiteRTError):
        runs.append(litert.run(content, graph, inputs, "reference")[0])
    answers = next((one for one in runs if _has_company(one, runs)), runs[0])
    close = [one for one in runs if runtime_answers.are_close([one], [answers])]
    seen = max(float(np.abs(one.astype("float64") - answers).max()) for one in close)
    rounding = _rounding(answers)
    limit = max(rounding, _LARGEST_SHARE * float(np.ptp(answers.astype("float64"))))
    return Golden(inputs[0], answers, min(rounding + 2 * seen, limit))


def _has_company(one, runs):
    """Says whether another run of the model computes the same."""
    return sum(runtime_answers.are_close([one], [other]) for other in runs) > 1


def _rounding(answers):
    if answers.dtype.kind == "i":
        return 1.0
    return _FLOAT_TOLERANCE * max(1.0, float(np.abs(answers).max()))
