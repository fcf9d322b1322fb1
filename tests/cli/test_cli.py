import pytest

from keras_distill import cli, losses, recipes
from keras_distill.cli import demo
from keras_distill.tflite import TFLiteModel
from keras_distill.tflite.runtime import micro


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A demo run of one seed with little training, and its announced steps."""
    patch = pytest.MonkeyPatch()
    patch.setattr(
        demo, "DIGITS", demo.dataclasses.replace(demo.DIGITS, teacher_epochs=2, student_epochs=6)
    )
    output = tmp_path_factory.mktemp("demo") / "made" / "here"
    steps = []
    result = demo.run("digits", output, seeds=1, on_step=steps.append)
    patch.undo()
    return result, output, steps


def test_the_demo_writes_everything_it_names(made):
    result, output, _ = made
    names = {path.name for path in output.iterdir()}
    assert {"digits_student.tflite", "attention.png", "curves.png", "report.html"} <= names
    assert (output / "arduino" / "digits_student" / "library.properties").is_file()
    assert all(path.exists() for path in result.files.values())
    assert {path.name for path in result.files.values()} >= {n for n in names if ".png" in n}


def test_the_table_has_a_row_per_model_and_runtime(made):
    result, _, _ = made
    assert [row["model"] for row in result.rows] == [
        "teacher",
        "student alone",
        "student distilled",
        "float32",
        "int8",
        "int8, on TFLM",
    ]
    assert result.verification.max_steps_tflm <= 1
    assert result.verification.samples == 500


def test_the_exported_student_fits_its_arena(made):
    result, output, _ = made
    content = TFLiteModel(output / "digits_student.tflite").content
    assert micro.runs_in_arena(content, result.report.arena_bytes)
    assert not micro.runs_in_arena(content, result.report.arena_bytes - 64)


def test_steps_are_announced_as_counted(made):
    assert len(made[2]) == demo.count_steps(1)


def test_the_students_are_compared_by_seed_and_their_pictures_shown(made):
    result, output, _ = made
    assert set(result.comparison.gains) == {demo.DISTILLED}
    assert {len(images) for images in result.comparison.students.values()} == {1}
    assert "val_accuracy" in result.comparison.histories[demo.ALONE][0]
    assert "gains.png" in {path.name for path in output.iterdir()}
    report = (output / "report.html").read_text("utf-8")
    for title in ("Test accuracy by seed", "Losses while training", "Calibration", "Gain by class"):
        assert f"<h2>{title}</h2>" in report
    assert "Give --seeds 5 or more." in report


def test_wrong_arguments_are_one_line_and_status_2(tmp_path, capsys):
    for seeds in ("0", "-1", "1.5", "many"):
        with pytest.raises(SystemExit) as ended:
            cli.main(["demo", "--seeds", seeds, "--output", str(tmp_path)])
        assert ended.value.code == 2
        assert f"a whole number of at least 1 is needed, not {seeds!r}" in capsys.readouterr().err


def test_an_unknown_data_set_leaves_no_folder(tmp_path, capsys):
    assert cli.main(["demo", "--data", "digit", "--output", str(tmp_path / "new")]) == 2
    assert "Closest: 'digits'" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_not_ours_is_told_before_any_training(tmp_path):
    folder = tmp_path / "arduino" / "digits_student"
    folder.mkdir(parents=True)
    (folder / "thesis.txt").write_text("years of work")
    steps = []
    with pytest.raises(ValueError, match=r"holds something else"):
        demo.run("digits", tmp_path, seeds=1, on_step=steps.append)
    assert steps == ["loading the images"]


def test_the_table_is_printed(made, capsys, monkeypatch, tmp_path):
    monkeypatch.setattr(demo, "run", lambda *_, on_step, **__: (on_step("work"), made[0])[1])
    assert cli.main(["demo", "--output", str(tmp_path)]) == 0
    printed = capsys.readouterr().out
    assert "student distilled" in printed and "int8, on TFLM" in printed
    assert "report.html" in printed


def test_inspect_lists_every_loss(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "220")
    assert cli.main(["inspect", "--losses"]) == 0
    shown = capsys.readouterr().out
    for entry in losses.catalogue():
        assert entry.name in shown
    assert "labels, no teacher" in shown


def test_inspect_lists_every_recipe_with_its_weights(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "220")
    assert cli.main(["inspect", "--recipes"]) == 0
    shown = capsys.readouterr().out
    for name in recipes.names():
        assert f"│ {name} " in shown
    assert "1000 AttentionTransfer + 0.9 SoftTargets" in shown
    assert "balanced AttentionCapture" in shown


def test_inspect_without_a_subject_says_what_there_is(capsys):
    with pytest.raises(SystemExit):
        cli.main(["inspect"])
    assert "--losses" in capsys.readouterr().err
