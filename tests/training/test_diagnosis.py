"""A diagnosis: what is measured equals NumPy's, each fault is found, a healthy run has none."""

import re

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_distill import AttentionTransfer, Distiller, SoftTargets, TeacherCache
from keras_distill.losses import HintLearning, RelationalKD
from keras_distill.training.diagnosis import Answers, Term, findings_of

LABELS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
FACTS = {
    "teacher": 100,
    "student": 10,
    "trainable": True,
    "random": [],
    "spatial": [],
    "updates": 0,
    "schedules": [],
}


def data(samples=96, classes=3):
    """Blobs of three classes, which a linear model learns."""
    rng = np.random.default_rng(0)
    y = rng.integers(0, classes, samples)
    x = rng.normal(size=(samples, 5)).astype("float32")
    x[np.arange(samples), y] += 3.0
    return x, y


def model(width=None, seed=0, classes=3):
    keras.utils.set_random_seed(seed)
    hidden = [] if width is None else [keras.layers.Dense(width, "relu", name="hidden")]
    return keras.Sequential([keras.Input((5,)), *hidden, keras.layers.Dense(classes)])


@pytest.fixture(scope="module")
def teacher():
    made = model(16)
    made.compile(keras.optimizers.Adam(0.02), LABELS)
    made.fit(*data(), epochs=8, verbose=0)
    return made


def distiller_of(teacher, student, losses="kd", weights=None, learning_rate=0.01, **kwargs):
    made = Distiller(teacher, student, losses, weights, **kwargs)
    made.compile(keras.optimizers.Adam(learning_rate), LABELS)
    return made


def names_of(diagnosis):
    return [finding.name for finding in diagnosis.findings]


def test_terms_are_the_gradients_that_numpy_computes(teacher):
    x, y = data()
    student = model(seed=1)
    distiller = distiller_of(teacher, student, SoftTargets(2.0), [3.0], student_loss_weight=0.25)
    assert distiller.describe().endswith("diagnose() measures what each loss does to the student")
    diagnosis = distiller.diagnose((x, y), batches=3)
    kernel, bias = (np.float64(weight) for weight in student.get_weights())
    p, q = (_softmax(np.float64(m) / t) for m, t in ((x @ kernel + bias, 1.0), (teacher(x), 2.0)))
    softened = _softmax((x @ kernel + bias) / 2.0)
    by_logits = [(p - np.eye(3)[y]) * 0.25, 0.75 * 3.0 * 2.0 * (softened - q)]
    batches = np.arange(96).reshape(3, 32)
    vectors = [
        [np.append(x[rows].T @ part[rows], part[rows].sum(0)) / 32 for rows in batches]
        for part in by_logits
    ]
    norms = [np.sqrt(np.mean(np.sum(np.square(part), -1))) for part in vectors]
    both = np.mean(np.sum(np.multiply(*vectors), -1))
    of_labels, of_loss = diagnosis.terms
    assert [of_labels.name, of_loss.name] == ["student_loss", "soft_targets"]
    np.testing.assert_allclose([of_labels.gradient, of_loss.gradient], norms, rtol=1e-4)
    assert of_loss.share == pytest.approx(norms[1] / norms[0], rel=1e-4)
    assert of_loss.cosine == pytest.approx(both / np.prod(norms), abs=1e-5)
    assert (of_labels.weight, of_loss.weight) == (0.25, 2.25)
    kl = np.mean(np.sum(q * np.log(q / softened), -1)) * 4.0
    assert of_loss.value == pytest.approx(kl, rel=1e-4)
    assert diagnosis.samples == 96


def _softmax(logits):
    powers = np.exp(logits - logits.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)


