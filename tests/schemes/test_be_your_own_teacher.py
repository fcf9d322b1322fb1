"""Exits inside one network: what its deepest classifier teaches them, and what is exported."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_distill.losses import HintLearning, SimpleKD
from keras_distill.schemes import BeYourOwnTeacher
from keras_distill.tflite import export_tflite

LOSS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
CALLS = []


@keras.saving.register_keras_serializable("keras_distill_tests")
class Counted(keras.layers.Layer):
    def call(self, inputs):
        CALLS.append(self.name)
        return inputs


def cnn():
    """A network with three stages, of which two get an exit."""
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            layers.Conv2D(3, 3, padding="same", activation="relu", name="stage1"),
            Counted(name="counted"),
            layers.Conv2D(4, 3, strides=2, padding="same", activation="relu", name="stage2"),
            layers.BatchNormalization(name="norm"),
            layers.Conv2D(6, 3, strides=2, padding="same", activation="relu", name="stage3"),
            layers.GlobalAveragePooling2D(name="pooled"),
            layers.Dense(3, name="classes"),
        ],
        name="network",
    )


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    return rng.random((12, 8, 8, 1), "float32"), rng.integers(0, 3, 12)


@pytest.fixture(scope="module")
def trained(data):
    keras.utils.set_random_seed(7)
    model = BeYourOwnTeacher(cnn())
    optimizer = keras.optimizers.Adam(0.01)
    model.compile(optimizer, LOSS, metrics=["accuracy"], run_eagerly=True)
    settings = {"batch_size": 6, "epochs": 1, "validation_data": data, "verbose": 0}
    return model, model.fit(*data, **settings).history


def log_softmax(z):
    return tf.nn.log_softmax(z)


def test_the_deepest_teaches_the_exits_and_gets_no_gradient_from_it(data):
    x, y = data
    model = BeYourOwnTeacher(cnn())
    student, heads = model.student, model.heads
    layers = [student.get_layer(name) for name in ("stage1", "norm", "pooled", "classes")]
    assert model.exits == ["stage1", "stage2"]
    tapped = keras.Model(
        student.inputs,
        [student.get_layer("stage1").output, student.get_layer("stage2").output]
        + [layer.output for layer in layers[2:]],
    )
    inner = [keras.Model(h.inputs, [h.get_layer("features").output, h.output]) for h in heads]
    weights = student.trainable_weights + [w for head in heads for w in head.trainable_weights]
    with tf.GradientTape() as tape:
        *exits, pooled, logits = tapped(x, training=True)
        losses = [LOSS(y, logits)]
        target = tf.stop_gradient(log_softmax(logits / 3.0))
        for head, feature in zip(inner, exits, strict=True):
            features, answer = head(feature, training=True)
            difference = target - log_softmax(answer / 3.0)
            soft = 9.0 * tf.reduce_mean(tf.reduce_sum(tf.exp(target) * difference, -1))
            hint = tf.reduce_mean((features - tf.stop_gradient(pooled)) ** 2)
            losses.append(0.7 * LOSS(y, answer) + 0.3 * (soft + 0.1 * hint))
        total = sum(losses)
    gradients = tape.gradient(total, weights)
    expected = [w.numpy() - 0.1 * g.numpy() for w, g in zip(weights, gradients, strict=True)]
    model.compile(keras.optimizers.SGD(0.1), LOSS, run_eagerly=True)
    CALLS.clear()
    logs = model.train_on_batch(x, y, return_dict=True)
    assert CALLS == ["counted"]
    for weight, value in zip(weights, expected, strict=True):
        np.testing.assert_allclose(weight.numpy(), value, atol=1e-6)
    names = ["total_loss", "exit_0_loss", "exit_1_loss"]
    np.testing.assert_allclose([logs[name] for name in names], losses, rtol=1e-5)
    np.testing.assert_allclose(logs["loss"], total, rtol=1e-5)


def test_the_history_has_the_network_and_each_exit(trained):
    model, history = trained
    of_network = {"loss", "accuracy", "student_loss", "total_loss"}
    of_exit = {"loss", "accuracy", "student_loss", "distillation_loss", "soft_targets"}
    of_exit |= {"hint_learning"}
    names = of_network | {f"exit_{i}_{name}" for i in range(2) for name in of_exit}
    assert {*history} == names | {f"val_{name}" for name in names}
    assert "model classes:input (None, 6)" in model.describe()
    assert "exit 1 features (None, 6)" in model.describe()


def test_a_diagnosis_looks_at_each_exit(trained, data):
    found = trained[0].diagnose(data, batches=1)
    assert [*found] == ["exit_0", "exit_1"]
    assert [term.name for term in found["exit_1"].terms][1] == "exit_1_soft_targets"


def test_the_student_has_no_exits_and_an_early_exit_has_no_more_than_it_needs(
    trained, data, tmp_path
):
    model, _ = trained
    x, _ = data
    assert model.student.count_params() == cnn().count_params()
    np.testing.assert_allclose(model.predict(x, verbose=0), model.student(x), atol=1e-6)
    early = model.exit_model(0)
    features = keras.Model(model.student.inputs, model.student.get_layer("stage1").output)(x)
    np.testing.assert_allclose(early(x), model.heads[0](features), atol=1e-6)
    assert not any(layer.name in ("stage2", "stage3", "classes") for layer in early.layers)
    for each in (model.student, early):
        plain = keras.models.clone_model(each, clone_function=_without_counting)
        plain.set_weights(each.get_weights())
        exported = export_tflite(plain, tmp_path / "model.tflite", "int8", x)
        assert exported.predict(x).shape == (12, 3)
    with pytest.raises(ValueError, match="index must be at least 0 and at most 1"):
        model.exit_model(2)


def _without_counting(layer):
    if isinstance(layer, Counted):
        return keras.layers.Identity()
    return layer.__class__.from_config(layer.get_config())


def test_exits_may_be_named_or_given(data, make_dense, numbers):
    head = keras.Sequential([keras.Input((4, 4, 4)), keras.layers.Flatten(), keras.layers.Dense(3)])
    model = BeYourOwnTeacher(cnn(), {"norm": head}, "kd", 2.0, student_loss_weight=None)
    model.compile("sgd", LOSS, run_eagerly=True)
    before = [weight.numpy() for weight in head.weights]
    model.fit(*data, verbose=0)
    assert any((a != b.numpy()).any() for a, b in zip(before, head.weights, strict=True))
    dense = BeYourOwnTeacher(make_dense(activation="softmax"), ["hidden"])
    dense.compile("sgd", "sparse_categorical_crossentropy", run_eagerly=True)
    dense.fit(*numbers, verbose=0)
    answers = dense.exit_model(0)(numbers[0]).numpy()
    np.testing.assert_allclose(answers.sum(-1), 1, rtol=1e-5)


@pytest.mark.parametrize(
    ("make", "error", "match"),
    [
        (lambda m: BeYourOwnTeacher(3), TypeError, "model must be a keras.Model"),
        (lambda m: BeYourOwnTeacher(m()), ValueError, "exits must name the layers"),
        (lambda m: BeYourOwnTeacher(m(), []), ValueError, "exits is empty"),
        (lambda m: BeYourOwnTeacher(m(), 3), TypeError, "must be a list of layer paths"),
        (lambda m: BeYourOwnTeacher(m(), ["hiden"]), ValueError, "no such layer"),
        (lambda m: BeYourOwnTeacher(m(), ["hidden:input"]), ValueError, "leave the suffix out"),
        (
            lambda m: BeYourOwnTeacher(m(), {"hidden": m()}),
            ValueError,
            r"one input of shape \(None, 5\). .* \[\(None, 4\)\]",
        ),
        (
            lambda m: BeYourOwnTeacher(m(4), {"hidden": m(5, 2)}),
            ValueError,
            r"one output of shape \(None, 3\)",
        ),
        (
            lambda m: BeYourOwnTeacher(m(), ["hidden"], HintLearning("hidden", "deep")),
            ValueError,
            "The exit 0 model",
        ),
        (lambda m: BeYourOwnTeacher(m(), ["hidden"]).compile("sgd"), ValueError, "'loss' cannot"),
    ],
)
def test_what_has_no_exits_is_refused(make_dense, make, error, match):
    with pytest.raises(error, match=match):
        make(make_dense)


def test_a_loss_that_replaces_layers_and_frozen_models_are_refused(make_dense):
    with pytest.raises(ValueError, match=r"SimpleKD"):
        BeYourOwnTeacher(cnn(), distillation_losses=SimpleKD("stage3", "relu0"))
    frozen = cnn()
    frozen.trainable = False
    with pytest.raises(ValueError, match="model isn't trainable"):
        BeYourOwnTeacher(frozen)
    image = keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Conv2D(3, 1)])
    with pytest.raises(ValueError, match=r"one output of shape \(batch, classes\)"):
        BeYourOwnTeacher(image)
