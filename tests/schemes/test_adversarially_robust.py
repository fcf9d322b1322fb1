"""PGD stays in its ball, and a student that is attacked in training holds against it."""

import fractions
import re

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_distill import Distiller, SoftTargets, TeacherCache
from keras_distill.schemes import AdversariallyRobust, pgd, robust_accuracy
from keras_distill.schemes.attacks import Attack, _neighbor

LOSS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
TYPES = ["float16", "bfloat16", "float32", "float64"]


def copies(model, count):
    made = [keras.models.clone_model(model) for _ in range(count)]
    for copy in made:
        copy.set_weights(model.get_weights())
    return made


def exactly(values):
    return [fractions.Fraction(float(value)) for value in np.ravel(values)]


@pytest.fixture
def in_range(numbers):
    x, y = numbers
    return (x - x.min()) / (x.max() - x.min()), y


@pytest.mark.parametrize("dtype", TYPES)
def test_no_number_leaves_the_ball_or_the_bounds(dtype):
    bounds = (-0.1, 0.7)
    low, high = map(fractions.Fraction, bounds)
    for seed in range(12):
        rng = np.random.default_rng(seed)
        epsilon = float(rng.choice([8 / 255, 0.1, 0.25, 1e-4, 1e-9, 3.0]))
        kernel = tf.constant(rng.normal(size=(40, 3)), "float64")
        # On the edges, at zero and so small that float64 can't hold both input and epsilon.
        x = np.concatenate([rng.uniform(*bounds, 30), [0, 1e-7, -1e-7, 1e-30, -1e-30], [0.5] * 5])
        x = tf.cast(tf.constant(x[None]), dtype)
        x = tf.where(Attack(bounds=bounds).leaves_range(x), tf.zeros_like(x), x)

        def objective(x, kernel=kernel):
            return tf.reduce_sum(tf.sin(5 * tf.cast(x, "float64") @ kernel))

        attack = Attack(epsilon, epsilon * 0.9, 4, random_start=bool(seed % 2), bounds=bounds)
        found = attack.perturb(x, objective, [seed, 1])
        assert found.dtype == x.dtype
        radius = fractions.Fraction(epsilon)
        pairs = zip(exactly(found), exactly(x), strict=True)
        assert all(abs(one - other) <= radius for one, other in pairs)
        assert all(low <= one <= high for one in exactly(found))


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_neighbors_are_those_of_numpy(dtype):
    x = np.array([0.0, 1.0, -1.0, 0.1, -0.1, 1e-7, -3.5, 6e4], dtype)
    for direction in (1, -1):
        expected = np.nextafter(x, np.array(direction * np.inf, dtype))
        np.testing.assert_array_equal(_neighbor(tf.constant(x), direction).numpy(), expected)


def test_a_step_on_a_linear_model_is_the_sign_of_the_gradient():
    rng = np.random.default_rng(0)
    x, y = rng.random((20, 6), "float32"), rng.integers(0, 3, 20)
    model = keras.Sequential([keras.Input((6,)), keras.layers.Dense(3)])
    kernel, bias = (weight.numpy().astype("float64") for weight in model.weights)
    p = np.exp(x @ kernel + bias)
    gradient = (p / p.sum(-1, keepdims=True) - np.eye(3)[y]) @ kernel.T
    settings = {"steps": 1, "random_start": False}
    found = pgd(model, x, y, 0.2, 0.05, **settings)
    np.testing.assert_allclose(found, np.clip(x + 0.05 * np.sign(gradient), 0, 1), atol=1e-6)
    found = pgd(model, x, y, 0.02, 0.05, bounds=None, **settings)
    np.testing.assert_allclose(found, x + 0.02 * np.sign(gradient), atol=1e-6)


def test_more_steps_raise_the_error_and_a_seed_gives_the_same(make_dense, in_range):
    (x, y), model = in_range, make_dense(8)
    values = [LOSS(y, model(pgd(model, x, y, 0.2, steps=n))).numpy() for n in (1, 8)]
    assert LOSS(y, model(x)).numpy() < values[0] < values[1]
    first, again, other = (pgd(model, x, y, 0.2, steps=1, seed=seed) for seed in (3, 3, 4))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_the_accuracy_without_an_attack_is_the_plain_one(make_dense, in_range):
    (x, y), model = in_range, make_dense()
    plain = (model(x).numpy().argmax(-1) == y).mean()
    assert robust_accuracy(model, x, y, epsilon=0, batch_size=7) == plain


