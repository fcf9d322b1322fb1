"""Quantization-aware training: a student that trains with the rounding of int8."""

from typing import Any

import keras

from keras_distill._compat import all_layers, nodes_of
from keras_distill.arguments import check_finite_weights, check_flag
from keras_distill.compression.compressed_kernel import check_zeros
from keras_distill.compression.quantized_layers import (
    ActivationRange,
    QuantizedConv1D,
    QuantizedConv2D,
    QuantizedDense,
    QuantizedDepthwiseConv2D,
    SequenceNormalization,
)
from keras_distill.compression.rewriting import clone, copied_input, graph_of
from keras_distill.tflite.inputs import check_shapes, samples_of

_kl = keras.layers
_WITH_KERNEL = {
    _kl.Conv1D: QuantizedConv1D,
    _kl.Conv2D: QuantizedConv2D,
    _kl.DepthwiseConv2D: QuantizedDepthwiseConv2D,
    _kl.Dense: QuantizedDense,
}
_FOLDING = (_kl.Conv1D, _kl.Conv2D, _kl.DepthwiseConv2D)
_WITH_RANGE = (
    _kl.Activation,
    _kl.ReLU,
    _kl.Add,
    _kl.Concatenate,
    _kl.GlobalAveragePooling1D,
    _kl.GlobalAveragePooling2D,
    _kl.Softmax,
)
# Their outputs are some of their inputs' values, and int8 gives them the same scale.
_WITHOUT_CHANGE = (
    _kl.AveragePooling1D,
    _kl.AveragePooling2D,
    _kl.Cropping1D,
    _kl.Cropping2D,
    _kl.Dropout,
    _kl.Flatten,
    _kl.GlobalMaxPooling1D,
    _kl.GlobalMaxPooling2D,
    _kl.Identity,
    _kl.MaxPooling1D,
    _kl.MaxPooling2D,
    _kl.Permute,
    _kl.Reshape,
    _kl.SpatialDropout1D,
    _kl.SpatialDropout2D,
    _kl.ZeroPadding1D,
    _kl.ZeroPadding2D,
)
_FUSED = ("relu", "relu6", "linear")
_ACTIVATIONS = (*_FUSED, "softmax", "sigmoid", "tanh")


def quantize_aware(
    student: keras.Model, representative_data: Any = None, *, keep_zeros: bool = False
) -> keras.Model:
    """Returns a quantization-aware copy of a student: it trains with the rounding of int8.

    Kernels are rounded to 8 bits, per channel in convolutions and with one scale in dense layers;
    activations are rounded where int8 rounds them, over ranges that training learns. The gradient
    passes through. The result is a `keras.Model` of its own, with a copy of the weights and the
    same names of layers: `Distiller` trains it with any loss, and `export_tflite(...,
    quantization="int8")` takes its ranges, with no representative data.

    Args:
        student: Built Functional or Sequential `keras.Model`, in float32. Train it before: few
            epochs with rounding then suffice, at a low learning rate.
        representative_data: Inputs like those of training, from which the ranges start: an array
            of shape `(samples, ...)`, a list or dictionary of arrays, or a batched
            `tf.data.Dataset` of `x` or `(x, y)`, of which the first 500 samples are taken. Without
            it the first batch of training sets them.
        keep_zeros: Whether weights that are zero stay zero: those of a student that was pruned and
            stripped.

    Returns:
        `keras.Model`.

    Raises:
        TypeError: If `student` isn't a `keras.Model`.
        ValueError: If it holds layers that can't be quantized this way (all are named) or weights
            that aren't finite, `representative_data` doesn't suit it or isn't finite, or there are
            no zeros to keep.

    Example:

    ```python
    student = keras.Sequential(
        [keras.Input((8,)), keras.layers.Dense(4, "relu"), keras.layers.Dense(3)]
    )
    x, y = np.random.rand(64, 8).astype("float32"), np.random.randint(0, 3, 64)
    quantized = quantize_aware(student, x)
    quantized.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    quantized.fit(x, y, verbose=0)
    ```

    Reference:
        Jacob et al., "Quantization and Training of Neural Networks for Efficient
        Integer-Arithmetic-Only Inference", CVPR 2018.
    """
    check_flag("keep_zeros", keep_zeros)
    graph = _graph_of(student)
    nodes = nodes_of(graph)
    consumers = _consumers(nodes)
    _check_supported(student, nodes, consumers)
    check_finite_weights(student)
    if keep_zeros:
        kernels = (node.operation for node in nodes if type(node.operation) in _WITH_KERNEL)
        check_zeros(student, kernels)
    has_data = representative_data is not None
    arrays = _samples(student, representative_data) if has_data else None
    quantized = _Rewriter(student.name, graph, nodes, consumers, keep_zeros).rewrite()
    if has_data:
        _calibrate(quantized, arrays)
    return quantized


