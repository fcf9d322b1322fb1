"""What holds for the projects of all devices."""

import dataclasses
import json
import re
import stat

import numpy as np
import pytest

from keras_distill.tflite import TFLiteModel
from keras_distill.tflite.deploy import golden, source_literals
from keras_distill.tflite.deploy.project_folder import MARKER

WRITERS = {
    "arduino": TFLiteModel.to_arduino,
    "cmake": TFLiteModel.to_cmake,
    "raspberry_pi": TFLiteModel.to_raspberry_pi,
    "android": TFLiteModel.to_android,
    "ios": TFLiteModel.to_ios,
}
every_project = pytest.mark.parametrize("write", WRITERS.values(), ids=WRITERS)


@every_project
def test_nothing_is_left_to_fill_in_and_brackets_close(write, int8_cnn, tmp_path):
    _, result, x = int8_cnn
    folder = write(result, tmp_path / "new" / "my model", samples=x[:2])
    for path in folder.rglob("*"):
        if path.suffix in (".tflite", ".bin", ".npz") or path.is_dir():
            continue
        text = path.read_text()
        is_cmake = path.suffix in (".txt", ".cmake")
        assert is_cmake or "${" not in text, path
        assert all(line == line.rstrip() for line in text.splitlines()), path
        for opening, closing in ("{}", "()", "[]"):
            assert text.count(opening) == text.count(closing), (path, opening)


@every_project
def test_a_project_made_here_is_replaced_and_what_is_not_ours_stays(write, int8_cnn, tmp_path):
    _, result, x = int8_cnn
    folder = write(result, tmp_path / "it", samples=x[:1])
    (folder / ".git").mkdir()
    (folder / ".git" / "HEAD").write_text("ref")
    (folder / "README.md").chmod(0o600)
    write(result, folder, samples=x[:1], name="other")
    files = {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}
    listed = json.loads((folder / MARKER).read_text())["files"]
    assert files == {*listed, MARKER, ".git/HEAD"}
    assert not any(re.search(r"\b[Ii]t(_|Model|\.|$)", name) for name in files)
    assert stat.S_IMODE((folder / "README.md").stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["it"]


def test_what_the_user_edits_stays(int8_cnn, tmp_path, capsys):
    _, result, x = int8_cnn
    folder = result.to_arduino(tmp_path / "it", samples=x[:1])
    mine = folder / "examples" / "it" / "read_input.ino"
    mine.write_text("my sensor")
    result.to_arduino(folder, samples=x[1:3])
    assert mine.read_text() == "my sensor" and str(mine) in capsys.readouterr().out
    assert "kSampleCount = 2" in (folder / "src" / "it_model_samples.h").read_text()
    (folder / "src" / "it_model.cpp").write_text("my own kernel")
    with pytest.raises(ValueError, match=r"did not write src/it_model.cpp as they are now"):
        result.to_arduino(folder, samples=x[:1], labels=list("abcd"))
    assert (folder / "src" / "it_model.cpp").read_text() == "my own kernel"
    assert "kSampleCount = 2" in (folder / "src" / "it_model_samples.h").read_text()


@every_project
def test_a_folder_that_holds_something_else_is_refused(write, int8_cnn, tmp_path):
    (tmp_path / "README.md").write_text("years of work")
    with pytest.raises(ValueError, match=r"holds something else"):
        write(int8_cnn[1], tmp_path, samples=int8_cnn[2][:1])
    assert (tmp_path / "README.md").read_text() == "years of work"


@every_project
def test_wrong_arguments_are_refused_and_leave_nothing(write, int8_cnn, tmp_path):
    _, result, x = int8_cnn
    with pytest.raises(ValueError, match=r"4 output values, but there are 2 labels"):
        write(result, tmp_path / "it", labels=["a", "b"], samples=x[:1])
    with pytest.raises(ValueError, match=r"needs samples"):
        write(result, tmp_path / "it")
    with pytest.raises(ValueError, match=r"takes samples of shape \(8, 8, 1\)"):
        write(result, tmp_path / "it", samples=x[0])
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match=r"is a file"):
        write(result, tmp_path / "file", samples=x[:1])
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@every_project
def test_several_inputs_are_refused(write, int8_cnn, tmp_path, monkeypatch):
    _, result, x = int8_cnn
    monkeypatch.setattr(TFLiteModel, "inputs", property(lambda self: [None, None]))
    with pytest.raises(ValueError, match=r"one input and one output.*: a model with 2 and 1"):
        write(result, tmp_path / "it", samples=[x[:1], x[:1]])
    assert list(tmp_path.iterdir()) == []