@pytest.mark.parametrize("epsilon", [0, 1e-12])
def test_without_a_ball_it_is_the_plain_distiller_step_by_step(make_dense, in_range, epsilon):
    teacher, start = make_dense(9), make_dense()
    settings = {"student_loss_weight": 0.3, "distillation_losses": SoftTargets(4.0)}
    students = copies(start, 2)
    robust = AdversariallyRobust(teacher, students[0], epsilon=epsilon, steps=2, **settings)
    plain = Distiller(teacher, students[1], **settings)
    for distiller in (robust, plain):
        distiller.compile(keras.optimizers.SGD(0.5), LOSS, run_eagerly=True)
    for _ in range(3):
        found, expected = (each.train_on_batch(*in_range) for each in (robust, plain))
        np.testing.assert_allclose(found, expected, rtol=1e-5)
    for one, other in zip(*(student.get_weights() for student in students), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-7)


def test_the_total_is_that_of_numpy(make_dense, in_range):
    (x, y), teacher, student = in_range, make_dense(9), make_dense()
    settings = {"epsilon": 0.1, "steps": 3, "random_start": False}
    distiller = AdversariallyRobust(
        teacher, student, SoftTargets(2.0), student_loss_weight=0.3, **settings
    )
    distiller.compile("sgd", LOSS, metrics=["accuracy"], run_eagerly=True)
    logs = distiller.evaluate(x, y, batch_size=24, verbose=0, return_dict=True)
    attacked = student(pgd(student, x, y, **settings)).numpy() / 2
    log_t, log_s = (
        z - np.log(np.exp(z).sum(-1, keepdims=True)) for z in (teacher(x).numpy() / 2, attacked)
    )
    of_teacher = 4 * (np.exp(log_t) * (log_t - log_s)).sum(-1).mean()
    of_labels = LOSS(y, student(x)).numpy()
    assert logs["soft_targets"] == pytest.approx(of_teacher, rel=1e-5)
    assert logs["student_loss"] == pytest.approx(of_labels, rel=1e-5)
    assert logs["loss"] == pytest.approx(0.3 * of_labels + 0.7 * of_teacher, rel=1e-5)
    assert logs["accuracy"] == pytest.approx(robust_accuracy(student, x, y, epsilon=0))


def test_the_attack_moves_no_statistics():
    rng = np.random.default_rng(0)
    x, y = rng.random((16, 4), "float32"), rng.integers(0, 3, 16)
    layers = keras.layers

    def make():
        return keras.Sequential(
            [
                keras.Input((4,)),
                layers.BatchNormalization(momentum=0.5, name="norm"),
                layers.Dense(3, activity_regularizer="l2"),
            ]
        )

    student = make()
    distiller = AdversariallyRobust(make(), student, epsilon=0.1, steps=5)
    # In a graph, where what the loop of the attack leaves behind would be an error.
    distiller.compile(keras.optimizers.SGD(0.0), LOSS)
    norm = student.get_layer("norm")
    moved = norm.moving_mean.numpy()
    distiller.train_on_batch(x, y)
    # Two passes in training mode: of the clean inputs, and of those the perturbed ones.
    after_clean = 0.5 * moved + 0.5 * x.mean(0)
    perturbed_mean = (norm.moving_mean.numpy() - 0.5 * after_clean) / 0.5
    assert 0 < np.abs(perturbed_mean - x.mean(0)).max() <= 0.1 + 1e-6
    statistics = norm.moving_mean.numpy()
    distiller.evaluate(x, y, verbose=0)
    np.testing.assert_array_equal(norm.moving_mean.numpy(), statistics)


def test_the_student_holds_against_attacks_that_fool_the_plain_one():
    # One number tells the classes with a wide margin, and many together with a narrow one.
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, 400)
    sign = 2.0 * y[:, None] - 1
    wide = 0.5 + 0.25 * sign + 0.1 * rng.normal(size=(400, 1))
    narrow = 0.5 + 0.05 * sign + 0.1 * rng.normal(size=(400, 60))
    x = np.clip(np.concatenate([wide, narrow], -1), 0, 1).astype("float32")
    start = keras.Sequential([keras.Input((61,)), keras.layers.Dense(2)])
    start.set_weights([np.zeros_like(weight) for weight in start.get_weights()])
    teacher, robust, plain = copies(start, 3)
    kernel = np.zeros((61, 2), "float32")
    kernel[0] = -20, 20
    teacher.set_weights([kernel, np.float32([10, -10])])
    distiller = AdversariallyRobust(
        teacher, robust, SoftTargets(2.0), epsilon=0.15, steps=2, student_loss_weight=0.3
    )
    distiller.compile(keras.optimizers.Adam(0.05), LOSS)
    plain.compile(keras.optimizers.Adam(0.05), LOSS)
    for model in (distiller, plain):
        model.fit(x, y, batch_size=100, epochs=20, shuffle=False, verbose=0)
    robust, plain = (
        [robust_accuracy(model, x, y, epsilon, batch_size=400) for epsilon in (0, 0.15)]
        for model in (robust, plain)
    )
    assert min(robust[0], plain[0]) > 0.95
    assert robust[1] > 0.7 > 0.4 > plain[1]


