"""Lint: what would fail, or be silently wrong, when a TensorFlow Lite file runs on its target."""

import dataclasses

from keras_distill.arguments import check_choice
from keras_distill.tflite import formats
from keras_distill.tflite.analysis import operators

_WEIGHTED = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "TRANSPOSE_CONV", "BATCH_MATMUL")
_CASTS = ("QUANTIZE", "DEQUANTIZE", "CAST")
# Infinity has a meaning in these: what a mask leaves out, what a padding never chooses.
_MASKING = ("ADD", "MAXIMUM", "MINIMUM", "PADV2", "SELECT", "SELECT_V2")
# What has kernels for integers, in place of what doesn't.
_SMOOTH = "Use relu, silu or hard_silu in place of softplus, mish, exp and log"
_WITH_INTEGER_KERNELS = {"EXP": _SMOOTH, "LOG": _SMOOTH}
_IN_PLACE_OF = {
    "BUCKETIZE": "Discretize the inputs before the model",
    "CONV_3D": "Use Conv2D with the depth among the channels",
    "CONV_3D_TRANSPOSE": "Use Conv2DTranspose with the depth among the channels",
    "REDUCE_PROD": "Multiply the parts one by one",
    "TILE": "Concatenate a tensor with itself in place of repeating it; use MultiHeadAttention",
    "TOPK_V2": "Sort after the model, or use max",
}
# What the converter writes in int16x8 although no runtime computes it right, or LiteRT at all.
_IN_SIXTEEN_BITS = {
    "SUM": (
        "sum-int16",
        "LiteRT and TensorFlow Lite Micro compute SUM wrongly on int16, silently",
        'Multiply the mean by the number of values, or use quantization="int8".',
    ),
    "SQUARED_DIFFERENCE": (
        "squared-difference-int16",
        "LiteRT can't run SQUARED_DIFFERENCE on int16",
        'Multiply the difference by itself, or use quantization="int8".',
    ),
}
# What remains of a batch or another axis whose size was left open.
_RUN_TIME_SHAPES = ("SHAPE", "FILL")
# The kernels multiply the softmax's input scale by its inverse, and need the product above 1.
_SMALLEST_SOFTMAX_SCALE = 2.0**-26


@dataclasses.dataclass(frozen=True)
class Finding:
    """One thing that is wrong with a model on its target.

    Args:
        code: Short name of the kind of finding.
        severity: `"error"` if the target can't run it, `"warning"` if it may be wrong.
        message: What is wrong.
        where: The operator or tensor, named after the Keras layer where that is known.
        fix: What to do.
    """

    code: str
    severity: str
    message: str
    where: str
    fix: str

    def __str__(self):
        return f"{self.severity} {self.code}: {self.message} (at {self.where}). {self.fix}"


def lint(graph, target, quantization=None):
    """Checks a graph against a target.

    Args:
        graph: `Graph`.
        target: `"mobile"`, `"mcu"` or `"arduino"`.
        quantization: How it was meant to be quantized, if that is known.

    Returns:
        List of `Finding`, empty when clean.

    Raises:
        ValueError: If the target is unknown.
    """
    check_choice("target", target, formats.TARGETS)
    findings = [*_custom(graph, target), *_float_islands(graph), *_vanishing_softmax(graph)]
    findings += [*_not_finite(graph), *_sixteen_bits(graph)]
    if quantization == "dynamic":
        findings += _left_in_float(graph)
    if target != "mobile":
        findings += [*_dynamic(graph), *_unsupported(graph, target), *_unquantized_kinds(graph)]
        findings += [*_sliced_loops(graph), *_scaled_relu6(graph)]
        findings += [*_run_time_shapes(graph), *_states(graph)]
    if target == "arduino":
        findings += _dense_per_channel(graph)
    return findings


def summarize(findings):
    """Returns one line per kind of finding: the first of them, and how many more there are.

    Args:
        findings: List of `Finding`.
    """
    kinds = {}
    for finding in findings:
        kinds.setdefault((finding.code, finding.message), []).append(finding)
    return [
        f"{same[0]}{f' {len(same) - 1} more like it.' if len(same) > 1 else ''}"
        for same in kinds.values()
    ]


