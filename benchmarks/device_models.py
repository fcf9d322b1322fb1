"""Small varied Keras models: each layer of `keras.layers`, operations, and known networks.

`MODELS` maps a name to a function that returns a built model. Most put one layer between others
that are known to run, so that what fails is that layer.
"""

import keras
import numpy as np
from keras import ops

layers = keras.layers
applications = keras.applications

TOKENS = 20
ACTIVATIONS = (
    "celu elu exponential gelu hard_shrink hard_sigmoid hard_silu hard_tanh leaky_relu linear "
    "log_sigmoid log_softmax mish relu relu6 selu sigmoid silu soft_shrink softmax softplus "
    "softsign sparse_plus sparse_sigmoid sparsemax squareplus tanh tanh_shrink"
).split()


def rows(*middle):
    """Returns a network of rows of numbers: two dense layers with others between them."""
    x = inputs = keras.Input((12,))
    for layer in (layers.Dense(16, name="first"), *middle, layers.Dense(4, name="last")):
        x = layer(x)
    return keras.Model(inputs, x)


def pictures(*middle, head=True):
    """Returns a network of pictures: a convolution, the given layers, and a dense head."""
    x = inputs = keras.Input((12, 12, 3))
    for layer in (layers.Conv2D(6, 3, padding="same", activation="relu", name="first"), *middle):
        x = layer(x)
    return keras.Model(inputs, layers.Dense(4, name="last")(layers.Flatten()(x)) if head else x)


def series(*middle, head=True):
    """Returns a network of series: a convolution, the given layers, and a dense head."""
    x = inputs = keras.Input((16, 5))
    for layer in (layers.Conv1D(6, 3, activation="relu", name="first"), *middle):
        x = layer(x)
    return keras.Model(inputs, layers.Dense(4, name="last")(layers.Flatten()(x)) if head else x)


def recurrent(*stack):
    """Returns a network that is recurrent from its input on."""
    return keras.Sequential([keras.Input((12, 5)), *stack, layers.Dense(4, name="last")])


def volumes(*middle):
    """Returns a network of volumes."""
    return keras.Sequential(
        [keras.Input((6, 6, 6, 2)), *middle, layers.Flatten(), layers.Dense(4, name="last")]
    )


def clips(layer):
    """Returns a network of short clips of pictures."""
    return keras.Sequential(
        [keras.Input((4, 8, 8, 2)), layer, layers.Flatten(), layers.Dense(4, name="last")]
    )


def tokens(*middle, dtype="int32"):
    """Returns a network of tokens: an embedding and the given layers."""
    x = inputs = keras.Input((10,), dtype=dtype)
    for layer in (layers.Embedding(TOKENS, 8, name="embedding"), *middle):
        x = layer(x)
    return keras.Model(inputs, layers.Dense(4, name="last")(x))


def joined(layer, widths=(8, 8)):
    """Returns a network whose two branches a layer joins."""
    inputs = keras.Input((12,))
    branches = [layers.Dense(width, name=f"branch_{i}")(inputs) for i, width in enumerate(widths)]
    return keras.Model(inputs, layers.Dense(4, name="last")(layer(branches)))


def computed(function):
    """Returns a network that computes with operations between two dense layers."""
    inputs = keras.Input((12,))
    x = function(layers.Dense(16, name="first")(inputs))
    return keras.Model(inputs, layers.Dense(4, name="last")(x))


def reduced(function):
    """Returns a network that reduces the steps of a series by an operation."""
    inputs = keras.Input((16, 5))
    x = function(layers.Conv1D(6, 3, name="first")(inputs))
    return keras.Model(inputs, layers.Dense(4, name="last")(x))


def attended(attention):
    """Returns a network that attends to a series."""
    inputs = keras.Input((16, 5))
    x = layers.Dense(8, name="first")(inputs)
    x = layers.GlobalAveragePooling1D()(attention(x))
    return keras.Model(inputs, layers.Dense(4, name="last")(x))