def _graph_of(student):
    graph = graph_of(student)
    if any(getattr(layer, "holds_range", False) for layer in all_layers(student)):
        raise ValueError(f"The model {student.name!r} is quantization-aware already.")
    if student.compute_dtype != "float32":
        raise ValueError(
            f"The model {student.name!r} computes in {student.compute_dtype}: build it with the "
            "float32 policy and copy the weights."
        )
    return graph


def _consumers(nodes):
    """Returns the operations that take each tensor, by the tensor's identity."""
    consumers = {}
    for node in nodes:
        for tensor in node.input_tensors if not node.is_input else ():
            consumers.setdefault(id(tensor), []).append(node.operation)
    return consumers


def _check_supported(student, nodes, consumers):
    """Checks that int8 does what the model does, layer by layer."""
    made_by = {id(tensor): node for node in nodes for tensor in node.output_tensors}
    refused = []
    for node in nodes:
        layer = node.operation
        reason = None if node.is_input else _reason_against(layer)
        if type(layer) is _kl.BatchNormalization:
            before = made_by[id(node.input_tensors[0])].operation
            alone = len(consumers[id(node.input_tensors[0])]) == 1
            if type(before) not in _FOLDING or _activation(before) != "linear" or not alone:
                reason = (
                    "only after a convolution without activation, whose output nothing else reads"
                )
            elif layer.axis not in (-1, len(node.output_tensors[0].shape) - 1):
                reason = f"axis {layer.axis}; possible is the last one"
        if reason is not None:
            refused.append(f"{layer.name} ({type(layer).__name__}): {reason}")
    if refused:
        names = sorted({kind.__name__ for kind in (*_WITH_KERNEL, *_WITH_RANGE, *_WITHOUT_CHANGE)})
        raise ValueError(
            f"The model {student.name!r} can't be trained with quantization:\n- "
            + "\n- ".join(refused)
            + f"\nThese can: {', '.join(names)}, BatchNormalization after a "
            "convolution. "
            'export_tflite(..., quantization="int8", representative_data=...) quantizes any model '
            "after training."
        )


def _reason_against(layer):
    """Says why a layer can't be quantized, or `None` if it can."""
    kind = type(layer)
    if kind in _WITH_KERNEL or kind in (_kl.Activation, _kl.ReLU):
        activation = _activation(layer)
        if activation not in _ACTIVATIONS:
            return f"activation {activation}; possible are {', '.join(_ACTIVATIONS)}"
        if getattr(layer, "data_format", "channels_last") != "channels_last":
            return "channels_first"
        return None
    if kind in (*_WITH_RANGE, *_WITHOUT_CHANGE, _kl.BatchNormalization):
        return None
    return "not possible"


def _activation(layer):
    """Names the activation of a layer; `"relu"` for all that TensorFlow Lite fuses as one."""
    if isinstance(layer, _kl.ReLU):
        is_usual = not layer.negative_slope and not layer.threshold
        return "relu" if is_usual and layer.max_value in (None, 6) else "ReLU with these arguments"
    activation = getattr(layer, "activation", None)
    return "linear" if activation is None else getattr(activation, "__name__", str(activation))