def place_of(operator):
    """Returns where an operator stands, named after the Keras layer where that is known.

    Args:
        operator: `Operator`.
    """
    name = operator.outputs[0].name if operator.outputs else ""
    # The model's outputs are named after the call of the whole, in place of the layer.
    before = [tensor.name for tensor in operator.inputs if tensor is not None and tensor.name]
    if "PartitionedCall" in name and before:
        return f"{operator.name} after {before[0].split(';')[0]!r}"
    return f"{operator.name} {name.split(';')[0]!r}"


def _custom(graph, target):
    for operator in graph.operators:
        on_micro = operator.name in operators.MICRO
        if not operator.is_custom or (on_micro and target != "mobile"):
            continue
        yield Finding(
            "custom-operator",
            "error",
            f"{operator.name} is no builtin operator",
            place_of(operator),
            'TensorFlow Lite Micro alone has it: target="mcu".'
            if on_micro
            else "Replace the Keras layer by one made of builtin operations.",
        )


def _not_finite(graph):
    """Constants and scales that are NaN or infinite: every output would be NaN, or garbage."""
    seen = set()
    for operator in graph.operators:
        for tensor in (*operator.inputs, *operator.outputs):
            if tensor is None or not tensor.not_finite or (tensor.name, tensor.index) in seen:
                continue
            seen.add((tensor.name, tensor.index))
            masks = operator.name in _MASKING and tensor.not_finite == ("infinity",)
            part = "values" if tensor.is_constant else "scales"
            yield Finding(
                "not-finite",
                "warning" if masks and tensor.is_constant else "error",
                f"the {part} of {tensor.name!r} hold {' and '.join(tensor.not_finite)}",
                place_of(operator),
                "Train the model again, or take weights from before its training diverged.",
            )


def _dynamic(graph):
    for tensor in graph.inputs:
        if tensor.is_dynamic or (tensor.shape and tensor.shape[0] != 1):
            yield Finding(
                "dynamic-shape",
                "error",
                "microcontrollers need a static batch of 1",
                f"input {tensor.name!r} of shape {tensor.shape}",
                "Export with keras_distill.export_tflite, which fixes the batch.",
            )


def _unsupported(graph, target):
    known = operators.BY_TARGET[target]
    title = "current TensorFlow Lite Micro" if target == "mcu" else "the Arduino libraries"
    for operator in graph.operators:
        if operator.is_custom and operator.name not in operators.MICRO:
            continue
        if operator.name not in known:
            yield Finding(
                "unsupported-operator",
                "error",
                f"{title} can't run {operator.name}",
                place_of(operator),
                f'{_IN_PLACE_OF.get(operator.name, "Use another layer")}, or target="mobile".'
                if operator.name not in operators.MICRO
                else 'Use another layer, or target="mcu" on a board with current TFLM.',
            )
        elif foreign := operators.foreign_tensor(operator, known):
            tensor, dtypes = foreign
            yield Finding(
                "unsupported-type",
                "error",
                f"{title} can run {operator.name} on {' and '.join(dtypes)} only, not on "
                f"{tensor.dtype}",
                place_of(operator),
                _way_out_of_type(operator, tensor, dtypes),
            )


def _way_out_of_type(operator, tensor, dtypes):
    advice = _WITH_INTEGER_KERNELS.get(operator.name, "Use another layer")
    if operators.foreign_tensor(operator, operators.MICRO) is None:
        return f'{advice}, or target="mcu" on a board with current TFLM.'
    if tensor.dtype in ("int8", "int16") and "float32" in dtypes:
        return f'{advice}, or quantization=None, or target="mobile".'
    return f'{advice}, or target="mobile".'


def _unquantized_kinds(graph):
    for operator in graph.operators:
        data = [tensor for tensor in operator.inputs if tensor is not None]
        if any(tensor.dtype == "float16" for tensor in data):
            yield Finding(
                "float16",
                "error",
                "TensorFlow Lite Micro has no float16",
                place_of(operator),
                'Export with quantization="int8" or None.',
            )
        is_hybrid = operator.name in _WEIGHTED and len(data) > 1 and data[0].dtype == "float32"
        if is_hybrid and data[1].dtype == "int8":
            yield Finding(
                "hybrid",
                "error",
                "TensorFlow Lite Micro can't multiply float activations with int8 weights",
                place_of(operator),
                'Export with quantization="int8" and representative_data.',
            )


