"""Hooks inside layers: attention scores wherever they are computed, and pre-activations."""

import keras
import numpy as np
import pytest

from keras_distill import Distiller, FeatureExtractor, losses

TOKENS = np.random.default_rng(0).integers(1, 20, (3, 6))


class Encoder(keras.layers.Layer):
    """A subclassed layer that hides its attention, as KerasHub's TransformerEncoder does."""

    def __init__(self, heads, width, dropout=0.0, flash=None, **kwargs):
        super().__init__(**kwargs)
        self._self_attention_layer = keras.layers.MultiHeadAttention(
            heads, width // heads, dropout=dropout, flash_attention=flash, name="self_attention"
        )
        self._norm = keras.layers.LayerNormalization()

    def call(self, inputs, training=None, mask=None):
        attended = self._self_attention_layer(query=inputs, value=inputs, training=training)
        return self._norm(inputs + attended)


def transformer(encoder, width=8, mask_zero=False):
    tokens = keras.Input((6,), dtype="int32")
    x = keras.layers.Embedding(20, width, mask_zero=mask_zero, name="embedding")(tokens)
    x = encoder(x)
    x = keras.layers.GlobalAveragePooling1D(name="pool")(x)
    return keras.Model(tokens, keras.layers.Dense(3, name="logits")(x))


def expected_scores(model, attention, tokens, mask=None):
    """Computes softmax(q kᵀ / √d) from the layer's own kernels."""
    x = np.float64(model.get_layer("embedding")(tokens))
    projected = [
        np.einsum("btd,dhk->bhtk", x, np.float64(dense.kernel)) + np.float64(dense.bias)[:, None]
        for dense in (attention.query_dense, attention.key_dense)
    ]
    logits = np.einsum("bhtk,bhsk->bhts", *projected) / np.sqrt(attention.key_dim)
    if mask is not None:
        logits = np.where(mask[:, None, None, :], logits, -np.inf)
    exponentials = np.exp(logits - logits.max(-1, keepdims=True))
    return exponentials / exponentials.sum(-1, keepdims=True)


@pytest.mark.parametrize("dropout", [0.0, 0.5])
@pytest.mark.parametrize("path", ["encoder/self_attention", "encoder/_self_attention_layer"])
def test_scores_inside_a_subclassed_layer_equal_numpy(path, dropout):
    encoder = Encoder(2, 8, dropout, name="encoder")
    model = transformer(encoder)
    expected = expected_scores(model, encoder._self_attention_layer, TOKENS)
    for training in (False, True):
        output, features = FeatureExtractor(model, [f"{path}:scores"])(TOKENS, training=training)
        np.testing.assert_allclose(features[f"{path}:scores"], expected, atol=1e-6)
    np.testing.assert_allclose(
        FeatureExtractor(model, [f"{path}:scores"])(TOKENS)[0], model(TOKENS), atol=1e-6
    )
    assert output.shape == (3, 3)


def test_scores_that_flash_attention_would_skip_are_computed():
    encoder = Encoder(2, 8, flash=True, name="encoder")
    encoder._self_attention_layer._flash_attention = False
    model = transformer(encoder)
    encoder._self_attention_layer._flash_attention = True
    expected = expected_scores(model, encoder._self_attention_layer, TOKENS)
    _, features = FeatureExtractor(model, ["encoder/self_attention:scores"])(TOKENS)
    np.testing.assert_allclose(features["encoder/self_attention:scores"], expected, atol=1e-6)
    assert encoder._self_attention_layer._flash_attention is True


def test_padded_queries_have_scores_of_zero_and_padded_keys_are_not_attended():
    tokens = TOKENS.copy()
    tokens[:, 4:] = 0
    inputs = keras.Input((6,), dtype="int32")
    x = keras.layers.Embedding(20, 8, mask_zero=True, name="embedding")(inputs)
    attention = keras.layers.MultiHeadAttention(2, 4, name="attention")
    model = keras.Model(inputs, attention(x, x))
    scores = FeatureExtractor(model, ["attention:scores"])(tokens)[1]["attention:scores"]
    expected = expected_scores(model, attention, tokens, tokens > 0)
    np.testing.assert_allclose(scores[:, :, :4], expected[:, :, :4], atol=1e-6)
    np.testing.assert_array_equal(scores[:, :, 4:], 0.0)


