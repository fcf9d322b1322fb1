"""The command distill: what it writes, how it goes on, what it refuses."""

import argparse
import contextlib
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import time
import warnings

import keras
import numpy as np
import pytest
import yaml

from keras_distill import cli, datasets, sensors
from keras_distill.cli import distill_command, distill_files, run_inputs
from keras_distill.cli.epoch_backup import EpochBackup
from tests.datasets.test_folders import write_images, write_sounds

EPOCHS = 3


def words(place, output, **changed):
    """Returns the arguments of a run, of which some are changed, or left out where None."""
    options = {
        "teacher": place / "teacher.keras",
        "student": place / "student.keras",
        "data": place / "data.npz",
        "epochs": EPOCHS,
        "output": output,
        **changed,
    }
    given = ["distill"]
    for name, value in options.items():
        if value is not None:
            values = value if isinstance(value, tuple) else (value,)
            given += [f"--{name.replace('_', '-')}", *map(str, values)]
    return given


@pytest.fixture(scope="module")
def made(place, tmp_path_factory):
    """The folder of a finished run."""
    output = tmp_path_factory.mktemp("made") / "run"
    assert cli.main(words(place, output, losses="auto,at", weights="1,balanced")) == 0
    return output


@pytest.fixture(autouse=True)
def without_pictures_of_answers(monkeypatch):
    """Spares the pictures that `made` has, which was made before."""
    monkeypatch.setattr(distill_files, "_answers", lambda *_: [])


def history_of(output, arm="student distilled"):
    content = json.loads((output / "training" / "comparison" / "comparison.json").read_text())
    return next(run["history"] for run in content["runs"] if run["arm"] == arm)


def test_it_writes_the_student_the_report_and_the_run(made, place):
    with warnings.catch_warnings(action="error"):
        student = keras.models.load_model(made / "student.keras")
    assert student.predict(np.zeros((4, 8, 8, 1)), verbose=0).shape == (4, 3)
    report = (made / "report.html").read_text("utf-8")
    for shown in ("student alone", "teacher", "data:image/png", "losses:"):
        assert shown in report
    titles = re.findall("<h2>(.*?)</h2>", report)
    assert titles == [
        "What distillation gained",
        "Validation accuracy while training",
        "Losses while training",
        "The models on the test part",
        "Calibration",
        "Agreement with the teacher",
        "Gain by class",
        "Accuracy by class, %",
        "Confusion: student distilled",
        "Where the models look",
        "Data",
        "Options",
    ]
    pictures = ["curves", "losses", "calibration", "agreement", "class_gains", "confusion"]
    for picture in [*pictures, "attention"]:
        assert (made / f"{picture}.png").stat().st_size > 1000
    # In the shell's words.
    assert "Give --seeds 5 or more." in report and "seeds=5" not in report
    run = yaml.safe_load((made / "run.yaml").read_text())
    assert run["losses"] == ["auto,at"] and run["epochs"] == EPOCHS
    assert run["data"] == str(place / "data.npz") and "output" not in run
    parts = json.loads((made / "data.json").read_text())
    # The file has no validation part: it is taken out of the training part, by class.
    assert parts["validation"]["classes"] == {"0": 5, "1": 5, "2": 4}
    assert parts["test"]["samples"] == 30
    # What only an unfinished training needs is gone.
    assert not (made / "training" / "epochs").exists()


def test_a_finished_run_is_shown_again_and_nothing_is_trained(made, place, monkeypatch, capsys):
    monkeypatch.setattr(keras.Model, "fit", lambda *_, **__: pytest.fail("it trains again"))
    assert cli.main(words(place, made, losses="auto,at", weights="1,balanced")) == 0
    assert "student alone" in capsys.readouterr().out


def test_the_written_file_repeats_the_run(made, tmp_path):
    output = tmp_path / "again"
    assert cli.main(["distill", "--config", str(made / "run.yaml"), "--output", str(output)]) == 0
    assert (output / "run.yaml").read_text() == (made / "run.yaml").read_text()
    for arm in ("student alone", "student distilled"):
        np.testing.assert_allclose(
            history_of(output, arm)["loss"], history_of(made, arm)["loss"], rtol=1e-3
        )


