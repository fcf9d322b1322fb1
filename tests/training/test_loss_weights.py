"""Weights that follow the gradients, checked against gradients computed with NumPy."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_distill import Distiller, TeacherCache, losses
from keras_distill.losses import Balanced
from keras_distill.training import gradient_ratios, loss_weights

LABELS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


@pytest.fixture(autouse=True)
def at_once(monkeypatch):
    """Weights that don't come up slowly, so that a single step shows them."""
    monkeypatch.setattr(loss_weights, "_WARM_UP", 1)


@keras.saving.register_keras_serializable("tests")
class Scaled(losses.DistillationLoss):
    """Squared error of the outputs, times a factor."""

    def __init__(self, factor=1.0, **kwargs):
        super().__init__(None, None, **kwargs)
        self.factor = factor

    def call(self, teacher, student, context):
        return self.factor * keras.ops.mean(keras.ops.square(teacher - student), axis=-1)


def linear(seed, classes=3):
    keras.utils.set_random_seed(seed)
    return keras.Sequential([keras.Input((5,)), keras.layers.Dense(classes, use_bias=False)])


def data(samples=16):
    rng = np.random.default_rng(0)
    return rng.normal(size=(samples, 5)).astype("float32"), rng.integers(0, 3, samples)


def distiller_of(weights, loss="logits", student_loss_weight=None, optimizer=None, **kwargs):
    made = Distiller(linear(0), linear(1), loss, weights, student_loss_weight=student_loss_weight)
    # Eagerly: making a graph takes longer than a few steps.
    made.compile(optimizer or keras.optimizers.SGD(0.1), LABELS, **{"run_eagerly": True, **kwargs})
    return made


def gradients(x, y, kernel, teacher):
    """Gradients of the labels' loss and of the logits' squared error, in NumPy."""
    z = x @ kernel
    p = np.exp(z) / np.exp(z).sum(-1, keepdims=True)
    of_labels = x.T @ (p - np.eye(3)[y]) / len(x)
    of_loss = x.T @ (2 * (z - x @ teacher)) / z.size
    return of_labels, of_loss


def norm(array):
    return np.sqrt(np.sum(np.square(array)))


def kernel_of(model):
    return np.float64(model.layers[0].kernel)


def trained(distiller, x, y, **kwargs):
    distiller.fit(x, y, **{"batch_size": len(x), "verbose": 0, "shuffle": False, **kwargs})
    return kernel_of(distiller.student)


@pytest.mark.parametrize("share", [1.0, 0.25])
@pytest.mark.parametrize(
    "settings",
    [{"run_eagerly": False}, {"run_eagerly": True}, {"run_eagerly": False, "jit_compile": True}],
)
def test_a_losss_gradient_is_the_share_of_the_labels(share, settings):
    x, y = data()
    distiller = distiller_of(Balanced(share), **settings)
    before, teacher = kernel_of(distiller.student), kernel_of(distiller.teacher)
    of_labels, of_loss = gradients(x, y, before, teacher)
    weighted = share * norm(of_labels) / norm(of_loss) * of_loss
    after = trained(distiller, x, y)
    np.testing.assert_allclose(after, before - 0.1 * (of_labels + weighted), atol=1e-6)


@pytest.mark.parametrize("run_eagerly, steps_per_execution", [(True, 1), (False, 1), (False, 4)])
def test_the_ratios_are_geometric_running_means_that_stay(
    run_eagerly, steps_per_execution, monkeypatch
):
    monkeypatch.setattr(gradient_ratios, "_EARLY", (0, 1, 4))
    x, y = data()
    settings = {"run_eagerly": run_eagerly, "steps_per_execution": steps_per_execution}
    distiller = distiller_of(Balanced(1.0), "logits", **settings)
    kernel, teacher = kernel_of(distiller.student), kernel_of(distiller.teacher)
    ratio = None
    for step in range(9):
        found = gradients(x, y, kernel, teacher)
        if step in (0, 1, 4):
            now = norm(found[0]) / norm(found[1])
            ratio = now if ratio is None else ratio**0.7 * now**0.3
        kernel -= 0.1 * (found[0] + ratio * found[1])
    x, y = np.tile(x, (3, 1)), np.tile(y, 3)
    found = trained(distiller, x, y, batch_size=16, epochs=3)
    np.testing.assert_allclose(found, kernel, atol=1e-5)


def test_the_weights_come_up_over_the_first_steps(monkeypatch):
    monkeypatch.setattr(loss_weights, "_WARM_UP", 4)
    distiller = distiller_of(Balanced(0.5))
    weights = [float(distiller._edge.weights_at(step)[0]) for step in range(6)]
    assert weights == [0.125, 0.25, 0.375, 0.5, 0.5, 0.5]