def transformer(activation="relu"):
    """Returns a block of a transformer, normalized after each part."""
    inputs = keras.Input((16, 5))
    x = layers.Dense(8, name="first")(inputs)
    x = layers.Add()([x, layers.MultiHeadAttention(2, 4, name="attention")(x, x)])
    x = layers.LayerNormalization(name="norm_1")(x)
    y = layers.Dense(8)(layers.Dense(16, activation=activation, name="wide")(x))
    x = layers.LayerNormalization(name="norm_2")(layers.Add()([x, y]))
    return keras.Model(inputs, layers.Dense(4, name="last")(layers.GlobalAveragePooling1D()(x)))


def two_inputs():
    """Returns a network of a picture and a row of numbers."""
    image, row = keras.Input((12, 12, 3), name="image"), keras.Input((5,), name="row")
    x = layers.GlobalAveragePooling2D()(layers.Conv2D(6, 3, activation="relu")(image))
    return keras.Model([image, row], layers.Dense(4)(layers.Concatenate()([x, row])))


def two_outputs():
    """Returns a network of two heads."""
    inputs = keras.Input((12,))
    x = layers.Dense(16, activation="relu")(inputs)
    return keras.Model(inputs, [layers.Dense(4)(x), layers.Dense(1, activation="sigmoid")(x)])


def tokens_and_numbers():
    """Returns a network of token ids and float features."""
    ids, row = keras.Input((10,), dtype="int32", name="ids"), keras.Input((5,), name="row")
    x = layers.GlobalAveragePooling1D()(layers.Embedding(TOKENS, 8, name="embedding")(ids))
    return keras.Model([ids, row], layers.Dense(4)(layers.Concatenate()([x, row])))


def residual():
    """Returns a residual block with batch normalizations."""
    inputs = keras.Input((12, 12, 3))
    x = layers.ReLU()(layers.BatchNormalization()(layers.Conv2D(6, 3, padding="same")(inputs)))
    y = layers.BatchNormalization()(layers.Conv2D(6, 3, padding="same")(x))
    x = layers.ReLU()(layers.Add()([x, y]))
    return keras.Model(inputs, layers.Dense(4)(layers.GlobalAveragePooling2D()(x)))


def squeeze_and_excite():
    """Returns a convolution whose channels are weighted by what is in the picture."""
    inputs = keras.Input((12, 12, 3))
    x = layers.Conv2D(8, 3, padding="same", activation="relu")(inputs)
    gate = layers.GlobalAveragePooling2D(keepdims=True)(x)
    gate = layers.Conv2D(8, 1, activation="hard_sigmoid")(layers.Conv2D(2, 1)(gate))
    x = layers.GlobalAveragePooling2D()(layers.Multiply()([x, gate]))
    return keras.Model(inputs, layers.Dense(4)(x))


def u_net():
    """Returns a small U-Net: down, up, and a skip."""
    inputs = keras.Input((12, 12, 3))
    x = layers.Conv2D(6, 3, padding="same", activation="relu")(inputs)
    y = layers.Conv2D(8, 3, padding="same", activation="relu")(layers.MaxPooling2D()(x))
    y = layers.Conv2DTranspose(6, 2, strides=2)(y)
    return keras.Model(inputs, layers.Conv2D(2, 1)(layers.Concatenate()([x, y])))


def autoencoder():
    """Returns an autoencoder with upsampling."""
    inputs = keras.Input((12, 12, 3))
    x = layers.Conv2D(6, 3, strides=2, padding="same", activation="relu")(inputs)
    x = layers.Conv2D(3, 3, padding="same")(layers.UpSampling2D()(x))
    return keras.Model(inputs, x)


def of_images(build, side, **settings):
    """Returns a network of `keras.applications` with random weights and 5 classes."""
    return build(input_shape=(side, side, 3), weights=None, classes=5, **settings)


def _of_activations():
    """Yields each activation by its name, in a dense network."""
    for name in ACTIVATIONS:
        yield f"activation {name}", lambda name=name: rows(layers.Activation(name, name="middle"))


