"""The commands for any Keras model and any TensorFlow Lite file."""

import pathlib
import random

import keras
import numpy as np
import pytest

from keras_distill import architectures, cli
from keras_distill.cli import command_input
from keras_distill.tflite import BOARDS, TFLiteModel, export_tflite


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(0)
    return architectures.digits_student()


@pytest.fixture(scope="module")
def x():
    return np.random.default_rng(0).random((60, 8, 8, 1), "float32")


@pytest.fixture(scope="module")
def int8(model, x, tmp_path_factory):
    path = tmp_path_factory.mktemp("int8") / "int8.tflite"
    export_tflite(model, path, "int8", x)
    return str(path)


def test_export_converts_checks_and_packs(model, tmp_path, capsys):
    model.save(tmp_path / "student.keras")
    arguments = ["--quantization", "int8", "--data", "digits", "--target", "arduino"]
    arguments += ["--board", "arduino_nano_33_ble"]
    assert cli.main(["export", str(tmp_path / "student.keras"), *arguments]) == 0
    assert TFLiteModel(tmp_path / "student.tflite").quantization == "int8"
    assert (tmp_path / "student" / "library.properties").is_file()
    assert '"7", "8", "9"' in (tmp_path / "student" / "src" / "student_model.cpp").read_text()
    said = capsys.readouterr().out
    for word in ("wrote", "accuracy", "arena", "Arduino Nano 33 BLE", "Arduino library"):
        assert word in said, said


@pytest.mark.parametrize(("suffix", "data"), [(".keras", "data.npz"), (".h5", "data.npy")])
def test_export_takes_saved_models_and_arrays_of_any_origin(suffix, data, model, x, tmp_path):
    model.save(tmp_path / f"any{suffix}")
    np.savez(tmp_path / "data.npz", x=x, y=np.zeros(60, "int32"))
    np.save(tmp_path / "data.npy", x)
    output = tmp_path / "other.tflite"
    arguments = ["--quantization", "int8", "--data", str(tmp_path / data)]
    arguments += ["--output", str(output)]
    assert cli.main(["export", str(tmp_path / f"any{suffix}"), *arguments]) == 0
    assert output.is_file()


def test_pixels_are_brought_to_the_scale_of_training(tmp_path):
    stack = [keras.layers.Rescaling(1 / 255), keras.layers.Flatten(), keras.layers.Dense(10)]
    keras.Sequential([keras.Input((8, 8, 1)), *stack]).save(tmp_path / "m.keras")
    arguments = ["--quantization", "int8", "--data", "digits", "--scale", "0", "255"]
    assert cli.main(["export", str(tmp_path / "m.keras"), *arguments]) == 0
    info = TFLiteModel(tmp_path / "m.tflite").inputs[0]
    assert info.dequantize(np.int8([-128, 127])).tolist() == pytest.approx([0, 255])


def test_what_pixels_become():
    bytes_of = np.array([[0, 51, 255]], "uint8")
    expected = np.float32([[-1, -0.6, 1]])
    for pixels in (bytes_of, bytes_of.astype("float32"), bytes_of / 255):
        scaled = command_input.rescaled(pixels, -1, 1)
        assert scaled.dtype == np.float32
        np.testing.assert_allclose(scaled, expected, atol=1e-6)
    np.testing.assert_array_equal(command_input.rescaled(np.uint8([0, 1]), 0, 255), [0, 1])
    with pytest.raises(ValueError, match=r"whole ones of 0 to 255.*Received: values from -1 to 1"):
        command_input.rescaled(expected, 0, 1)
    with pytest.raises(ValueError, match=r"one input.*Received: arrays a, b"):
        command_input.rescaled({"a": expected, "b": expected}, 0, 1)


def test_export_takes_several_inputs_by_their_names(tmp_path):
    first, second = keras.Input((2,), name="b"), keras.Input((3,), name="a")
    outputs = keras.layers.Dense(2)(keras.layers.Concatenate()([first, second]))
    keras.Model([first, second], outputs).save(tmp_path / "two.keras")
    rng = np.random.default_rng(0)
    arrays = {"a": rng.random((20, 3), "float32"), "b": rng.random((20, 2), "float32")}
    np.savez(tmp_path / "data.npz", y=np.zeros(20, "int32"), **arrays)
    arguments = ["--quantization", "int8", "--data", str(tmp_path / "data.npz")]
    assert cli.main(["export", str(tmp_path / "two.keras"), *arguments]) == 0