def test_only_the_function_that_measures_takes_several_gradients(monkeypatch):
    monkeypatch.setattr(gradient_ratios, "_EARLY", (0, 1, 5))
    distiller = distiller_of("balanced")
    made, tape = [], tf.GradientTape
    monkeypatch.setattr(
        tf, "GradientTape", lambda persistent=False: made.append(persistent) or tape(persistent)
    )
    trained(distiller, *data(), epochs=7)
    assert made == [True, True, False, False, False, True, False]


@pytest.mark.parametrize("steps", [1, 5])
def test_where_nothing_is_known_the_first_step_measures_whenever_it_is(steps):
    x, y = data()
    distiller = distiller_of(Balanced(1.0), steps_per_execution=steps)
    distiller.optimizer.iterations.assign(5_000)
    of_labels, of_loss = gradients(x, y, kernel_of(distiller.student), kernel_of(distiller.teacher))
    trained(distiller, x, y)
    [weight] = distiller._edge.weights_at(5_001)
    assert float(weight) == pytest.approx(norm(of_labels) / norm(of_loss), rel=1e-4)


def test_each_weight_tensor_that_both_reach_counts_the_same():
    teacher, student = (
        keras.Sequential(
            [keras.Input((5,)), keras.layers.Dense(4, name="inner"), keras.layers.Dense(3)]
        )
        for _ in range(2)
    )
    x, y = data()
    with tf.GradientTape(persistent=True) as tape:
        hidden = student.layers[0](x)
        labels_loss = LABELS(y, student.layers[1](hidden))
        hints = keras.ops.mean(keras.ops.square(teacher.layers[0](x) - hidden))
    kernel_and_bias = student.trainable_weights[:2]
    norms = [
        [norm(np.float64(part)) for part in tape.gradient(loss, kernel_and_bias)]
        for loss in (labels_loss, hints)
    ]
    hint = losses.HintLearning("inner", "inner", projector=None)
    distiller = Distiller(teacher, student, hint, "balanced")
    distiller.compile(keras.optimizers.SGD(0.0), LABELS, run_eagerly=True)
    distiller.fit(x, y, batch_size=16, verbose=0)
    ratios = np.divide(*norms)
    found = float(distiller._edge._weights.ratios.at(0))
    assert found == pytest.approx(np.sqrt(ratios[0] * ratios[1]), rel=1e-4)


def test_a_gradient_that_is_rounding_is_left_out():
    labels = [tf.constant([3.0]), tf.constant([1e-7]), None, tf.constant([6.0, 8.0])]
    loss = [tf.constant([1.0]), tf.constant([1e-9]), tf.constant([1.0]), tf.constant([2.0, 0.0])]
    found = gradient_ratios.compared(labels, loss)
    cosine = (3.0 + 12.0) / np.sqrt((9.0 + 100.0) * (1.0 + 4.0))
    np.testing.assert_allclose(found, [np.log(np.sqrt(3.0 * 5.0)), cosine, 1.0], rtol=1e-6)


@pytest.mark.parametrize("broken", [[None], [tf.constant([np.nan])], [tf.constant([0.0])]])
def test_a_gradient_that_says_nothing_is_unknown(broken):
    found = gradient_ratios.compared([tf.constant([1.0])], broken)
    np.testing.assert_array_equal(found, [0.0, 0.0, 0.0])


@pytest.mark.parametrize(
    ("early", "now", "cosine", "expected"),
    [(3.0, 2.0, 0.1, 3.0), (3.0, 2.0, -0.1, 2.0), (3.0, 5.0, -0.1, 3.0)],
)
def test_what_pulls_against_the_labels_does_not_outgrow_them(early, now, cosine, expected):
    ratios = gradient_ratios.GradientRatios(1)
    ratios.known.assign([[np.log(early), np.log(now), cosine, 1.0]])
    assert float(ratios.at(0)) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("step", "sign", "length", "expected"),
    [
        # Of gradients that are as long as each other before, the labels' is `length` times as long.
        (10, 1.0, 8.0, 8.0**0.3),
        (10, -1.0, 8.0, 1.0),
        (10, -1.0, 1 / 8, 8.0**-0.3),
        (5, -1.0, 8.0, 8.0**0.3),
    ],
)
def test_what_pulls_against_the_labels_gains_no_weight(step, sign, length, expected):
    ratios = gradient_ratios.GradientRatios(1)
    ratios.known.assign([[0.0, 0.0, sign, 1.0]])
    weights = [tf.Variable([1.0, 2.0])]
    with tf.GradientTape(persistent=True) as tape:
        of_loss = tf.reduce_sum(weights[0])
        of_labels = sign * length * of_loss
        ratios.measure(tape, of_labels, [of_loss], weights, step)
    assert float(ratios.at(0)) == pytest.approx(expected, rel=1e-4)


