"""Models cross to tf_keras and back unchanged, and its tools agree with what is done here."""

import keras
import numpy as np
import pytest

from keras_distill.compression import cluster, prune, quantize_aware
from keras_distill.compression.rewriting import calls_in
from keras_distill.compression.tf_keras_conversion import from_tf_keras, to_tf_keras
from keras_distill.compression.tfmot import require
from tests.compression.models import MODELS, compressed, data, sequential

layers = keras.layers


def images():
    """Most layers for images, with the arguments that differ from their defaults."""
    inputs = keras.Input((8, 8, 4), name="images")
    x = layers.LeakyReLU(0.1)(inputs)
    both = keras.regularizers.L1L2(0.1, 0.2)
    x = layers.DepthwiseConv2D(3, depth_multiplier=2, depthwise_regularizer=both)(x)
    x = layers.BatchNormalization(momentum=0.9, scale=False)(x)
    x = layers.GroupNormalization(2)(layers.PReLU(shared_axes=[1, 2])(x))
    x = layers.Conv2DTranspose(4, 3, kernel_constraint="max_norm", activation="gelu")(x)
    x = layers.Cropping2D(1)(layers.UpSampling2D(interpolation="bilinear")(x))
    x = layers.ZeroPadding2D(((1, 0), (0, 1)))(layers.Permute((2, 1, 3))(x))
    x = layers.GaussianNoise(0.1)(layers.SpatialDropout2D(0.1)(layers.ELU(0.5)(x)))
    x = layers.LayerNormalization(epsilon=0.01)(layers.AveragePooling2D(2)(x))
    x = layers.Rescaling(2.0, 1.0)(layers.ReLU(1.0, 0.1, 0.05)(x))
    return keras.Model(inputs, layers.Reshape((1, 4))(layers.GlobalMaxPooling2D()(x)))


def sentences():
    """Recurrent layers and attention."""
    inputs = keras.Input((None,), dtype="int32", name="words")
    x = layers.Embedding(20, 8)(inputs)
    x = layers.LSTM(6, return_sequences=True, unit_forget_bias=False)(x)
    x = layers.Add()([x, layers.MultiHeadAttention(2, 4)(x, x, use_causal_mask=True)])
    x = layers.SimpleRNN(4, return_sequences=True)(layers.Conv1D(4, 3, padding="causal")(x))
    return keras.Model(inputs, layers.RepeatVector(3)(layers.GRU(5)(x)))


def activations():
    """All activations that have the same meaning, as outputs of their own."""
    names = "elu exponential gelu leaky_relu relu relu6 selu silu softmax softplus tanh".split()
    inputs = keras.Input((5,))
    return keras.Model(inputs, {name: layers.Dense(4, name)(inputs) for name in names})


CONVERTED = MODELS | {make.__name__: make for make in (images, sentences, activations)}


@pytest.mark.parametrize("name", CONVERTED)
def test_there_and_back_nothing_changes(name):
    model = CONVERTED[name]()
    rng = np.random.default_rng(1)
    model.set_weights([rng.uniform(0.1, 0.5, weight.shape) for weight in model.get_weights()])
    if name == "sequential":
        model.get_layer("first").trainable = False
    if name == "residual":
        with pytest.raises(ValueError, match=r"'multiply' \(keras.*Multiply\) can't be converted"):
            to_tf_keras(model)
        model = keras.Model(model.input, model.get_layer("sum").output)
    x = data(model)[0] if name != "sentences" else rng.integers(0, 20, (4, 7))
    there = to_tf_keras(model)
    assert type(there).__module__.startswith("tf_keras")
    back = from_tf_keras(there)
    expected = keras.tree.flatten(model(x, training=False))
    for converted in (there, back):
        for one, two in zip(
            expected, keras.tree.flatten(converted(x, training=False)), strict=True
        ):
            np.testing.assert_allclose(one, two, atol=1e-6, rtol=1e-5)
    for one, two in zip(model.get_weights(), back.get_weights(), strict=True):
        np.testing.assert_array_equal(one, two)
    for original, layer in zip(calls_in(model), calls_in(back), strict=True):
        assert (layer.name, layer.trainable) == (original.name, original.trainable)
        if not isinstance(layer, keras.Model):
            assert type(layer) is type(original)
            assert arguments(layer) == arguments(original)
    assert keras.models.model_from_json(back.to_json()).count_params() == model.count_params()
    losses = [float(sum(converted.losses)) for converted in (model, there, back) if model.losses]
    np.testing.assert_allclose(losses, losses[:1] * len(losses), rtol=1e-6)


