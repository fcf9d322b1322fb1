"""The command tune: what it writes, how it goes on, what it refuses."""

import argparse
import json

import pytest
import yaml

from keras_distill import cli, losses
from keras_distill.cli import chosen_losses, distill_command
from keras_distill.tuning.record import Record
from keras_distill.tuning.settings import as_text, checked_settings


@pytest.fixture
def words(place, tmp_path):
    """Arguments of a small search."""
    given = ["--teacher", place / "teacher.keras", "--student", place / "student.keras"]
    given += ["--data", place / "data.npz", "--recipes", "kd,logits", "--folds", 2, "--epochs", 1]
    return ["tune", *map(str, given), "--output", str(tmp_path / "run")]


def test_an_interrupted_search_goes_on_and_its_best_setting_is_one_of_distill(
    words, tmp_path, monkeypatch, capsys
):
    finished = []

    def interrupted(self, values, epochs, number, outcome, finish=Record.finish):
        finish(self, values, epochs, number, outcome)
        finished.append(values)
        if len(finished) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(Record, "finish", interrupted)
    assert [cli.main(words) for _ in range(2)] == [130, 0]
    # Three settings in two folds, none of them twice.
    assert len(finished) == 6
    printed = capsys.readouterr().out
    assert "student alone" in printed and "kd" in printed and "logits" in printed
    run = tmp_path / "run"
    report = (run / "report.html").read_text("utf-8")
    assert "chosen" in report and "data:image/png" in report and "recipe: " in report
    assert "Gains by fold" in report and "Calibration of the teacher" in report
    assert yaml.safe_load((run / "tune.yaml").read_text())["folds"] == 2

    given = argparse.Namespace(config=run / "run.yaml")
    settings = distill_command.OPTIONS.completed(given)
    assert settings.recipe in ("kd", "logits") and settings.epochs == 1
    given = ["distill", "--config", str(run / "run.yaml"), "--output", str(tmp_path / "student")]
    assert cli.main(given) == 0
    assert (tmp_path / "student" / "student.keras").is_file()


@pytest.mark.parametrize(
    "arguments",
    [
        {
            "distillation_losses": [
                losses.SoftTargets(temperature=3.25, standardize=True),
                losses.AttentionTransfer(["a", "b/c"], ["d", "e"]),
            ],
            "distillation_loss_weights": [losses.Balanced(0.1 + 0.2), losses.Balanced()],
            "student_loss_weight": None,
        },
        {
            "distillation_losses": [losses.DIST(temperature=2.0)],
            "distillation_loss_weights": [1 / 3],
            "student_loss_weight": 0.1,
        },
    ],
)
def test_settings_survive_the_file(tmp_path, arguments):
    options = argparse.Namespace(**chosen_losses.options_of(arguments))
    written = distill_command.OPTIONS.as_text(distill_command.OPTIONS.completed(options), "distill")
    file = tmp_path / "run.yaml"
    file.write_text(written)
    read = distill_command.OPTIONS.completed(argparse.Namespace(config=file))
    chosen_losses.check(read)
    found = chosen_losses.candidate_of(read)
    wanted = checked_settings(arguments, "arguments")
    assert as_text(checked_settings(found, "arguments")) == as_text(wanted)
    assert json.loads(as_text(wanted))["distillation_losses"][0]["config"]["temperature"] >= 2


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (["--recipes", "kd,dits"], "Unknown recipe 'dits'. Closest: 'dist'"),
        (["--recipes", "kd", "kd"], "--recipes must be different names"),
        (["--folds", "1"], "folds must be at least 2"),
        (["--data", "absent.npz"], "There is no file 'absent.npz'"),
        (["--output", __file__], "output must be a folder"),
    ],
)
def test_what_is_wrong_is_one_line(words, capsys, changed, message):
    assert cli.main([*words, *changed]) == 2
    printed = capsys.readouterr().err
    assert message in printed and len(printed.splitlines()) == 1


def test_a_folder_of_another_command_is_refused(words, tmp_path, capsys):
    training = tmp_path / "run" / "training"
    training.mkdir(parents=True)
    content = {"format": 1, "command": "distill", "settings": {}}
    (training / "run.json").write_text(json.dumps(content))
    assert cli.main(words) == 2
    assert "isn't what `keras-distill tune` writes" in capsys.readouterr().err
