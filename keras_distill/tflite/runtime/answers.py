"""Answers of several runtimes to the same samples, and which of them is alone."""

import numpy as np

from keras_distill.tflite.runtime import litert, micro

REFERENCE = "LiteRT's reference kernels"
FAST = "LiteRT's fast kernels"
TFLM = "TensorFlow Lite Micro"
# What `litert.run` calls them.
KERNELS = {REFERENCE: "reference", FAST: "fast"}
# Beyond this share of the answers' own spread, roundings don't explain a difference.
_CLOSE = 0.05
_FLOAT_ROUNDING = 1e-4


def of_all(content, graph, inputs):
    """Runs a model on every runtime that is here.

    Args:
        content: The file's bytes.
        graph: `Graph` of the file.
        inputs: List of arrays of shape `(samples, ...)`, one per input, in the inputs' types.

    Returns:
        Tuple of a dictionary from runtime to its list of arrays, one per output, and a list of
        texts: which runtime can't run the model, and why.

    Raises:
        LiteRTError: If LiteRT can't run the model on any kernels.
    """
    answers, failures = {}, []
    for name, kernels in KERNELS.items():
        try:
            answers[name] = litert.run(content, graph, inputs, kernels)
        except litert.LiteRTError as error:
            if failures:
                raise
            failures.append(f"{name} can't run this model: {_reason(error)}.")
    if not micro.is_available():
        failures.append(
            "TensorFlow Lite Micro isn't installed (extra `micro`), so it was left out."
        )
        return answers, failures
    try:
        answers[TFLM] = micro.run(content, graph, inputs)
    except micro.MicroError as error:
        failures.append(str(error))
    return answers, failures


def _reason(error):
    """Returns the first sentence of what LiteRT says."""
    return str(error).split(": ", 1)[-1].splitlines()[0].split(". ")[0].rstrip(".")


def alone(answers):
    """Returns the one runtime that differs from the others, which agree.

    Args:
        answers: Dictionary from runtime to its list of arrays.

    Returns:
        Its name; `None` if all agree or there is no majority.
    """
    for name, values in answers.items():
        others = [other for key, other in answers.items() if key != name]
        agree = len(others) > 1 and all(are_close(others[0], other) for other in others[1:])
        if agree and not any(are_close(values, other) for other in others):
            return name
    return None


def litert_of(answers, expected, outputs):
    """Returns which of LiteRT's kernels are right: those that aren't alone.

    Args:
        answers: Dictionary from runtime to its list of arrays.
        expected: List of arrays, one per output, of the Keras model.
        outputs: List of `TensorInfo` of the outputs.

    Returns:
        `REFERENCE` or `FAST`.
    """
    here = [name for name in KERNELS if name in answers]
    if len(here) == 1 or are_close(answers[REFERENCE], answers[FAST]):
        return here[0]
    odd = alone(answers)
    if odd in KERNELS:
        return FAST if odd == REFERENCE else REFERENCE

    def distance(name):
        return sum(
            float(np.abs(info.dequantize(part) - wanted).mean())
            for part, wanted, info in zip(answers[name], expected, outputs, strict=True)
        )

    return min(here, key=distance)


def are_close(first, second):
    """Says whether two runtimes compute the same, but for roundings.

    Args:
        first: List of arrays, one per output, as the runtime gives them.
        second: The same of another runtime.
    """
    return all(_is_close(a, b) for a, b in zip(first, second, strict=True))


def _is_close(first, second):
    rounding = 1.0 if first.dtype.kind in "iu" else _FLOAT_ROUNDING
    first, second = first.astype("float64"), second.astype("float64")
    difference = np.sqrt(np.mean((first - second) ** 2))
    return bool(difference <= max(rounding, _CLOSE * second.std()))
