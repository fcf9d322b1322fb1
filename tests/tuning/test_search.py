"""`tune`, from end to end on a toy problem with a planted best setting."""

import zlib

import keras
import numpy as np
import pytest
from keras import ops

from keras_distill import TeacherCache, losses, tuning
from keras_distill.datasets import Dataset
from keras_distill.tuning.fold_training import FoldTraining
from keras_distill.tuning.folds import make_folds
from keras_distill.tuning.settings import as_text
from keras_distill.tuning.teacher_source import TeacherSource

CLASSES = 4
CROSSENTROPY = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


@keras.saving.register_keras_serializable("tests")
class PushToZero(losses.DistillationLoss):
    """A loss against which no student learns: it pulls the student's logits to zero."""

    def call(self, teacher, student, context):
        return ops.mean(ops.square(student), axis=-1)


def make_student():
    return keras.Sequential([keras.Input((6,)), keras.layers.Dense(CLASSES)])


@pytest.fixture(scope="module")
def problem():
    """A teacher that knows the rule, and few samples with noisy labels."""
    rng = np.random.default_rng(0)
    teacher, kernel = make_student(), rng.normal(size=(6, CLASSES))
    teacher.set_weights([4 * kernel, np.zeros(CLASSES)])
    x = rng.normal(size=(120, 6)).astype("float32")
    y = (x @ kernel).argmax(-1)
    noisy = rng.random(120) < 0.4
    y[noisy] = rng.integers(0, CLASSES, noisy.sum())
    return teacher, (x, y)


PLANTED = {
    "soft targets": {"distillation_losses": "kd", "student_loss_weight": 0.1},
    "overwhelming": {
        "distillation_losses": [losses.SoftTargets(), PushToZero()],
        "distillation_loss_weights": [1.0, 1e6],
    },
}
SETTINGS = {
    "folds": 3,
    "epochs": 3,
    "batch_size": 16,
    "optimizer": keras.optimizers.Adam(0.05),
    "verbose": 0,
}


def make_eager():
    """A student that runs no graphs, since making one takes longer than a few steps."""
    student = make_student()
    student.compile(loss=CROSSENTROPY, metrics=["accuracy"], run_eagerly=True)
    return student


def search(problem, make_student=make_eager, **arguments):
    teacher, data = problem
    return tuning.tune(teacher, make_student, data, **{**SETTINGS, **arguments})


def table(result):
    """The result without times."""
    made = result.to_dict()
    for trial in (made["student_alone"], *made["trials"]):
        trial.pop("seconds")
    return made


class Trainings:
    """In place of the trainings: scores that follow from the setting, and a list of the calls."""

    stop_after = None

    def __init__(self):
        self.calls = []

    def score(self, settings, fold, epochs):
        if len(self.calls) == self.stop_after:
            raise KeyboardInterrupt
        self.calls.append((settings and as_text(settings), fold.number, epochs))
        return zlib.crc32(repr(self.calls[-1]).encode()) / 2**32


@pytest.fixture
def trainings(monkeypatch):
    made = Trainings()
    score = lambda _, settings, fold, epochs=None: made.score(settings, fold, epochs)  # noqa: E731
    monkeypatch.setattr(FoldTraining, "score", score)
    monkeypatch.setattr(TeacherSource, "fill", lambda *args, **kwargs: None)
    return made


def test_the_planted_setting_wins_and_the_teacher_runs_once(problem, tmp_path):
    teacher, (x, y) = problem
    seen = []

    def counted(inputs):
        seen.append(len(inputs))
        return np.asarray(teacher(inputs))

    result = search((counted, (x, y)), make_student, space=PLANTED, epochs=6)
    in_search = sum(seen)
    seen.clear()
    TeacherCache.build(tmp_path / "cache", counted, (x, y), "kd", 16, verbose=0)
    # Checking that the settings can be used shows a function one batch each.
    assert sum(seen) <= in_search <= sum(seen) + 16 * len(PLANTED)
    assert [trial.name for trial in result.trials] == ["soft targets", "overwhelming"]
    gains = result.gains(result.trials[0])
    np.testing.assert_array_equal(gains, result.trials[0].scores - result.alone.scores)
    assert gains.mean() > 0.02
    assert result.gains(result.trials[1]).mean() < -0.1
    assert "student alone" in str(result)


def test_the_student_alone_is_what_keras_gives_without_this_package(problem):
    nothing = {"distillation_losses": "kd", "student_loss_weight": 1.0}
    result = search(problem, space={"nothing": nothing}, folds=2)
    _, (x, y) = problem
    expected = []
    for fold in make_folds(len(x), y, folds=2):
        keras.utils.set_random_seed(fold.seed)
        student = make_student()
        student.compile(
            keras.optimizers.Adam(0.05), CROSSENTROPY, metrics=["accuracy"], run_eagerly=True
        )
        keras.utils.set_random_seed(fold.seed)
        student.fit(x[fold.train], y[fold.train], epochs=3, batch_size=16, verbose=0)
        expected.append(student.evaluate(x[fold.validation], y[fold.validation], verbose=0)[1])
    np.testing.assert_array_equal(result.alone.scores, expected)
    # A distiller that learns from the labels only goes the same way.
    np.testing.assert_allclose(result.trials[0].scores, expected)