def test_an_interrupted_run_goes_on_with_the_next_epoch(place, tmp_path, monkeypatch, capsys):
    trained = []

    def interrupted(self, epoch, logs=None, save=EpochBackup.on_epoch_end):
        save(self, epoch, logs)
        trained.append(epoch)
        if len(trained) in (1, 6):
            raise KeyboardInterrupt

    monkeypatch.setattr(EpochBackup, "on_epoch_end", interrupted)
    by_name = {"teacher": "digits_teacher", "teacher_epochs": 2}
    given = words(place, tmp_path / "run", **by_name, batch_size=8)
    assert [cli.main(given) for _ in range(3)] == [130, 130, 0]
    assert trained == [0, 1, 0, 1, 2, 0, 1, 2]
    printed = capsys.readouterr()
    assert "teacher: going on after epoch 1" in printed.out
    assert "student distilled, seed 0: going on after epoch 1" in printed.out
    assert printed.err == "keras-distill: interrupted\n" * 2
    content = json.loads((tmp_path / "run/training/comparison/comparison.json").read_text())
    for run in content["runs"]:
        assert len(run["history"]["loss"]) == len(run["history"]["val_accuracy"]) == EPOCHS
    # Optimizer and schedule went on too.
    assert {run["updates"] for run in content["runs"]} == {EPOCHS * 10}
    assert (tmp_path / "run" / "teacher.keras").is_file()

    # Both models are those of a run that wasn't interrupted, bit for bit.
    trained[:] = [None] * 10
    assert cli.main(words(place, tmp_path / "unbroken", **by_name, batch_size=8)) == 0
    for file in ("teacher.keras", "student.keras"):
        found, wanted = (
            keras.models.load_model(tmp_path / run / file).get_weights()
            for run in ("run", "unbroken")
        )
        for one, other in zip(found, wanted, strict=True):
            np.testing.assert_array_equal(one, other)

    # More seeds add to it, and the teacher isn't trained again.
    trained[:] = [None] * 10
    assert cli.main([*given, "--seeds", "2"]) == 0
    assert trained[10:] == [0, 1, 2, 0, 1, 2]
    assert "2 seeds" in capsys.readouterr().out
    assert (tmp_path / "run" / "gains.png").is_file()


