"""compare: the same footing for every arm, the forms of data and candidates, failures."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_distill import TeacherCache, compare, datasets, losses, recipes
from keras_distill.comparison.settings import default_loss, default_metrics

LOSS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
# Learns from the labels only, through the distiller's own step.
LABELS_ONLY = {"distillation_losses": "kd", "student_loss_weight": 1.0}
# Tracing a step, or making a cache, takes longer than all the steps of a test.
EAGER = {"run_eagerly": True, "cache": False, "verbose": 0}
OUTPUTS = {"kind": 3, "size": 1}


def plain_fit(make, data, seed, run_eagerly=False, **arguments):
    """The student alone, by Keras and nothing else."""
    keras.utils.set_random_seed(seed)
    student = make()
    optimizer = keras.optimizers.Adam(0.01)
    student.compile(optimizer, LOSS, metrics=["accuracy"], run_eagerly=run_eagerly)
    student.fit(*data["train"], verbose=0, **arguments)
    return student.evaluate(*data["test"], verbose=0, return_dict=True)


def test_the_student_alone_is_that_of_keras_and_every_arm_starts_from_it(
    teacher, student_maker, data
):
    def compiled():
        student = student_maker()
        student.compile(keras.optimizers.Adam(0.01), LOSS, metrics=["accuracy"])
        return student

    made = compare(
        teacher,
        compiled,
        data,
        {"itself": lambda teacher, student: student, "live": LABELS_ONLY},
        seeds=[3],
        epochs=2,
        batch_size=16,
        cache=False,
        verbose=0,
    )
    expected = plain_fit(student_maker, data, 3, epochs=2, batch_size=16)
    found = {arm: results[0] for arm, results in made.results.items()}
    assert found["student alone"] == pytest.approx(expected, rel=1e-6)
    assert found["itself"] == found["student alone"]
    # The order of the samples and the dropout are the same; the step's sums are rounded otherwise.
    assert found["live"]["loss"] == pytest.approx(expected["loss"], rel=1e-4)
    right = teacher.predict(data["test"][0], verbose=0).argmax(-1) == data["test"][1]
    assert made.teacher == pytest.approx(right.mean())


def test_without_control_there_are_no_gains(teacher, student_maker, data):
    arguments = {"seeds": 1, "epochs": 1, **EAGER}
    both = compare(teacher, student_maker, data, {"kd": "kd"}, **arguments)
    made = compare(teacher, student_maker, data, {"kd": "kd"}, control=False, **arguments)
    assert list(made.values) == ["kd"] and made.values["kd"] == both.values["kd"]
    assert np.isnan(made.gains["kd"]).all()
    assert made.verdicts["kd"] == "kd wasn't compared: the student alone wasn't trained."
    assert "gain" not in str(made)
    with pytest.raises(ValueError, match="give compare control=True"):
        made.plot()


def test_a_cached_teacher_changes_neither_the_order_nor_the_result(teacher, student_maker, data):
    losses_of = {"distillation_losses": ["kd", losses.HintLearning("hidden", "hidden")]}
    made = compare(
        teacher,
        student_maker,
        data,
        # A teacher of its own is no cached one.
        {"labels": LABELS_ONLY, "cached": losses_of, "live": {"teacher": teacher, **losses_of}},
        seeds=[5],
        epochs=2,
        batch_size=30,
        optimizer=keras.optimizers.Adam(0.01),
        run_eagerly=True,
        verbose=0,
    )
    found = {arm: results[0]["loss"] for arm, results in made.results.items()}
    assert found["labels"] == pytest.approx(found["student alone"], rel=1e-4)
    assert found["cached"] == pytest.approx(found["live"], rel=1e-4)
    assert found["cached"] != pytest.approx(found["labels"], rel=3e-4)
    assert teacher.trainable


def test_a_cache_serves_a_tf_data_set_too(teacher, student_maker, data):
    batches = tf.data.Dataset.from_tensor_slices(data["train"]).batch(30)
    settings = {"seeds": [5], "epochs": 1, "cache": True, "run_eagerly": True, "verbose": 0}
    form = (batches, data["test"])
    made = compare(teacher, student_maker, form, {"labels": LABELS_ONLY}, **settings)
    alone, labels = (results[0]["loss"] for results in made.results.values())
    assert labels == pytest.approx(alone, rel=1e-4)


def test_the_teacher_runs_once_for_all_runs(student_maker, data):
    rows = []

    def teach(batch):
        rows.append(len(batch))
        return np.eye(3)[np.asarray(batch)[:, :3].argmax(-1)]

    compare(
        teach, student_maker, data, {"kd": "kd"}, seeds=2, epochs=2, run_eagerly=True, verbose=0
    )
    # And with a few zeros, for the shapes.
    assert 90 <= sum(rows) < 2 * 90


def test_candidates_come_in_every_form(untrained, teacher, student_maker, data):
    def scheme(teacher, student):
        model = keras.distillation.Distiller(
            teacher, student, keras.distillation.LogitsDistillation()
        )
        model.compile("sgd", LOSS)
        return model

    candidates = {
        "name of a recipe": "kd",
        "name of a loss": "soft_targets",
        "loss": losses.SoftTargets(2.0),
        "class": losses.SoftTargets,
        "loss of Keras": keras.distillation.LogitsDistillation(),
        "list": ["kd", losses.HintLearning("hidden", "hidden")],
        "recipe": recipes.get("dkd"),
        "tutorial": {"alpha": 0.2, "distillation_loss_fn": keras.losses.KLDivergence()},
        "other teacher": {"teacher": lambda x: np.zeros((len(x), 3)), "distillation_losses": "kd"},
        "function": scheme,
    }
    made = compare(
        teacher, student_maker, data, candidates, seeds=1, epochs=1, batch_size=45, **EAGER
    )
    assert list(made.gains) == list(candidates)
    assert not any(made.failures.values())


def test_schemes_that_are_compiled_or_compile_themselves_are_trained(teacher, student_maker, data):
    def scheme(teacher, student):
        loss = keras.distillation.LogitsDistillation()
        model = keras.distillation.Distiller(teacher, student, loss)
        model.compile("sgd", LOSS)
        return model

    tutorial = {"alpha": 0.2, "distillation_loss_fn": keras.losses.KLDivergence()}
    candidates = {"tutorial": tutorial, "function": scheme}
    made = compare(
        teacher, student_maker, data, candidates, seeds=1, epochs=1, batch_size=45, **EAGER
    )
    assert made.updates == {"student alone": [2], "tutorial": [2], "function": [2]}
    assert len({results[0]["loss"] for results in made.results.values()}) == 3


def test_data_comes_in_every_form(teacher, student_maker, data):
    def batches(part, seed=None):
        made = tf.data.Dataset.from_tensor_slices(data[part])
        return (made if seed is None else made.shuffle(90, seed=seed)).batch(30)

    arrays = [data["train"], data["test"]]
    forms = {
        "tuple": tuple(arrays),
        "weights": ((*arrays[0], np.ones(90)), arrays[1]),
        "tf.data": {"train": batches("train"), "test": batches("test")},
        "function": (lambda seed: batches("train", seed), lambda: batches("test")),
    }
    found = {}
    for name, form in forms.items():
        made = compare(
            teacher,
            student_maker,
            form,
            {"labels": LABELS_ONLY},
            seeds=1,
            epochs=1,
            batch_size=30 if isinstance(form[0] if isinstance(form, tuple) else 0, tuple) else None,
            learning_rate=0.01,
            **EAGER,
        )
        alone, labels = (results[0]["loss"] for results in made.results.values())
        assert labels == pytest.approx(alone, rel=1e-4), name
        found[name] = alone
    assert found["tuple"] == pytest.approx(found["weights"], rel=1e-4)
    assert found["tf.data"] != pytest.approx(found["function"], rel=1e-4)


def test_a_data_set_of_the_library_is_taken_with_its_validation_part(teacher):
    digits = datasets.load("digits", max_train=60, max_test=40, max_val=20)

    def make():
        return keras.Sequential(
            [keras.Input((8, 8, 1)), keras.layers.Flatten(), keras.layers.Dense(10)]
        )

    made = compare(make(), make, digits, {"kd": "kd"}, seeds=1, epochs=1, **EAGER)
    assert len(made.histories["kd"][0]["val_accuracy"]) == 1
    assert made.metric == "accuracy" and made.teacher is not None


@pytest.mark.parametrize(
    ("form", "error", "message"),
    [
        (lambda d: d["train"], TypeError, "training part alone is not enough"),
        (lambda d: {"train": d["train"]}, ValueError, "no test part"),
        (lambda d: {**d, "tset": d["test"]}, ValueError, "unknown keys: tset"),
        (lambda d: (d["train"], d["train"]), ValueError, "same test part as it is trained on"),
        (lambda d: (d["train"], d["test"], d["test"]), ValueError, "as it is chosen on"),
        (lambda d: (d["train"], (d["test"][0], d["test"][1][:5])), ValueError, "as many inputs"),
        (lambda d: (3, d["test"]), TypeError, "data must be a keras_distill.datasets.Dataset"),
        (
            lambda d: (
                tf.data.Dataset.from_tensor_slices(d["train"]).shuffle(90).batch(9),
                d["test"],
            ),
            ValueError,
            "gives other batches each time that it is read.*give a function of the seed",
        ),
        (
            lambda d: (tf.data.Dataset.from_tensor_slices(d["train"]).batch(9).repeat(), d["test"]),
            ValueError,
            "never ends",
        ),
    ],
)
def test_wrong_data_is_refused(teacher, student_maker, data, form, error, message):
    with pytest.raises(error, match=message):
        compare(teacher, student_maker, form(data), {"kd": "kd"}, **EAGER)


def test_a_candidate_that_diverges_is_reported_and_the_others_go_on(teacher, student_maker, data):
    class Exploding(keras.distillation.DistillationLoss):
        def compute_loss(self, teacher_outputs, student_outputs, **kwargs):
            return keras.ops.mean(student_outputs) * float("nan")

    def overflowing(teacher, student):
        student.layers[-1].kernel.assign(student.layers[-1].kernel * float("inf"))
        return student

    candidates = {"explodes": Exploding(), "overflows": overflowing, "kd": "kd"}
    made = compare(teacher, student_maker, data, candidates, seeds=1, epochs=1, **EAGER)
    assert "is not finite" in made.failures["explodes"][0]
    assert made.failures["overflows"] == {0: "The loss became nan in epoch 1"}
    assert made.verdicts["explodes"].startswith("explodes failed with 1 of 1 seeds (seed 0: The")
    assert np.isfinite(made.gains["kd"]).all()


@pytest.mark.parametrize(
    ("candidates", "error", "message"),
    [
        (
            {"x": losses.HintLearning("nowhere", "hidden")},
            ValueError,
            "'x' can't be built.*nowhere",
        ),
        ({"x": "no_such_loss"}, ValueError, "'x' can't be built. Unknown distillation loss"),
        ({"x": {"weights": [1.0]}}, ValueError, "'x' has an argument that Distiller doesn't"),
        ({"x": {"loss": "mse"}}, ValueError, "'x' can't have a 'loss' of its own"),
        ({"x": lambda teacher, student: 3}, TypeError, "'x' can't be built.*return a keras.Model"),
        ({"x": 3}, TypeError, "'x' must be a distillation loss"),
        ({"student alone": "kd"}, ValueError, "'student alone' is the control arm's"),
        ({}, ValueError, "candidates is empty"),
        (["kd"], TypeError, "candidates must be a dictionary"),
    ],
)
def test_a_candidate_that_cannot_be_built_is_told_before_any_training(
    teacher, student_maker, data, candidates, error, message
):
    trained = []
    with pytest.raises(error, match=message):
        compare(
            teacher,
            student_maker,
            data,
            candidates,
            callbacks=lambda name, seed: trained.append(name) or [],
            **EAGER,
        )
    assert not trained


def test_regression_is_compared_by_its_error(data):
    def make():
        return keras.Sequential(
            [keras.Input((4,)), keras.layers.Dense(4, activation="relu"), keras.layers.Dense(1)]
        )

    def numbers(part):
        x = data[part][0]
        return x, x[:, :1] ** 2

    made = compare(
        lambda x: np.square(x[:, :1]),
        make,
        (numbers("train"), numbers("test")),
        {"teacher only": {"distillation_losses": "logits", "student_loss_weight": 0.0}},
        seeds=1,
        epochs=1,
        loss="mse",
        metrics=["mae"],
        **EAGER,
    )
    assert made.metric == "mae" and not made.higher_is_better
    alone, taught = made.values.values()
    np.testing.assert_allclose(made.gains["teacher only"], alone - taught)


def test_outputs_may_be_several(data):
    def make():
        x = keras.Input((4,))
        hidden = keras.layers.Dense(6, activation="relu")(x)
        outputs = [keras.layers.Dense(units, name=n)(hidden) for n, units in OUTPUTS.items()]
        return keras.Model(x, outputs)

    def both(part):
        x, y = data[part]
        return x, [y, x[:, :1]]

    made = compare(
        make(),
        make,
        (both("train"), both("test")),
        {"kd": losses.SoftTargets(outputs="kind")},
        seeds=1,
        epochs=1,
        loss=[LOSS, "mse"],
        metrics=[["accuracy"], ["mae"]],
        metric="kind_accuracy",
        **EAGER,
    )
    assert {"kind_accuracy", "size_mae", "loss"} <= set(made.results["kd"][0])


CLASSES, ONE_HOT, BINARY = np.array([0, 2, 1]), np.eye(3)[[0, 2, 1]], np.array([0, 1, 1])


@pytest.mark.parametrize(
    ("units", "activation", "labels", "loss", "from_logits"),
    [
        (3, "softmax", CLASSES, "SparseCategoricalCrossentropy", False),
        (3, None, CLASSES, "SparseCategoricalCrossentropy", True),
        (3, None, CLASSES[:, None], "SparseCategoricalCrossentropy", True),
        (3, None, ONE_HOT, "CategoricalCrossentropy", True),
        (3, "sigmoid", ONE_HOT, "BinaryCrossentropy", False),
        (1, "sigmoid", BINARY, "BinaryCrossentropy", False),
        (1, None, BINARY, "BinaryCrossentropy", True),
        (1, None, np.array([0.5, 1.2, 3.0]), None, None),
        (3, "sigmoid", CLASSES, None, None),
    ],
)
def test_the_loss_suits_the_labels_and_the_last_activation(
    units, activation, labels, loss, from_logits
):
    student = keras.Sequential(
        [keras.Input((4,)), keras.layers.Dense(units, activation=activation)]
    )
    if loss is None:
        with pytest.raises(ValueError, match=r"can't be told from its last layer.*give loss="):
            default_loss(student, np.zeros((3, 4)), labels)
        return
    made = default_loss(student, np.zeros((3, 4)), labels)
    assert type(made).__name__ == loss and made.get_config()["from_logits"] is from_logits
    logits_right = float(np.mean((np.array([-1.0, 0.4, 2.0]) > 0) == BINARY))
    if loss == "BinaryCrossentropy" and from_logits:
        assert float(default_metrics(made)[0](BINARY, [-1.0, 0.4, 2.0])) == logits_right


def test_samples_without_a_label_are_left_to_the_teacher(teacher, student_maker, data):
    x, y = data["train"]
    labels = np.where(np.arange(90) < 12, y, -1)
    made = compare(
        teacher,
        student_maker,
        ((x, labels), data["test"]),
        {"kd": "kd"},
        seeds=1,
        epochs=1,
        **EAGER,
    )
    again = {"train": (np.resize(x[:12], x.shape), np.resize(y[:12], 90)), "test": data["test"]}
    same = compare(teacher, student_maker, again, {"kd": "kd"}, seeds=1, epochs=1, **EAGER)
    assert made.results["student alone"] == same.results["student alone"]
    assert made.results["kd"] != same.results["kd"]
    assert any("trained on the samples that have a label" in note for note in made.notes)


def test_inputs_may_differ_and_a_function_sets_the_rate(teacher, student_maker, data):
    def both(part):
        x, y = data[part]
        return {"teacher": x, "student": x[:, :3]}, y

    def make():
        return keras.Sequential([keras.Input((3,)), keras.layers.Dense(3)])

    updates = []
    made = compare(
        teacher,
        make,
        (both("train"), both("test")),
        {"kd": "kd"},
        seeds=1,
        epochs=2,
        learning_rate=lambda steps: (
            updates.append(steps) or keras.optimizers.schedules.CosineDecay(0.01, steps)
        ),
        teacher_input="teacher",
        student_input="student",
        **EAGER,
    )
    assert set(updates) == {6}
    assert not any(made.failures.values()) and made.teacher > 0.5


def test_a_callback_that_stops_early_is_noted(teacher, student_maker, data):
    class Stop(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            self.model.stop_training = True

    made = compare(
        teacher,
        student_maker,
        data,
        {"kd": "kd"},
        seeds=1,
        epochs=2,
        callbacks=lambda name, seed: [] if name == "kd" else [Stop()],
        **EAGER,
    )
    assert made.updates == {"student alone": [3], "kd": [6]}
    assert any("student alone 3, kd 6" in note for note in made.notes)


def test_students_are_kept_and_the_best_is_chosen_on_validation(
    teacher, student_maker, with_validation
):
    data = with_validation
    made = compare(
        teacher,
        student_maker,
        data,
        {"kd": "kd"},
        seeds=2,
        epochs=1,
        keep_students=True,
        **EAGER,
    )
    for arm, students in made.students.items():
        for student, result in zip(students, made.results[arm], strict=True):
            found = student.evaluate(*data["test"], verbose=0, return_dict=True)
            assert found == pytest.approx(result, rel=1e-5)
    ends = [history["val_loss"][-1] for history in made.histories["kd"]]
    assert made.best_student("kd") is made.students["kd"][int(np.argmin(ends))]


def test_a_cache_may_be_the_teacher(teacher, student_maker, data, tmp_path):
    cache = TeacherCache.build(tmp_path, teacher, data["train"], "kd", dtype="float32", verbose=0)
    settings = {"seeds": 1, "epochs": 1, "run_eagerly": True, "verbose": 0}
    made = compare(cache, student_maker, data, {"kd": "kd", "labels": LABELS_ONLY}, **settings)
    alone, kd, labels = (results[0]["loss"] for results in made.results.values())
    assert labels == pytest.approx(alone, rel=1e-4) and kd != pytest.approx(alone, rel=1e-5)
    with pytest.raises(ValueError, match="leave cache=False out"):
        compare(cache, student_maker, data, {"kd": "kd"}, cache=False, **settings)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"seeds": 0}, ValueError, "seeds must be at least 1"),
        ({"seeds": [1, 1]}, ValueError, "different integers"),
        ({"epochs": 0}, ValueError, "epochs must be at least 1"),
        ({"optimizer": 3}, TypeError, "optimizer must be"),
        ({"learning_rate": -1.0}, ValueError, "learning_rate must be"),
        (
            {"callbacks": [keras.callbacks.EarlyStopping()]},
            TypeError,
            "callbacks must be a function",
        ),
        ({"metrics": "accuracy"}, ValueError, "metrics must be a list"),
        ({"loss": 3}, TypeError, "loss must be"),
        ({"cache": "yes"}, ValueError, "cache must be one of"),
        ({"cache": True}, ValueError, "can't serve the candidates 'x'"),
        ({"ecpochs": 3}, TypeError, "compare has no argument 'ecpochs'"),
        ({"metric": "f1"}, ValueError, "metric must be one of those"),
    ],
)
def test_a_wrong_argument_is_named(teacher, student_maker, data, arguments, error, message):
    candidates = {"x": lambda teacher, student: student}
    with pytest.raises(error, match=message):
        compare(teacher, student_maker, data, candidates, **{**EAGER, **arguments})


def test_the_function_that_makes_students_must_make_new_ones(teacher, student_maker, data):
    student = student_maker()
    with pytest.raises(ValueError, match="weights of its own each time"):
        compare(teacher, lambda: student, data, {"kd": "kd"}, **EAGER)
    with pytest.raises(TypeError, match="make_student must be a function"):
        compare(teacher, student, data, {"kd": "kd"}, **EAGER)


def test_it_is_printed_with_a_bar(untrained, teacher, student_maker, data, capsys):
    made = compare(teacher, student_maker, data, {"kd [T]": "kd"}, seeds=1, cache=False)
    printed = capsys.readouterr().out
    assert "student alone" in printed and "kd [T]" in printed
    assert " ".join(made.verdicts["kd [T]"].split()) in " ".join(printed.split())
