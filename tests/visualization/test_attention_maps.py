"""Attention maps of a model: feature maps, tokens, heads and classes."""

import keras
import numpy as np
import pytest

from keras_distill.visualization import attention_map, attention_maps

LAYERS = keras.layers


@pytest.fixture(scope="module")
def pictures():
    return np.random.default_rng(0).random((2, 8, 8, 1), "float32")


@pytest.fixture(scope="module")
def transformer():
    """Attention over a class token and the 4 x 4 patches of an image."""
    keras.utils.set_random_seed(1)
    inputs = keras.Input((8, 8, 1))
    patches = LAYERS.Conv2D(6, 2, strides=2)(inputs)
    tokens = LAYERS.ZeroPadding1D((1, 0), name="tokens")(LAYERS.Reshape((16, 6))(patches))
    attended = LAYERS.MultiHeadAttention(2, 3, name="attention")(tokens, tokens)
    return keras.Model(inputs, LAYERS.Dense(3)(attended[:, 0]))


def unit(maps):
    return maps / np.sqrt(np.square(maps).sum((1, 2), keepdims=True))


def scores_of(model, pictures):
    tokens = keras.Model(model.inputs[0], model.get_layer("tokens").output)(pictures)
    attention = model.get_layer("attention")
    return attention(tokens, tokens, return_attention_scores=True)[1].numpy()


def test_a_feature_map_is_that_of_its_layer(make_cnn, pictures):
    model = make_cnn(2)
    stage = keras.Model(model.inputs[0], model.get_layer("stage1").output)(pictures)
    found = attention_maps(model, pictures, "stage1")
    np.testing.assert_allclose(found, attention_map(stage), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("head", [None, 1])
@pytest.mark.parametrize("query", ["mean", 0, 5])
def test_scores_are_those_of_the_head_and_the_query(transformer, pictures, head, query):
    scores = scores_of(transformer, pictures)
    scores = scores.mean(1) if head is None else scores[:, head]
    row = scores.mean(1) if query == "mean" else scores[:, query]
    # Without the class token, in the order of the patches.
    expected = unit(row[:, 1:].reshape(2, 4, 4))
    found = attention_maps(transformer, pictures, "attention:scores", head, query)
    np.testing.assert_allclose(found, expected, rtol=1e-4)


def test_tokens_lie_on_their_grid(transformer, pictures):
    tokens = keras.Model(transformer.input, transformer.get_layer("tokens").output)(pictures)
    expected = attention_map(tokens.numpy()[:, 1:].reshape(2, 4, 4, 6))
    np.testing.assert_allclose(attention_maps(transformer, pictures, "tokens"), expected, rtol=1e-4)


def test_a_class_map_is_the_last_stage_through_the_classifier(make_cnn, pictures):
    model = make_cnn(2, activation="softmax")
    model.trainable = False
    stage = keras.Model(model.inputs[0], model.get_layer("stage2").output)(pictures).numpy()
    kernel = model.get_layer("logits").kernel.numpy()
    for classes, chosen in ((1, [1, 1]), ([2, 0], [2, 0]), (np.eye(3)[[2, 1]], [2, 1])):
        maps = np.stack([stage[i] @ kernel[:, c] for i, c in enumerate(chosen)])
        positive = np.maximum(maps, 0)
        norms = np.sqrt(np.square(positive).sum((1, 2), keepdims=True))
        expected = positive / np.where(norms, norms, 1)
        found = attention_maps(model, pictures, classes=classes)
        np.testing.assert_allclose(found, expected, atol=1e-5)
        assert found.any()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "layer is missing"),
        ({"layer": "stage1", "head": 0}, "head and query choose among the scores"),
        ({"classes": 0, "query": 1}, "head and query choose among the scores"),
        ({"layer": "pool2"}, "must give features over space"),
        ({"layer": "pool2", "classes": 0}, "a layer with a feature map"),
        ({"classes": 3}, "classes must be of 0 to 2"),
        ({"classes": [0]}, "one for each of the 2 images"),
        ({"layer": "absent"}, "absent"),
    ],
)
def test_what_has_no_map_is_refused(make_cnn, pictures, arguments, message):
    with pytest.raises(ValueError, match=message):
        attention_maps(make_cnn(2), pictures, **arguments)


def test_heads_and_grids_that_are_not_there_are_refused(transformer, pictures):
    for arguments in ({"head": 2}, {"query": 17}):
        with pytest.raises(ValueError, match="at most"):
            attention_maps(transformer, pictures, "attention:scores", **arguments)
    model = keras.Sequential([keras.Input((8, 8, 1)), LAYERS.Reshape((32, 2), name="rows")])
    with pytest.raises(ValueError, match=r"tokens of a square grid.*32 tokens"):
        attention_maps(model, pictures, "rows")
