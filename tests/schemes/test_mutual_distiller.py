"""Students that teach each other: what each learns of the others, saved and gone on with."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_distill import Distiller, SoftTargets
from keras_distill.losses import HintLearning
from keras_distill.schemes import MutualDistiller

LOSS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def softmax(z):
    e = np.exp(z - z.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def compiled(model, **settings):
    settings = {"run_eagerly": True, **settings}
    model.compile(keras.optimizers.SGD(0.1, momentum=0.9), LOSS, metrics=["accuracy"], **settings)
    return model


def copy_of(model):
    made = keras.models.clone_model(model)
    made.set_weights(model.get_weights())
    return made


def same(first, second, **tolerance):
    for one, other in zip(first, second, strict=True):
        np.testing.assert_allclose(one, other, **({"atol": 1e-6} | tolerance))


@pytest.mark.parametrize(("weights", "share"), [([1.0, 0.5], None), ("balanced", 0.3)])
def test_with_one_of_two_frozen_it_is_a_distiller_step_by_step(make_dense, numbers, weights, share):
    x, y = numbers
    teacher, student = make_dense(7), make_dense(5)
    losses = [SoftTargets(2.0), HintLearning("hidden", "hidden")]
    distiller = compiled(Distiller(copy_of(teacher), copy_of(student), losses, weights, share))
    frozen = copy_of(teacher)
    frozen.trainable = False
    mutual = compiled(MutualDistiller([frozen, student], losses, weights, share))
    for one, other in zip(mutual.distillation_layers, distiller.distillation_layers, strict=True):
        one.set_weights(other.get_weights())
    for start in range(0, 24, 6):
        batch = slice(start, start + 6)
        settings = {"sample_weight": np.arange(6.0), "return_dict": True}
        expected = distiller.train_on_batch(x[batch], y[batch], **settings)
        found = mutual.train_on_batch(x[batch], y[batch], **settings)
        same(student.get_weights(), distiller.student.get_weights())
        assert found["loss"] == pytest.approx(expected["loss"], rel=1e-5)
        assert found["student_1_accuracy"] == pytest.approx(expected["accuracy"])
    same(frozen.get_weights(), teacher.get_weights())
    assert mutual.student is student


def test_each_learns_from_the_mean_over_the_others_which_get_no_gradient(make_dense, numbers):
    x, y = numbers
    students = [make_dense(size) for size in (4, 5, 6)]
    before = [copy_of(student) for student in students]
    mutual = MutualDistiller(students)
    mutual.compile(keras.optimizers.SGD(0.1), LOSS, run_eagerly=True)
    logs = mutual.train_on_batch(x, y, return_dict=True)
    logits = [student(x).numpy() for student in before]
    total = 0.0
    for target, student in enumerate(before):
        with tf.GradientTape() as tape:
            log_p = tf.nn.log_softmax(student(x))
            others = [softmax(z) for i, z in enumerate(logits) if i != target]
            divergences = [
                tf.reduce_mean(tf.reduce_sum(p * (np.log(p) - log_p), -1)) for p in others
            ]
            loss = LOSS(y, student(x)) + sum(divergences) / 2
        gradients = tape.gradient(loss, student.trainable_weights)
        expected = [w - 0.1 * g for w, g in zip(student.get_weights(), gradients, strict=True)]
        same(students[target].get_weights(), expected)
        of_others = [
            logs[f"student_{target}_soft_targets_from_{i}"] for i in range(3) if i != target
        ]
        np.testing.assert_allclose(of_others, divergences, rtol=1e-4)
        assert logs[f"student_{target}_loss"] == pytest.approx(float(loss), rel=1e-5)
        total += float(loss)
    assert logs["loss"] == pytest.approx(total, rel=1e-5)


def test_masked_positions_are_left_out_of_what_a_trained_student_teaches():
    layers = keras.layers
    students = [
        keras.Sequential(
            [
                keras.Input((6,), dtype="int32"),
                layers.Embedding(9, size, mask_zero=True),
                layers.Dense(3, name="logits"),
            ]
        )
        for size in (2, 4)
    ]
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 9, (8, 6)), rng.integers(0, 3, (8, 6))
    x[:, 4:] = 0
    losses = [SoftTargets(2.0), HintLearning("logits", "logits", projector=None)]
    mutual = compiled(MutualDistiller(students, losses))
    found = mutual.test_on_batch(x, y, return_dict=True)
    for source, target in ((0, 1), (1, 0)):
        pair = [copy_of(students[source]), copy_of(students[target])]
        expected = compiled(Distiller(*pair, losses)).test_on_batch(x, y, return_dict=True)
        for name in ("soft_targets", "hint_learning"):
            assert found[f"student_{target}_{name}_from_{source}"] == pytest.approx(
                expected[name], rel=1e-5
            )


def test_students_with_several_outputs_have_a_loss_and_metrics_for_each(numbers):
    x, y = numbers
    students = []
    for size in (4, 5):
        inputs = keras.Input((4,))
        hidden = keras.layers.Dense(size, "relu")(inputs)
        outputs = {"kind": keras.layers.Dense(3)(hidden), "sum": keras.layers.Dense(1)(hidden)}
        students.append(keras.Model(inputs, outputs))
    mutual = MutualDistiller(students, SoftTargets(outputs="kind"))
    loss, metrics = {"kind": LOSS, "sum": "mse"}, {"kind": ["accuracy"], "sum": ["mae"]}
    weights = {"kind": 1.0, "sum": 0.5}
    mutual.compile("sgd", loss, metrics, loss_weights=weights, run_eagerly=True)
    labels = {"kind": y, "sum": x.sum(-1)}
    found = mutual.fit(x, labels, batch_size=24, epochs=2, verbose=0).history
    for index in range(2):
        of_labels = found[f"student_{index}_student_loss"]
        parts = [found[f"student_{index}_{name}_loss"] for name in ("kind", "sum")]
        np.testing.assert_allclose(of_labels, parts[0] + 0.5 * np.array(parts[1]), rtol=1e-5)
        assert {f"student_{index}_kind_accuracy", f"student_{index}_sum_mae"} <= {*found}
    assert not {"kind_loss", "sum_loss", "kind_accuracy"} & {*found}


def test_students_that_end_in_softmax_learn_the_same(make_dense, numbers):
    x, y = numbers
    ends = {activation: [make_dense(4), make_dense(5)] for activation in (None, "softmax")}
    ends["softmax"] = [make_dense(size, activation="softmax") for size in (4, 5)]
    for activation, students in ends.items():
        for student, other in zip(students, ends[None], strict=True):
            student.set_weights(other.get_weights())
        # Copies, as the others start from the same weights.
        ends[activation] = [copy_of(student) for student in students]
    for activation, students in ends.items():
        mutual = MutualDistiller(students)
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=activation is None)
        mutual.compile(keras.optimizers.SGD(0.1), loss)
        mutual.fit(x, y, batch_size=12, epochs=2, shuffle=False, verbose=0)
    for one, other in zip(ends[None], ends["softmax"], strict=True):
        same(one.get_weights(), other.get_weights(), atol=1e-5)


def test_each_student_runs_once_per_batch(make_dense, numbers):
    calls = []

    class Counted(keras.layers.Layer):
        def call(self, inputs):
            calls.append(self.name)
            return inputs

    students = [
        keras.Sequential([keras.Input((4,)), Counted(name=name), *make_dense().layers])
        for name in "ab"
    ]
    losses = [SoftTargets(), HintLearning("hidden", "hidden")]
    mutual = compiled(MutualDistiller(students, losses))
    calls.clear()
    mutual.train_on_batch(*numbers)
    mutual.test_on_batch(*numbers)
    assert sorted(calls) == ["a", "a", "b", "b"]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Three CNNs, of which the last is frozen, with attention transfer in one direction."""
    keras.utils.set_random_seed(7)
    rng = np.random.default_rng(0)
    x, y = rng.random((24, 8, 8, 1), "float32"), rng.integers(0, 3, 24)

    def cnn(channels):
        layers = keras.layers
        return keras.Sequential(
            [
                keras.Input((8, 8, 1)),
                layers.Conv2D(channels, 3, activation="relu", name="stage"),
                layers.BatchNormalization(),
                layers.GlobalAveragePooling2D(),
                layers.Dense(3),
            ]
        )

    students = [cnn(3), cnn(4), cnn(5)]
    students[2].trainable = False
    losses = {
        (0, 1): [SoftTargets(2.0), HintLearning("stage", "stage")],
        (1, 0): "kd",
        (2, 0): ["kd", "at"],
    }
    mutual = MutualDistiller(students, losses, {(0, 1): "balanced", (2, 0): [1.0, 10.0]})
    optimizer = keras.optimizers.Adam(0.01)
    mutual.compile(optimizer, LOSS, metrics=["accuracy"], run_eagerly=True)
    history = mutual.fit(x, y, batch_size=8, epochs=2, validation_data=(x, y), verbose=0).history
    path = tmp_path_factory.mktemp("mutual") / "mutual.keras"
    mutual.save(path)
    return mutual, history, x, y, path


