import pathlib
import re
import shutil
import subprocess

import numpy as np
import pytest

from keras_distill.tflite import export_tflite, micro
from keras_distill.tflite.arduino import c_name, c_string

from .conftest import random_inputs

HEADERS = pathlib.Path(__file__).parent / "tflm_headers"
HARNESS = """
#include <Arduino.h>
#include "{name}.ino"
#include "tensorflow/lite/micro/micro_interpreter.h"
int main() {{
  tflite::script = {{kSamples, kGolden, kSampleCount, sizeof(kSamples[0]), sizeof(kGolden[0]),
                     {arena}, {spoil}}};
  setup();
  loop();
  for (float value : {{-1e9f, 0.3f, 0.7f, 1e9f}}) {{
    {name}::setInput(0, value);
    std::cout << "input " << +{name}::input()[0] << "\\n";
  }}
  {name}::output();
  std::cout << "score " << {name}::score(1) << "\\n";
}}
"""


@pytest.fixture
def library(int8_cnn, tmp_path):
    _, result, x = int8_cnn
    labels = ["cat", 'a "b"', "c\\d", "naïve?"]
    return result.to_arduino(tmp_path / "new" / "lib", labels=labels, samples=x[:3], name="tiny")


def run_sketch(library, tmp_path, arena=100, spoil="false"):
    compiler = shutil.which("g++")
    if compiler is None:
        pytest.skip("needs g++")
    name = next((library / "examples").iterdir()).name
    main = tmp_path / "main.cpp"
    main.write_text(HARNESS.format(name=name, arena=arena, spoil=spoil))
    flags = ["-std=c++17", "-Wall", "-Wextra", "-Werror", "-pedantic"]
    folders = [HEADERS, library / "src", library / "examples" / name]
    includes = [f"-I{folder}" for folder in folders]
    sources = [main, *sorted((library / "src").glob("*.cpp"))]
    program = tmp_path / "sketch"
    command = [compiler, *flags, *includes, *map(str, sources), "-o", str(program)]
    subprocess.run(command, check=True, capture_output=True, text=True)
    return subprocess.run([program], check=True, capture_output=True, text=True).stdout


def test_the_sketch_passes_on_the_stored_samples(library, tmp_path, int8_cnn):
    output = run_sketch(library, tmp_path)
    assert output.splitlines()[4] == "PASS"
    _, result, x = int8_cnn
    names = ["cat", 'a "b"', "c\\d", "naïve?"]
    best = result.predict(x[:3]).argmax(-1)
    for line, index in zip(output.splitlines()[1:4], best, strict=True):
        assert re.fullmatch(rf"sample \d: {re.escape(names[index])}, \d+ us", line)


def test_the_sketch_quantises_as_python_does(library, tmp_path, int8_cnn):
    output = run_sketch(library, tmp_path)
    info = int8_cnn[1].inputs[0]
    expected = info.quantize(np.array([-1e9, 0.3, 0.7, 1e9]))
    assert re.findall(r"input (-?\d+)", output) == [str(value) for value in expected]
    golden = micro.run(
        int8_cnn[1].content, int8_cnn[1].graph, int8_cnn[1].quantize_inputs(int8_cnn[2][:3])
    )[0]
    score = float(re.search(r"score (\S+)", output)[1])
    assert score == pytest.approx(int8_cnn[1].outputs[0].dequantize(golden[2, 1]), rel=1e-4)


def test_one_wrong_byte_fails(library, tmp_path):
    assert "FAIL: 3 samples differ" in run_sketch(library, tmp_path, spoil="true")


def test_an_arena_that_is_too_small_fails_with_advice(library, tmp_path):
    output = run_sketch(library, tmp_path, arena=10**9)
    assert output.startswith("FAIL: the tensors don't fit the arena: raise kArenaSize")


@pytest.mark.parametrize("quantization", [None, "int16x8"])
def test_other_types_compile_and_pass(make_model, tmp_path, quantization):
    model = make_model("perceptron")
    x = random_inputs(model)
    result = export_tflite(model, tmp_path / "m.tflite", quantization, x, target="arduino")
    library = result.to_arduino(tmp_path / "lib", samples=x[:2])
    assert "PASS" in run_sketch(library, tmp_path)


