"""`search_student`, from end to end on a toy problem with students that fit and that don't."""

import json
import shutil

import keras
import numpy as np
import pytest

from keras_distill import export_tflite, tuning
from keras_distill.datasets import Dataset
from keras_distill.tflite import BOARDS
from keras_distill.tuning import StudentSearchResult, search_student
from keras_distill.tuning.student_search.memory import Scales
from keras_distill.tuning.student_search.record import StudentRecord

pytest.importorskip("tflite_micro", reason="TensorFlow Lite Micro decides what fits")

BOARD = "stm32f407"
CLASSES = 3
# At 4,096 units in a hidden layer the arena is over the limit below.
UNITS = [2, 8, 4096]
SETTINGS = {
    "max_trials": 2,
    "epochs": 2,
    "batch_size": 16,
    "optimizer": keras.optimizers.Adam(0.05),
    "max_arena_bytes": 4096,
    "verbose": 0,
}


def dense(*units):
    hidden = [keras.layers.Dense(count, activation="relu") for count in units]
    return keras.Sequential([keras.Input((6,)), *hidden, keras.layers.Dense(CLASSES)])


def space(hp):
    return dense(hp.Choice("units", UNITS, default=4096))


@pytest.fixture(scope="module")
def problem():
    rng = np.random.default_rng(0)
    teacher, kernel = dense(), rng.normal(size=(6, CLASSES))
    teacher.set_weights([4 * kernel, np.zeros(CLASSES)])
    x = rng.normal(size=(120, 6)).astype("float32")
    return teacher, (x, (x @ kernel).argmax(-1))


def killed(self, *outcome):
    raise KeyboardInterrupt


@pytest.fixture(scope="module")
def found(problem, tmp_path_factory):
    """A search that was killed after its first training, and went on."""
    teacher, data = problem
    folder, measured = tmp_path_factory.mktemp("search") / "here", []
    weigh = Scales.weigh

    def counting(self, student):
        measured.append(student.count_params())
        return weigh(self, student)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Scales, "weigh", counting)
        patch.setattr(StudentRecord, "keep_outcome", killed)
        with pytest.raises(KeyboardInterrupt):
            search_student(teacher, data, BOARD, space, directory=folder, **SETTINGS)
        before = list(measured)
        patch.undo()
        patch.setattr(Scales, "weigh", counting)
        result = search_student(teacher, data, BOARD, space, directory=folder, **SETTINGS)
    return result, folder, before, measured[len(before) :]


def test_only_students_that_fit_are_trained(found):
    result, *_ = found
    by_units = {each.values["units"]: each for each in result.candidates}
    assert set(by_units) == set(UNITS)
    large = by_units[4096]
    assert not large.fits and large.score is None and "over the limit of 4,096 B" in large.reason
    assert large.arena_bytes > 4096 >= by_units[8].arena_bytes
    assert all(by_units[units].score is not None for units in (2, 8))


def test_the_best_is_trained_and_fits_as_the_board_is_judged(found, problem, tmp_path):
    result, *_ = found
    x, y = problem[1]
    assert result.best is max(result.candidates[:2], key=lambda each: each.score)
    exported = export_tflite(result.student, tmp_path / "s.tflite", "int8", x, target="arduino")
    report = exported.report()
    assert report.boards[BOARD] == ""
    assert result.best.arena_bytes == report.arena_constant <= BOARDS[BOARD].usable_arena
    assert result.best.macs == report.macs
    # But for the layers' names.
    assert abs(result.best.model_bytes - report.model_bytes) < 100
    right = (result.student.predict(x, verbose=0).argmax(-1) == y).mean()
    assert right > 1.5 / CLASSES
    new = result.make_student()
    assert new.count_params() == result.student.count_params()
    assert not np.array_equal(new.get_weights()[0], result.student.get_weights()[0])


def test_the_result_is_shown_and_written(found, tmp_path):
    result, *_ = found
    assert isinstance(result, StudentSearchResult)
    assert "not shown: 1 that don't fit" in str(result)
    assert json.loads(json.dumps(result.to_dict()))["best"] == result.best.name
    figure = result.plot(tmp_path / "tradeoff.png")
    assert [axis.get_xlabel() for axis in figure.axes] == ["arena, KiB", "MACs"]
    assert (tmp_path / "tradeoff.png").stat().st_size > 0


def test_the_best_are_trained_again_with_other_seeds(found):
    result, folder, *_ = found
    finalists = [each for each in result.candidates if each.score is not None]
    for each in finalists:
        assert len(each.scores) == 3 and each.score == pytest.approx(np.mean(each.scores))
    record = StudentRecord(folder)
    files = [record.student_file(result.best.values, repeat) for repeat in range(3)]
    starts = [load(result.make_student(), file) for file in files]
    assert not np.allclose(starts[0], starts[1]) and not np.allclose(starts[1], starts[2])
    best = starts[int(np.argmax(result.best.scores))]
    np.testing.assert_array_equal(result.student.get_weights()[0], best)


def load(student, file):
    student.load_weights(file)
    return student.get_weights()[0]