def test_pairs_may_have_losses_of_their_own(trained):
    mutual, history, *_ = trained
    names = [name.removeprefix("val_") for name in history]
    assert {name for name in names if "_from_" in name} == {
        "student_0_soft_targets_from_1",
        "student_0_soft_targets_from_2",
        "student_0_attention_transfer_from_2",
        "student_1_soft_targets_from_0",
        "student_1_hint_learning_from_0",
    }
    assert {"loss", "student_0_loss", "student_1_accuracy", "student_1_student_loss"} <= {*names}
    assert not any(name.startswith("student_2") for name in names)
    assert history["loss"][0] == pytest.approx(
        history["student_0_loss"][0] + history["student_1_loss"][0], rel=1e-5
    )
    assert "students[2] stage" in mutual.describe()
    assert "balanced to a share of 0.5, " in mutual.describe()
    assert {*mutual.distillation_losses} == {(0, 1), (1, 0), (2, 0)}


def test_it_saves_loads_and_goes_on(trained):
    mutual, _, x, y, path = trained
    loaded = keras.models.load_model(path)
    expected = mutual.evaluate(x, y, verbose=0, return_dict=True)
    found = loaded.evaluate(x, y, verbose=0, return_dict=True)
    assert found == pytest.approx(expected, rel=1e-5)
    frozen = mutual.students[2].get_weights()
    for model in (mutual, loaded):
        model.fit(x, y, batch_size=8, epochs=1, shuffle=False, verbose=0)
    same(loaded.get_weights(), mutual.get_weights(), atol=1e-5)
    same(loaded.students[2].get_weights(), frozen, atol=0)
    same(
        [variable.numpy() for variable in loaded.optimizer.variables],
        [variable.numpy() for variable in mutual.optimizer.variables],
        atol=1e-5,
    )


