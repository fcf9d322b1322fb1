"""The folder of a run: whose it is, and what stays in it."""

import pytest

from keras_distill.cli.run_folder import RunFolder


def test_a_folder_is_new_empty_or_of_the_same_run(tmp_path):
    folder = RunFolder(tmp_path / "run", "distill")
    with folder.opened({"epochs": 3}):
        folder.write("run.yaml", "epochs: 3")
    folder.check({"epochs": 3})
    # Nothing was trained yet, so that a mended start may take it.
    folder.check({"epochs": 4})
    (folder.training / "teacher.json").write_text("{}")
    folder.check({"epochs": 3})
    with pytest.raises(ValueError, match="epochs was 3 there and is 4 now"):
        folder.check({"epochs": 4})
    with pytest.raises(ValueError, match="isn't what `keras-distill tune` writes"):
        RunFolder(tmp_path / "run", "tune").check({"epochs": 3})


def test_a_folder_of_the_users_is_refused(tmp_path):
    (tmp_path / "training").mkdir()
    folder = RunFolder(tmp_path, "distill")
    # As a run leaves it that was killed at once.
    folder.check({})
    (tmp_path / "training" / "epochs").mkdir()
    with pytest.raises(ValueError, match=r"holds other files \(training\)"):
        folder.check({})


def test_only_what_an_unfinished_training_needs_is_forgotten(tmp_path):
    folder = RunFolder(tmp_path / "run", "distill")
    with folder.opened({}):
        backup = folder.backup("student alone", 0)
        assert backup != folder.backup("student alone", 1)
        backup.mkdir(parents=True)
        folder.write("training/teacher.json", "{}")
        folder.forget_epochs()
    assert not backup.exists() and (folder.training / "teacher.json").exists()
