"""Students that are taught by their own ensemble: what its answer is, saved and gone on with."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_distill import SoftTargets
from keras_distill.losses import GradientAttentionTransfer, HintLearning
from keras_distill.schemes import OnlineEnsemble

LOSS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def softmax(z):
    e = np.exp(z - z.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def weights_of(weights, z, y):
    """The weight of each student for each sample, in NumPy, shape `(students, batch)`."""
    if not isinstance(weights, str):
        return np.repeat(np.array(weights)[:, None] / np.sum(weights), z.shape[1], axis=1)
    p = softmax(z)
    uncertainty = {
        "uniform": np.zeros(z.shape[:2]),
        "entropy": -(p * np.log(p)).sum(-1),
        "confidence": -np.log(p[:, np.arange(len(y)), y]),
    }[weights]
    count = len(z)
    return (1 - np.exp(uncertainty) / np.exp(uncertainty).sum(0)) / (count - 1)


@pytest.mark.parametrize("weights", ["uniform", [1, 0, 3], "entropy", "confidence"])
def test_the_target_is_the_mean_of_the_softened_answers_without_gradient(
    make_dense, numbers, weights
):
    x, y = numbers
    students = [make_dense(size) for size in (4, 5, 6)]
    before = [keras.models.clone_model(student) for student in students]
    for copy, student in zip(before, students, strict=True):
        copy.set_weights(student.get_weights())
    z = np.stack([student(x).numpy().astype("float64") for student in students])
    shares = weights_of(weights, z, y)
    target = np.einsum("kb,kbc->bc", shares, softmax(z / 2.0))
    peers = OnlineEnsemble(students, SoftTargets(2.0), weights=weights, temperature=2.0)
    peers.compile(keras.optimizers.SGD(0.1), LOSS, run_eagerly=True)
    logs = peers.train_on_batch(x, y, return_dict=True)
    for index, student in enumerate(before):
        with tf.GradientTape() as tape:
            log_p = tf.nn.log_softmax(student(x) / 2.0)
            each = tf.reduce_sum(target * (np.log(target) - tf.cast(log_p, "float64")), -1)
            divergence = 4.0 * tf.cast(tf.reduce_mean(each), "float32")
            loss = LOSS(y, student(x)) + divergence
        gradients = tape.gradient(loss, student.trainable_weights)
        assert logs[f"student_{index}_soft_targets"] == pytest.approx(float(divergence), rel=1e-4)
        for found, weight, gradient in zip(
            students[index].get_weights(), student.get_weights(), gradients, strict=True
        ):
            np.testing.assert_allclose(found, weight - 0.1 * gradient, atol=1e-6)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A CNN, one that ends in the same way, and a frozen one, which is part of the ensemble."""
    keras.utils.set_random_seed(7)
    rng = np.random.default_rng(0)
    x, y = rng.random((16, 8, 8, 1), "float32"), rng.integers(0, 3, 16)

    def cnn(channels, name):
        layers = keras.layers
        return keras.Sequential(
            [
                keras.Input((8, 8, 1)),
                layers.Conv2D(channels, 3, activation="relu", name="stage"),
                layers.GlobalAveragePooling2D(),
                layers.Dense(3),
            ],
            name=name,
        )

    students = [cnn(3, "a"), cnn(4, "b"), cnn(5, "c")]
    students[2].trainable = False
    losses = [SoftTargets(), HintLearning("c/stage", "stage")]
    peers = OnlineEnsemble(students, losses, "balanced", [1, 1, 2], temperature=4.0)
    optimizer = keras.optimizers.Adam(0.01)
    peers.compile(optimizer, LOSS, metrics=["accuracy"], run_eagerly=True)
    history = peers.fit(x, y, batch_size=8, epochs=2, validation_data=(x, y), verbose=0).history
    path = tmp_path_factory.mktemp("online") / "online.keras"
    peers.save(path)
    return peers, history, x, y, path


def test_it_saves_loads_and_goes_on(trained):
    peers, history, x, y, path = trained
    assert {"loss", "student_0_accuracy", "val_student_1_hint_learning"} <= {*history}
    assert not any("student_2" in name for name in history)
    loaded = keras.models.load_model(path)
    expected = peers.evaluate(x, y, verbose=0, return_dict=True)
    assert loaded.evaluate(x, y, verbose=0, return_dict=True) == pytest.approx(expected, rel=1e-5)
    frozen = peers.students[2].get_weights()
    for model in (peers, loaded):
        model.fit(x, y, batch_size=8, epochs=1, shuffle=False, verbose=0)
    for one, other in zip(loaded.get_weights(), peers.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)
    for one, other in zip(loaded.students[2].get_weights(), frozen, strict=True):
        np.testing.assert_array_equal(one, other)
    assert [*loaded.diagnose((x, y), batches=1)] == ["student_0", "student_1"]
    assert "ensemble c/stage (None, 6, 6, 5)" in loaded.describe()


@pytest.mark.parametrize(
    ("make", "error", "match"),
    [
        (lambda m: OnlineEnsemble([m()]), ValueError, "at least two models"),
        (lambda m: OnlineEnsemble([m(), m(5, 4)]), ValueError, r"students\[1\].*\(None, 4\)"),
        (lambda m: OnlineEnsemble([m(), m()], weights=[1]), ValueError, "each of the 2 models"),
        (lambda m: OnlineEnsemble([m(), m()], temperature=0), ValueError, "temperature"),
        (
            lambda m: OnlineEnsemble([m(), m()], HintLearning("hidden", "hidden")),
            ValueError,
            r"A layer of OnlineEnsemble .* The students: 0",
        ),
        (lambda m: OnlineEnsemble([m(), m()], "at"), ValueError, "name the layers of OnlineEns"),
        (
            lambda m: OnlineEnsemble([m(), m()], GradientAttentionTransfer()),
            ValueError,
            "OnlineEnsemble has several students",
        ),
        (
            lambda m: OnlineEnsemble([m(), m()], "logits", weights="entropy").compile(loss="mse"),
            ValueError,
            "measures probabilities",
        ),
    ],
)
def test_what_is_no_ensemble_is_refused(make_dense, make, error, match):
    with pytest.raises(error, match=match):
        make(make_dense)