@keras.saving.register_keras_serializable("keras_distill_tests")
class SubclassedPeer(keras.Model):
    def __init__(self, size, **kwargs):
        super().__init__(**kwargs)
        self.size = size
        self.hidden, self.logits = keras.layers.Dense(size), keras.layers.Dense(3)

    def call(self, inputs, training=None):
        return self.logits(self.hidden(inputs))

    def get_config(self):
        return {**super().get_config(), "size": self.size}


def test_subclassed_students_are_built_by_the_first_batch_and_go_on(numbers, tmp_path):
    losses = ["kd", HintLearning("hidden", "hidden")]
    mutual = compiled(MutualDistiller([SubclassedPeer(4), SubclassedPeer(5)], losses))
    mutual.fit(*numbers, batch_size=12, verbose=0)
    mutual.save(tmp_path / "mutual.keras")
    loaded = keras.models.load_model(tmp_path / "mutual.keras")
    for model in (mutual, loaded):
        model.fit(*numbers, batch_size=12, shuffle=False, verbose=0)
    same(loaded.get_weights(), mutual.get_weights())
    assert len(mutual.distillation_layers) == 2


def test_it_predicts_as_its_first_student_and_the_ensemble_as_all(trained):
    mutual, _, x, _, _ = trained
    same([mutual.predict(x, verbose=0)], [mutual.students[0](x)])
    mean = np.mean([softmax(student(x).numpy()) for student in mutual.students], axis=0)
    same([softmax(mutual.ensemble().predict(x, verbose=0))], [mean])


