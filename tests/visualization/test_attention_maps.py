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
    with pytest.raises(ValueError, match=r"give grid=.*\(4, 8\) after 0, \(8, 4\).*32 tokens"):
        attention_maps(model, pictures, "rows")
    assert attention_maps(model, pictures, "rows", grid=(4, 8)).shape == (2, 4, 8)


def patches(size, patch, special=0):
    """Returns a model whose tokens are as bright as the patches of an image, after some others."""
    inputs = keras.Input((*size, 1))
    means = LAYERS.AveragePooling2D(patch)(inputs)
    tokens = LAYERS.Reshape((-1, 1))(means)
    return keras.Model(inputs, LAYERS.ZeroPadding1D((special, 0), name="tokens")(tokens))


@pytest.mark.parametrize(
    ("size", "patch", "special", "grid"),
    [
        ((8, 8), (2, 2), 0, (4, 4)),
        ((8, 16), (4, 4), 0, (2, 4)),
        ((8, 16), (4, 4), 1, (2, 4)),
        ((12, 8), (2, 2), 1, (6, 4)),
        # A class token and registers.
        ((16, 16), (4, 4), 5, (4, 4)),
        # The last rows and columns are in no patch.
        ((11, 17), (5, 5), 0, (2, 3)),
        # Steps of a spectrogram.
        ((97, 40), (1, 40), 1, (97, 1)),
    ],
)
def test_the_grid_is_known_from_the_size_of_the_images(size, patch, special, grid):
    images = np.zeros((2, *size, 1), "float32")
    bright = [(0, grid[1] - 1), (grid[0] - 1, 0)]
    for image, (row, column) in zip(images, bright, strict=True):
        top, left = row * patch[0], column * patch[1]
        image[top : top + patch[0], left : left + patch[1]] = 1
    maps = attention_maps(patches(size, patch, special), images, "tokens")
    assert maps.shape == (2, *grid)
    assert [np.unravel_index(each.argmax(), grid) for each in maps] == bright
    np.testing.assert_allclose(maps.sum((1, 2)), 1)


def test_what_the_size_does_not_tell_is_said(pictures):
    model = patches((8, 8), (2, 1), special=3)
    assert attention_maps(model, pictures, "tokens", grid=(4, 8)).shape == (2, 4, 8)
    for arguments, message in (
        ({}, "no grids of whole patches"),
        ({"special_tokens": 3}, r"\(4, 8\) after 3, \(8, 4\) after 3"),
        ({"grid": (4, 8), "special_tokens": 2}, "a place for each token"),
        ({"grid": (6, 6)}, "a place for each token"),
        ({"grid": (4, 0)}, r"grid\[1\] must be at least 1"),
    ):
        with pytest.raises(ValueError, match=message):
            attention_maps(model, pictures, "tokens", **arguments)
    with pytest.raises(TypeError, match="grid must be a tuple"):
        attention_maps(model, pictures, "tokens", grid=4)


def test_a_feature_map_has_its_places(make_cnn, pictures):
    with pytest.raises(ValueError, match="a feature map, which has its places"):
        attention_maps(make_cnn(2), pictures, "stage1", special_tokens=1)


@pytest.fixture(scope="module")
def series_and_model():
    """Series with a bump of one of two signs somewhere, and a model that finds its sign."""
    keras.utils.set_random_seed(2)
    rng = np.random.default_rng(0)
    x = 0.1 * rng.normal(size=(128, 24, 1)).astype("float32")
    starts, labels = rng.integers(0, 20, 128), rng.integers(0, 2, 128)
    for row, start, label in zip(x, starts, labels, strict=True):
        row[start : start + 4] += 2 * label - 1
    model = keras.Sequential(
        [
            keras.Input((24, 1)),
            LAYERS.Conv1D(6, 3, padding="same", activation="relu", name="conv"),
            LAYERS.GlobalAveragePooling1D(),
            LAYERS.Dense(1, activation="sigmoid"),
        ]
    )
    model.compile(keras.optimizers.Adam(0.05), "binary_crossentropy", metrics=["accuracy"])
    model.fit(x, labels, batch_size=128, epochs=40, verbose=0)
    assert model.evaluate(x, labels, verbose=0)[1] > 0.95
    return x, starts, labels, model


@pytest.mark.parametrize("by_class", [False, True])
def test_a_model_of_series_looks_at_what_counts(series_and_model, by_class):
    x, starts, labels, model = series_and_model
    maps = attention_maps(model, x, "conv", classes=labels if by_class else None)
    assert maps.shape == (128, 24)
    np.testing.assert_allclose(np.square(maps).sum(1), 1, rtol=1e-4)
    at = maps.argmax(1)
    assert np.mean((starts - 1 <= at) & (at <= starts + 4)) > 0.95


def test_tokens_of_text_have_maps_of_scores_and_of_classes():
    keras.utils.set_random_seed(3)
    inputs = keras.Input((6,), dtype="int32")
    words = LAYERS.Embedding(9, 4, name="words")(inputs)
    tokens = LAYERS.ZeroPadding1D((1, 0))(words)
    attended = LAYERS.MultiHeadAttention(2, 2, name="attention")(tokens, tokens)
    model = keras.Model(inputs, LAYERS.Dense(3)(attended[:, 0]))
    model.trainable = False
    x = np.random.default_rng(0).integers(0, 9, (2, 6))
    # The class token isn't among the six places.
    maps = attention_maps(model, x, "attention:scores", query=0)
    every = attention_maps(model, x, "attention:scores", query=0, special_tokens=0)
    assert maps.shape == (2, 6) and every.shape == (2, 7)
    part = every[:, 1:]
    np.testing.assert_allclose(maps, part / np.linalg.norm(part, axis=1, keepdims=True), rtol=1e-5)
    of_class = attention_maps(model, x.tolist(), "words", classes=[0, 2])
    assert of_class.shape == (2, 6) and of_class.any()
    with pytest.raises(ValueError, match="name a layer of features"):
        attention_maps(model, x, classes=1)
    with pytest.raises(ValueError, match="special_tokens must be fewer"):
        attention_maps(model, x, "words", special_tokens=6)


def test_inputs_that_are_not_the_models_are_refused(make_cnn, pictures):
    endless = []
    endless.append(endless)
    for given in (pictures[..., 0], pictures[:, :4], np.zeros((2, 3)), endless):
        with pytest.raises(ValueError, match="images"):
            attention_maps(make_cnn(2), given, "stage1")
