import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_distill import FeatureExtractor, FeatureModel
from keras_distill.features.layer_paths import layer_paths


class Block(keras.layers.Layer):
    def __init__(self, width, **kwargs):
        super().__init__(**kwargs)
        self.inner = keras.layers.Dense(width, activation="relu", name="inner_dense")

    def call(self, inputs):
        return 2.0 * self.inner(inputs)


class Subclassed(keras.Model):
    def __init__(self):
        super().__init__()
        self.first = Block(5, name="block_a")
        self.second = keras.layers.Dense(3)

    def call(self, inputs, training=None):
        return self.second(self.first(inputs))


def nested_functional():
    inner_inputs = keras.Input((4,))
    hidden = keras.layers.Dense(6, activation="relu", name="hidden")(inner_inputs)
    backbone = keras.Model(inner_inputs, keras.layers.Dense(5, name="top")(hidden), name="backbone")
    inputs = keras.Input((4,))
    return keras.Model(inputs, keras.layers.Dense(2, name="head")(backbone(inputs)))


@pytest.fixture
def x():
    return np.random.default_rng(0).random((3, 4)).astype("float32")


def test_nested_functional_features_are_what_the_layers_compute(x):
    model = nested_functional()
    output, features = FeatureExtractor(model, ["backbone/hidden", "head:input"])(x)
    backbone = model.get_layer("backbone")
    np.testing.assert_allclose(features["backbone/hidden"], backbone.get_layer("hidden")(x))
    np.testing.assert_allclose(features["head:input"], backbone(x), rtol=1e-6)
    np.testing.assert_allclose(output, model(x), rtol=1e-6)


def test_subclassed_models_are_tapped_by_name_and_by_attribute(x):
    model = Subclassed()
    output, features = FeatureExtractor(model, ["block_a/inner_dense", "first", "second:input"])(x)
    np.testing.assert_allclose(features["first"], 2.0 * features["block_a/inner_dense"])
    np.testing.assert_allclose(features["second:input"], features["first"])
    assert output.shape == (3, 3)


def test_sequential_models_are_tapped(x):
    model = keras.Sequential([keras.layers.Dense(3, name="one"), keras.layers.Dense(2, name="two")])
    _, features = FeatureExtractor(model, ["one", "one:input"])(x)
    np.testing.assert_array_equal(features["one:input"], x)
    np.testing.assert_allclose(features["one"], model.get_layer("one")(x), rtol=1e-6)


def test_features_carry_gradients(x):
    model = nested_functional()
    extractor = FeatureExtractor(model, ["backbone/hidden"])

    @tf.function
    def gradient():
        with tf.GradientTape() as tape:
            _, features = extractor(x, training=True)
            value = tf.reduce_sum(features["backbone/hidden"])
        return tape.gradient(value, model.get_layer("backbone").get_layer("hidden").kernel)

    assert np.abs(gradient()).sum() > 0


def test_two_extractors_on_one_model_do_not_mix(x):
    model = nested_functional()
    first = FeatureExtractor(model, ["head"])
    second = FeatureExtractor(model, ["head", "backbone/hidden"])
    assert set(first(x)[1]) == {"head"}
    assert set(second(x)[1]) == {"head", "backbone/hidden"}


def test_feature_model_predicts_a_dictionary(x):
    features = FeatureModel(nested_functional(), ["backbone/hidden"]).predict(x, verbose=0)
    assert features["backbone/hidden"].shape == (3, 6)


@pytest.mark.parametrize("make", [nested_functional, Subclassed])
def test_a_feature_model_is_saved_and_exported(make, x, tmp_path):
    model = FeatureModel(make(), ["head" if make is nested_functional else "first"])
    expected = model(x)
    model.export(tmp_path / "exported", verbose=False)
    exported = tf.saved_model.load(str(tmp_path / "exported"))
    for path, feature in exported.serve(x).items():
        np.testing.assert_allclose(feature, expected[path], rtol=1e-6)
    if make is nested_functional:
        model.save(tmp_path / "features.keras")
        loaded = keras.models.load_model(tmp_path / "features.keras")
        keras.tree.map_structure(np.testing.assert_array_equal, loaded(x), expected)
        assert loaded.extractor.paths == ["head"]


def test_a_feature_model_of_a_graph_is_saved_before_it_runs(x, tmp_path):
    model = FeatureModel(nested_functional(), ["backbone/hidden"])
    model.save(tmp_path / "features.keras")
    loaded = keras.models.load_model(tmp_path / "features.keras")
    np.testing.assert_array_equal(loaded(x)["backbone/hidden"], model(x)["backbone/hidden"])