def test_a_diagnosis_looks_at_each_student(trained):
    mutual, _, x, y, _ = trained
    before = mutual.get_weights()
    found = mutual.diagnose((x, y), batches=1)
    same(mutual.get_weights(), before, atol=0)
    assert [*found] == ["student_0", "student_1"]
    names = [term.name for term in found["student_1"].terms]
    assert names[0] == "student_loss"
    assert names[1:] == ["student_1_soft_targets_from_0", "student_1_hint_learning_from_0"]
    assert found["student_1"].terms[1].share == pytest.approx(0.5, rel=0.5)


@pytest.mark.parametrize(
    ("make", "error", "match"),
    [
        (lambda m: MutualDistiller(m()), TypeError, "must be a list of keras.Models"),
        (lambda m: MutualDistiller([m()]), ValueError, "at least two models"),
        (lambda m: MutualDistiller([m(), 3]), TypeError, r"students\[1\] must be a keras.Model"),
        (lambda m: MutualDistiller([m()] * 2), ValueError, "one model twice"),
        (lambda m: MutualDistiller([m(), m()], {}), ValueError, "is empty"),
        (lambda m: MutualDistiller([m(), m()], {0: "kd"}), TypeError, r"with the key 0"),
        (lambda m: MutualDistiller([m(), m()], {(0, 2): "kd"}), ValueError, r"key \(0, 2\)"),
        (lambda m: MutualDistiller([m(), m()], {(1, 1): "kd"}), ValueError, r"key \(1, 1\)"),
        (lambda m: MutualDistiller([m(), m()], []), ValueError, "distillation_losses is empty"),
        (lambda m: MutualDistiller([m(), m()], "kdd"), ValueError, "Unknown distillation loss"),
        (
            lambda m: MutualDistiller([m(), m()], {(0, 1): "kd"}, {(1, 0): 1.0}),
            ValueError,
            r"distillation_loss_weights for \[\(1, 0\)\]",
        ),
        (
            lambda m: MutualDistiller([m(), m()], HintLearning("hiden", "hidden")),
            ValueError,
            r"The students\[1\] model",
        ),
        (lambda m: MutualDistiller([m(), m()], [SoftTargets()], [1, 2]), ValueError, "must match"),
        (lambda m: MutualDistiller([m(), m(5, 4)]), ValueError, r"SoftTargets.*\(None, 4\)"),
        (lambda m: MutualDistiller([m(), m()]).compile("sgd"), ValueError, "'loss' cannot be"),
    ],
)
def test_what_cannot_teach_each_other_is_refused(make_dense, make, error, match):
    with pytest.raises(error, match=match):
        make(make_dense)


def test_frozen_students_are_refused_where_all_are_and_as_learners(make_dense):
    students = [make_dense(), make_dense()]
    for student in students:
        student.trainable = False
    with pytest.raises(ValueError, match="No student is to be trained"):
        MutualDistiller(students)
    students[0].trainable = True
    with pytest.raises(ValueError, match=r"the second of which is trained: \[\(1, 0\)\]"):
        MutualDistiller(students, {(0, 1): "kd"})
    wide = keras.Sequential([keras.Input((9,)), keras.layers.Dense(3)])
    with pytest.raises(ValueError, match="take inputs of different shapes"):
        MutualDistiller([make_dense(), wide])
