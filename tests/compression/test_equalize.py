"""Equalization: the same outputs in float, and channels that int8 can hold."""

import keras
import numpy as np
import pytest

from keras_distill import compression, datasets
from keras_distill.compression import equalize, prune, quantize_aware, strip
from keras_distill.tflite import export_tflite
from tests.compression.models import MODELS, data

layers = keras.layers


def depthwise(dropout=0.2):
    """A chain of convolutions with everything that a factor passes between them."""
    inputs = keras.Input((8, 8, 3))
    x = layers.Conv2D(6, 3, use_bias=False, name="stem")(inputs)
    x = layers.ReLU()(layers.BatchNormalization(name="bn")(x))
    x = layers.ZeroPadding2D()(x)
    x = layers.DepthwiseConv2D(3, depth_multiplier=2, name="depthwise")(x)
    x = layers.Activation("relu")(x)
    x = layers.AveragePooling2D(2)(layers.Dropout(dropout)(x))
    x = layers.Conv2D(5, 1, name="pointwise")(x)
    x = layers.PReLU(shared_axes=[1, 2])(layers.BatchNormalization()(x))
    x = layers.Flatten()(x)
    x = layers.Dense(7, "leaky_relu", name="hidden")(x)
    return keras.Model(inputs, layers.Dense(4, name="logits")(x), name="net")


def sequences():
    stack = [
        layers.Conv1D(6, 3, padding="causal", name="conv"),
        layers.LeakyReLU(),
        layers.Conv1D(4, 3, activation="relu", name="next"),
        layers.GlobalMaxPooling1D(),
        layers.Dense(3, name="logits"),
    ]
    return keras.Sequential([keras.Input((10, 3)), *stack])


def nested():
    inner = keras.Sequential(
        [keras.Input((8, 8, 3)), layers.Conv2D(6, 1, name="one"), layers.ReLU()], name="inner"
    )
    inputs = keras.Input((8, 8, 3))
    x = layers.Conv2D(4, 3, activation="relu", name="two")(inner(inputs))
    return keras.Model(inputs, layers.Dense(2)(layers.GlobalAveragePooling2D()(x)))


FACTORIES = {
    "depthwise": depthwise,
    "sequences": sequences,
    "nested": nested,
    "sequential": MODELS["sequential"],
}


def with_bad_ranges(model, seed=0):
    """Sets weights to random values, whose channels differ by factors of up to e^4."""
    rng = np.random.default_rng(seed)
    for weight in model.weights:
        if weight.dtype != "float32":
            continue
        values = np.exp(rng.uniform(-2, 2, weight.shape))
        if "moving_variance" not in weight.path:
            values *= rng.choice([-1, 1], weight.shape)
        weight.assign(values)
    return model


def differences(model, other, training=False):
    x, _ = data(model, 16)
    expected = keras.ops.convert_to_numpy(model(x, training=training))
    found = keras.ops.convert_to_numpy(other(x, training=training))
    return np.abs(found - expected).max() / np.abs(expected).max()


def spread(values):
    """Largest over smallest of the channels' magnitudes."""
    largest = np.abs(values).reshape(-1, values.shape[-1]).max(0)
    return largest.max() / largest.min()


@pytest.mark.parametrize("has_data", [False, True])
@pytest.mark.parametrize("name", sorted(FACTORIES))
def test_outputs_are_the_same_in_float(name, has_data):
    model = with_bad_ranges(FACTORIES[name]())
    before = model.get_weights()
    equalized = equalize(model, data(model, 16)[0] if has_data else None)
    assert differences(model, equalized) < 1e-5
    assert any(np.any(a != b) for a, b in zip(before, equalized.get_weights(), strict=True))
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))
    names = [layer.name for layer in equalized.layers]
    assert names[-len(model.layers) :] == [layer.name for layer in model.layers]


def test_a_step_of_training_computes_the_same():
    model = with_bad_ranges(depthwise(dropout=0.0))
    assert differences(model, equalize(model), training=True) < 1e-4


def test_the_weights_that_write_and_read_a_channel_reach_equally_far():
    model = with_bad_ranges(sequences())
    first, second = (equalize(model).get_layer(name) for name in ("conv", "next"))
    written = np.abs(first.kernel.numpy()).max((0, 1))
    read = np.abs(second.kernel.numpy()).max((0, 2))
    np.testing.assert_allclose(written, read, rtol=1e-2)


def test_the_values_of_channels_reach_equally_far_where_a_depthwise_layer_reads_them():
    model = with_bad_ranges(depthwise())
    x, _ = data(model, 32)

    def values(of):
        return keras.Model(of.input, of.get_layer("depthwise").input)(x).numpy()

    found = [spread(values(one)) for one in (model, equalize(model), equalize(model, x))]
    assert found[0] > 20 and found[2] < 1.01