def test_an_output_without_a_batch_is_refused(int8_cnn, tmp_path, monkeypatch):
    _, result, x = int8_cnn
    [whole] = result.outputs
    vector = [dataclasses.replace(whole, shape=(40,))]
    monkeypatch.setattr(TFLiteModel, "outputs", property(lambda self: vector))
    with pytest.raises(ValueError, match=r"batch of 1\. Received: tensor .* of shape \[40\]"):
        result.to_cmake(tmp_path / "it", samples=x[:1])


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e39])
@every_project
def test_samples_that_are_no_numbers_are_refused_by_their_number(write, value, int8_cnn, tmp_path):
    _, result, x = int8_cnn
    samples = x[:4].astype("float64")
    samples[1, 2, 3, 0] = samples[3, 0, 0, 0] = value
    with pytest.raises(
        ValueError, match=r"samples\[1\] holds NaN or infinity.*Received: .*\[1, 3\]"
    ):
        write(result, tmp_path / "it", samples=samples)
    assert list(tmp_path.iterdir()) == []


def test_many_samples_that_are_no_numbers_are_counted(perceptron_as, tmp_path):
    result, x = perceptron_as(None)
    with pytest.raises(ValueError, match=r"at \[0, 1, .*, 9\] and 2 more$"):
        result.to_raspberry_pi(tmp_path / "it", samples=np.nan * x[:12])


def test_answers_that_are_no_numbers_are_refused(perceptron_as, tmp_path, monkeypatch):
    result, x = perceptron_as(None)
    vectors = golden.Golden(x[:2], np.float32([[1, 2], [3, np.nan]]), 1.0)
    monkeypatch.setattr(golden, "on_litert", lambda *_: vectors)
    with pytest.raises(ValueError, match=r"answer to samples\[1\] holds NaN or infinity"):
        result.to_raspberry_pi(tmp_path / "it", samples=x[:2])
    with pytest.raises(TypeError, match=r"samples must be numbers.*Received: samples of type <U"):
        result.to_raspberry_pi(tmp_path / "it", samples=np.full((1, 12), "a"))


@pytest.mark.parametrize(
    ("arguments", "error", "said"),
    [
        ({"labels": {"a", "b", "c", "d"}}, TypeError, r"in the order.*Received: labels=\{"),
        ({"labels": dict.fromkeys("abcd")}, TypeError, r"in the order.*type dict"),
        ({"labels": "abcd"}, TypeError, r"list of names.*Received: labels='abcd'"),
        ({"labels": ["a", None, "c", "d"]}, TypeError, r"Received: labels\[1\]=None"),
        ({"labels": ["a", "b\0c", "c", "d"]}, ValueError, r"zero character.*labels\[1\]"),
        ({"name": 5}, TypeError, r"name must be a string. Received: name=5"),
        ({"name": "?!"}, ValueError, r"a letter or a digit. Received: name='\?!'"),
        ({"name": "n" * 64}, ValueError, r"at most 63 characters"),
        ({"folder": None}, TypeError, r"Received: folder=None"),
        ({"folder": ""}, ValueError, r"Received: folder=''"),
        ({"folder": "gs://bucket/it"}, ValueError, r"of this computer.*'gs://bucket/it'"),
    ],
)
@every_project
def test_wrong_names_are_refused(write, arguments, error, said, int8_cnn, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    _, result, x = int8_cnn
    with pytest.raises(error, match=said):
        write(result, **{"folder": "it", "samples": x[:1], **arguments})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("2nd model", "model_2nd_model"),
        ("class", "class"),
        ("AUX", "model_AUX"),
        ("späti", "sp_ti"),
        ("", "model"),
        ("a--b", "a_b"),
    ],
)
def test_names_become_c_names(text, name):
    assert source_literals.c_name(text) == name


def test_strings_are_escaped():
    text = 'a"b\\\n?$é😀'
    assert source_literals.c_string(text) == r'"a\042b\134\012\077$\303\251\360\237\230\200"'
    assert source_literals.kotlin_string(text) == r'"a\u0022b\u005c\u000a?\u0024\u00e9\ud83d\ude00"'
    assert source_literals.swift_string(text) == r'"a\u{22}b\u{5c}\u{a}?$\u{e9}\u{1f600}"'


def test_floats_are_read_back_as_they_were():
    for value in np.float32([0.1, 1, 1e-30, -3.4e38, 1 / 3]):
        literal = source_literals.c_float(value)
        assert np.float32(literal.removesuffix("f")) == value
        assert re.search(r"[.e]", literal)