def test_the_model_array_is_the_file(library, int8_cnn):
    source = (library / "src" / "tiny_model_data.cpp").read_text()
    numbers = re.findall(r"0x([0-9a-f]{2})", source)
    assert bytes.fromhex("".join(numbers)) == int8_cnn[1].content
    assert "alignas(16)" in source


def test_the_resolver_has_exactly_the_models_operators(library, int8_cnn):
    source = (library / "src" / "tiny.cpp").read_text()
    added = re.findall(r"resolver\.Add(\w+)\(\) != kTfLiteOk", source)
    assert sorted(added) == ["Conv2D", "FullyConnected", "MaxPool2D", "Mean"]
    assert "kOperatorCount = 4;" in source


def test_the_arena_constant_was_measured(library, int8_cnn):
    header = (library / "src" / "tiny.h").read_text()
    constant = int(re.search(r"kArenaSize = (\d+)", header)[1])
    assert constant == int8_cnn[1].report().arena_constant
    assert micro.runs_in_arena(int8_cnn[1].content, constant)


def test_the_golden_vectors_are_what_tflm_answers(library, int8_cnn):
    _, result, x = int8_cnn
    text = (library / "examples" / "tiny" / "tiny_samples.h").read_text()
    rows = re.findall(r"\{([-\d, ]+)\}", text.split("kGolden")[1])
    stored = np.array([[int(value) for value in row.split(",")] for row in rows])
    answers = micro.run(result.content, result.graph, result.quantize_inputs(x[:3]))[0]
    np.testing.assert_array_equal(stored, answers)


def test_library_properties_are_complete(library):
    lines = (library / "library.properties").read_text().splitlines()
    keys = dict(line.split("=", 1) for line in lines)
    needed = "name version author maintainer sentence paragraph category url architectures includes"
    assert set(needed.split()) <= set(keys) and all(keys.values())
    assert keys["category"] == "Data Processing"
    assert keys["includes"] == "tiny.h"


def test_nothing_is_left_to_fill_in(library):
    for path in library.rglob("*"):
        if path.is_file():
            assert "${" not in path.read_text(), path


def test_a_library_made_here_is_replaced_whole(library, int8_cnn):
    (library / "stale.txt").write_text("old")
    int8_cnn[1].to_arduino(library, samples=int8_cnn[2][:1], name="other")
    assert not (library / "stale.txt").exists() and (library / "src" / "other.h").exists()
    assert [path.name for path in library.parent.iterdir()] == ["lib"]


def test_a_folder_that_holds_something_else_is_refused(int8_cnn, tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(ValueError, match=r"holds something else"):
        int8_cnn[1].to_arduino(tmp_path, samples=int8_cnn[2][:1])
    assert (tmp_path / "thesis.tex").read_text() == "years of work"


def test_a_wrong_number_of_labels_is_refused_and_leaves_nothing(int8_cnn, tmp_path):
    with pytest.raises(ValueError, match=r"4 output values, but there are 2 labels"):
        int8_cnn[1].to_arduino(tmp_path / "lib", labels=["a", "b"], samples=int8_cnn[2][:1])
    assert list(tmp_path.iterdir()) == []


def test_missing_samples_are_asked_for(int8_cnn, tmp_path):
    with pytest.raises(ValueError, match=r"needs samples"):
        int8_cnn[1].to_arduino(tmp_path / "lib")


def test_a_model_that_boards_get_wrong_is_refused(make_model, tmp_path):
    model = make_model("perceptron")
    x = random_inputs(model)
    result = export_tflite(model, tmp_path / "m.tflite", "int8", x, target="mobile")
    with pytest.raises(ValueError, match=r'would not run right .*target="arduino"'):
        result.to_arduino(tmp_path / "lib", samples=x[:1])


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("2nd model", "model_2nd_model"),
        ("class", "model_class"),
        ("späti", "sp_ti"),
        ("", "model"),
        ("a--b", "a_b"),
    ],
)
def test_names_become_c_names(text, name):
    assert c_name(text) == name


def test_strings_are_escaped():
    assert c_string('a"b\\\n?') == '"a\\042b\\134\\012\\077"'


def test_a_library_is_named_after_its_folder(int8_cnn, tmp_path):
    library = int8_cnn[1].to_arduino(tmp_path / "gestures", samples=int8_cnn[2][:1])
    assert (library / "examples" / "gestures" / "gestures.ino").is_file()