@pytest.mark.parametrize(
    ("y", "said"),
    [
        (np.zeros(7, "int32"), "Received: 60 samples, 7 labels"),
        (np.full(60, np.nan), "y holds NaN or infinite values"),
        (np.array(["cat"] * 60), "y must hold numbers"),
    ],
)
def test_bad_labels_are_told_before_anything_is_written(y, said, model, x, tmp_path, capsys):
    model.save(tmp_path / "student.keras")
    np.savez(tmp_path / "data.npz", x=x, y=y)
    arguments = ["export", str(tmp_path / "student.keras"), "--data", str(tmp_path / "data.npz")]
    assert cli.main(arguments) == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "student.tflite").exists()


def test_export_without_data_writes_float32(model, tmp_path, capsys):
    model.save(tmp_path / "student.keras")
    assert cli.main(["export", str(tmp_path / "student.keras")]) == 0
    assert TFLiteModel(tmp_path / "student.tflite").quantization is None
    assert "Arduino library" not in capsys.readouterr().out


def test_export_for_phones_needs_no_microcontroller_to_run_it(model, x, tmp_path, capsys):
    model.save(tmp_path / "student.keras")
    np.save(tmp_path / "x.npy", x)
    arguments = ["--quantization", "float16", "--data", str(tmp_path / "x.npy")]
    assert cli.main(["export", str(tmp_path / "student.keras"), *arguments]) == 0
    assert "TensorFlow Lite Micro can't run this model" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["export", "absent.keras"], "no file 'absent.keras'"),
        (["export", "absent.keras", "--board", "toaster"], "board must be one of"),
        (["export", "made.keras", "--data", "digits", "--scale", "1", "-1"], "--scale 1 -1"),
        (["lint", "absent.tflite"], "no file"),
        (["boards", "absent.tflite"], "no file"),
        (["inspect", "absent.tflite"], "no file"),
    ],
)
def test_mistakes_are_told_in_a_line(arguments, said, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "made.keras").touch()
    assert cli.main(arguments) == 2
    error = capsys.readouterr().err
    assert error.startswith("keras-distill: ") and said in error


def test_missing_data_is_told_before_anything_is_written(model, tmp_path, capsys):
    model.save(tmp_path / "student.keras")
    arguments = ["export", str(tmp_path / "student.keras"), "--quantization", "int8"]
    assert cli.main(arguments) == 2
    assert "needs representative_data" in capsys.readouterr().err
    assert cli.main([*arguments, "--data", "absent.npz"]) == 2
    assert "no file 'absent.npz'" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["student.keras"]


def test_lint_says_what_a_target_refuses(int8, model, tmp_path, capsys):
    assert cli.main(["lint", int8, "--target", "mcu"]) == 0
    assert "nothing found" in capsys.readouterr().out
    export_tflite(model, tmp_path / "half.tflite", "float16")
    assert cli.main(["lint", str(tmp_path / "half.tflite"), "--target", "mcu"]) == 1
    assert "error" in capsys.readouterr().out
    islands = keras.Sequential([keras.Input((6,)), keras.layers.LayerNormalization()])
    data = np.random.default_rng(0).normal(size=(20, 6)).astype("float32")
    export_tflite(islands, tmp_path / "islands.tflite", "int8", data)
    assert cli.main(["lint", str(tmp_path / "islands.tflite"), "--target", "mobile"]) == 3
    found = capsys.readouterr().out
    assert "warning float-island" in found and "error" not in found
    (tmp_path / "damaged.tflite").write_bytes(pathlib.Path(int8).read_bytes()[:-300])
    assert cli.main(["lint", str(tmp_path / "damaged.tflite")]) == 2


def test_boards_are_listed_with_and_without_a_model(int8, capsys):
    assert cli.main(["boards"]) == 0
    listed = capsys.readouterr().out
    assert all(name in listed for name in BOARDS) and "fits" not in listed
    assert cli.main(["boards", int8]) == 0
    assert capsys.readouterr().out.count("fits") == len(BOARDS)


