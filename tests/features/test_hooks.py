"""Hooks on layers: they record for one thread, and nothing of them stays."""

import copy
import pickle
import threading

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_distill import Distiller, FeatureExtractor, losses

WITHIN = ["dense:preactivation", "attention:scores", "groups:scores", "logits:preactivation"]


def test_a_tapped_kernel_takes_part_in_the_gradient(make_cnn, images):
    model = make_cnn(3)
    extractor = FeatureExtractor(model, ["logits:kernel"])
    with tf.GradientTape() as tape:
        _, features = extractor(images[0])
        value = tf.reduce_sum(features["logits:kernel"] ** 2)
    kernel = model.get_layer("logits").kernel
    np.testing.assert_allclose(tape.gradient(value, kernel.value), 2 * kernel.value, rtol=1e-6)


def test_what_a_layer_does_not_have_is_refused(make_cnn):
    for path, missing in (("pool1:preactivation", "no activation"), ("pool1:kernel", "no kernel")):
        with pytest.raises(ValueError, match=missing):
            FeatureExtractor(make_cnn(3), [path])


def attentive():
    """A model with an activation and an attention to tap, and an attention of groups."""
    inputs = keras.Input((6, 8))
    x = keras.layers.Dense(8, activation="gelu", name="dense")(inputs)
    x = keras.layers.MultiHeadAttention(2, 4, name="attention")(x, x)
    x = keras.layers.GroupQueryAttention(4, 4, 2, name="groups")(x, x)
    x = keras.layers.GlobalAveragePooling1D()(x)
    return keras.Model(inputs, keras.layers.Dense(3, activation="tanh", name="logits")(x))


def test_threads_share_a_teacher_and_leave_it_as_it_was(tmp_path):
    model = attentive()
    x = np.random.default_rng(0).random((4, 2, 6, 8), "float32")
    expected = [FeatureExtractor(model, WITHIN)(batch) for batch in x]
    before = {layer: dict(vars(layer)) for layer in model._flatten_layers()}
    start, failed = threading.Barrier(4), []

    def work(batch, reference):
        run = FeatureExtractor(model, WITHIN)
        start.wait()
        for _ in range(15):
            if not keras.tree.map_structure(np.array_equal, run(batch), reference) or (
                keras.activations.serialize(model.get_layer("dense").activation) != "gelu"
            ):
                failed.append(batch)

    threads = [threading.Thread(target=work, args=pair) for pair in zip(x, expected, strict=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed
    for layer, state in before.items():
        assert vars(layer).keys() == state.keys(), layer.name
        changed = [name for name, value in state.items() if vars(layer)[name] is not value]
        assert not changed, (layer.name, changed)
    model.save(tmp_path / "teacher.keras")
    loaded = keras.models.load_model(tmp_path / "teacher.keras")
    np.testing.assert_allclose(loaded(x[0]), model(x[0]), rtol=1e-6)


def test_a_teacher_that_is_saved_while_another_thread_taps_it_loads(tmp_path):
    model = attentive()
    x = np.random.default_rng(0).random((2, 6, 8), "float32")
    run, expected, done = FeatureExtractor(model, WITHIN), model(x), threading.Event()

    def tap():
        while not done.is_set():
            run(x)

    thread = threading.Thread(target=tap)
    thread.start()
    try:
        for index in range(5):
            model.save(tmp_path / f"{index}.keras")
    finally:
        done.set()
        thread.join()
    for index in range(5):
        loaded = keras.models.load_model(tmp_path / f"{index}.keras")
        np.testing.assert_allclose(loaded(x), expected, rtol=1e-5)


def test_nothing_stays_in_the_models_after_training(crossentropy):
    teacher, student = attentive(), attentive()
    before = {layer: set(vars(layer)) for m in (teacher, student) for layer in m._flatten_layers()}
    tapped = [
        losses.HintLearning("dense:preactivation", "dense:preactivation"),
        losses.AttentionMapAlignment("attention:scores", "attention:scores"),
    ]
    distiller = Distiller(teacher, student, tapped)
    distiller.compile("adam", crossentropy)
    x = np.random.default_rng(0).random((4, 6, 8), "float32")
    distiller.fit(x, np.array([0, 1, 2, 0]), verbose=0)
    for layer, names in before.items():
        assert "call" not in vars(layer), layer.name
        assert "_compute_attention" not in vars(layer), layer.name
        added = {name for name in set(vars(layer)) - names if callable(vars(layer)[name])}
        assert not added, (layer.name, added)
    for duplicate in (copy.deepcopy(teacher), pickle.loads(pickle.dumps(teacher))):
        np.testing.assert_allclose(duplicate(x), teacher(x), rtol=1e-5)


def test_a_call_of_the_users_own_on_the_layer_is_tapped_and_put_back(make_cnn):
    model = make_cnn(2)
    layer = model.get_layer("logits")
    layer.call = doubled = lambda inputs, training=None: 2.0 * inputs
    x = np.ones((1, 8, 8, 1), "float32")
    _, features = FeatureExtractor(model, ["logits", "logits:input"])(x)
    np.testing.assert_allclose(features["logits"], 2.0 * features["logits:input"])
    assert vars(layer)["call"] is doubled
    with pytest.raises(ValueError, match=r"within layer 'stage2' can't be tapped.*was replaced"):
        model.get_layer("stage2").call = doubled
        FeatureExtractor(model, ["stage2:preactivation"])(x)


def test_layers_with_int8_weights_are_tapped(make_cnn):
    model = make_cnn(2)
    model.quantize("int8")
    x = np.ones((1, 8, 8, 1), "float32")
    output, features = FeatureExtractor(model, ["logits"])(x)
    np.testing.assert_array_equal(features["logits"], output)


def test_what_a_layer_remembers_of_its_call_is_kept():
    class Remembering(keras.layers.Dense):
        def call(self, inputs, training=None):
            self.calls = getattr(self, "calls", 0) + 1
            return super().call(inputs)

    model = keras.Sequential([keras.Input((4,)), Remembering(2, activation="relu", name="dense")])
    x = np.ones((1, 4), "float32")
    model(x)
    before = model.layers[0].calls
    FeatureExtractor(model, ["dense:preactivation"])(x)
    assert model.layers[0].calls == before + 1
    assert model.layers[0].activation is keras.activations.relu