def test_causal_attention_and_queries_keys_and_values():
    inputs = keras.Input((6, 8))
    attention = keras.layers.MultiHeadAttention(2, 4, name="attention")
    model = keras.Model(inputs, attention(inputs, inputs, use_causal_mask=True))
    paths = [f"attention:{what}" for what in ("scores", "query", "key", "value")]
    x = np.random.default_rng(0).random((3, 6, 8), "float32")
    features = FeatureExtractor(model, paths)(x)[1]
    above = np.triu(np.ones((6, 6), bool), 1)
    assert np.all(np.array(features["attention:scores"])[:, :, above] == 0)
    np.testing.assert_allclose(np.sum(features["attention:scores"], -1), 1.0, rtol=1e-6)
    np.testing.assert_allclose(features["attention:query"], attention.query_dense(x), atol=1e-6)
    np.testing.assert_allclose(features["attention:value"], attention.value_dense(x), atol=1e-6)


@pytest.mark.parametrize("causal", [False, True])
def test_raw_scores_are_those_before_the_softmax_and_zero_where_masked(causal):
    tokens = TOKENS.copy()
    tokens[:, 4:] = 0
    inputs = keras.Input((6,), dtype="int32")
    x = keras.layers.Embedding(20, 8, mask_zero=True)(inputs)
    attention = keras.layers.MultiHeadAttention(2, 4, name="attention")
    model = keras.Model(inputs, attention(x, x, use_causal_mask=causal))
    paths = [f"attention:{what}" for what in ("raw_scores", "scores", "query", "key")]
    features = FeatureExtractor(model, paths)(tokens)[1]
    raw, scores, query, key = (np.float64(features[path]) for path in paths)
    counts = (tokens > 0)[:, None, :, None] & (tokens > 0)[:, None, None]
    counts = np.broadcast_to(counts & (np.tri(6, dtype=bool) | (not causal)), raw.shape)
    expected = np.einsum("bqhd,bkhd->bhqk", query, key) / 2.0
    np.testing.assert_allclose(raw[counts], expected[counts], atol=1e-5)
    assert np.all(raw[~counts] == 0)
    weights = np.where(counts, np.exp(raw), 0.0)
    total = weights.sum(-1, keepdims=True)
    np.testing.assert_allclose(weights / np.where(total, total, 1), scores, atol=1e-5)
    np.testing.assert_array_equal(FeatureExtractor(model, paths[:1])(tokens)[0], model(tokens))


def test_raw_scores_of_attention_with_nothing_but_a_causal_mask():
    inputs = keras.Input((6, 8))
    attention = keras.layers.MultiHeadAttention(2, 4, name="attention")
    model = keras.Model(inputs, attention(inputs, inputs, use_causal_mask=True))
    x = np.random.default_rng(0).random((3, 6, 8), "float32")
    raw = np.array(FeatureExtractor(model, ["attention:raw_scores"])(x)[1]["attention:raw_scores"])
    assert np.all((raw == 0) == np.triu(np.ones((6, 6), bool), 1))


def test_raw_scores_of_attention_over_an_image_are_refused():
    inputs = keras.Input((3, 4, 8))
    attention = keras.layers.MultiHeadAttention(2, 4, attention_axes=(1, 2), name="attention")
    model = keras.Model(inputs, attention(inputs, inputs))
    with pytest.raises(ValueError, match="'attention' attends over several axes"):
        FeatureExtractor(model, ["attention:raw_scores"])(np.ones((2, 3, 4, 8)))


def test_grouped_query_attention_shows_its_raw_scores():
    inputs = keras.Input((6, 8))
    attention = keras.layers.GroupQueryAttention(4, 4, 2, name="attention")
    model = keras.Model(inputs, attention(inputs, inputs))
    x = np.random.default_rng(0).random((3, 6, 8), "float32")
    paths = ["attention:scores", "attention:raw_scores"]
    scores, raw = (FeatureExtractor(model, paths)(x)[1][path] for path in paths)
    np.testing.assert_allclose(keras.ops.softmax(raw), scores, atol=1e-6)


def test_grouped_query_attention_shows_its_scores():
    inputs = keras.Input((6, 8))
    attention = keras.layers.GroupQueryAttention(4, 4, 2, name="attention")
    model = keras.Model(inputs, attention(inputs, inputs))
    x = np.random.default_rng(0).random((3, 6, 8), "float32")
    output, features = FeatureExtractor(model, ["attention:scores"])(x)
    reference, scores = attention(x, x, return_attention_scores=True)
    np.testing.assert_allclose(features["attention:scores"], scores, atol=1e-6)
    np.testing.assert_allclose(output, reference, atol=1e-6)


