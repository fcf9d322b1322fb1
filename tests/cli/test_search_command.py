"""The command search: what it writes, how it goes on, what it refuses."""

import argparse

import keras
import numpy as np
import pytest
import yaml

from keras_distill import cli
from keras_distill.cli import distill_command
from keras_distill.tflite import TFLiteModel
from keras_distill.tuning.student_search import search
from keras_distill.tuning.student_search.record import StudentRecord


def few_students(shape, outputs):
    """A space of three students, one of which is too large."""

    def space(hp):
        units = hp.Choice("units", [8, 16, 600], default=8)
        layers = [keras.layers.Flatten(), keras.layers.Dense(units, "relu", name="stage1_out")]
        return keras.Sequential([keras.Input(shape), *layers, keras.layers.Dense(outputs)])

    return space


@pytest.fixture
def words(place, tmp_path):
    """Arguments of a small search."""
    given = ["--teacher", place / "teacher.keras", "--data", place / "data.npz"]
    given += ["--board", "stm32f407", "--max-model-bytes", 8000, "--epochs", 3, "--trials", 3]
    given += ["--learning-rate", 0.02, "--output", tmp_path / "run"]
    return ["search", *map(str, given)]


def test_an_interrupted_search_goes_on_to_the_library_for_the_board(
    words, place, tmp_path, monkeypatch, capsys
):
    trained = []

    def interrupted(self, values, *outcome, keep=StudentRecord.keep_outcome):
        keep(self, values, *outcome)
        trained.append(values["units"])
        if len(trained) == 1:
            raise KeyboardInterrupt

    monkeypatch.setattr(StudentRecord, "keep_outcome", interrupted)
    monkeypatch.setattr(search, "DefaultStudents", few_students)
    assert [cli.main(words) for _ in range(2)] == [130, 0]
    assert sorted(trained) == [8] * 3 + [16] * 3
    printed, run = capsys.readouterr().out, tmp_path / "run"
    assert "not shown: 1 that don't fit" in " ".join(printed.split())
    student = keras.models.load_model(run / "student.keras")
    with np.load(place / "data.npz") as data:
        right = 100 * np.mean(student.predict(data["x_test"]).argmax(-1) == data["y_test"])
    assert right > 50 and f"right on {right:.1f} % of the test samples" in printed
    assert TFLiteModel(run / "student.tflite").quantization == "int8"
    assert (run / "data_student" / "library.properties").is_file()
    report = (run / "report.html").read_text("utf-8")
    assert "What accuracy costs" in report and "Agreement with the teacher" in report

    given = argparse.Namespace(config=run / "run.yaml")
    settings = distill_command.OPTIONS.completed(given)
    assert (settings.export, settings.board, settings.epochs) == ("int8", "stm32f407", 3)
    untrained = keras.models.load_model(settings.student)
    assert untrained.count_params() == student.count_params()
    assert not np.allclose(untrained.get_weights()[0], student.get_weights()[0])
    assert yaml.safe_load((run / "search.yaml").read_text())["trials"] == 3


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (["--board", "toaster"], "board must be one of"),
        (["--data", "absent.npz"], "There is no file 'absent.npz'"),
        (["--recipe", "ad"], "Unknown recipe 'ad'"),
        (["--losses", "kd", "--weights", "1,2"], "2 weights, 1 losses"),
        (["--teacher-epochs", "3"], "leave it out"),
    ],
)
def test_what_is_wrong_is_one_line(words, tmp_path, capsys, changed, message):
    assert cli.main([*words, *changed]) == 2
    printed = capsys.readouterr().err
    assert message in printed and len(printed.splitlines()) == 1
    assert not (tmp_path / "run").exists()


def test_what_lacks_or_has_no_arena_is_refused(words, capsys):
    board = words.index("--board")
    assert cli.main([*words[:board], *words[board + 2 :]]) == 2
    assert (
        "--board is missing: give it here, or in the file of --config." in capsys.readouterr().err
    )
    with pytest.raises(SystemExit):
        cli.main([*words, "--target", "mobile"])