def test_samples_without_labels_are_taught_and_the_student_alone_has_as_many_updates(problem):
    teacher, (x, y) = problem
    few = np.where(np.arange(120) % 3 == 0, y, -1)
    soft = {"distillation_losses": "kd", "student_loss_weight": 0.1}
    result = search((teacher, (x, few)), space={"kd": soft}, folds=2, epochs=3, stratify=False)
    assert "repeated to the same number of updates" in result.notes[0]
    fold = make_folds(40, None, folds=2)[0]
    labeled, seed = np.flatnonzero(few >= 0), fold.seed
    train = np.resize(labeled[fold.train], 100)
    keras.utils.set_random_seed(seed)
    student = make_student()
    student.compile(
        keras.optimizers.Adam(0.05), CROSSENTROPY, metrics=["accuracy"], run_eagerly=True
    )
    keras.utils.set_random_seed(seed)
    student.fit(x[train], few[train], epochs=3, batch_size=16, verbose=0)
    validation = labeled[fold.validation]
    expected = student.evaluate(x[validation], few[validation], verbose=0)[1]
    np.testing.assert_array_equal(result.alone.scores[0], expected)


def test_a_loss_that_no_cache_serves_runs_the_teacher_and_says_so(make_cnn, images):
    gat = {"distillation_losses": losses.GradientAttentionTransfer()}

    def make():
        student = make_cnn(2)
        student.compile(loss=CROSSENTROPY, metrics=["accuracy"], run_eagerly=True)
        return student

    result = tuning.tune(
        make_cnn(4), make, images, space={"gat": gat},
        folds=2, epochs=1, verbose=0,
    )  # fmt: skip
    assert len(result.trials[0].scores) == 2
    assert "GradientAttentionTransfer" in result.notes[0]


def test_a_search_that_was_stopped_goes_on_to_the_same_table(problem, tmp_path, trainings):
    arguments = {"max_trials": 3, "seed": 5}
    expected = table(search(problem, **arguments))
    arguments["directory"] = tmp_path / "search"
    trainings.calls.clear()
    for stop in (0, 2, 7):
        trainings.stop_after = stop
        with pytest.raises(KeyboardInterrupt):
            search(problem, **arguments)
    trainings.stop_after = None
    assert table(search(problem, **arguments)) == expected
    # Nothing was trained twice.
    assert len(trainings.calls) == len(set(trainings.calls)) == 3 * (1 + 3)
    assert table(search(problem, **arguments)) == expected
    assert len(trainings.calls) == 12
    more = search(problem, **{**arguments, "max_trials": 4})
    assert len(more.trials) == 4
    assert len(trainings.calls) == 15


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        ({"epochs": 4}, "epochs: 3 there, 4 here"),
        ({"seed": 1}, "seed: 0 there, 1 here"),
        ({"optimizer": "sgd"}, "optimizer"),
        ({"space": {"kd": "kd", "dist": "dist"}}, "space"),
        ({"objective": "loss"}, "objective"),
    ],
)
def test_another_search_in_the_folder_is_refused(problem, tmp_path, arguments, names, trainings):
    arguments = {"space": {"kd": "kd"}, **arguments}
    kept = search(problem, space={"kd": "kd"}, directory=tmp_path, folds=2)
    trainings.calls.clear()
    with pytest.raises(ValueError, match=names):
        search(problem, directory=tmp_path, folds=2, **arguments)
    assert table(search(problem, space={"kd": "kd"}, directory=tmp_path, folds=2)) == table(kept)
    assert not trainings.calls


def test_other_data_or_another_teacher_is_refused(problem, tmp_path, trainings):
    teacher, (x, y) = problem
    space = {"kd": "kd"}
    search(problem, space=space, directory=tmp_path, folds=2)
    with pytest.raises(ValueError, match=r"\(data: "):
        search((teacher, (x + 1, y)), space=space, directory=tmp_path, folds=2)
    with pytest.raises(ValueError, match=r"\(teacher: "):
        search((make_student(), (x, y)), space=space, directory=tmp_path, folds=2)


def test_no_test_sample_is_seen(problem, monkeypatch):
    teacher, (x, y) = problem
    flat = keras.Sequential([keras.Input((2, 3, 1)), keras.layers.Flatten(), teacher])
    images = x.reshape(-1, 2, 3, 1)
    data = Dataset("toy", images[:90], y[:90], images[90:], y[90:], tuple("abcd"))
    seen = set()

    def make():
        student = keras.Sequential(
            [keras.Input((2, 3, 1)), keras.layers.Flatten(), keras.layers.Dense(CLASSES)]
        )
        student.compile(loss=CROSSENTROPY, metrics=["accuracy"], run_eagerly=True)
        evaluate, fit = student.evaluate, student.fit
        student.evaluate = lambda x, **kw: seen.update(x[:, 0, 0, 0]) or evaluate(x, **kw)

        student.fit = lambda x, **kw: seen.update(x[:, 0, 0, 0]) or fit(x, **kw)
        return student

    tuning.tune(flat, make, data, space={"kd": "kd"}, **{**SETTINGS, "epochs": 1, "folds": 2})
    assert seen == set(images[:90, 0, 0, 0])