def test_kerashub_encoders_are_tapped_without_weights_of_theirs(crossentropy):
    hub = pytest.importorskip("keras_hub")

    def model(heads, width):
        tokens = keras.Input((6,), dtype="int32")
        x = hub.layers.TokenAndPositionEmbedding(20, 6, width, mask_zero=True)(tokens)
        x = hub.layers.TransformerEncoder(2 * width, heads, name="encoder")(x)
        return keras.Model(tokens, keras.layers.Dense(3, name="logits")(x[:, 0]))

    teacher, student = model(4, 16), model(2, 8)
    distiller = Distiller(teacher, student, "amad")
    assert "encoder/self_attention_layer:scores (None, 4, 6, 6)" in distiller.describe()
    tokens = TOKENS.copy()
    tokens[:, 4:] = 0
    path = "encoder/self_attention_layer:scores"
    scores = np.array(FeatureExtractor(teacher, [path])(tokens)[1][path])
    assert np.all(scores[..., 4:] == 0)
    np.testing.assert_allclose(scores[:, :, :4].sum(-1), 1.0, rtol=1e-5)
    distiller.compile("adam", crossentropy)
    history = distiller.fit(tokens, np.array([0, 1, 2]), epochs=2, verbose=0).history
    assert np.isfinite(history["attention_map_alignment"]).all()


def test_other_layers_have_no_scores():
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2, name="dense")])
    with pytest.raises(ValueError, match=r"'dense:scores' of the model is a Dense, which has no"):
        FeatureExtractor(model, ["dense:scores"])


@pytest.mark.parametrize("activation", ["relu", keras.activations.gelu])
def test_preactivations_are_what_enters_the_activation(activation):
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((6, 6, 1)),
            layers.Conv2D(3, 3, activation=activation, name="conv"),
            layers.BatchNormalization(name="norm"),
            layers.ReLU(name="relu"),
            layers.Activation(activation, name="act"),
        ]
    )
    x = np.random.default_rng(0).standard_normal((2, 6, 6, 1)).astype("float32")
    paths = [
        "conv:preactivation",
        "conv",
        "relu:preactivation",
        "norm",
        "act:preactivation",
        "relu",
    ]
    features = FeatureExtractor(model, paths)(x)[1]
    conv = model.get_layer("conv")
    np.testing.assert_allclose(
        keras.activations.get(activation)(features["conv:preactivation"]), features["conv"]
    )
    assert np.min(features["conv:preactivation"]) < -0.2
    np.testing.assert_array_equal(features["relu:preactivation"], features["norm"])
    np.testing.assert_array_equal(features["act:preactivation"], features["relu"])
    assert conv.activation is keras.activations.get(activation)
    copy = keras.models.clone_model(model)
    assert copy.get_layer("conv").activation is keras.activations.get(activation)


def test_a_subclassed_layer_distils_with_several_losses_on_one_attention(crossentropy):
    teacher = transformer(Encoder(4, 16, 0.1, name="encoder"), 16, mask_zero=True)
    student = transformer(Encoder(2, 8, 0.1, name="encoder"), 8, mask_zero=True)
    path = "encoder/self_attention"
    distiller = Distiller(
        teacher,
        student,
        [
            losses.AttentionMapAlignment(f"{path}:scores", f"{path}:scores", divergence="kl"),
            losses.SelfAttentionRelation(path, path),
            "kd",
        ],
    )
    distiller.compile("adam", crossentropy, run_eagerly=True)
    history = distiller.fit(TOKENS, np.array([0, 1, 2]), epochs=3, verbose=0).history
    assert history["loss"][-1] < history["loss"][0]


def test_scores_must_be_tapped_by_name():
    model = transformer(Encoder(2, 8, name="encoder"))
    other = transformer(Encoder(4, 8, name="encoder"))
    with pytest.raises(ValueError, match=r'":scores" after its path'):
        Distiller(other, model, losses.AttentionMapAlignment("encoder", "encoder"))
    with pytest.raises(ValueError, match="numbers of heads must agree"):
        path = "encoder/self_attention:scores"
        Distiller(other, model, losses.HeadAttention(path, path))


def test_an_output_of_a_tapped_attention_layer_is_the_same_as_untapped():
    encoder = Encoder(2, 8, name="encoder")
    model = transformer(encoder)
    expected = model(TOKENS)
    FeatureExtractor(model, ["encoder/self_attention:scores"])
    np.testing.assert_array_equal(model(TOKENS), expected)


def test_activations_in_the_loop_of_a_recurrent_layer_are_refused():
    model = keras.Sequential([keras.Input((5, 3)), keras.layers.GRU(4, name="gru")])
    with pytest.raises(ValueError, match=r"'gru:preactivation' of the model is a GRU, which has"):
        FeatureExtractor(model, ["gru:preactivation"])