def _float_islands(graph):
    """Float computation inside a model whose inputs and outputs are all integers."""
    if any(tensor.dtype == "float32" for tensor in (*graph.inputs, *graph.outputs)):
        return
    for operator in graph.operators:
        computes_in_float = any(tensor.dtype == "float32" for tensor in operator.outputs)
        if computes_in_float and operator.name not in _CASTS:
            yield Finding(
                "float-island",
                "warning",
                f"{operator.name} computes in float inside an integer model",
                place_of(operator),
                "Replace the layer by one with integer kernels: BatchNormalization for "
                "LayerNormalization, ReLU for GELU. It may stay: float_layers asks for that.",
            )


def _vanishing_softmax(graph):
    for operator in graph.operators:
        scales = operator.inputs[0].scales if operator.name == "SOFTMAX" else ()
        if scales and scales[0] * operator.options.beta <= _SMALLEST_SOFTMAX_SCALE:
            yield Finding(
                "vanishing-softmax",
                "error",
                f"the softmax's inputs are all but equal (quantization scale {scales[0]:.1g}), and "
                "the interpreters end their process on that",
                place_of(operator),
                "Train the model first, or look for why its logits are near zero on the "
                "representative data.",
            )


def _sixteen_bits(graph):
    for operator in graph.operators:
        wrong = _IN_SIXTEEN_BITS.get(operator.name)
        if wrong and operator.inputs[0].dtype == "int16":
            code, message, fix = wrong
            yield Finding(code, "error", message, place_of(operator), fix)


def _sliced_loops(graph):
    names = {operator.name for operator in graph.operators}
    if {"WHILE", "SLICE"} <= names:
        yield Finding(
            "sliced-loop",
            "error",
            "recurrent layers that return sequences are silently wrong on TensorFlow Lite Micro",
            "WHILE with SLICE",
            "Use unroll=True, or return_sequences=False.",
        )


def _left_in_float(graph):
    """Weights that dynamic range quantization silently left in float."""
    for operator in graph.operators:
        weights = [t for t in operator.inputs[1:2] if t is not None and t.is_constant]
        if operator.name in _WEIGHTED and any(tensor.dtype == "float32" for tensor in weights):
            yield Finding(
                "left-in-float",
                "warning",
                "dynamic range quantization leaves weights of fewer than 1,024 elements in float",
                place_of(operator),
                'Export with quantization="int8" and representative_data to have all of them in '
                "8 bits.",
            )


def _run_time_shapes(graph):
    for operator in graph.operators:
        if operator.name in _RUN_TIME_SHAPES:
            yield Finding(
                "run-time-shape",
                "error",
                f"{operator.name} computes a shape at run time, which needs a dynamic arena",
                place_of(operator),
                "Build the model with fixed shapes and export it with "
                "keras_distill.export_tflite, which fixes the batch.",
            )


def _states(graph):
    for operator in graph.operators:
        if operator.name == "VAR_HANDLE":
            yield Finding(
                "state",
                "error",
                "the model keeps a variable between its calls, which the arena doesn't hold",
                place_of(operator),
                "Make the state an input and an output of the model.",
            )


def _scaled_relu6(graph):
    for operator in graph.operators:
        if operator.name != "RELU6" or not operator.inputs[0].scales:
            continue
        ends = [(end.scales, end.zero_points) for end in (operator.inputs[0], operator.outputs[0])]
        if ends[0] != ends[1]:
            yield Finding(
                "relu6-scale",
                "error",
                "TensorFlow Lite Micro's RELU6 ignores that its output has another scale than its "
                "input, and gives silently wrong answers",
                place_of(operator),
                "Put the ReLU6 right after a convolution, a dense layer or an addition, which then "
                "does its work; or use ReLU.",
            )


def _dense_per_channel(graph):
    for operator in graph.operators:
        if operator.name == "FULLY_CONNECTED" and len(operator.inputs[1].scales) > 1:
            yield Finding(
                "dense-per-channel",
                "error",
                "the older Arduino forks ignore per-channel scales of Dense and give wrong answers",
                place_of(operator),
                'Export with keras_distill.export_tflite(..., target="arduino").',
            )