def test_statistics_seeds_and_projectors_stay_as_they_are(teacher):
    keras.utils.set_random_seed(1)
    layers = [keras.layers.Dense(8), keras.layers.BatchNormalization(), keras.layers.Dropout(0.5)]
    student = keras.Sequential([keras.Input((5,)), *layers, keras.layers.Dense(3)])
    hints = HintLearning("hidden", layers[1].name)
    distiller = distiller_of(teacher, student, ["kd", hints], student_loss_weight=None)
    before = [np.array(variable) for variable in distiller.variables]
    first, second = (distiller.diagnose(data()).terms for _ in range(2))
    assert first == second
    for variable, old in zip(distiller.variables, before, strict=True):
        np.testing.assert_array_equal(variable, old)


def test_a_healthy_distillation_has_no_findings_and_is_left_as_it_is(teacher):
    student = model(seed=1)
    distiller = distiller_of(teacher, student, weights="balanced", student_loss_weight=None)
    x, y = data()
    distiller.fit(x, y, epochs=2, verbose=0)
    before = [np.array(weight) for weight in distiller.weights]
    diagnosis = distiller.diagnose()
    assert diagnosis.is_healthy, str(diagnosis)
    assert "Nothing is wrong." in str(diagnosis)
    assert distiller.describe().endswith("diagnosis: nothing is wrong")
    for weight, old in zip(distiller.weights, before, strict=True):
        np.testing.assert_array_equal(weight, old)


@pytest.mark.parametrize(
    ("weight", "name", "advice"),
    [(1e-4, "inert loss", "Raise its weight about"), (1e4, "drowning loss", "Divide its weight")],
)
def test_a_weight_too_small_or_too_large_is_found_and_the_advice_helps(
    weight, name, advice, teacher
):
    distiller = distiller_of(teacher, model(seed=1), weights=weight, student_loss_weight=None)
    [finding] = distiller.diagnose(data()).findings
    assert finding.name == name and advice in finding.message
    number = float(re.search(r"about ([\d,.]+)", finding.message)[1].rstrip(",.").replace(",", ""))
    distiller.distillation_loss_weights = weight * number if weight < 1 else weight / number
    assert distiller.diagnose(data()).is_healthy


def test_a_loss_without_any_gradient_is_named(teacher):
    student = keras.models.clone_model(teacher)
    student.set_weights(teacher.get_weights())
    # A clone of a model that was frozen as a teacher is frozen too.
    distiller = distiller_of(teacher, student, "logits")
    assert names_of(distiller.diagnose(data())) == ["frozen student"]
    student.trainable = True
    assert distiller.describe().endswith("diagnosis: frozen student")
    assert "no gradient at all" in str(distiller.diagnose(data()))


def test_an_untrained_teacher_and_one_behind_its_student_are_found(teacher):
    distiller = distiller_of(model(32, seed=7), model(seed=1))
    assert "teacher near chance" in names_of(distiller.diagnose(data(960)))
    worse = keras.models.clone_model(teacher)
    kernels = teacher.get_weights()
    kernels[-1] = kernels[-1] + [4.0, 0.0, 0.0]
    worse.set_weights(kernels)
    student = model(seed=1)
    student.compile(keras.optimizers.Adam(0.05), LABELS)
    student.fit(*data(), epochs=10, verbose=0)
    assert "teacher behind the student" in names_of(distiller_of(worse, student).diagnose(data()))


def test_a_certain_teacher_is_found_and_a_temperature_makes_it_speak(teacher):
    certain = keras.models.clone_model(teacher)
    kernels = teacher.get_weights()
    certain.set_weights([*kernels[:-2], 40.0 * kernels[-2], 40.0 * kernels[-1]])
    found = {
        temperature: names_of(
            distiller_of(certain, model(seed=1), SoftTargets(temperature)).diagnose(data())
        )
        for temperature in (1.0, 200.0)
    }
    assert "certain teacher" in found[1.0] and "certain teacher" not in found[200.0]


def test_a_student_larger_than_its_teacher_is_found(teacher):
    assert "large student" in names_of(distiller_of(teacher, model(64, seed=1)).diagnose(data()))