def test_a_model_without_layers_is_converted():
    inputs = keras.Input((4,), name="same")
    converted = to_tf_keras(keras.Model(inputs, inputs))
    np.testing.assert_array_equal(converted(np.ones((2, 4), "float32")), 1)


def arguments(layer):
    config = layer.get_config()
    # tf_keras keeps some numbers in float32.
    return {
        name: np.float32(value)
        if isinstance(value, float)
        else keras.tree.map_structure(str, value)
        for name, value in config.items()
        if name not in ("axis", "dtype", "seed") and "regularizer" not in name
    }


class Halved(keras.layers.Layer):
    def call(self, inputs):
        return inputs / 2


class Own(keras.regularizers.Regularizer):
    def __call__(self, x):
        return keras.ops.sum(x)

    def get_config(self):
        return {}


INPUTS = keras.Input((4,))
REFUSED = {
    "a layer of its own": (Halved(name="halved"), r"'halved' \(.*Halved\) can't be converted"),
    "a lambda": (layers.Lambda(lambda x: x, name="any"), r"'any' \(.*Lambda\) can't be converted"),
    "an activation that differs": (
        layers.Dense(2, "hard_sigmoid", name="hard"),
        "activation of the layer 'hard' .* is 'hard_sigmoid'",
    ),
    "an activation of its own": (
        layers.Dense(2, lambda x: x, name="own"),
        "activation of the layer 'own'",
    ),
    "a regularizer of its own": (
        layers.Dense(2, kernel_regularizer=Own(), name="own"),
        "kernel_regularizer of the layer 'own' .* is 'Own'",
    ),
    "an argument that is missing there": (
        layers.UnitNormalization(name="same", dtype="mixed_float16"),
        "'same' .* computes in float16",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_can_not_be_converted_is_named(case):
    layer, message = REFUSED[case]
    model = keras.Model(INPUTS, layers.Dense(2)(layer(INPUTS)))
    with pytest.raises(ValueError, match=message):
        to_tf_keras(model)


def test_an_argument_that_the_other_keras_lacks_is_named():
    inputs = keras.Input((6, 4))
    attention = layers.MultiHeadAttention(2, 4, name="gated", use_gate=True)
    with pytest.raises(ValueError, match="use_gate=True of the layer 'gated'"):
        to_tf_keras(keras.Model(inputs, attention(inputs, inputs)))


def test_a_layer_that_computes_something_else_is_named(monkeypatch):
    tf_keras = require("tf_keras")
    call = tf_keras.layers.ReLU.call
    monkeypatch.setattr(tf_keras.layers.ReLU, "call", lambda self, x: 1.001 * call(self, x))
    with pytest.raises(ValueError, match=r"'rectified' \(ReLU\) computes something else in tf_k"):
        to_tf_keras(keras.Model(INPUTS, layers.ReLU(name="rectified")(INPUTS)))


def test_bad_models_are_refused():
    with pytest.raises(TypeError, match=r"model must be a keras\.Model\. Received: model='model'"):
        to_tf_keras("model")
    with pytest.raises(TypeError, match=r"be a tf_keras\.Model\. Received: .*keras.*Sequential"):
        from_tf_keras(sequential())
    with pytest.raises(ValueError, match="doesn't show its graph"):
        to_tf_keras(keras.Sequential([layers.Dense(2)]))
    with pytest.raises(
        ValueError, match=r"'first' \(keras_distill.*PrunedDense\) can't be converted"
    ):
        to_tf_keras(prune(sequential()))


def cnn():
    """A model without batch normalization, which trains the same in both."""
    inputs = keras.Input((8, 8, 4))
    x = layers.Conv2D(8, 3, activation="relu", name="conv1")(inputs)
    x = layers.Conv2D(6, 3, strides=2, activation="relu", name="conv2")(x)
    return keras.Model(inputs, layers.Dense(3, name="logits")(layers.Flatten()(x)))


def train_on_the_same_batches(models, x, y, rate=0.05, epochs=3):
    """Trains each with its own Keras, on the same batches."""
    for model, its_keras in models:
        loss = its_keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile(its_keras.optimizers.SGD(rate, 0.9), loss)
        callbacks = getattr(model, "its_callbacks", [])
        model.fit(x, y, batch_size=16, epochs=epochs, shuffle=False, verbose=0, callbacks=callbacks)


@pytest.mark.parametrize("sparsity", [0.75, "2:4"])
def test_pruning_is_that_of_tfmot(sparsity):
    tfmot, tf_keras = require("tensorflow_model_optimization"), require("tf_keras")
    student = cnn()
    x, y = data(student)
    if sparsity == "2:4":
        ours, settings = prune(student, pattern="2:4"), {"sparsity_m_by_n": (2, 4)}
    else:
        ours = prune(student, sparsity, begin_step=1, end_step=9, initial_sparsity=0.1)
        schedule = tfmot.sparsity.keras.PolynomialDecay(0.1, sparsity, 1, 9, frequency=1)
        settings = {"pruning_schedule": schedule}
    theirs = tfmot.sparsity.keras.prune_low_magnitude(to_tf_keras(student), **settings)
    theirs.its_callbacks = [tfmot.sparsity.keras.UpdatePruningStep()]
    train_on_the_same_batches([(ours, keras), (theirs, tf_keras)], x, y)
    wrapped = {layer.layer.name: layer for layer in theirs.layers if hasattr(layer, "pruning_vars")}
    for layer in compressed(ours):
        [(kernel, mask, _)] = wrapped[layer.name].pruning_vars
        np.testing.assert_array_equal(layer.pruning_mask, mask.numpy())
        np.testing.assert_allclose(layer.kernel, kernel * mask, atol=1e-5)
        np.testing.assert_allclose(layer.bias, wrapped[layer.name].layer.bias, atol=1e-5)
        assert not np.allclose(layer.kernel, student.get_layer(layer.name).kernel, atol=1e-2)


def test_clustering_is_that_of_tfmot():
    tfmot, tf_keras = require("tensorflow_model_optimization"), require("tf_keras")
    student = cnn()
    x, y = data(student)
    ours = cluster(student, 6)
    theirs = tfmot.clustering.keras.cluster_weights(
        to_tf_keras(student),
        number_of_clusters=6,
        cluster_centroids_init=tfmot.clustering.keras.CentroidInitialization.KMEANS_PLUS_PLUS,
    )
    train_on_the_same_batches([(ours, keras), (theirs, tf_keras)], x, y, rate=0.005)
    stripped = tfmot.clustering.keras.strip_clustering(theirs)
    for layer in compressed(ours):
        theirs_kernel, theirs_bias = stripped.get_layer(layer.name).get_weights()
        np.testing.assert_allclose(layer.kernel, theirs_kernel, atol=1e-5)
        np.testing.assert_allclose(layer.bias, theirs_bias, atol=1e-5)
        assert not np.allclose(layer.kernel, student.get_layer(layer.name).kernel, atol=1e-3)


def bands(count):
    """Noise with a brighter band of rows, whose place is the label."""
    rng = np.random.default_rng(0)
    y = rng.integers(0, 3, count)
    x = rng.normal(size=(count, 8, 8, 4)).astype("float32")
    for image, label in zip(x, y, strict=True):
        image[3 * label : 3 * label + 2] += 0.35
    return x, y


def test_quantized_training_is_no_worse_than_that_of_tfmot():
    tfmot, tf_keras = require("tensorflow_model_optimization"), require("tf_keras")
    student = cnn()
    x, y = bands(1024)
    train_on_the_same_batches([(student, keras)], x[:512], y[:512], rate=0.02, epochs=6)
    theirs = tfmot.quantization.keras.quantize_model(to_tf_keras(student))
    ours = quantize_aware(student)
    train_on_the_same_batches([(ours, keras), (theirs, tf_keras)], x[:512], y[:512], rate=0.005)
    ours, theirs = (
        np.mean(model.predict(x[512:], verbose=0).argmax(axis=-1) == y[512:])
        for model in (ours, theirs)
    )
    # Two standard errors of a share of 512, at three quarters.
    assert theirs > 0.6 and ours > theirs - 0.04, (ours, theirs)
