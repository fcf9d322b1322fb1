"""What holds for the projects of all devices."""

import re

import numpy as np
import pytest

from keras_distill.tflite import TFLiteModel, golden, literals, projects

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
def test_a_project_made_here_is_replaced_whole(write, int8_cnn, tmp_path):
    _, result, x = int8_cnn
    folder = write(result, tmp_path / "it", samples=x[:1])
    (folder / "stale.txt").write_text("old")
    write(result, folder, samples=x[:1], name="other")
    assert not (folder / "stale.txt").exists()
    assert projects.MARK in (folder / "README.md").read_text()
    assert [path.name for path in tmp_path.iterdir()] == ["it"]


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
    with pytest.raises(ValueError, match=r"one input and one output, this one has 2 and 1"):
        write(result, tmp_path / "it", samples=[x[:1], x[:1]])
    assert list(tmp_path.iterdir()) == []


def test_a_failure_half_way_leaves_the_old_project(tmp_path):
    folder = projects.write(tmp_path / "it", {"README.md": projects.MARK, "a/b.txt": "old"})
    with pytest.raises(AttributeError):
        projects.write(folder, {"README.md": projects.MARK, "a/b.txt": None})
    assert (folder / "a" / "b.txt").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["it"]


def test_golden_vectors_let_pass_what_fast_kernels_round(int8_cnn, perceptron_as):
    _, result, x = int8_cnn
    vectors = golden.on_litert(result, x[:5])
    assert vectors.samples.dtype == vectors.answers.dtype == np.int8
    assert 1 <= vectors.tolerance <= 5
    result, x = perceptron_as(None)
    assert 1e-4 <= golden.on_litert(result, x[:5]).tolerance < 1e-3
    assert golden.on_micro(*perceptron_as("int16x8")).tolerance == 1


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("2nd model", "model_2nd_model"),
        ("class", "model_class"),
        ("map", "model_map"),
        ("späti", "sp_ti"),
        ("", "model"),
        ("a--b", "a_b"),
    ],
)
def test_names_become_c_names(text, name):
    assert literals.c_name(text) == name


def test_strings_are_escaped():
    text = 'a"b\\\n?$é😀'
    assert literals.c_string(text) == r'"a\042b\134\012\077$\303\251\360\237\230\200"'
    assert literals.kotlin_string(text) == r'"a\u0022b\u005c\u000a?\u0024\u00e9\ud83d\ude00"'
    assert literals.swift_string(text) == r'"a\u{22}b\u{5c}\u{a}?$\u{e9}\u{1f600}"'


def test_floats_are_read_back_as_they_were():
    for value in np.float32([0.1, 1, 1e-30, -3.4e38, 1 / 3]):
        literal = literals.c_float(value)
        assert np.float32(literal.removesuffix("f")) == value
        assert re.search(r"[.e]", literal)
