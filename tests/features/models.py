"""Models of several kinds: nested, recurrent, with attention; and how layers of two are chosen."""

import keras

from keras_distill import architectures
from keras_distill.features import automatic_layers

layers = keras.layers


def nested():
    inner = architectures.small_cnn((16, 16, 3), 5, filters=(2, 3))
    backbone = keras.Model(inner.inputs, inner.get_layer("stage2_out").output, name="backbone")
    inputs = keras.Input((16, 16, 3))
    x = layers.GlobalAveragePooling2D()(backbone(inputs))
    return keras.Model(inputs, layers.Dense(4, name="head")(x))


def rnn(units=6):
    inputs = keras.Input((8, 8))
    x = layers.GRU(units, return_sequences=True, name="gru")(inputs)
    return keras.Model(inputs, layers.Dense(3, name="logits")(layers.GlobalAveragePooling1D()(x)))


def encoder(blocks, heads=2):
    tokens = keras.Input((6,), dtype="int32")
    x = layers.Embedding(20, 8)(tokens)
    for index in range(blocks):
        x = x + layers.MultiHeadAttention(heads, 4, name=f"attention_{index}")(x, x)
    return keras.Model(tokens, layers.Dense(3, name="logits")(layers.GlobalMaxPooling1D()(x)))


def choose(rule, teacher, student):
    found = [
        automatic_layers.candidates(rule, model, branch)
        for model, branch in ((teacher, "teacher"), (student, "student"))
    ]
    return automatic_layers.pair(rule, *found)
