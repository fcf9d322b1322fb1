"""The teacher in inference form: the same numbers, and folded only where nothing can tell."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_distill import Distiller, SoftTargets, architectures
from keras_distill.features import FeatureExtractor

layers = keras.layers


def shake(model, seed=0):
    """Gives a model weights and statistics as training would, none of them neutral."""
    rng = np.random.default_rng(seed)
    for weight in model.weights:
        value = np.asarray(weight)
        weight.assign(value * rng.uniform(0.5, 1.5, value.shape) + rng.uniform(0, 0.2, value.shape))
    return model


def two_layers(convolution, shape, after=(), **normalization):
    inputs = keras.Input(shape)
    x = convolution(inputs)
    for layer in after:
        x = layer(x)
    x = layers.BatchNormalization(name="normal", **normalization)(x)
    return shake(keras.Model(inputs, layers.Activation("relu")(x)))


def folds(model, paths=()):
    return len(FeatureExtractor(model, list(paths), folds=True)._folded) // 2


def outputs(model, shape, folds, paths=(), training=False):
    x = np.random.default_rng(1).random((3, *shape), "float32")
    run = tf.function(FeatureExtractor(model, list(paths), folds=folds))
    return run(x, training=training)


@pytest.mark.parametrize(
    ("convolution", "shape"),
    [
        (layers.Conv2D(5, 3, strides=2, padding="same"), (9, 8, 3)),
        (layers.Conv2D(4, 3, dilation_rate=2, use_bias=False), (9, 8, 3)),
        (layers.Conv2D(6, 3, groups=3), (9, 8, 3)),
        (layers.Conv1D(5, 3, padding="causal"), (9, 3)),
        (layers.Conv3D(4, 2), (5, 4, 3, 2)),
        (layers.DepthwiseConv2D(3, depth_multiplier=2), (9, 8, 3)),
        (layers.DepthwiseConv1D(3, depth_multiplier=3, use_bias=False), (9, 3)),
    ],
)
@pytest.mark.parametrize("normalization", [{}, {"scale": False}, {"center": False}])
def test_folded_layers_give_the_same_output(convolution, shape, normalization):
    convolution = type(convolution).from_config(convolution.get_config())
    model = two_layers(convolution, shape, **normalization)
    assert folds(model) == 1
    expected = outputs(model, shape, folds=False)[0]
    found = outputs(model, shape, folds=True)[0]
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


def test_a_residual_network_is_folded_whole_and_its_taps_are_the_same():
    model = shake(architectures.resnet8(input_shape=(16, 16, 3)))
    normalizations = [n for n in model.layers if isinstance(n, layers.BatchNormalization)]
    paths = [layer.name for layer in model.layers if isinstance(layer, layers.Add)]
    paths += [f"{normalizations[0].name}"]
    assert folds(model, paths) == len(normalizations)
    expected = outputs(model, (16, 16, 3), False, paths)
    found = outputs(model, (16, 16, 3), True, paths)
    keras.tree.map_structure(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-4, atol=2e-4), found, expected
    )


def test_nested_and_sequential_models_are_folded():
    inner = keras.Sequential(
        [keras.Input((8, 8, 3)), layers.Conv2D(4, 3), layers.BatchNormalization()], name="inner"
    )
    middle = keras.Sequential([keras.Input((8, 8, 3)), inner, layers.ReLU()])
    inputs = keras.Input((8, 8, 3))
    outer = shake(keras.Model(inputs, layers.Flatten()(middle(inputs))))
    assert folds(outer) == 1
    expected, found = (outputs(outer, (8, 8, 3), way)[0] for way in (False, True))
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


def test_training_is_not_folded():
    model = two_layers(layers.Conv2D(4, 3), (8, 8, 3))
    sides = [outputs(model, (8, 8, 3), way, training=True)[0] for way in (False, True)]
    np.testing.assert_array_equal(*sides)


def test_the_weights_are_those_of_the_moment():
    model = two_layers(layers.Conv2D(4, 3), (8, 8, 3))
    x = np.ones((2, 8, 8, 3), "float32")
    run = tf.function(FeatureExtractor(model, [], folds=True))
    before = run(x)[0]
    shake(model, seed=5)
    np.testing.assert_allclose(run(x)[0], model(x), rtol=1e-5, atol=1e-5)
    assert np.abs(before - model(x)).max() > 0.01


def test_outside_the_pass_the_layers_are_what_they_were(tmp_path):
    model = two_layers(layers.Conv2D(4, 3, name="conv"), (8, 8, 3))
    x = np.random.default_rng(0).random((2, 8, 8, 3), "float32")
    expected, alone = model(x), model.get_layer("conv")(x)
    FeatureExtractor(model, [], folds=True)(x)
    np.testing.assert_array_equal(model(x), expected)
    np.testing.assert_array_equal(model.get_layer("conv")(x), alone)
    model.save(tmp_path / "model.keras")
    np.testing.assert_array_equal(keras.models.load_model(tmp_path / "model.keras")(x), expected)


@pytest.mark.parametrize("path", ["conv", "normal:input"])
def test_a_tap_between_the_two_keeps_them_apart(path):
    model = two_layers(layers.Conv2D(4, 3, name="conv"), (8, 8, 3))
    assert folds(model, [path]) == 0
    assert folds(model, ["normal"]) == 1
    expected = layers.Conv2D.__call__(model.get_layer("conv"), np.ones((1, 8, 8, 3), "float32"))
    _, features = FeatureExtractor(model, [path], folds=True)(np.ones((1, 8, 8, 3), "float32"))
    np.testing.assert_array_equal(features[path], expected)


def test_layers_that_something_else_sees_are_not_folded():
    inputs = keras.Input((8, 8, 3))
    x = layers.Conv2D(4, 3)(inputs)
    model = keras.Model(inputs, layers.Add()([x, layers.BatchNormalization()(x)]))
    assert folds(model) == 0
    model = keras.Model(inputs, [x, layers.BatchNormalization()(x)])
    assert folds(model) == 0
    shared = layers.Conv2D(3, 3, padding="same")
    x = layers.BatchNormalization()(shared(inputs))
    assert folds(keras.Model(inputs, layers.BatchNormalization()(shared(x)))) == 0


def test_a_layer_that_another_layer_calls_too_is_not_folded():
    @keras.saving.register_keras_serializable("tests")
    class Around(layers.Layer):
        def __init__(self, inner):
            super().__init__()
            self.inner = inner

        def call(self, x):
            return self.inner(x)

    shared = layers.Conv2D(3, 3, padding="same")
    inputs = keras.Input((8, 8, 3))
    x = layers.BatchNormalization()(shared(inputs))
    assert folds(keras.Model(inputs, x)) == 1
    assert folds(keras.Model(inputs, Around(shared)(x))) == 0


@pytest.mark.parametrize(
    "model",
    [
        lambda: two_layers(layers.Conv2D(4, 3, activation="relu"), (8, 8, 3)),
        lambda: two_layers(layers.Conv2D(4, 3), (8, 8, 3), after=[layers.ReLU()]),
        lambda: two_layers(layers.Conv2D(4, 3, dtype="mixed_float16"), (8, 8, 3)),
        lambda: two_layers(layers.Conv2D(6, 3), (8, 8, 3), axis=1),
        lambda: two_layers(layers.Conv2DTranspose(4, 3), (8, 8, 3)),
    ],
    ids=["activation", "layer between", "half precision", "other axis", "other layer"],
)
def test_what_is_not_provably_the_same_is_not_folded(model):
    assert folds(model()) == 0


def test_the_distillers_teacher_is_folded_and_its_losses_are_the_same():
    teacher = shake(architectures.small_cnn((8, 8, 1), 4, filters=(4, 8)))
    student = architectures.small_cnn((8, 8, 1), 4, filters=(2, 4))
    x, y = np.random.default_rng(0).random((8, 8, 8, 1), "float32"), np.arange(8) % 4
    distiller = Distiller(teacher, student, SoftTargets(4.0))
    distiller.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    assert distiller._edge.source.extractor._folded
    assert not distiller._edge.target.extractor._folded
    found = distiller.evaluate(x, y, verbose=0, return_dict=True)["soft_targets"]
    expected = SoftTargets(4.0).compute_loss(teacher(x), student(x))
    np.testing.assert_allclose(found, expected, rtol=1e-4)