def test_a_killed_run_goes_on(place, tmp_path):
    given = words(place, tmp_path / "run", epochs=2000)
    script = "import sys; from keras_distill_command import main; sys.exit(main())"
    process = subprocess.Popen(
        [sys.executable, "-c", script, *given], stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    saved = tmp_path / "run" / "training" / "epochs"
    end = time.monotonic() + 120
    while not list(saved.rglob("epoch_?*.json")) and process.poll() is None:
        assert time.monotonic() < end, "no epoch was saved"
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL, process.stdout.read()
    process.stdout.close()
    [file] = saved.rglob("*.json")
    done = int(file.stem.removeprefix("epoch_"))

    class StoppedError(Exception):
        """Ends the second run once it has begun."""

    def on_epoch_begin(self, epoch, logs=None):
        raise StoppedError(epoch)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(EpochBackup, "on_epoch_begin", on_epoch_begin)
        with pytest.raises(StoppedError, match=f"^{done}$"):
            cli.main(given)


def test_a_folder_of_something_else_is_refused_and_stays(made, place, tmp_path, capsys):
    before = {path: path.stat().st_mtime_ns for path in made.rglob("*")}
    assert cli.main(words(place, made, losses="auto,at", weights="1,balanced", epochs=9)) == 2
    assert "is of another run: epochs was 3 there and is 9 now." in capsys.readouterr().err
    assert before == {path: path.stat().st_mtime_ns for path in made.rglob("*")}
    (tmp_path / "thesis.txt").write_text("years of work")
    (tmp_path / "run.yaml").write_text("epochs: 1")
    assert cli.main(words(place, tmp_path)) == 2
    assert "holds other files (run.yaml, thesis.txt): give a new one" in capsys.readouterr().err
    assert len(list(tmp_path.iterdir())) == 2


def test_a_teacher_that_has_changed_makes_another_run(place, tmp_path):
    teacher = shutil.copy(place / "teacher.keras", tmp_path / "teacher.keras")
    given = argparse.Namespace(teacher=str(teacher), student="resnet8", data="digits")
    settings = distill_command.OPTIONS.completed(given)
    before = run_inputs.made_of(settings, free={"seeds"})
    assert before == run_inputs.made_of(settings, free={"seeds"}) and "seeds" not in before
    shutil.copy(place / "constant.keras", teacher)
    after = run_inputs.made_of(settings, free={"seeds"})
    assert {name for name in before if before[name] != after[name]} == {"the content of teacher"}


def test_sounds_by_class_become_an_arduino_library_that_listens(tmp_path, capsys):
    folder = write_sounds(tmp_path / "pitch of tones")
    features = sensors.LogMel(rate=8_000, samples=800, frame=256, hop=64, bands=8)
    data = datasets.sounds_from_directory(folder, features)
    models = [keras.Sequential([keras.Input(data.input_shape), keras.layers.Flatten(),
                                keras.layers.Dense(2)]) for _ in range(2)]  # fmt: skip
    models[0].compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    models[0].fit(data.x_train, data.y_train, epochs=40, verbose=0)
    given = ["--data", folder, "--epochs", 1, "--output", tmp_path / "run"]
    for role, model in zip(("teacher", "student"), models, strict=True):
        model.save(tmp_path / f"{role}.keras")
        given += [f"--{role}", tmp_path / f"{role}.keras"]
    assert cli.main(["distill", *map(str, given)]) == 2
    assert "--log-mel sets rate, samples, frame, hop and bands" in capsys.readouterr().err
    given += ["--log-mel", "rate=8000", "samples=800", "frame=256", "hop=64", "bands=8"]
    given += ["--export", "int8", "--target", "arduino"]
    status = cli.main(["distill", *map(str, given)])
    printed = capsys.readouterr()
    assert "wrote the Arduino library" in printed.out, printed.err
    # A student of one epoch may answer otherwise in int8 on two samples.
    assert status in (0, 1)
    library = tmp_path / "run" / "pitch_of_tones_student"
    assert (library / "examples" / "pitch_of_tones_student_live").is_dir()
    files = json.loads((tmp_path / "run" / "data.json").read_text())["test"]["files"]
    assert all(pathlib.Path(file).is_file() for file in files)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"teacher": None}, "--teacher is missing"),
        ({"teacher": "absent.keras"}, "There is no file 'absent.keras'"),
        ({"teacher": "resnet20"}, "give --teacher-epochs too"),
        ({"teacher_epochs": 3}, "leave it out"),
        ({"teacher": "resnet2", "teacher_epochs": 3}, "Closest: 'resnet32'"),
        ({"student": "digit_student"}, "Closest: 'digits_student'"),
        ({"data": "absent.npz"}, "There is no file 'absent.npz'"),
        ({"data": "digit"}, "There is no file or folder 'digit', and no data set of that name"),
        ({"data": "x.npy"}, "--data needs labels"),
        ({"data": "digits"}, "its output has the shape (3,), and the data has 10 classes (0, 1"),
        ({"image_size": (8, 8)}, "--image-size has nothing to do for an .npz file"),
        ({"teacher": "constant.keras"}, "The teacher is right on 33.3 % of the data"),
        ({"data": "digits", "split_seed": 3}, "--split-seed has nothing to do for digits"),
        ({"samples": 2}, "--samples 2 leaves 1 of 3 classes without a training sample"),
        ({"scale": (1, 0)}, "--scale takes a number and a larger one"),
        ({"log_mel": "rate=8000"}, "--log-mel has nothing to do for an .npz file"),
        ({"recipe": "kd", "weights": 3}, "leave --weights or --recipe out"),
        ({"recipe": "ad"}, "Unknown recipe 'ad'"),
        ({"losses": "kd", "weights": "1,2"}, "2 weights, 1 losses"),
        ({"losses": "kd", "weights": "heavy"}, "--weights takes numbers of at least 0"),
        ({"losses": '{"loss": "kd", "warmth": 2}'}, "--losses: "),
        ({"student_loss_weight": 2}, "--student-loss-weight takes numbers of at least 0 and"),
        ({"target": "arduino"}, "--target is for an exported student: give --export too"),
        ({"export": "int8", "board": "toaster"}, "board must be one of"),
        ({"learning_rate": 0}, "a number above 0 is needed"),
        ({"config": "absent.yaml"}, "There is no file 'absent.yaml'"),
    ],
)
def test_what_is_wrong_is_one_line_and_leaves_no_folder(place, tmp_path, capsys, changed, message):
    try:
        with contextlib.chdir(place):
            status = cli.main(words(place, tmp_path / "run", **changed))
    except SystemExit as ended:
        status = ended.code
    printed = capsys.readouterr().err
    assert status == 2 and message in printed.replace("\n", " "), printed
    assert len(printed.splitlines()) == 1 or "usage:" in printed
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("epoch: 3", "holds 'epoch', which is no option. Closest: 'epochs'"),
        ("epochs: many", "epochs: a whole number of at least 1 is needed, not 'many'"),
        ("epochs: true", "epochs: expected one argument"),
        ("[epochs, 3]", "must hold options by name"),
        ("epochs: [", "can't be read as YAML or JSON"),
    ],
)
def test_a_wrong_file_is_named(place, tmp_path, capsys, content, message):
    file = tmp_path / "own.yaml"
    file.write_text(content)
    assert cli.main(words(place, tmp_path / "run", config=file)) == 2
    printed = capsys.readouterr().err
    assert str(file) in printed and message in printed