def test_images_that_move_inside_the_student_are_found_under_losses_of_positions():
    def cnn(channels, *first):
        layers = [keras.layers.Conv2D(channels, 3, name="conv")]
        layers.append(keras.layers.Flatten(name="flatten"))
        return keras.Sequential([keras.Input((8, 8, 1)), *first, *layers, keras.layers.Dense(3)])

    x = np.random.default_rng(0).random((8, 8, 8, 1), "float32")
    y = np.arange(8) % 3
    moving = keras.layers.RandomTranslation(0.2, 0.2, name="moved")
    vectors = RelationalKD(teacher_layer_name="flatten", student_layer_name="flatten")
    chosen = ([AttentionTransfer("conv", "conv")], True), (["kd"], False), ([vectors], False)
    for losses, is_found in chosen:
        distiller = distiller_of(cnn(8), cnn(2, moving), losses)
        assert ("augmentation in the student" in names_of(distiller.diagnose((x, y)))) is is_found
    distiller = distiller_of(cnn(8), cnn(2), [AttentionTransfer("conv", "conv")])
    assert "augmentation in the student" not in names_of(distiller.diagnose((x, y)))


def test_a_schedule_that_hardly_moved_is_found(teacher):
    decay = keras.optimizers.schedules.CosineDecay
    for steps, is_found in ((6, False), (600, True)):
        distiller = distiller_of(teacher, model(seed=1), learning_rate=decay(0.01, steps))
        distiller.fit(*data(), epochs=2, verbose=0)
        assert ("schedule too long" in names_of(distiller.diagnose(data()))) is is_found


def test_rare_classes_count_as_much_as_others():
    labels = np.array([0] * 98 + [1, 1])
    always_first = np.tile([0.9, 0.1], (100, 1))
    answers = Answers(always_first, always_first, labels, [])
    assert [f.name for f in findings_of([], answers, FACTS)] == ["teacher near chance"]


def test_a_term_without_labels_has_no_share(teacher):
    distiller = distiller_of(teacher, model(seed=1), student_loss_weight=None)
    diagnosis = distiller.diagnose(data()[0])
    assert diagnosis.terms[1].share is None and diagnosis.terms[1].gradient > 0
    assert list(findings_of([Term("kd", 1.0, 1.0, 1.0, None, None)], None, FACTS)) == []


def test_a_cache_is_examined_like_its_teacher(teacher, tmp_path):
    cache = TeacherCache.build(
        tmp_path / "cache", teacher, data(), distillation_losses="kd", dtype="float32"
    )
    live = distiller_of(teacher, model(seed=1)).diagnose(data())
    joined = cache.join(data(), batch_size=32, shuffle=False)
    found = distiller_of(cache, model(seed=1)).diagnose(joined)
    for term, expected in zip(found.terms, live.terms, strict=True):
        assert term.gradient == pytest.approx(expected.gradient, rel=1e-4)
    assert names_of(found) == names_of(live)


def test_the_data_of_the_last_fit_is_used_while_somebody_holds_it(teacher):
    distiller = distiller_of(teacher, model(seed=1))
    x, y = data()
    distiller.fit(x, y, verbose=0)
    assert distiller.diagnose(batches=2).samples == 64
    batches = tf.data.Dataset.from_tensor_slices((x, y)).batch(10)
    distiller.fit(batches, verbose=0)
    assert distiller.diagnose(batches=2).samples == 20
    del batches
    with pytest.raises(ValueError, match="There is no data to look at"):
        distiller.diagnose()


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda d: d.diagnose(data(), batches=0), "batches"),
        (lambda d: d.diagnose(), "There is no data"),
        (lambda d: d.diagnose(tf.data.Dataset.from_tensor_slices(data()).take(0)), "no samples"),
    ],
)
def test_nothing_to_look_at_is_refused(make, said, teacher):
    with pytest.raises(ValueError, match=said):
        make(distiller_of(teacher, model(seed=1)))


def test_a_distiller_that_is_not_compiled_is_refused(teacher):
    with pytest.raises(ValueError, match="Compile the distiller"):
        Distiller(teacher, model(seed=1), "kd").diagnose(data())