MODELS = {
    **dict(_of_activations()),
    "activation glu": lambda: computed(ops.glu),
    "activation threshold": lambda: computed(lambda x: ops.threshold(x, 0.2, 0.0)),
    "ReLU(max_value, negative_slope)": lambda: rows(layers.ReLU(3.0, 0.1, name="middle")),
    "PReLU": lambda: pictures(layers.PReLU(shared_axes=[1, 2], name="middle")),
    "LeakyReLU": lambda: pictures(layers.LeakyReLU(name="middle")),
    "Softmax over steps": lambda: series(layers.Softmax(axis=1, name="middle")),
    "Dropout, noise, regularization": lambda: rows(
        layers.Dropout(0.3),
        layers.GaussianNoise(0.1),
        layers.AlphaDropout(0.1),
        layers.ActivityRegularization(1e-3),
        layers.GaussianDropout(0.1),
    ),
    "SpatialDropout": lambda: pictures(layers.SpatialDropout2D(0.3)),
    "Conv1D causal, dilated": lambda: series(
        layers.Conv1D(6, 3, padding="causal", dilation_rate=2, name="middle")
    ),
    "Conv1D strided": lambda: series(layers.Conv1D(6, 3, strides=2, name="middle")),
    "Conv1DTranspose": lambda: series(layers.Conv1DTranspose(5, 3, strides=2, name="middle")),
    "DepthwiseConv1D": lambda: series(layers.DepthwiseConv1D(3, name="middle")),
    "SeparableConv1D": lambda: series(layers.SeparableConv1D(8, 3, name="middle")),
    "Conv2D strided": lambda: pictures(layers.Conv2D(6, 3, strides=2, name="middle")),
    "Conv2D dilated": lambda: pictures(layers.Conv2D(6, 3, dilation_rate=2, name="middle")),
    "Conv2D groups": lambda: pictures(layers.Conv2D(6, 3, groups=3, name="middle")),
    "Conv2DTranspose": lambda: pictures(
        layers.Conv2DTranspose(5, 3, strides=2, padding="same", activation="relu", name="middle")
    ),
    "DepthwiseConv2D": lambda: pictures(
        layers.DepthwiseConv2D(3, depth_multiplier=2, padding="same", name="middle")
    ),
    "DepthwiseConv2D dilated": lambda: pictures(
        layers.DepthwiseConv2D(3, dilation_rate=2, name="middle")
    ),
    "SeparableConv2D": lambda: pictures(layers.SeparableConv2D(8, 3, name="middle")),
    "Conv3D": lambda: volumes(layers.Conv3D(4, 3, name="middle")),
    "Conv3DTranspose": lambda: volumes(layers.Conv3DTranspose(2, 2, name="middle")),
    "MaxPooling1D": lambda: series(layers.MaxPooling1D(2, name="middle")),
    "AveragePooling1D": lambda: series(layers.AveragePooling1D(2, name="middle")),
    "GlobalMaxPooling1D": lambda: series(layers.GlobalMaxPooling1D(name="middle")),
    "GlobalAveragePooling1D": lambda: series(layers.GlobalAveragePooling1D(name="middle")),
    "MaxPooling2D same": lambda: pictures(layers.MaxPooling2D(3, 2, "same", name="middle")),
    "AveragePooling2D same": lambda: pictures(layers.AveragePooling2D(3, 2, "same", name="middle")),
    "GlobalMaxPooling2D": lambda: pictures(layers.GlobalMaxPooling2D(name="middle")),
    "GlobalAveragePooling2D": lambda: pictures(layers.GlobalAveragePooling2D(name="middle")),
    "AdaptiveAveragePooling2D": lambda: pictures(
        layers.AdaptiveAveragePooling2D((3, 4), name="middle")
    ),
    "AdaptiveMaxPooling2D": lambda: pictures(layers.AdaptiveMaxPooling2D((5, 5), name="middle")),
    "MaxPooling3D": lambda: volumes(layers.MaxPooling3D(2, name="middle")),
    "AveragePooling3D": lambda: volumes(layers.AveragePooling3D(2, name="middle")),
    "GlobalAveragePooling3D": lambda: volumes(layers.GlobalAveragePooling3D(name="middle")),
    "BatchNormalization, alone": lambda: series(
        layers.MaxPooling1D(2), layers.BatchNormalization(name="middle")
    ),
    "BatchNormalization of inputs": lambda: keras.Sequential(
        [keras.Input((12,)), layers.BatchNormalization(name="middle"), layers.Dense(4)]
    ),
    "LayerNormalization": lambda: rows(layers.LayerNormalization(name="middle")),
    "LayerNormalization of pictures": lambda: pictures(layers.LayerNormalization(name="middle")),
    "GroupNormalization": lambda: pictures(layers.GroupNormalization(3, name="middle")),
    "RMSNormalization": lambda: rows(layers.RMSNormalization(name="middle")),
    "UnitNormalization": lambda: rows(layers.UnitNormalization(name="middle")),
    "SpectralNormalization": lambda: rows(
        layers.SpectralNormalization(layers.Dense(8), name="middle")
    ),
    "Normalization": lambda: keras.Sequential(
        [keras.Input((12,)), layers.Normalization(mean=0.5, variance=2.0), layers.Dense(4)]
    ),
    "Rescaling": lambda: keras.Sequential(
        [
            keras.Input((12, 12, 3)),
            layers.Rescaling(0.5, 0.1, name="middle"),
            layers.Conv2D(4, 3),
            layers.Flatten(),
            layers.Dense(4),
        ]
    ),
    "Resizing bilinear": lambda: pictures(layers.Resizing(7, 9, name="middle")),
    "Resizing nearest": lambda: pictures(layers.Resizing(7, 9, "nearest", name="middle")),
    "CenterCrop": lambda: pictures(layers.CenterCrop(8, 8, name="middle")),
    "UpSampling1D": lambda: series(layers.UpSampling1D(2, name="middle")),
    "UpSampling2D nearest": lambda: pictures(layers.UpSampling2D(2, name="middle")),
    "UpSampling2D bilinear": lambda: pictures(
        layers.UpSampling2D(2, interpolation="bilinear", name="middle")
    ),
    "UpSampling3D": lambda: volumes(layers.UpSampling3D(2, name="middle")),
    "ZeroPadding1D": lambda: series(layers.ZeroPadding1D(2, name="middle")),
    "ZeroPadding2D": lambda: pictures(
        layers.ZeroPadding2D(((1, 2), (0, 3)), name="middle"), layers.Conv2D(4, 3)
    ),
    "Cropping1D": lambda: series(layers.Cropping1D(2, name="middle")),
    "Cropping2D": lambda: pictures(layers.Cropping2D(((1, 2), (0, 3)), name="middle")),
    "Reshape": lambda: rows(layers.Reshape((4, 4), name="middle"), layers.Flatten()),
    "Permute": lambda: pictures(layers.Permute((3, 1, 2), name="middle")),
    "RepeatVector": lambda: rows(
        layers.RepeatVector(3, name="middle"), layers.Conv1D(5, 2), layers.Flatten()
    ),
    "Embedding, int32": lambda: tokens(layers.Flatten()),
    "Embedding, float32": lambda: tokens(layers.GlobalAveragePooling1D(), dtype="float32"),
    "Embedding, mask": lambda: keras.Sequential(
        [
            keras.Input((10,), dtype="int32"),
            layers.Embedding(TOKENS, 8, mask_zero=True, name="embedding"),
            layers.GlobalAveragePooling1D(),
            layers.Dense(4),
        ]
    ),
    "Embedding, Conv1D": lambda: tokens(layers.Conv1D(6, 3), layers.GlobalMaxPooling1D()),
    "CategoryEncoding": lambda: keras.Sequential(
        [
            keras.Input((10,), dtype="int32"),
            layers.CategoryEncoding(TOKENS, "multi_hot", name="middle"),
            layers.Dense(4),
        ]
    ),
    "Discretization": lambda: keras.Sequential(
        [keras.Input((12,)), layers.Discretization([0.0, 1.0], name="middle"), layers.Dense(4)]
    ),
    "LSTM": lambda: recurrent(layers.LSTM(6, name="middle")),
    "LSTM, sequences": lambda: recurrent(
        layers.LSTM(6, return_sequences=True, name="middle"), layers.Flatten()
    ),
    "LSTM, two": lambda: recurrent(
        layers.LSTM(6, return_sequences=True, name="lower"), layers.LSTM(4, name="upper")
    ),
    "GRU": lambda: recurrent(layers.GRU(6, name="middle")),
    "GRU, reset before": lambda: recurrent(layers.GRU(6, reset_after=False, name="middle")),
    "SimpleRNN": lambda: recurrent(layers.SimpleRNN(6, name="middle")),
    "RNN of cells": lambda: recurrent(
        layers.RNN([layers.GRUCell(6), layers.LSTMCell(4)], name="middle")
    ),
    "Bidirectional LSTM": lambda: recurrent(layers.Bidirectional(layers.LSTM(5), name="middle")),
    "Bidirectional GRU, sequences": lambda: recurrent(
        layers.Bidirectional(layers.GRU(5, return_sequences=True), name="middle"), layers.Flatten()
    ),
    "GRU over an Embedding": lambda: tokens(layers.GRU(6, name="middle")),
    "LSTM, backwards": lambda: recurrent(layers.LSTM(6, go_backwards=True, name="middle")),
    "LSTM of 300 steps": lambda: keras.Sequential(
        [keras.Input((300, 2)), layers.LSTM(4, name="middle"), layers.Dense(4)]
    ),
    "ConvLSTM1D": lambda: keras.Sequential(
        [
            keras.Input((4, 8, 2)),
            layers.ConvLSTM1D(3, 3, name="middle"),
            layers.Flatten(),
            layers.Dense(4),
        ]
    ),
    "ConvLSTM2D": lambda: clips(layers.ConvLSTM2D(3, 3, name="middle")),
    "TimeDistributed Dense": lambda: recurrent(
        layers.TimeDistributed(layers.Dense(6, activation="relu"), name="middle"), layers.Flatten()
    ),
    "TimeDistributed Conv2D": lambda: clips(
        layers.TimeDistributed(layers.Conv2D(3, 3, activation="relu"), name="middle")
    ),
    "EinsumDense": lambda: series(layers.EinsumDense("abc,cd->abd", (14, 5), name="middle")),
    "Attention": lambda: attended(lambda x: layers.Attention(name="middle")([x, x])),
    "AdditiveAttention": lambda: attended(
        lambda x: layers.AdditiveAttention(name="middle")([x, x])
    ),
    "MultiHeadAttention": lambda: attended(
        lambda x: layers.MultiHeadAttention(2, 4, name="middle")(x, x)
    ),
    "MultiHeadAttention, causal": lambda: attended(
        lambda x: layers.MultiHeadAttention(2, 4, name="middle")(x, x, use_causal_mask=True)
    ),
    "MultiHeadAttention, mask": lambda: attended(
        lambda x: layers.MultiHeadAttention(2, 4, name="middle")(
            x, x, attention_mask=np.tri(16, 16, 5, dtype=bool)[None]
        )
    ),
    "GroupQueryAttention": lambda: attended(
        lambda x: layers.GroupQueryAttention(4, 4, 2, name="middle")(x, x)
    ),
    "transformer block": transformer,
    "transformer block, gelu": lambda: transformer("gelu"),
    "Add": lambda: joined(layers.Add(name="middle")),
    "Subtract": lambda: joined(layers.Subtract(name="middle")),
    "Multiply": lambda: joined(layers.Multiply(name="middle")),
    "Average": lambda: joined(layers.Average(name="middle")),
    "Maximum": lambda: joined(layers.Maximum(name="middle")),
    "Minimum": lambda: joined(layers.Minimum(name="middle")),
    "Concatenate": lambda: joined(layers.Concatenate(name="middle"), (8, 3)),
    "Dot": lambda: joined(layers.Dot(1, name="middle")),
    "ops.maximum(x, 0.5 x)": lambda: computed(lambda x: ops.maximum(x, 0.5 * x)),
    "ops.where": lambda: computed(lambda x: ops.where(x > 0, x, 0.1 * x)),
    "ops.exp": lambda: computed(ops.exp),
    "ops.log": lambda: computed(lambda x: ops.log(ops.abs(x) + 1.0)),
    "ops.sqrt": lambda: computed(lambda x: ops.sqrt(ops.abs(x) + 0.1)),
    "ops.rsqrt": lambda: computed(lambda x: ops.rsqrt(ops.abs(x) + 0.1)),
    "ops.square": lambda: computed(ops.square),
    "ops.divide": lambda: computed(lambda x: x / (ops.abs(x) + 1.0)),
    "ops.power": lambda: computed(lambda x: ops.power(ops.abs(x) + 0.1, 1.5)),
    "ops.sin": lambda: computed(ops.sin),
    "ops.abs": lambda: computed(ops.abs),
    "ops.negative": lambda: computed(lambda x: -x),
    "ops.clip": lambda: computed(lambda x: ops.clip(x, -0.5, 0.7)),
    "ops.round": lambda: computed(ops.round),
    "ops.erf": lambda: computed(ops.erf),
    "ops.cumsum": lambda: computed(lambda x: ops.cumsum(x, axis=-1)),
    "ops.sort": lambda: computed(lambda x: ops.sort(x, axis=-1)),
    "ops.sum": lambda: reduced(lambda x: ops.sum(x, axis=1)),
    "ops.mean": lambda: reduced(lambda x: ops.mean(x, axis=1)),
    "ops.max": lambda: reduced(lambda x: ops.max(x, axis=1)),
    "ops.min": lambda: reduced(lambda x: ops.min(x, axis=1)),
    "ops.prod": lambda: reduced(lambda x: ops.prod(x, axis=1)),
    "ops.var": lambda: reduced(lambda x: ops.var(x, axis=1)),
    "ops.norm": lambda: reduced(lambda x: ops.norm(x, axis=1)),
    "ops.stack": lambda: reduced(lambda x: ops.reshape(ops.stack([x[:, 0], x[:, 1]], 1), (-1, 12))),
    "ops.slice, flip": lambda: reduced(lambda x: ops.flip(x, axis=1)[:, 2]),
    "ops.argmax": lambda: keras.Sequential(
        [
            keras.Input((12,)),
            layers.Dense(5),
            layers.Lambda(lambda x: ops.argmax(x, -1), name="middle"),
        ]
    ),
    "ops.top_k": lambda: computed(lambda x: ops.top_k(x, 3)[0]),
    "ops.matmul": lambda: reduced(
        lambda x: ops.mean(ops.matmul(ops.transpose(x, (0, 2, 1)), x), axis=1)
    ),
    "two inputs": two_inputs,
    "two outputs": two_outputs,
    "tokens and numbers": tokens_and_numbers,
    "residual block": residual,
    "squeeze and excite": squeeze_and_excite,
    "U-Net": u_net,
    "autoencoder": autoencoder,
    "MobileNet 0.25": lambda: of_images(applications.MobileNet, 96, alpha=0.25),
    "MobileNetV2 0.35": lambda: of_images(applications.MobileNetV2, 64, alpha=0.35),
    "MobileNetV3Small": lambda: of_images(applications.MobileNetV3Small, 64),
    "MobileNetV3Small minimalistic": lambda: of_images(
        applications.MobileNetV3Small, 64, minimalistic=True
    ),
    "EfficientNetB0": lambda: of_images(applications.EfficientNetB0, 32),
    "EfficientNetV2B0": lambda: of_images(applications.EfficientNetV2B0, 32),
}
