"""A function as the teacher: another framework's model, a .tflite file, a service."""

import contextlib

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_distill import AttentionTransfer, Distiller, SoftTargets, TeacherCache
from keras_distill.features import callable_branch
from keras_distill.losses import HintLearning, SimpleKD


class Function:
    """A teacher that computes with NumPy, and remembers what it was called with.

    Args:
        model: The Keras model whose answers it gives.
    """

    def __init__(self, model):
        self.model = model
        self.features = keras.Model(model.inputs, model.get_layer("stage1").output)
        self.calls = []

    def __call__(self, x):
        assert isinstance(x, np.ndarray)
        self.calls.append(len(x))
        logits = self.model(x, training=False).numpy().astype("float64")
        return {"logits": logits, "maps": self.features(x).numpy()}


@pytest.fixture
def pair(make_cnn):
    return make_cnn(8), make_cnn(4)


def trained(teacher, student, losses, data, crossentropy, **arguments):
    """Returns the weights that a copy of the student has after two epochs, and the history."""
    copy = keras.models.clone_model(student)
    copy.set_weights(student.get_weights())
    distiller = Distiller(teacher, copy, losses, [0.5, 2.0])
    distiller.compile(keras.optimizers.SGD(0.1), crossentropy, **arguments)
    history = distiller.fit(data, epochs=2, verbose=0)
    return copy.get_weights(), history.history


def assert_same(weights, others):
    for one, other in zip(weights, others, strict=True):
        np.testing.assert_allclose(one, other, atol=2e-6)


@pytest.mark.parametrize("run_eagerly", [False, True])
def test_the_student_learns_what_it_learns_from_the_model(pair, images, crossentropy, run_eagerly):
    teacher, student = pair
    data = tf.data.Dataset.from_tensor_slices(images).batch(16)
    losses = [SoftTargets(2.0), AttentionTransfer("stage1", "stage1")]
    of_function = [SoftTargets(2.0), AttentionTransfer("maps", "stage1")]
    settings = {"run_eagerly": run_eagerly}
    expected, known = trained(teacher, student, losses, data, crossentropy, **settings)
    function = Function(teacher)
    found, history = trained(function, student, of_function, data, crossentropy, **settings)
    assert_same(found, expected)
    assert history.keys() == known.keys()
    # Once to find the shapes, then once per batch.
    assert function.calls.count(16) == 8
    assert len(function.calls) <= 9


def test_a_cache_of_it_teaches_the_same(pair, images, crossentropy, tmp_path):
    teacher, student = pair
    data = tf.data.Dataset.from_tensor_slices(images).batch(16)
    losses = [SoftTargets(2.0), AttentionTransfer("maps", "stage1")]
    function = Function(teacher)
    expected, _ = trained(function, student, losses, data, crossentropy, run_eagerly=True)
    cache = TeacherCache.build(tmp_path, function, images, losses, dtype="float32", verbose=0)
    calls = len(function.calls)
    found, _ = trained(cache, student, losses, cache.join(data), crossentropy, run_eagerly=True)
    assert_same(found, expected)
    assert len(function.calls) == calls


def test_a_finished_cache_of_another_function_is_refused(pair, images, tmp_path, make_cnn):
    TeacherCache.build(tmp_path, Function(pair[0]), images, "kd", verbose=0)
    with pytest.raises(ValueError, match="is of something else"):
        TeacherCache.build(tmp_path, Function(make_cnn(8)), images, "kd", verbose=0)


@keras.saving.register_keras_serializable("tests")
def brightest_thirds(x):
    thirds = x.reshape(len(x), 8, 8)[:, :6].reshape(len(x), 3, -1).mean(-1)
    return {"logits": 10 * thirds, "maps": x}


def test_a_registered_function_is_saved_with_the_distiller(pair, images, crossentropy, tmp_path):
    losses = ["kd", HintLearning("maps", "stage1")]
    distiller = Distiller(brightest_thirds, pair[1], losses)
    distiller.compile("adam", crossentropy, metrics=["accuracy"], run_eagerly=True)
    distiller.fit(*images, validation_data=images, verbose=0)
    logs = distiller.evaluate(*images, return_dict=True, verbose=0)
    distiller.save(tmp_path / "distiller.keras")
    loaded = keras.models.load_model(tmp_path / "distiller.keras")
    assert loaded.distillation_layers[0].weights
    assert loaded.evaluate(*images, return_dict=True, verbose=0) == pytest.approx(logs, rel=1e-5)
    predictions = distiller.predict(images[0], verbose=0)
    np.testing.assert_allclose(loaded.predict(images[0], verbose=0), predictions, atol=1e-6)


def test_dictionary_batches_and_an_input_function(pair, images, crossentropy):
    teacher, student = pair
    seen = []

    def teach(x):
        seen.append(x.shape)
        return teacher(x, training=False)

    x = {"image": images[0], "twice": np.concatenate([images[0]] * 2, axis=1)}
    distiller = Distiller(
        teach, student, "kd", teacher_input="image", student_input=lambda batch: batch["image"]
    )
    distiller.compile("sgd", crossentropy, run_eagerly=True)
    distiller.fit(x, images[1], batch_size=32, verbose=0)
    assert set(seen[-2:]) == {(32, 8, 8, 1)}


@pytest.mark.parametrize("run_eagerly", [False, True])
def test_the_predict_of_a_keras_model_is_such_a_function(pair, images, crossentropy, run_eagerly):
    teacher, student = pair
    distiller = Distiller(lambda x: teacher.predict(x, verbose=0), student, "kd")
    distiller.compile("sgd", crossentropy, run_eagerly=run_eagerly)
    history = distiller.fit(*images, verbose=0).history
    assert np.isfinite(history["soft_targets"]).all()


