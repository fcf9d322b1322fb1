"""Attention layers and hidden states, found in transformers."""

import keras
import numpy as np
import pytest

from keras_distill.features.transformer_blocks import hidden_states
from tests.features.models import choose, encoder

layers = keras.layers


class Block(layers.Layer):
    """An encoder's block, or a decoder's with attention to itself and to a memory."""

    def __init__(self, attentions=1, **kwargs):
        super().__init__(**kwargs)
        self.attentions = [layers.MultiHeadAttention(2, 4) for _ in range(attentions)]

    def call(self, x):
        for attention in self.attentions:
            x = x + attention(x, x)
        return x


class Stack(layers.Layer):
    """Several blocks in one layer."""

    def __init__(self, blocks, **kwargs):
        super().__init__(**kwargs)
        self.blocks = [Block(2, name=f"block_{index}") for index in range(blocks)]

    def call(self, x):
        for block in self.blocks:
            x = block(x)
        return x


def of_blocks(*blocks):
    tokens = keras.Input((6,), dtype="int32")
    x = layers.Embedding(20, 8)(tokens)
    for block in blocks:
        x = block(x)
    return keras.Model(tokens, layers.Dense(3, name="logits")(x[:, 0]))


def test_hidden_states_are_what_enters_the_blocks_and_what_leaves_the_last():
    functional = encoder(2)
    names = ["attention_0:input", "attention_1:input"]
    pooling = functional.layers[-2]
    assert hidden_states(functional) == [*names, f"{pooling.name}:input"]
    custom = of_blocks(Block(name="first"), Block(2, name="second"))
    assert hidden_states(custom) == ["first:input", "second:input", "second"]
    stacked = of_blocks(Stack(2, name="stack"))
    expected = ["stack/block_0:input", "stack/block_1:input", "stack/block_1"]
    assert hidden_states(stacked) == expected


def test_the_last_hidden_states_of_a_tagger_are_the_last_sequence_of_their_width():
    tokens = keras.Input((6,), dtype="int32")
    x = layers.Embedding(20, 8)(tokens)
    attended = layers.MultiHeadAttention(2, 4, name="attention")(x, x)
    x = layers.LayerNormalization(name="norm")(layers.Add()([x, attended]))
    x = layers.Dropout(0.1)(x)
    tagger = keras.Model(tokens, layers.Dense(5, name="tags")(x))
    assert hidden_states(tagger) == ["attention:input", "norm"]


def test_hidden_states_that_cannot_be_told_are_to_be_named():
    class Reader(keras.Model):
        def __init__(self):
            super().__init__(name="reader")
            self.words = layers.Embedding(20, 8)
            self.attention = layers.MultiHeadAttention(2, 4)
            self.head = layers.Dense(3)

        def call(self, tokens):
            x = self.words(tokens)
            return self.head(keras.ops.mean(x + self.attention(x, x), axis=1))

    reader = Reader()
    reader(np.ones((1, 6), "int32"))
    with pytest.raises(ValueError, match=r"can't tell what leaves .* of the student.*'reader'"):
        choose("hidden_states", encoder(1), reader)
