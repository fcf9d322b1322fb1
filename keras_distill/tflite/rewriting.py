"""Layers that compute the same by operators that their target has, while a model is traced."""

import contextlib
import functools

import keras
import tensorflow as tf

from keras_distill._compat import all_layers, set_forward

# Each step of an unrolled layer is ten to thirty operators, for each of which the interpreter keeps
# about a hundred bytes of the arena.
MOST_STEPS = 64


@contextlib.contextmanager
def for_target(model, target, quantization):
    """Layers of a model compute by operators that a target has, while this is open.

    - `LSTM`, `GRU`, `SimpleRNN` and `RNN` of up to 64 steps are unrolled in integers, in which
      loops end the converter, and on boards where they return sequences, which are wrong there.
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
            forward = _forward_of(layer, target, quantization)
            if forward is not None:
                call = functools.partial(forward, layer, layer.call)
                changes.enter_context(set_forward(layer, call))
        yield model


def _forward_of(layer, target, quantization):
    """Returns the function by which a layer computes on a target; `None` for its own."""
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
)
_ON_BOARDS = {
    keras.layers.Embedding: _gathered,
    keras.layers.LayerNormalization: _centered,
    keras.layers.RepeatVector: _repeated_vector,
    keras.layers.UpSampling1D: _repeated_steps,
    keras.layers.UpSampling2D: _resized,
}