def test_a_tapped_model_is_saved_and_cloned_as_before(x, tmp_path):
    model = nested_functional()
    config = model.get_config()
    FeatureExtractor(model, ["head"])
    assert str(model.get_config()) == str(config)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(loaded(x), model(x), rtol=1e-6)
    assert not any("call" in vars(layer) for layer in keras.models.clone_model(model).layers)


def test_all_layer_paths_can_be_tapped(x):
    model = nested_functional()
    paths = list(layer_paths(model))
    assert paths == ["backbone", "backbone/hidden", "backbone/top", "head"]
    assert set(FeatureExtractor(model, paths)(x)[1]) == set(paths)


def test_an_unknown_path_lists_the_closest():
    with pytest.raises(
        ValueError,
        match=r"no such layer. Closest: .*'backbone/hidden'.*Received: layer path 'hidden'",
    ):
        FeatureExtractor(nested_functional(), ["hidden"])


def test_an_unknown_suffix_lists_the_allowed():
    with pytest.raises(ValueError, match=r"Unknown suffix ':ouput'.*:input"):
        FeatureExtractor(nested_functional(), ["head:ouput"])


def test_a_layer_called_twice_has_no_single_output(x):
    shared = keras.layers.Dense(4, name="shared")
    inputs = keras.Input((4,))
    model = keras.Model(inputs, shared(shared(inputs)))
    with pytest.raises(ValueError, match=r"called 2 times"):
        FeatureExtractor(model, ["shared"])(x)


@pytest.mark.parametrize(
    ("path", "loop"), [("gru/gru_cell", "GRU 'gru'"), ("steps/inner", "TimeDistributed 'steps'")]
)
def test_a_layer_in_a_loop_over_time_is_refused_by_name(path, loop):
    layers = keras.layers
    inputs = keras.Input((5, 4))
    x = layers.TimeDistributed(layers.Dense(4, name="inner"), name="steps")(inputs)
    model = keras.Model(inputs, layers.GRU(3, name="gru")(x))
    with pytest.raises(ValueError, match=f"'{path}' of the student runs once per .*{loop}"):
        FeatureExtractor(model, [path], branch="student")
    kernel = {"gru/gru_cell": "gru/gru_cell:kernel", "steps/inner": "steps/inner:kernel"}[path]
    assert len(FeatureExtractor(model, [kernel])(np.ones((2, 5, 4), "float32"))[1]) == 1


class Compiled(Subclassed):
    @tf.function
    def call(self, inputs, training=None):
        return self.second(self.first(inputs))


class Around(keras.Model):
    def __init__(self):
        super().__init__()
        self.first = keras.layers.Dense(4, name="first")

    def call(self, inputs, training=None):
        return tf.function(self.first)(inputs)


def test_layers_within_a_tf_function_are_refused(x):
    model = Compiled()
    model(x)
    with pytest.raises(
        ValueError, match=r"'first' of the student.*`call` of '\w+' is a tf.function"
    ):
        FeatureExtractor(model, ["first"], branch="student")
    with pytest.raises(ValueError, match=r"graph of its own.*Leave @tf.function away"):
        FeatureExtractor(Around(), ["first"])(x)


def test_the_output_of_a_layer_that_is_a_tf_function_is_tapped(x):
    model = keras.Sequential([keras.Input((4,)), Compiled()])
    name = model.layers[0].name
    output, features = FeatureExtractor(model, [name])(x)
    np.testing.assert_array_equal(features[name], output)


@pytest.mark.parametrize("kind", [FeatureExtractor, FeatureModel])
def test_what_is_no_model_and_no_list_of_paths_is_refused(kind):
    model = nested_functional()
    for paths in ("head", None, [3], {"head": 1}):
        with pytest.raises(
            TypeError, match=r"paths must be a list of layer paths.*Received: paths="
        ):
            kind(model, paths)
    with pytest.raises(TypeError, match=r"model must be a keras.Model. Received: model=None"):
        kind(None, ["head"])


def test_a_feature_model_has_an_output():
    with pytest.raises(ValueError, match=r"paths is empty: give at least one"):
        FeatureModel(nested_functional(), [])


@pytest.mark.parametrize("name", ["", 0, ["a"]])
def test_the_name_of_a_feature_model_is_a_string(name):
    with pytest.raises((TypeError, ValueError), match=r"name (must be a string|is empty)"):
        FeatureModel(nested_functional(), ["head"], name=name)
