"""Several teachers in the place of one: what the student sees of them, live, saved and cached."""

import keras
import numpy as np
import pytest

from keras_distill import Distiller, SoftTargets, TeacherCache
from keras_distill.losses import GradientAttentionTransfer, HintLearning, LogitMatching
from keras_distill.schemes import TeacherEnsemble
from keras_distill.schemes.mixtures import mixture_logits


def softmax(z):
    e = np.exp(z - z.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def logits_of(teachers, x):
    return np.stack([teacher(x).numpy().astype("float64") for teacher in teachers])


def fitted(teacher, student, data, losses="kd", **arguments):
    """Trains a copy of the student for two steps, and returns its distiller."""
    copy = keras.models.clone_model(student)
    copy.set_weights(student.get_weights())
    distiller = Distiller(teacher, copy, losses, **arguments)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    distiller.compile(keras.optimizers.SGD(0.1), loss, run_eagerly=True)
    if len(data) == 1:
        distiller.fit(*data, epochs=2, verbose=0)
        return distiller
    for _ in range(2):
        distiller.train_on_batch(*data)
    return distiller


@pytest.fixture
def teachers(make_dense):
    return [make_dense(6, name="a"), make_dense(7, name="b"), make_dense(8, name="c")]


def test_an_ensemble_of_one_teaches_what_that_teacher_teaches(teachers, make_dense, numbers):
    student, losses = make_dense(), [SoftTargets(2.0), LogitMatching()]
    expected = fitted(teachers[0], student, numbers, losses)
    for weights in ([3], "confidence"):
        ensemble = TeacherEnsemble([teachers[0]], weights)
        found = fitted(ensemble, student, numbers, losses)
        for one, other in zip(found.get_weights()[:4], expected.get_weights()[:4], strict=True):
            np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("weights", ["uniform", [1, 0, 3]])
def test_the_softened_answer_is_the_mean_of_the_softened_probabilities(teachers, numbers, weights):
    x, _ = numbers
    found = TeacherEnsemble(teachers, weights, temperature=3.0)(x).numpy()
    shares = np.full(3, 1 / 3) if weights == "uniform" else np.array([0.25, 0, 0.75])
    expected = np.einsum("k,kbc->bc", shares, softmax(logits_of(teachers, x) / 3.0))
    np.testing.assert_allclose(softmax(found / 3.0), expected, atol=1e-6)
    plain = TeacherEnsemble(teachers, weights, temperature=None)(x).numpy()
    mean = np.einsum("k,kbc->bc", shares, logits_of(teachers, x))
    np.testing.assert_allclose(plain, mean, atol=1e-5)
    # Between the two lies a temperature that is large.
    hot = TeacherEnsemble(teachers, weights, temperature=1e3)(x).numpy()
    np.testing.assert_allclose(hot, mean, atol=0.02)


def test_the_gradient_is_the_weighted_sum_of_those_for_each_teacher(teachers, make_dense, numbers):
    x, y = numbers
    student, shares = make_dense(), [1, 7]
    one = fitted(TeacherEnsemble(teachers[:2], shares), student, numbers)
    each = [fitted(teacher, student, numbers) for teacher in teachers[:2]]
    before = student.get_weights()
    # One step of plain gradient descent, in which gradients add.
    for distiller in (one, *each):
        distiller.student.set_weights(before)
        distiller.train_on_batch(x, y)
    steps = [
        [after - start for after, start in zip(d.student.get_weights(), before, strict=True)]
        for d in (one, *each)
    ]
    for mixed, *of_each in zip(*steps, strict=True):
        expected = np.einsum("k,k...->...", np.array(shares) / 8, np.stack(of_each))
        np.testing.assert_allclose(mixed, expected, atol=1e-6)


def test_entropy_weights_are_those_of_numpy(teachers, numbers):
    x, _ = numbers
    z = logits_of(teachers, x)
    p = softmax(z)
    entropy = -(p * np.log(p)).sum(-1)
    weights = (1 - np.exp(entropy) / np.exp(entropy).sum(0)) / 2
    assert (weights.argmax(0) == entropy.argmin(0)).all()
    expected = np.einsum("kb,kbc->bc", weights, softmax(z / 4.0))
    found = TeacherEnsemble(teachers, "entropy")(x).numpy()
    np.testing.assert_allclose(softmax(found / 4.0), expected, atol=1e-6)


def test_confidence_weights_are_those_of_numpy_and_unlabeled_samples_count_all_alike(
    teachers, make_dense, numbers
):
    x, y = numbers
    y = np.where(np.arange(24) % 3 == 0, -1, y)
    z = logits_of(teachers, x)
    error = -np.log(softmax(z))[:, np.arange(24), np.maximum(y, 0)]
    weights = (1 - np.exp(error) / np.exp(error).sum(0)) / 2
    weights = np.where(y < 0, 1 / 3, weights)
    mixed = np.einsum("kb,kbc->bc", weights, softmax(z / 4.0))
    student = make_dense()
    distiller = Distiller(TeacherEnsemble(teachers, "confidence"), student, "kd")
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    distiller.compile("sgd", loss)
    own = softmax(student(x).numpy().astype("float64") / 4.0)
    expected = 16 * (mixed * (np.log(mixed) - np.log(own))).sum(-1).mean()
    found = distiller.evaluate(x, y, batch_size=24, verbose=0, return_dict=True)
    np.testing.assert_allclose(found["soft_targets"], expected, rtol=1e-5)
    distiller = Distiller(
        TeacherEnsemble(teachers, "confidence"), make_dense(), "kd", student_loss_weight=0
    )
    distiller.compile("sgd", run_eagerly=True)
    with pytest.raises(Exception, match=r"TeacherEnsemble needs labels that are classes"):
        distiller.train_on_batch(x, np.full(24, 7))


def test_independent_labels_are_averaged_one_by_one():
    z = np.random.default_rng(0).normal(0, 3, (2, 5, 4)).astype("float32")
    weights = np.array([0.2, 0.8]).reshape(2, 1, 1)
    found = mixture_logits(list(z), weights, 2.0, "sigmoid").numpy()
    expected = (weights / (1 + np.exp(-z / 2.0))).sum(0)
    np.testing.assert_allclose(1 / (1 + np.exp(-found / 2.0)), expected, atol=1e-6)


def test_numbers_are_averaged_as_they_are_and_have_no_entropy(teachers, make_dense, numbers):
    x, _ = numbers
    distiller = Distiller(TeacherEnsemble(teachers), make_dense(), LogitMatching())
    distiller.compile("sgd", "mse")
    difference = logits_of(teachers, x).mean(0) - distiller.student(x).numpy()
    found = distiller.evaluate(x, np.zeros((24, 3)), verbose=0, return_dict=True)
    np.testing.assert_allclose(found["logit_matching"], (difference**2).mean(), rtol=1e-4)
    distiller = Distiller(TeacherEnsemble(teachers, "entropy"), make_dense(), LogitMatching())
    with pytest.raises(ValueError, match="measures probabilities"):
        distiller.compile("sgd", "mse")


def test_probabilities_stay_probabilities(make_dense, numbers):
    x, y = numbers
    ends = [make_dense(activation="softmax", name=name) for name in "ab"]
    ensemble = TeacherEnsemble(ends, temperature=1.0)
    expected = np.mean([one(x).numpy() for one in ends], axis=0)
    np.testing.assert_allclose(ensemble.predict(x, verbose=0), expected, atol=1e-6)
    ensemble.compile(loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    accuracy = ensemble.evaluate(x, y, verbose=0, return_dict=True)["accuracy"]
    assert accuracy == pytest.approx((expected.argmax(-1) == y).mean())
    with pytest.raises(ValueError, match="some end in softmax, others in sigmoid"):
        TeacherEnsemble([ends[0], make_dense(activation="sigmoid")])


def test_losses_tap_layers_of_single_teachers(teachers, make_dense, numbers):
    x, y = numbers
    losses = [
        HintLearning("0/hidden", "hidden", name="first"),
        HintLearning("b/hidden:input", "hidden:input", projector=None, name="inputs"),
        SoftTargets(),
    ]
    distiller = fitted(TeacherEnsemble(teachers), make_dense(6), numbers, losses)
    history = distiller.evaluate(x, y, verbose=0, return_dict=True)
    assert history["inputs"] == 0
    assert "teacher 0/hidden (None, 6)" in distiller.describe()
    tapped = keras.Model(teachers[0].inputs[0], teachers[0].get_layer("hidden").output)
    own = keras.Model(distiller.student.inputs[0], distiller.student.get_layer("hidden").output)
    expected = np.square(tapped(x).numpy() - own(x).numpy()).mean()
    np.testing.assert_allclose(history["first"], expected, rtol=1e-4)


def test_a_distiller_saves_loads_and_goes_on(teachers, make_dense, numbers, tmp_path):
    ensemble = TeacherEnsemble(teachers, [1, 2, 3], temperature=4.0)
    teachers[1].compile("adam", "mse")
    before = [weight.numpy() for weight in ensemble.weights]
    losses = [SoftTargets(), HintLearning("1/hidden", "hidden")]
    distiller = fitted(
        ensemble, make_dense(), numbers, losses, distillation_loss_weights="balanced"
    )
    for weight, value in zip(ensemble.weights, before, strict=True):
        np.testing.assert_array_equal(weight.numpy(), value)
    assert not {id(w) for w in distiller.trainable_weights} & {id(w) for w in ensemble.weights}
    distiller.save(tmp_path / "distiller.keras")
    loaded = keras.models.load_model(tmp_path / "distiller.keras")
    x, y = numbers
    expected = distiller.evaluate(x, y, verbose=0)
    np.testing.assert_allclose(loaded.evaluate(x, y, verbose=0), expected, rtol=1e-5)
    for model in (distiller, loaded):
        model.run_eagerly = True
        model.train_on_batch(x, y)
    for one, other in zip(loaded.get_weights(), distiller.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)


def test_a_cache_of_it_teaches_the_same(teachers, make_dense, numbers, tmp_path):
    losses = [SoftTargets(), HintLearning("c/hidden", "hidden")]
    ensemble, student = TeacherEnsemble(teachers, "entropy"), make_dense()
    cache = TeacherCache.build(tmp_path, ensemble, numbers, losses, dtype="float32", verbose=0)
    keras.utils.set_random_seed(1)
    expected = fitted(ensemble, student, numbers, losses)
    keras.utils.set_random_seed(1)
    batches = cache.join(numbers, shuffle=False, batch_size=24)
    found = fitted(cache, student, (batches,), losses)
    for one, other in zip(found.student.weights, expected.student.weights, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)
    with pytest.raises(ValueError, match='weights="confidence" do, and a cache'):
        ensemble = TeacherEnsemble(teachers, "confidence")
        TeacherCache.build(tmp_path, ensemble, numbers, losses, verbose=0)


def test_functions_are_teachers_too(teachers, make_dense, numbers):
    x, _ = numbers
    student = make_dense()
    expected = fitted(TeacherEnsemble(teachers[:2]), student, numbers)
    function = TeacherEnsemble([teachers[0], lambda batch: teachers[1](batch).numpy()])
    found = fitted(function, student, numbers)
    for one, other in zip(found.student.weights, expected.student.weights, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)
    assert function.predict(x, verbose=0).shape == (24, 3)


@pytest.mark.parametrize(
    ("make", "error", "match"),
    [
        (lambda m: TeacherEnsemble([]), ValueError, "teachers is empty"),
        (lambda m: TeacherEnsemble(m()), TypeError, "must be a list"),
        (lambda m: TeacherEnsemble([m(), None]), TypeError, r"Received: teachers\[1\]=None"),
        (lambda m: TeacherEnsemble([m()] * 2), ValueError, "one teacher twice"),
        (lambda m: TeacherEnsemble([m(), m()], [1]), ValueError, "each of the 2 models"),
        (lambda m: TeacherEnsemble([m(), m()], [0, 0]), ValueError, "above 0"),
        (lambda m: TeacherEnsemble([m(), m()], [1, -1]), ValueError, r"weights\[1\]"),
        (lambda m: TeacherEnsemble([m(), m()], "best"), ValueError, "'entropy'"),
        (lambda m: TeacherEnsemble([m(), m()], 0.5), TypeError, "number per model"),
        (lambda m: TeacherEnsemble([m()], temperature=0), ValueError, "temperature"),
        (lambda m: TeacherEnsemble([m(), m(5, 4)]), ValueError, r"\(None, 3\).*\(None, 4\)"),
    ],
)
def test_what_is_no_ensemble_is_refused(make_dense, make, error, match):
    with pytest.raises(error, match=match):
        make(make_dense)


def test_what_an_ensemble_cannot_give_is_refused(teachers, make_dense):
    wide = keras.Sequential([keras.Input((9,)), keras.layers.Dense(3)])
    with pytest.raises(ValueError, match="take inputs of different shapes"):
        TeacherEnsemble([teachers[0], wide])
    ensemble, student = TeacherEnsemble(teachers), make_dense()
    for path in ("hidden", "d/hidden", "3/hidden", "0"):
        with pytest.raises(ValueError, match=r'as in "0/conv4". The teachers: 0 \(\'a\'\), 1'):
            Distiller(ensemble, student, HintLearning(path, "hidden"))
    with pytest.raises(ValueError, match="The teacher model 'a' has no such layer"):
        Distiller(ensemble, student, HintLearning("0/hiden", "hidden"))
    with pytest.raises(ValueError, match="a scheme in which one teaches"):
        Distiller(ensemble, student, GradientAttentionTransfer())
    with pytest.raises(ValueError, match="layers of one teacher"):
        Distiller(ensemble, student, "at")
    with pytest.warns(UserWarning, match=r"TeacherEnsemble\(\.\.\., temperature=2\)"):
        Distiller(ensemble, student, SoftTargets(2.0))