def test_options_given_beside_a_file_count_and_json_is_read_too(place, tmp_path, capsys):
    file = tmp_path / "own.json"
    content = {
        "teacher": str(place / "teacher.keras"),
        "student": str(place / "student.keras"),
        "data": str(place / "data.npz"),
        "epochs": 7,
        "losses": [{"loss": "kd", "temperature": 2.0}, "at"],
        "weights": [1, "balanced:0.5"],
        "scale": [-1, 1],
        "batch-size": 16,
        "no_control": True,
    }
    file.write_text(json.dumps(content))
    given = ["distill", "--config", str(file), "--epochs", "1", "--output", str(tmp_path / "run")]
    assert cli.main(given) == 0
    run = yaml.safe_load((tmp_path / "run" / "run.yaml").read_text())
    assert (run["epochs"], run["batch_size"]) == (1, 16)
    assert run["scale"] == [-1, 1]
    assert run["losses"] == [{"loss": "kd", "temperature": 2.0}, "at"]
    content = json.loads((tmp_path / "run/training/comparison/comparison.json").read_text())
    assert list(content["arms"]) == ["student distilled"]
    assert "wasn't compared" in capsys.readouterr().out.replace("\n", " ")
    arguments = content["arms"]["student distilled"]
    assert "0.5" in json.dumps(arguments) and '"temperature": 2.0' in json.dumps(arguments)


def test_options_beside_a_file_replace_what_belongs_to_them(tmp_path):
    file = tmp_path / "own.yaml"
    file.write_text(
        "teacher: resnet20\nteacher_epochs: 3\nlosses: [kd]\nweights: [2]\nscale: [0, 9]"
    )
    given = argparse.Namespace(config=file, teacher="t.keras", recipe="at", data="digits")
    settings = distill_command.OPTIONS.completed(given)
    left = ("teacher_epochs", "losses", "weights", "scale")
    assert [getattr(settings, name) for name in left] == [None] * 4
    given = argparse.Namespace(config=file, teacher_epochs=5)
    settings = distill_command.OPTIONS.completed(given)
    assert (settings.teacher, settings.teacher_epochs) == ("resnet20", 5)
    assert (settings.losses, settings.scale) == (["kd"], [0.0, 9.0])


def test_a_folder_of_images_takes_the_size_of_the_models(place, tmp_path, capsys):
    sizes = {"a": (12, 10), "b": (12, 10), "c": (9, 9)}
    for name, size in sizes.items():
        folder = write_images(tmp_path / "images", {name: 6}, size, channels=3)
    # Noise, of which the teacher knows nothing: the data got as far as that.
    assert cli.main(words(place, tmp_path / "run", data=folder)) in (0, 2)
    assert "right on" in capsys.readouterr().err or (tmp_path / "run" / "student.keras").exists()
    by_name = {"teacher": "digits_teacher", "teacher_epochs": 1, "student": "digits_student"}
    assert cli.main(words(place, tmp_path / "other", data=folder, **by_name)) == 2
    assert "differ in size: give --image-size HEIGHT WIDTH to resize" in capsys.readouterr().err