def test_inspect_shows_a_file_and_its_time(int8, capsys):
    assert cli.main(["inspect", int8, "--benchmark", "--threads", "2"]) == 0
    said = capsys.readouterr().out
    for word in ("int8 [1, 8, 8, 1], scale", "CONV_2D", "arena", "2 threads", " ms"):
        assert word in said, said
    with pytest.raises(SystemExit):
        cli.main(["inspect", int8, "--benchmark", "--threads", "0"])


def test_export_packs_what_is_asked_for(model, x, tmp_path, capsys):
    model.save(tmp_path / "student.keras")
    np.save(tmp_path / "x.npy", x)
    arguments = ["--quantization", "int8", "--target", "mcu", "--data", str(tmp_path / "x.npy")]
    arguments += ["--pack", "cmake", "raspberry_pi", "android", "ios"]
    assert cli.main(["export", str(tmp_path / "student.keras"), *arguments]) == 0
    said = capsys.readouterr().out
    assert "Arduino library" not in said and not (tmp_path / "student").exists()
    for written in (
        "student_cmake/src/student_model.h",
        "student_raspberry_pi/classify.py",
        "student_android/app/src/main/assets/student.tflite",
        "student_ios/StudentModel.swift",
    ):
        assert (tmp_path / written).is_file(), written
        assert str(tmp_path / written.split("/")[0]) in said


@pytest.mark.parametrize("source", ["left, right", "labels.txt"])
def test_packed_classes_have_the_names_that_are_given(source, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "labels.txt").write_text("left\nright\n")
    keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)]).save("two.keras")
    np.save("x.npy", np.random.default_rng(0).random((20, 3), "float32"))
    arguments = ["export", "two.keras", "--data", "x.npy", "--pack", "raspberry_pi"]
    assert cli.main([*arguments, "--labels", source]) == 0
    written = "".join(p.read_text() for p in (tmp_path / "two_raspberry_pi").glob("*.*s*n"))
    assert "left" in written and "right" in written


def test_what_cannot_be_packed_is_told_before_the_file_is_written(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)]).save("two.keras")
    np.save("x.npy", np.random.default_rng(0).random((20, 3), "float32"))
    (tmp_path / "two_ios").mkdir()
    (tmp_path / "two_ios" / "thesis.txt").write_text("years of work")
    arguments = ["export", "two.keras", "--data", "x.npy"]
    for wrong, said in (
        (["--pack", "raspberry_pi", "--labels", "one"], "2 output values, but there are 1 labels"),
        (["--pack", "raspberry_pi", "ios"], "holds something else"),
        (["--labels", "left,right"], "give --pack"),
    ):
        assert cli.main([*arguments, *wrong]) != 0
        assert said in capsys.readouterr().err
    assert not (tmp_path / "two.tflite").exists() and not (tmp_path / "two_raspberry_pi").exists()


def test_packing_without_data_is_told_before_anything_is_written(model, tmp_path, capsys):
    model.save(tmp_path / "student.keras")
    arguments = ["export", str(tmp_path / "student.keras")]
    assert cli.main([*arguments, "--pack", "ios", "cmake"]) == 2
    assert "Packing for ios, cmake needs --data" in capsys.readouterr().err
    assert cli.main([*arguments, "--target", "arduino"]) == 2
    assert "Packing for arduino needs --data" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["student.keras"]


@pytest.mark.parametrize("command", ["demo", "export", "lint", "boards", "inspect"])
def test_help_says_the_exit_statuses(command, capsys):
    with pytest.raises(SystemExit) as ended:
        cli.main([command, "--help"])
    assert ended.value.code == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "Exit status: 0 if" in said and " 1 if" in said and " 2 for wrong arguments" in said


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["inspect", "--losses", "--benchmark"], "are for a MODEL"),
        (["inspect", "--recipes", "--ethos-u"], "are for a MODEL"),
        (["inspect", "some.tflite", "--threads", "2"], "--threads is for --benchmark"),
        (["inspect", "some.tflite", "--benchmark", "--threads", "x"], "a whole number"),
        (["inspect", "some.tflite", "--ethos-u", "ethos-u1"], "invalid choice"),
    ],
)
def test_arguments_that_would_do_nothing_are_refused(arguments, said, capsys):
    with pytest.raises(SystemExit) as ended:
        cli.main(arguments)
    assert ended.value.code == 2 and said in capsys.readouterr().err