@pytest.mark.parametrize("kind", ["layer", "activation", "writer"])
def test_relu6_is_refused_kept_or_replaced(kind):
    keras.utils.set_random_seed(0)
    between = {
        "layer": [layers.ReLU(6.0, name="cut")],
        "activation": [layers.Activation("relu6", name="cut")],
        "writer": [],
    }[kind]
    model = keras.Sequential(
        [
            keras.Input((3,)),
            layers.Dense(5, "relu6" if kind == "writer" else None, name="dense"),
            *between,
            layers.Dense(4, "relu", name="next"),
            layers.Dense(2, name="logits"),
        ]
    )
    name = "dense" if kind == "writer" else "cut"
    with pytest.raises(ValueError, match=rf"ReLU6 in {name}.*relu6='refuse'"):
        equalize(model)
    kept = equalize(model, relu6="keep")
    assert differences(model, kept) < 1e-5
    np.testing.assert_array_equal(kept.get_layer("dense").kernel, model.get_layer("dense").kernel)
    replaced = equalize(model, relu6="replace")
    # The random inputs stay below 6, where both activations are the same.
    assert differences(model, replaced) < 1e-5
    assert not np.array_equal(replaced.get_layer("dense").kernel, model.get_layer("dense").kernel)
    large = np.full((1, 3), 100.0)
    assert np.abs(replaced(large) - model(large)).max() > 1


def test_channels_without_weights_and_zeros_stay():
    model = with_bad_ranges(sequences())
    kernel = model.get_layer("conv").kernel
    kernel.assign(kernel * np.array([0, 1, 1, 0, 1, 1], "float32"))
    model.get_layer("conv").bias.assign(np.zeros(6))
    equalized = equalize(model)
    assert differences(model, equalized) < 1e-5
    for before, after in zip(model.get_weights(), equalized.get_weights(), strict=True):
        np.testing.assert_array_equal(before == 0, after == 0)


def test_what_has_no_neighbors_is_refused():
    residual = MODELS["residual"]()
    shared = layers.Dense(4, "relu")
    inputs = keras.Input((4,))
    hidden = layers.Dense(4, "relu")(inputs)
    refused = [
        keras.Model(inputs, shared(shared(inputs))),
        keras.Model(inputs, [hidden, layers.Dense(2)(hidden)]),
        keras.Model(inputs, layers.Dense(2)(layers.Activation("tanh")(hidden))),
        keras.Model(inputs, layers.Add()([layers.Dense(4)(hidden), layers.Dense(4)(hidden)])),
    ]
    for model in refused:
        with pytest.raises(ValueError, match="no two neighboring"):
            equalize(model)
    # Its backbone has such a pair, its sum and its shared layer have none.
    assert differences(residual, equalize(residual)) < 1e-5


def test_arguments_are_checked():
    model = sequences()
    with pytest.raises(ValueError, match="relu6 must be"):
        equalize(model, relu6="clip")
    with pytest.raises(ValueError, match="representative_data must suit"):
        equalize(model, np.zeros((4, 3), "float32"))
    with pytest.raises(ValueError, match="pruned already"):
        equalize(prune(model, 0.5))
    with pytest.raises(TypeError, match=r"keras\.Model"):
        equalize("net")
    pruned = prune(model, 0.5)
    pruned(data(model, 4)[0], training=True)
    plain = strip(pruned)
    zeros = [np.mean(w == 0) for w in plain.get_weights()]
    assert [np.mean(w == 0) for w in equalize(plain).get_weights()] == zeros


def test_int8_keeps_the_accuracy_of_a_depthwise_network_with_bad_ranges(tmp_path):
    digits = datasets.load("digits")
    keras.utils.set_random_seed(1)
    inputs = keras.Input((8, 8, 1))
    x = layers.Conv2D(12, 3, 2, padding="same", activation="relu")(inputs)
    x = layers.DepthwiseConv2D(3, padding="same", activation="relu", name="depthwise")(x)
    x = layers.Conv2D(16, 1, activation="relu", name="pointwise")(x)
    model = keras.Model(inputs, layers.Dense(10)(layers.Flatten()(x)))
    model.compile(keras.optimizers.Adam(0.01), keras.losses.SparseCategoricalCrossentropy(True))
    model.fit(digits.x_train, digits.y_train, batch_size=64, epochs=5, verbose=0)
    factors = np.exp(np.linspace(-4, 4, 12)).astype("float32")
    for weight in (model.layers[1].kernel, model.layers[1].bias):
        weight.assign(weight * factors)
    kernel = model.get_layer("depthwise").kernel
    kernel.assign(kernel / factors[:, None])

    def accuracy(of):
        result = export_tflite(of, tmp_path / "net.tflite", "int8", digits.x_train[:80], "arduino")
        return np.mean(result.predict(digits.x_test[:200]).argmax(-1) == digits.y_test[:200])

    expected = model.predict(digits.x_test[:200], verbose=0).argmax(-1)
    in_float = np.mean(expected == digits.y_test[:200])
    assert in_float > 0.8 and accuracy(model) < in_float - 0.15
    for equalized in (equalize(model), compression.equalize(model, digits.x_train[:80])):
        assert accuracy(equalized) > in_float - 0.03
    assert quantize_aware(equalized, digits.x_train[:80]).count_params() > 0