class _Rewriter:
    """Builds the quantized model along the graph of the student.

    Args:
        name: Name of the student.
        graph: Functional model.
        nodes: Its nodes, each after those that it depends on.
        consumers: Dictionary from a tensor's identity to the operations that take it.
        keep_zeros: Whether weights that are zero stay zero.
    """

    def __init__(self, name, graph, nodes, consumers, keep_zeros):
        self._model_name = name
        self._graph = graph
        self._nodes = nodes
        self._consumers = consumers
        self._keep_zeros = keep_zeros
        self._outputs = {id(tensor) for tensor in graph.outputs}
        self._layers = []
        self._ranged_inputs = {}
        self._names = {node.operation.name for node in nodes}

    def rewrite(self):
        """Returns the quantized model, with the student's weights."""
        inputs = keras.tree.map_structure(copied_input, self._graph.input)
        for tensor in keras.tree.flatten(inputs):
            if keras.backend.is_float_dtype(tensor.dtype):
                self._ranged_inputs[id(tensor)] = self._ranged(tensor, tensor.name)
        calls = (node for node in self._nodes if not node.is_input)
        cloned = clone(
            self._graph,
            self._model_name,
            inputs,
            self._new_layer,
            lambda layer, *args, **kwargs: self._call(next(calls), layer, args, kwargs),
        )
        model = keras.Model(inputs, self._with_ranges(cloned.output), name=cloned.name)
        for old, new in self._layers:
            new.set_weights(old.get_weights())
            new.trainable = old.trainable
        return model

    def _with_ranges(self, structure):
        """Returns tensors with each input replaced by its rounded values."""
        return keras.tree.map_structure(
            lambda value: self._ranged_inputs.get(id(value), value), structure
        )

    def _call(self, node, layer, args, kwargs):
        """Calls a new layer as a node of the student calls the old one, and rounds its outputs."""
        args, kwargs = self._with_ranges((args, kwargs))
        outputs = layer(*args, **kwargs)
        old = node.operation
        own = _activation(old) if type(old) in _WITH_KERNEL else "linear"
        if own not in _FUSED:
            # Int8 rounds what goes into such an activation too.
            outputs = self._ranged(outputs, old.name)
            outputs = _kl.Activation(own, name=self._name(f"{old.name}_{own}"))(outputs)
        return self._ranged(outputs, old.name) if self._is_rounded(node) else outputs

    def _new_layer(self, layer):
        config = layer.get_config()
        kind = _WITH_KERNEL.get(type(layer), type(layer))
        if kind is _kl.BatchNormalization and layer.input_spec.ndim == 3:
            kind = SequenceNormalization
        if kind is not type(layer) and _activation(layer) not in _FUSED:
            config["activation"] = "linear"
        if type(layer) in _WITH_KERNEL:
            config["keeps_zeros"] = self._keep_zeros
        new = kind.from_config(config)
        self._layers.append((layer, new))
        return new

    def _is_rounded(self, node):
        """Whether int8 rounds what comes out of a layer: not where it does two layers in one."""
        layer, [tensor] = node.operation, node.output_tensors
        is_end = _activation(layer) in ("softmax", "sigmoid", "tanh") or type(layer) is _kl.Softmax
        if type(layer) in _WITHOUT_CHANGE or is_end:
            # The scale of these activations is fixed, the converter knows it.
            return False
        after = self._consumers.get(id(tensor), [])
        if id(tensor) in self._outputs or len(after) != 1:
            return True
        if type(after[0]) in (_kl.BatchNormalization, _kl.Concatenate):
            # What is put together in int8 has one scale, that of the whole.
            return False
        # A Conv1D is a plane's convolution with a change of shape behind it.
        fuses = type(layer) in (*_FOLDING, _kl.Dense, _kl.BatchNormalization, _kl.Add)
        is_relu = type(after[0]) in (_kl.Activation, _kl.ReLU) and "relu" in _activation(after[0])
        return not (fuses and _activation(layer) == "linear" and is_relu)

    def _ranged(self, tensor, name):
        return ActivationRange(name=self._name(f"{name}_range"))(tensor)

    def _name(self, wanted):
        name, count = wanted, 1
        while name in self._names:
            name, count = f"{wanted}_{count}", count + 1
        self._names.add(name)
        return name


def _samples(student, data):
    """Returns representative data as a list of arrays, one per input."""
    arrays = samples_of(student, data, "representative_data")
    check_shapes("representative_data", [t.shape for t in student.inputs], arrays)
    return arrays


def _calibrate(model, arrays):
    """Lets the ranges learn from arrays, one per input, without training."""
    ranges = [layer for layer in model.layers if isinstance(layer, ActivationRange)]
    for layer in ranges:
        layer.is_calibrating = True
    try:
        for start in range(0, len(arrays[0]), 64):
            batch = [array[start : start + 64] for array in arrays]
            model(keras.tree.pack_sequence_as(model.input, batch))
    finally:
        for layer in ranges:
            layer.is_calibrating = False
