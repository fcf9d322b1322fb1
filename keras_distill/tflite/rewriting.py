"""Layers that compute the same by operators that their target has, while a model is traced."""

import contextlib
import functools
import inspect

import keras
import tensorflow as tf

from keras_distill._compat import all_layers, attention_by, attention_of, forward_by

# Each step of an unrolled layer is ten to thirty operators, for each of which the interpreter keeps
# about a hundred bytes of the arena.
MOST_STEPS = 64


@contextlib.contextmanager
def for_target(model, target, quantization):
    """Layers of a model compute by operators that a target has, while this is open.

    - Recurrent layers of up to 64 steps are unrolled in integers, in which loops end the converter,
      and on boards where they return sequences, which are wrong there.
    - In int8, masks of softmax and attention are multiplied, since a huge negative number takes the
      whole range.
    - For boards, nearest `UpSampling2D` becomes RESIZE_NEAREST_NEIGHBOR, since TILE isn't there.
    - For boards, `Embedding` becomes GATHER; Keras lets negative ids count from the end, by SELECT.
    - For boards, `RepeatVector` and `UpSampling1D` become PACK, since TILE isn't there.
    - For boards, `LayerNormalization` subtracts the mean first, which loses less in 8 bits.

    Layers of a subclass, which may compute something else, stay.

    Args:
        model: Built `keras.Model`. It is as before when this is closed.
        target: `"mobile"`, `"mcu"` or `"arduino"`.
        quantization: How it will be quantized.

    Yields:
        `model`.
    """
    with contextlib.ExitStack() as changes:
        for layer in all_layers(model):
            if type(layer) in _ATTENTION and quantization == "int8":
                attention = functools.partial(_by_softmax, layer, attention_of(layer))
                changes.enter_context(attention_by(layer, attention))
            forward = _forward_of(layer, target, quantization)
            if forward is not None:
                call = functools.partial(forward, layer, layer.call)
                changes.enter_context(forward_by(layer, call))
        yield model


def _forward_of(layer, target, quantization):
    """Returns the function by which a layer computes on a target; `None` for its own."""
    if type(layer) is keras.layers.Softmax:
        return _masked if quantization == "int8" else None
    if type(layer) not in _RECURRENT:
        return None if target == "mobile" else _ON_BOARDS.get(type(layer))
    in_order = not (layer.return_sequences or layer.go_backwards)
    may_loop = quantization not in ("int8", "int16x8") and (target == "mobile" or in_order)
    return None if may_loop else _unrolled


def _resized(layer, call, inputs):
    shape = inputs.shape
    if (
        layer.interpolation != "nearest"
        or layer.data_format != "channels_last"
        or None in shape[1:]
    ):
        return call(inputs)
    size = (shape[1] * layer.size[0], shape[2] * layer.size[1])
    return keras.ops.image.resize(inputs, size, "nearest", data_format="channels_last")


def _repeated_steps(layer, call, inputs):
    if inputs.shape[1] is None:
        return call(inputs)
    repeated = keras.ops.stack([inputs] * layer.size, axis=2)
    return keras.ops.reshape(repeated, (-1, inputs.shape[1] * layer.size, inputs.shape[2]))


def _repeated_vector(layer, call, inputs):
    return keras.ops.stack([inputs] * layer.n, axis=1)


def _centered(layer, call, inputs):
    if layer.rms_scaling:
        return call(inputs)
    # Keras scales first and subtracts the scaled mean, two large numbers in 8 bits.
    axes = keras.tree.flatten(layer.axis)
    centered = inputs - keras.ops.mean(inputs, axes, keepdims=True)
    variance = keras.ops.mean(centered * centered, axes, keepdims=True)
    outputs = centered * keras.ops.rsqrt(variance + layer.epsilon)
    shape = [1] * len(inputs.shape)
    for axis in axes:
        shape[axis] = inputs.shape[axis]
    if layer.scale:
        outputs = outputs * keras.ops.reshape(layer.gamma, shape)
    return outputs + keras.ops.reshape(layer.beta, shape) if layer.center else outputs


def _masked(layer, call, inputs, mask=None):
    if mask is None:
        return call(inputs, mask=mask)
    # Keras puts a huge negative number under the mask, next to which 8 bits hold nothing else.
    shown = keras.ops.cast(mask, inputs.dtype)
    inputs = inputs * shown
    largest = keras.ops.max(inputs, axis=layer.axis, keepdims=True)
    exponentials = keras.ops.exp(inputs - largest) * shown
    return exponentials / keras.ops.sum(exponentials, axis=layer.axis, keepdims=True)


def _by_softmax(layer, attention, *args, **kwargs):
    call = inspect.signature(attention).bind(*args, **kwargs)
    is_masked = call.arguments.get("attention_mask") is not None
    if is_masked or call.arguments.get("use_causal_mask"):
        # Only this way is by the layer's softmax.
        call.arguments["return_attention_scores"] = True
    return attention(*call.args, **call.kwargs)


def _gathered(layer, call, inputs):
    rows = tf.gather(layer.embeddings, keras.ops.cast(inputs, "int32"))
    return keras.ops.cast(rows, layer.compute_dtype)


def _unrolled(layer, call, sequences, *args, **kwargs):
    steps, before = sequences.shape[1], layer.unroll
    layer.unroll = before or (steps is not None and steps <= MOST_STEPS)
    try:
        return call(sequences, *args, **kwargs)
    finally:
        layer.unroll = before


_RECURRENT = (
    keras.layers.LSTM,
    keras.layers.GRU,
    keras.layers.SimpleRNN,
    keras.layers.RNN,
    keras.layers.ConvLSTM1D,
    keras.layers.ConvLSTM2D,
)
_ATTENTION = (keras.layers.MultiHeadAttention, keras.layers.GroupQueryAttention)
_ON_BOARDS = {
    keras.layers.Embedding: _gathered,
    keras.layers.LayerNormalization: _centered,
    keras.layers.RepeatVector: _repeated_vector,
    keras.layers.UpSampling1D: _repeated_steps,
    keras.layers.UpSampling2D: _resized,
}