def test_more_finalists_may_be_asked_of_a_finished_search(found, problem, tmp_path):
    teacher, data = problem
    folder = shutil.copytree(found[1], tmp_path / "here")
    for file in folder.glob("candidates/*/outcome_*.json"):
        file.unlink()
    settings = {**SETTINGS, "directory": folder}
    for finalists, trainings in ((1, 1), (2, 3)):
        result = search_student(teacher, data, BOARD, space, finalists=finalists, **settings)
        assert [len(each.scores) for each in result.candidates[:2]] == [trainings] * 2
    # The trainings that were there before.
    assert {each.name: each.scores for each in result.candidates} == {
        each.name: each.scores for each in found[0].candidates
    }


def test_a_search_that_was_killed_goes_on_without_measuring_again(found):
    result, _, before, after = found
    # The last one was exported with its trained weights.
    assert before and not set(before) & set(after[:-1])
    assert after[-1] == result.student.count_params()
    assert len(before) + len(after) == len(UNITS) + 1


def test_a_finished_search_trains_nothing_again(found, problem, monkeypatch):
    teacher, data = problem
    monkeypatch.setattr(StudentRecord, "keep_outcome", killed)
    again = search_student(teacher, data, BOARD, space, directory=found[1], **SETTINGS)
    assert [each.score for each in again.candidates] == [each.score for each in found[0].candidates]


def test_another_search_in_the_folder_is_refused(found, problem):
    teacher, data = problem
    with pytest.raises(ValueError, match=r"another one \(board: \"stm32f407\" there"):
        search_student(teacher, data, "esp32", space, directory=found[1], **SETTINGS)


def test_where_no_student_fits_the_error_says_how_large_they_are(problem):
    teacher, data = problem
    limits = {**SETTINGS, "max_arena_bytes": None, "max_model_bytes": 100}
    with pytest.raises(ValueError, match=r"None of 1 students fits .* over the limit of 100 B"):
        search_student(teacher, data, BOARD, lambda hp: dense(hp.Choice("units", [8])), **limits)


@pytest.fixture
def seen(monkeypatch):
    """What a search that is stopped before its first student has for data and fold."""
    found = {}

    def stop(self, oracle_space, setup, *others):
        found["fold"], found["data"] = setup.fold, setup.data
        raise KeyboardInterrupt

    monkeypatch.setattr("keras_distill.tuning.student_search.search.Candidates.__init__", stop)
    return found


def test_validation_samples_score_and_never_train(problem, seen):
    teacher, (x, y) = problem
    with pytest.raises(KeyboardInterrupt):
        search_student(
            teacher, (x[:90], y[:90]), BOARD, space, validation_data=(x[90:], y[90:]), **SETTINGS
        )
    np.testing.assert_array_equal(seen["data"].arrays[0][seen["fold"].validation], x[90:])
    np.testing.assert_array_equal(seen["data"].arrays[0][seen["fold"].train], x[:90])
    with pytest.raises(KeyboardInterrupt):
        search_student(teacher, (x, y), BOARD, space, validation_split=0.25, **SETTINGS)
    assert len(seen["fold"].validation) == 30


def test_a_data_set_gives_its_validation_part(seen):
    images = np.random.default_rng(0).random((12, 4, 4, 1)).astype("float32")
    labels = np.arange(12) % 2
    parts = (images[:6], labels[:6], images[10:], labels[10:])
    data = Dataset("toy", *parts, ("a", "b"), x_val=images[6:10], y_val=labels[6:10])
    layers = [keras.Input((4, 4, 1)), keras.layers.Flatten(), keras.layers.Dense(2)]
    with pytest.raises(KeyboardInterrupt):
        search_student(keras.Sequential(layers), data, BOARD, **SETTINGS)
    np.testing.assert_array_equal(seen["data"].arrays[0][seen["fold"].validation], images[6:10])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"board": "toaster"}, "board must be one of"),
        ({"space": 3}, "space must be a function"),
        ({"max_trials": 0}, "max_trials"),
        ({"finalists": 0}, "finalists"),
        ({"max_macs": -1}, "max_macs"),
        ({"target": "mobile"}, "target must be one of"),
        ({"validation_split": 0.9}, "validation_split"),
        ({"validation_split": 0.2, "validation_data": (np.ones((2, 6)), [0, 1])}, "not both"),
        ({"validation_data": (np.ones((2, 5)), np.zeros(2, int))}, "another shape"),
        ({"validation_data": (np.ones((2, 6)), np.array([0, -1]))}, "without a label"),
    ],
)
def test_wrong_arguments_are_refused(problem, arguments, message):
    teacher, data = problem
    given = {"board": BOARD, "space": space, **SETTINGS, **arguments}
    with pytest.raises((ValueError, TypeError), match=message):
        search_student(teacher, data, **given)


def test_several_processes_are_refused(problem, monkeypatch):
    monkeypatch.setenv("KERASTUNER_ORACLE_IP", "127.0.0.1")
    with pytest.raises(ValueError, match="one process"):
        search_student(*problem, BOARD, space, **SETTINGS)


def test_what_the_api_has():
    assert {"search_student", "StudentSearchResult", "Candidate"} <= set(tuning.__all__)