def test_the_ratio_and_the_cosine_of_later_steps_are_followed(monkeypatch):
    monkeypatch.setattr(gradient_ratios, "_EARLY", (0,))
    monkeypatch.setattr(gradient_ratios, "_EVERY", 2)
    x, y = data()
    distiller = distiller_of(Balanced(0.0))
    kernel, teacher = kernel_of(distiller.student), kernel_of(distiller.teacher)
    logs, cosines = [], []
    for step in range(4):
        of_labels, of_loss = gradients(x, y, kernel, teacher)
        if step in (0, 2):
            logs.append(np.log(norm(of_labels) / norm(of_loss)))
            cosines.append(np.sum(of_labels * of_loss) / norm(of_labels) / norm(of_loss))
        kernel -= 0.1 * of_labels
    trained(distiller, x, y, epochs=4)
    expected = [logs[0], *(0.7 * part[0] + 0.3 * part[1] for part in (logs, cosines)), 1.0]
    found = distiller._edge._weights.ratios.known.numpy()[0]
    np.testing.assert_allclose(found, expected, rtol=1e-4)


def test_an_epoch_that_ends_within_a_call_is_counted_as_long_as_it_was():
    iterations = tf.Variable(0)
    times = gradient_ratios.MeasuringTimes(iterations, steps=20)
    assert times.is_now()
    iterations.assign(81)
    assert times.is_now()
    iterations.assign(101)
    assert not times.is_now()


def test_weights_that_were_set_back_are_measured_from_the_first_step():
    iterations = tf.Variable(54)
    times = gradient_ratios.MeasuringTimes(iterations, steps=1)
    assert times.is_now() and not times.is_now()
    iterations.assign(3)
    assert not times.is_now()
    times.forget()
    assert times.is_now() and times.is_now()


@pytest.mark.parametrize("factor", [1e-6, 1e6])
def test_the_scale_of_a_loss_does_not_matter(factor):
    x, y = data()
    plain = trained(distiller_of("balanced", Scaled()), x, y, epochs=3)
    scaled = trained(distiller_of("balanced", Scaled(factor)), x, y, epochs=3)
    np.testing.assert_allclose(scaled, plain, rtol=1e-4)


def test_each_loss_of_a_list_has_its_own_share_and_numbers_stay():
    x, y = data()
    weights = [0.5, Balanced(1.0), Balanced(0.1)]
    chosen = [Scaled(name="first"), Scaled(30.0, name="second"), Scaled(7.0, name="third")]
    distiller = distiller_of(weights, chosen)
    before, teacher = kernel_of(distiller.student), kernel_of(distiller.teacher)
    of_labels, of_loss = gradients(x, y, before, teacher)
    unit = norm(of_labels) / norm(of_loss) * of_loss
    after = trained(distiller, x, y)
    expected = before - 0.1 * (of_labels + 0.5 * of_loss + 1.1 * unit)
    np.testing.assert_allclose(after, expected, atol=1e-6)
    assert "balanced to a share of 1, " in distiller.describe()


def test_a_schedule_fades_the_share():
    x, y = data()
    fade = keras.optimizers.schedules.PolynomialDecay(1.0, 1, end_learning_rate=0.0)
    distiller = distiller_of(Balanced(fade))
    trained(distiller, x, y)
    before = kernel_of(distiller.student)
    of_labels, _ = gradients(x, y, before, kernel_of(distiller.teacher))
    np.testing.assert_allclose(trained(distiller, x, y), before - 0.1 * of_labels, atol=1e-6)


@pytest.mark.parametrize("labels", ["none", "weight of 0"])
def test_without_labels_the_first_loss_takes_their_place(labels):
    x, y = data()
    chosen = [Scaled(name="first"), Scaled(1000.0, name="second")]
    distiller = distiller_of([Balanced(1.0)] * 2, chosen, None if labels == "none" else 0.0)
    before = kernel_of(distiller.student)
    _, of_loss = gradients(x, y, before, kernel_of(distiller.teacher))
    after = trained(distiller, x, None if labels == "none" else y)
    np.testing.assert_allclose(after, before - 0.2 * of_loss, atol=1e-6)


def test_a_batch_without_labels_keeps_what_was_measured():
    x, y = data()
    distiller = distiller_of("balanced")
    trained(distiller, x, y)
    known = distiller._edge._weights.ratios.known.numpy()
    trained(distiller, x, np.full(len(y), -1))
    found = distiller._edge._weights.ratios.known.numpy()
    assert known[0].all()
    np.testing.assert_array_equal(found, known)
    assert np.isfinite(kernel_of(distiller.student)).all()