@pytest.mark.parametrize("algorithm", ["bayesian", "hyperband", "grid"])
def test_each_algorithm_goes_on_to_the_same_table(problem, tmp_path, trainings, algorithm):
    def space(hp):
        name = hp.Choice("loss", ["kd", "dist"])
        weight = hp.Float("weight", 0.1, 10.0, step=10, sampling="log")
        return {"distillation_losses": name, "distillation_loss_weights": [weight]}

    arguments = {"space": space, "search": algorithm, "folds": 2, "seed": 1}
    arguments |= {"max_trials": 6} if algorithm == "bayesian" else {}
    expected = search(problem, **arguments)
    trainings.calls.clear()
    trainings.stop_after = 7
    with pytest.raises(KeyboardInterrupt):
        search(problem, directory=tmp_path, **arguments)
    trainings.stop_after = None
    assert table(search(problem, directory=tmp_path, **arguments)) == table(expected)
    assert len(trainings.calls) == len(set(trainings.calls))
    whole = [trial for trial in expected.trials if trial.epochs == 3]
    assert expected.best_trial in whole
    if algorithm == "grid":
        assert len(whole) == 6
    if algorithm == "hyperband":
        assert {trial.epochs for trial in expected.trials} == {1, 3}


def test_a_training_that_diverges_is_a_result_and_the_best_trains(problem):
    teacher, (x, y) = problem
    teacher.trainable = True
    nan = {"distillation_losses": [losses.LogitMatching()], "distillation_loss_weights": [1e18]}
    result = search(problem, space={"nan": nan, "kd": "kd"}, optimizer="sgd", folds=2, epochs=1)
    assert teacher.trainable
    assert all(layer.trainable for layer in teacher.layers)
    assert result.trials[-1].name == "nan"
    assert result.trials[-1].failure
    distiller = result.make_distiller(teacher, make_student())
    distiller.compile("adam", CROSSENTROPY, run_eagerly=True)
    history = distiller.fit(x, y, verbose=0).history
    assert np.isfinite(history["loss"]).all()
    assert distiller.student_loss_weight == result.best.get("student_loss_weight", 0.5)


def test_regression_is_chosen_by_its_loss(problem, trainings):
    teacher, (x, _) = problem
    y = np.asarray(teacher(x))
    result = tuning.tune(
        teacher, make_student, (x, y), loss="mse", max_trials=2, folds=2, epochs=1, verbose=0
    )
    assert result.metric.name == "loss"
    assert not result.metric.higher_is_better
    assert {trial.values["loss"] for trial in result.trials} == {"logits"}
    assert result.best_trial.mean == min(trial.mean for trial in result.trials)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"folds": 1}, ValueError, "folds must be at least 2"),
        ({"folds": 2.0}, TypeError, "folds must be an integer"),
        ({"repeats": 0}, ValueError, "repeats must be at least 1"),
        ({"epochs": 0}, ValueError, "epochs must be at least 1"),
        ({"batch_size": 0}, ValueError, "batch_size must be at least 1"),
        ({"seed": -1}, ValueError, "seed must be at least 0"),
        ({"max_trials": 0}, ValueError, "max_trials must be at least 1"),
        ({"search": "best"}, ValueError, "search must be one of"),
        ({"search": "hyperband", "max_trials": 5}, ValueError, "leave max_trials out"),
        ({"search": "bayesian", "max_trials": 3}, ValueError, "max_trials above that"),
        ({"rule": "first"}, ValueError, "rule must be one of"),
        ({"objective": "auc"}, ValueError, "objective must be the loss or one of"),
        ({"objective": 3}, TypeError, "objective must be the name"),
        ({"objective": ("accuracy", "up")}, ValueError, "direction of objective must be one of"),
        ({"optimizer": 3}, TypeError, "optimizer must be"),
        ({"verbose": 3}, ValueError, "verbose must be at least 0"),
        ({"student_input": 3}, TypeError, "student_input must be a function"),
        ({"directory": 3}, TypeError, "directory must be a path"),
        ({"space": {"at": "at"}}, ValueError, "The setting 'at' can't be used."),
        ({"space": {"a": {"distillation_losses": "kd", "distillation_loss_weights": [1, 2]}}},
         ValueError, "The setting 'a' can't be used"),
    ],
)  # fmt: skip
def test_wrong_arguments_are_refused_at_once(problem, trainings, arguments, error, message):
    with pytest.raises(error, match=message):
        search(problem, **arguments)
    assert not trainings.calls


def test_a_student_that_is_not_new_is_refused(problem):
    teacher, data = problem
    student = make_student()
    with pytest.raises(TypeError, match="make_student must be a function"):
        tuning.tune(teacher, student, data)
    with pytest.raises(ValueError, match="returned the same weights twice"):
        tuning.tune(teacher, lambda: student, data)
