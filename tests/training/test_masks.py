"""Padding: what a Keras mask leaves out of tapped sequences stays out of the losses."""

import keras
import numpy as np
import pytest

from keras_distill import Distiller, FeatureExtractor, losses

layers = keras.layers


def pooled_classifier(width, heads, mask_zero=True):
    tokens = keras.Input((None,), dtype="int32")
    x = layers.Embedding(20, width, mask_zero=mask_zero, name="embedding")(tokens)
    attended = layers.MultiHeadAttention(heads, 4, name="attention")(x, x)
    x = layers.Dense(width, activation="relu", name="states")(attended)
    x = layers.GRU(width, return_sequences=True, name="steps")(x)
    x = layers.GlobalAveragePooling1D()(x)
    model = keras.Model(tokens, layers.Dense(3, name="logits")(x))
    model.set_weights([5.0 * weight for weight in model.get_weights()])
    return model


@pytest.fixture(scope="module")
def pair():
    keras.utils.set_random_seed(7)
    return pooled_classifier(8, 2), pooled_classifier(8, 4)


def padded(tokens, length):
    return np.pad(tokens, [(0, 0), (0, length - tokens.shape[1])])


@pytest.mark.parametrize(
    ("name", "layer"),
    [
        ("minilm", "attention"),
        ("fitnet", "states"),
        ("at", "states"),
        ("sp", "states"),
        ("rkd", "steps"),
        ("pkt", "attention"),
        ("fitnet", "steps"),
        ("at", "embedding"),
    ],
)
def test_padding_changes_nothing_in_losses_on_tapped_sequences(pair, name, layer):
    tokens = np.random.default_rng(0).integers(1, 20, (6, 5))
    loss = losses.get(name, teacher_layer_name=layer, student_layer_name=layer)
    distiller = Distiller(*pair, loss, student_loss_weight=0.0)
    distiller.compile("sgd", run_eagerly=True)
    values = [
        distiller.evaluate(padded(tokens, length), verbose=0, return_dict=True)[loss.name]
        for length in (5, 9)
    ]
    assert values[0] > 0
    assert values[1] == pytest.approx(values[0], rel=1e-5)


@pytest.mark.parametrize("run_eagerly", [False, True])
def test_a_mask_is_that_of_the_tapped_tensor(run_eagerly):
    model = pooled_classifier(8, 2)
    tokens = padded(np.ones((2, 3), "int32"), 5)
    paths = ["embedding", "attention:query", "attention:value", "states", "states:preactivation"]
    extract = FeatureExtractor(model, [*paths, "logits"])
    masks = {}

    def run(x):
        _, features = extract(x)
        masks.update({path: getattr(f, "_keras_mask", None) for path, f in features.items()})
        return [masks[path] for path in paths]

    found = run(tokens) if run_eagerly else keras.tree.map_structure(np.array, _traced(run)(tokens))
    assert masks["logits"] is None
    for mask in found:
        np.testing.assert_array_equal(mask, tokens > 0)


def _traced(function):
    import tensorflow as tf

    return tf.function(function)


def test_a_loss_that_takes_no_account_of_padding_says_so_once():
    teacher, student = pooled_classifier(8, 2), pooled_classifier(8, 2)
    loss = losses.get("cwd", teacher_layer_name="states", student_layer_name="states")
    distiller = Distiller(teacher, student, loss, student_loss_weight=0.0)
    distiller.compile("sgd")
    tokens = padded(np.ones((4, 3), "int32"), 5)
    with pytest.warns(UserWarning, match="ChannelWise takes no account of masks") as warned:
        distiller.fit(tokens, batch_size=2, epochs=2, verbose=0)
    assert len([w for w in warned if "takes no account" in str(w.message)]) == 1


def test_masked_positions_may_hold_nan():
    rng = np.random.default_rng(0)
    teacher, student = rng.random((2, 3, 4)), rng.random((2, 3, 4))
    mask = np.array([[True, True, False], [True, False, False]])
    teacher[~mask] = np.nan
    loss = losses.HintLearning("a", "b", projector=None)
    value = loss.compute_loss(teacher, student, teacher_mask=mask)
    expected = np.mean(
        [np.mean((t[m] - s[m]) ** 2) for t, s, m in zip(teacher, student, mask, strict=True)]
    )
    assert float(value) == pytest.approx(expected)