def test_evaluation_before_training_weighs_by_one_and_measures_nothing():
    x, y = data()
    distiller = distiller_of(Balanced(1.0))
    logs = distiller.evaluate(x, y, verbose=0, return_dict=True)
    expected = logs["student_loss"] + logs["logit_matching"]
    assert logs["loss"] == pytest.approx(expected, rel=1e-5)
    assert not distiller._edge._weights.ratios.are_known


def test_what_was_measured_is_saved_and_training_goes_on_as_it_would_have(tmp_path):
    x, y = data()
    distiller = distiller_of(["balanced"], optimizer=keras.optimizers.Adam(0.01))
    trained(distiller, x, y, epochs=12)
    distiller.save(tmp_path / "distiller.keras")
    again = keras.saving.load_model(tmp_path / "distiller.keras")
    assert again.distillation_loss_weights == [Balanced(0.5)]
    expected = trained(distiller, x, y, epochs=3)
    np.testing.assert_allclose(trained(again, x, y, epochs=3), expected, atol=1e-6)


def test_a_cache_gives_what_the_teacher_gives(tmp_path):
    x, y = data()
    expected = trained(distiller_of("balanced"), x, y, epochs=3)
    cache = TeacherCache.build(
        tmp_path / "cache", linear(0), (x, y), distillation_losses="logits", dtype="float32"
    )
    distiller = Distiller(cache, linear(1), "logits", "balanced", student_loss_weight=None)
    distiller.compile(keras.optimizers.SGD(0.1), LABELS, run_eagerly=True)
    distiller.fit(cache.join((x, y), batch_size=len(x), shuffle=False), epochs=3, verbose=0)
    np.testing.assert_allclose(kernel_of(distiller.student), expected, atol=1e-5)


def test_half_precision_measures_the_same_share():
    x, y = data()
    expected = trained(distiller_of("balanced"), x, y)
    policy = keras.dtype_policies.DTypePolicy("mixed_float16")
    student = linear(1)
    keras.utils.set_random_seed(1)
    half = keras.Sequential(
        [keras.Input((5,)), keras.layers.Dense(3, use_bias=False, dtype=policy)]
    )
    half.set_weights(student.get_weights())
    distiller = Distiller(linear(0), half, "logits", "balanced", student_loss_weight=None)
    optimizer = keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(0.1))
    distiller.compile(optimizer, LABELS)
    np.testing.assert_allclose(trained(distiller, x, y), expected, atol=3e-3)


def test_replicas_share_what_they_measure():
    x, y = data()
    devices = tf.config.list_logical_devices("CPU")
    strategy = tf.distribute.MirroredStrategy([devices[0].name])
    expected = trained(distiller_of("balanced"), x, y, epochs=2)
    with strategy.scope():
        distiller = distiller_of("balanced")
    np.testing.assert_allclose(trained(distiller, x, y, epochs=2), expected, atol=1e-6)


def test_embeddings_of_a_student_are_measured():
    tokens = np.array([[1, 1, 2], [2, 3, 1]])

    def model(seed):
        keras.utils.set_random_seed(seed)
        layers = [keras.Input((3,), dtype="int32"), keras.layers.Embedding(5, 4)]
        pooled = keras.layers.GlobalAveragePooling1D()
        return keras.Sequential([*layers, pooled, keras.layers.Dense(3)])

    distiller = Distiller(model(0), model(1), "kd", "balanced", student_loss_weight=None)
    distiller.compile(keras.optimizers.SGD(0.1), LABELS)
    before = distiller.student.get_weights()
    distiller.fit(tokens, np.array([0, 2]), verbose=0)
    assert distiller._edge._weights.ratios.are_known
    assert not np.allclose(before[0], distiller.student.get_weights()[0])


@pytest.mark.parametrize(
    ("weights", "error", "said"),
    [
        ("balancd", TypeError, r'"balanced" or a losses.Balanced. Received: .*\[0\]=.balancd'),
        (["balanced", 1.0], ValueError, r"\(2\) must match number of distillation_losses \(1\)"),
    ],
)
def test_other_words_are_refused(weights, error, said):
    with pytest.raises(error, match=said):
        distiller_of(weights)


@pytest.mark.parametrize(("share", "error"), [(-1.0, ValueError), ("much", TypeError)])
def test_a_share_is_a_number_of_at_least_zero(share, error):
    with pytest.raises(error, match="share must be"):
        Balanced(share)


def test_balancing_is_set_when_a_distiller_is_made():
    distiller = distiller_of(1.0)
    with pytest.raises(ValueError, match="make a new Distiller"):
        distiller.distillation_loss_weights = "balanced"
    distiller = distiller_of("balanced")
    distiller.distillation_loss_weights = Balanced(0.5)
    assert distiller.distillation_loss_weights == [Balanced(0.5)]