@pytest.mark.parametrize(("threads", "count"), [(1, 1), (2, 0)])
def test_one_thread_between_operations_is_warned_about(pair, monkeypatch, threads, count, recwarn):
    monkeypatch.setenv("TF_NUM_INTEROP_THREADS", str(threads))
    branch = callable_branch.CallableBranch(brightest_thirds)
    branch.forward(np.zeros((2, 8, 8, 1), "float32"), training=False)
    assert not [each for each in recwarn if "inter-op thread" in str(each.message)]
    spec = tf.TensorSpec((None, 8, 8, 1))
    tf.function(lambda x: branch.forward(x, False).output).get_concrete_function(spec)
    found = [each for each in recwarn if "run_eagerly=True" in str(each.message)]
    assert len(found) == count


def test_replicas_share_a_function(pair, images, crossentropy):
    teacher, student = pair
    weights = []
    strategy = tf.distribute.MirroredStrategy(["CPU:0"])
    for scope in (contextlib.nullcontext(), strategy.scope()):
        with scope:
            copy = keras.models.clone_model(student)
            copy.set_weights(student.get_weights())
            distiller = Distiller(Function(teacher), copy, "kd")
            distiller.compile(keras.optimizers.SGD(0.1), crossentropy)
        distiller.fit(*images, shuffle=False, verbose=0)
        weights.append(copy.get_weights())
    assert_same(*weights)


@pytest.mark.parametrize(
    ("answer", "error", "message"),
    [
        (lambda x: np.zeros(3), ValueError, "must have a row per sample"),
        (lambda x: np.zeros((len(x) + 1, 3)), ValueError, "must have a row per sample"),
        (lambda x: "cat", TypeError, "must be an array of numbers"),
        (lambda x: {"maps": np.zeros((len(x), 3))}, ValueError, r"must give \['logits'\]"),
        (lambda x: 1 / 0, ValueError, "ZeroDivisionError: division by zero"),
        (lambda x: np.zeros((len(x), 5)), ValueError, "same shape"),
    ],
)
def test_wrong_answers_are_named(pair, images, crossentropy, answer, error, message):
    distiller = Distiller(answer, pair[1], "kd")
    distiller.compile("sgd", crossentropy)
    with pytest.raises(error, match=message):
        distiller.fit(*images, verbose=0)


def test_what_a_function_cannot_give_is_refused_at_once(pair):
    teacher, student = pair
    function = Function(teacher)
    for loss, message in (
        (SimpleKD("stage2", "stage2"), "builds with the teacher's layers"),
        ("gat", "needs gradients through the teacher"),
        ("at", "name the features with teacher_layer_name"),
    ):
        with pytest.raises(ValueError, match=message):
            Distiller(function, student, loss)


@pytest.mark.parametrize(
    "teacher",
    [
        keras.Sequential,
        keras.layers.Dense(3),
        keras.losses.MeanSquaredError(),
        keras.optimizers.schedules.ExponentialDecay(0.1, 10, 0.9),
        lambda: 3,
        lambda x, y: x,
        "resnet50",
        3,
    ],
    ids=["class", "layer", "loss", "schedule", "no_argument", "two_arguments", "text", "number"],
)
def test_what_is_no_function_of_a_batch_is_refused(pair, teacher):
    with pytest.raises(ValueError, match=r"Teacher must be a keras.Model, a TeacherCache, a func"):
        Distiller(teacher, pair[1], "kd")


def test_xla_cannot_compile_it_and_automatic_leaves_it_out(pair, crossentropy):
    distiller = Distiller(Function(pair[0]), pair[1], "kd")
    distiller.compile("sgd", crossentropy)
    assert not distiller.jit_compile
    with pytest.raises(ValueError, match="outside of TensorFlow"):
        distiller.compile("sgd", crossentropy, jit_compile=True)


def test_a_path_in_the_place_of_a_teacher_says_how_to_load_it(pair, images, tmp_path, crossentropy):
    teacher, student = pair
    teacher.save(tmp_path / "teacher.h5")
    teacher.export(tmp_path / "exported", verbose=False)
    for name, advice in (
        ("teacher.h5", rf"keras\.models\.load_model\('{tmp_path / 'teacher.h5'}'\)"),
        ("exported", r"layer = keras\.layers\.TFSMLayer\(.*lambda x: next\(iter\(layer\(x\)\.val"),
        ("teacher.tflite", r"TFLiteModel\('.*teacher\.tflite'\)\.predict"),
        ("teacher.pt", r"its own framework"),
    ):
        with pytest.raises(ValueError, match=rf"Teacher must be.*{advice}.*Received: teacher="):
            Distiller(tmp_path / name, student, "kd")
    layer = keras.layers.TFSMLayer(tmp_path / "exported", call_endpoint="serving_default")
    loaded = [
        keras.models.load_model(tmp_path / "teacher.h5"),
        lambda x: next(iter(layer(x).values())),
    ]
    data = tf.data.Dataset.from_tensor_slices(images).batch(32)
    losses = [SoftTargets(2.0), SoftTargets(1.0)]
    expected, *found = (
        trained(each, student, losses, data, crossentropy, run_eagerly=True)[0]
        for each in (teacher, *loaded)
    )
    for weights in found:
        assert_same(weights, expected)