@pytest.mark.parametrize("policy", ["float32", "mixed_float16"])
def test_it_attacks_the_teachers_answer_without_labels(make_dense, in_range, policy):
    keras.config.set_dtype_policy(policy)
    try:
        teacher, student = make_dense(9), make_dense()
    finally:
        keras.config.set_dtype_policy("float32")
    distiller = AdversariallyRobust(
        teacher, student, "kd", epsilon=0.1, steps=2, objective="teacher"
    )
    distiller.compile("adam", LOSS, run_eagerly=True)
    history = distiller.fit(in_range[0], verbose=0).history
    assert np.isfinite(history["soft_targets"]).all()
    clean = Distiller(teacher, student, "kd")
    clean.compile("adam", LOSS, run_eagerly=True)
    values = [each.evaluate(*in_range, verbose=0, return_dict=True) for each in (distiller, clean)]
    assert values[0]["soft_targets"] > values[1]["soft_targets"]


def test_a_cache_of_clean_answers_teaches_the_same(make_dense, in_range, tmp_path):
    teacher, start = make_dense(9), make_dense()
    loss = SoftTargets(2.0)
    cache = TeacherCache.build(
        tmp_path / "cache", teacher, in_range, [loss], dtype="float32", verbose=0
    )
    data = tf.data.Dataset.from_tensor_slices(in_range)
    found = []
    for source, student in zip((teacher, cache), copies(start, 2), strict=True):
        distiller = AdversariallyRobust(source, student, loss, epsilon=0.1, steps=2)
        distiller.compile(keras.optimizers.SGD(0.5), LOSS, run_eagerly=True)
        batches = cache.join(data).batch(24) if source is cache else data.batch(24)
        distiller.fit(batches, verbose=0)
        found.append(student.get_weights())
    for one, other in zip(*found, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)


def fit(distiller, x, y=None):
    distiller.compile("sgd", LOSS, run_eagerly=True)
    distiller.fit(x, y, verbose=0)


def with_two_inputs():
    inputs = {name: keras.Input((4,), name=name) for name in "ab"}
    return keras.Model(inputs, keras.layers.Dense(3)(inputs["a"] + inputs["b"]))


def test_inputs_that_cannot_be_perturbed_are_refused(make_dense, in_range):
    (x, y), pair = in_range, [make_dense(9), make_dense()]
    with pytest.raises(ValueError, match=r"one input.*Received: x="):
        fit(AdversariallyRobust(with_two_inputs(), with_two_inputs()), {"a": x, "b": x}, y)
    with pytest.raises(ValueError, match=r"floating point numbers.*int"):
        fit(AdversariallyRobust(*pair), (x > 0.5).astype("int32"), y)
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"bounds=\(0.0, 1.0\)"):
        fit(AdversariallyRobust(*pair), 2 * x, y)
    with pytest.raises(ValueError, match="objective='teacher'"):
        fit(AdversariallyRobust(*pair), x)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"epsilon": -1}, "epsilon must be .* at least 0"),
        ({"step_size": 0}, "step_size must be .* above 0"),
        ({"steps": 0}, "steps must be at least 1"),
        ({"bounds": (1, 0)}, "bounds=(1, 0)"),
        ({"bounds": (0, 0.5)}, "x leaves it. Received: bounds=(0, 0.5)"),
        ({"x": np.zeros((24, 4), "uint8")}, "floating point numbers"),
        ({"x": np.zeros((24, 5), "float32")}, "inputs of shape (None, 4)"),
        ({"y": np.full(24, 3)}, "from 0 to 2. Received: y from 3 to 3"),
        ({"y": np.zeros((24, 3))}, "y must be an integer array of classes"),
    ],
)
def test_wrong_settings_are_refused(make_dense, in_range, change, message):
    x, y = in_range
    found = message if ".*" in message else re.escape(message)
    with pytest.raises(ValueError, match=found):
        pgd(**{"model": make_dense(), "x": x, "y": y, **change})