def test_options_of_what_is_not_asked_for_are_refused(model, tmp_path, capsys):
    model.save(tmp_path / "student.keras")
    for more, said in (
        (["--labels", "a"], "give --pack"),
        (["--data-dir", "."], "give --data"),
        (["--scale", "0", "1"], "give --data"),
    ):
        assert cli.main(["export", str(tmp_path / "student.keras"), *more]) == 2
        assert said in capsys.readouterr().err


def damaged_files(folder, model, x):
    """Writes a model and data, and yields damaged copies with their kind."""
    model.save(folder / "good.keras")
    model.save(folder / "good.h5")
    np.save(folder / "good.npy", x)
    np.savez_compressed(folder / "good.npz", x=x)
    randomness = random.Random(0)
    for path in sorted(folder.glob("good.*")):
        whole = path.read_bytes()
        bad = folder / f"bad{path.suffix}"
        for end in (0, 40, len(whole) // 2, len(whole) - 3):
            bad.write_bytes(whole[:end])
            yield bad
        for _ in range(6):
            flipped = bytearray(whole)
            flipped[randomness.randrange(200)] ^= 1 << randomness.randrange(8)
            bad.write_bytes(flipped)
            yield bad


def test_damaged_files_are_told_in_a_line(model, x, tmp_path, capsys, monkeypatch):
    # What is whole enough to be read needs no conversion here.
    def convert(*_, **__):
        raise RuntimeError("converted")

    monkeypatch.setattr("keras_distill.tflite.export_tflite", convert)
    told = 0
    for path in damaged_files(tmp_path, model, x):
        is_model = path.suffix in (".keras", ".h5")
        arguments = [str(path)] if is_model else [str(tmp_path / "good.keras"), "--data", str(path)]
        status = cli.main(["export", *arguments, "--output", str(tmp_path / "out.tflite")])
        lines = capsys.readouterr().err.splitlines()
        [line] = [line for line in lines if line.startswith("keras-distill: ")]
        assert line == "keras-distill: converted" if status == 1 else str(path) in line
        told += status == 2
    assert told >= 20


def test_data_that_a_model_cannot_compute_is_told_in_a_line(tmp_path, capsys):
    stack = [keras.Input((3,), dtype="int32"), keras.layers.Embedding(4, 2), keras.layers.Flatten()]
    keras.Sequential(stack).save(tmp_path / "words.keras")
    np.save(tmp_path / "x.npy", np.full((5, 3), 99, "int32"))
    arguments = ["export", str(tmp_path / "words.keras"), "--data", str(tmp_path / "x.npy")]
    assert cli.main(arguments) in (1, 2)
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith("keras-distill: "), error


@pytest.mark.parametrize(
    ("raised", "status", "said"),
    [
        (KeyboardInterrupt(), 130, "interrupted"),
        (RuntimeError("the converter\n  died"), 1, "the converter died"),
        (PermissionError(13, "Permission denied", "x.tflite"), 2, "Permission denied"),
        (ImportError("install this"), 2, "install this"),
    ],
)
def test_each_way_to_fail_has_its_status(raised, status, said, monkeypatch, capsys):
    def fail(options):
        raise raised

    monkeypatch.setattr("keras_distill.cli.device_commands.run_boards", fail)
    assert cli.main(["boards"]) == status
    error = capsys.readouterr().err
    assert error.startswith("keras-distill: ") and said in error and error.count("\n") == 1


def test_a_mistake_of_ours_is_not_hidden(monkeypatch):
    def fail(options):
        raise TypeError("a mistake")

    monkeypatch.setattr("keras_distill.cli.device_commands.run_boards", fail)
    with pytest.raises(TypeError):
        cli.main(["boards"])


def test_boards_say_why_the_arena_is_unknown(tmp_path, capsys):
    model = keras.Sequential([keras.Input((6,)), keras.layers.Dense(4)])
    export_tflite(model, tmp_path / "half.tflite", "float16")
    assert cli.main(["boards", str(tmp_path / "half.tflite")]) == 1
    assert "TensorFlow Lite Micro can't run this model" in capsys.readouterr().err
