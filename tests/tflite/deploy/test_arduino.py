import dataclasses
import re

import numpy as np
import pytest

from keras_distill.tflite import TFLiteModel
from keras_distill.tflite.analysis import arena, operators
from keras_distill.tflite.deploy import arduino
from keras_distill.tflite.runtime import micro
from tests.tflite.compilers import HEADERS, TFLM, answers_source, call, compile_objects, spoiled

LABELS = ["cat", 'a "b"', "c\\d", "naïve?"]
INCLUDES = {
    None: "chirale",
    "Chirale_TensorFLowLite": "chirale",
    "Harvard_TinyMLx": "harvard",
    "esp-tflite-micro": "arduino",
}
HARNESS = """
#include <Arduino.h>
bool readInput();
#include "{name}.ino"
#include "read_input.ino"
int main() {{
  setup();
  loop();
  const float values[] = {{-1e9f, 0.3f, 0.7f, 1e9f, NAN}};
  for (float value : values) {{
    {name}_model::setInput(0, value);
    printf("input %g\\n", static_cast<double>({name}_model::input()[0]));
  }}
  printf("score %.9g\\n", static_cast<double>({name}_model::score(1)));
}}
"""


@pytest.fixture(scope="session")
def library(int8_cnn, tmp_path_factory):
    _, result, x = int8_cnn
    folder = tmp_path_factory.mktemp("arduino") / "new" / "lib"
    return result.to_arduino(folder, labels=LABELS, samples=x[:3], name="tiny")


@pytest.fixture(scope="session")
def golden(int8_cnn):
    _, result, x = int8_cnn
    inputs = result.quantize_inputs(x[:3])
    return inputs[0], micro.run(result.content, result.graph, inputs)[0]


@pytest.fixture(scope="session")
def sketch(library, tmp_path_factory):
    """The object files of the sketch, which lack the stand-in's answers."""
    return compile_sketch(library, tmp_path_factory.mktemp("objects"))


def compile_sketch(library, folder, compiler="host", runtime=None, standard="c++14"):
    name = next((library / "examples").iterdir()).name
    main = folder / "main.cpp"
    main.write_text("#include <math.h>\n" + HARNESS.format(name=name))
    own = [library / "src", library / "examples" / name]
    headers = [HEADERS / INCLUDES[runtime], HEADERS / "arduino", TFLM]
    sources = [main, *sorted((library / "src").glob("*.cpp"))]
    return compile_objects(compiler, sources, [*own, *headers], folder / compiler, standard)


def run_sketch(objects, golden, folder, arena=100):
    source = folder / "answers.cpp"
    source.write_text(answers_source(golden, arena))
    answers = compile_objects("host", [source], [TFLM], folder)
    call("g++", *objects, *answers, "-o", folder / "sketch")
    return call(folder / "sketch")


def test_the_sketch_passes_on_the_stored_samples(sketch, golden, tmp_path, int8_cnn):
    output = run_sketch(sketch, golden, tmp_path)
    assert output.splitlines()[4] == "PASS"
    _, result, x = int8_cnn
    best = result.predict(x[:3]).argmax(-1)
    for line, index in zip(output.splitlines()[1:4], best, strict=True):
        assert re.fullmatch(rf"sample \d: {re.escape(LABELS[index])}, \d+ us", line)


def test_the_sketch_quantizes_as_python_does(sketch, golden, tmp_path, int8_cnn):
    output = run_sketch(sketch, golden, tmp_path)
    info = int8_cnn[1].inputs[0]
    expected = [str(value) for value in info.quantize(np.array([-1e9, 0.3, 0.7, 1e9]))]
    assert re.findall(r"input (-?\d+)", output) == [*expected, "-128"]
    score = float(re.search(r"score (\S+)", output)[1])
    assert score == pytest.approx(int8_cnn[1].outputs[0].dequantize(golden[1][2, 1]), rel=1e-4)


def test_one_step_is_rounding_and_two_are_a_failure(sketch, golden, tmp_path):
    assert "PASS" in run_sketch(sketch, spoiled(golden, 1), tmp_path)
    output = run_sketch(sketch, spoiled(golden, 2), tmp_path)
    assert "1 output values differ" in output and "FAIL: 1 samples differ" in output


def test_an_arena_that_is_too_small_fails_with_advice(sketch, golden, tmp_path):
    output = run_sketch(sketch, golden, tmp_path, arena=10**9)
    assert output.startswith("FAIL: the tensors can't be allocated: raise kArenaSize in tiny_model")


@pytest.mark.parametrize("quantization", [None, "int16x8"])
def test_other_types_compile_and_pass(quantization, perceptron_as, tmp_path):
    result, x = perceptron_as(quantization)
    objects = compile_sketch(result.to_arduino(tmp_path / "lib", samples=x[:2]), tmp_path)
    inputs = result.quantize_inputs(x[:2])
    golden = inputs[0], micro.run(result.content, result.graph, inputs)[0]
    assert "PASS" in run_sketch(objects, golden, tmp_path)
    assert "FAIL" in run_sketch(objects, spoiled(golden, 2), tmp_path)


@pytest.mark.parametrize("compiler", ["host", "cortex-m4"])
@pytest.mark.parametrize(
    ("runtime", "standard"),
    [
        ("Chirale_TensorFLowLite", "c++14"),
        ("Harvard_TinyMLx", "c++14"),
        ("esp-tflite-micro", "c++20"),
    ],
)
def test_it_compiles_with_each_library(runtime, standard, compiler, int8_cnn, golden, tmp_path):
    _, result, x = int8_cnn
    library = result.to_arduino(tmp_path / "lib", samples=x[:3], library=runtime)
    objects = compile_sketch(library, tmp_path, compiler, runtime, standard)
    if compiler == "host":
        assert "PASS" in run_sketch(objects, golden, tmp_path)


def test_the_default_takes_harvards_library_where_the_sketch_includes_it(
    library, golden, tmp_path, monkeypatch
):
    monkeypatch.setitem(INCLUDES, None, "harvard")
    assert "PASS" in run_sketch(compile_sketch(library, tmp_path), golden, tmp_path)


def test_the_properties_name_the_library_and_its_boards(int8_cnn, tmp_path):
    _, result, x = int8_cnn
    for runtime, known in arduino.LIBRARIES.items():
        library = result.to_arduino(tmp_path / "lib", samples=x[:1], library=runtime)
        properties = read_properties(library)
        assert properties["architectures"] == known.architectures
        assert properties.get("depends") == (runtime if known.header else None)
        assert "**" in (library / "README.md").read_text() or not known.header


def read_properties(library):
    lines = (library / "library.properties").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines)


@pytest.fixture
def without_mean(monkeypatch):
    """Harvard_TinyMLx without an operator of the model."""
    name = "Harvard_TinyMLx"
    poor = {key: types for key, types in operators.HARVARD.items() if key != "MEAN"}
    poorer = dataclasses.replace(arduino.LIBRARIES[name], operators=poor)
    monkeypatch.setitem(arduino.LIBRARIES, name, poorer)
    return name


def test_an_operator_that_a_library_lacks_is_refused_and_a_better_one_named(
    without_mean, int8_cnn, tmp_path
):
    _, result, x = int8_cnn
    said = r"Harvard_TinyMLx lacks the operator MEAN, .*Use Chirale_TensorFLowLite or esp-tflite"
    with pytest.raises(ValueError, match=said):
        result.to_arduino(tmp_path / "lib", samples=x[:1], library=without_mean)
    assert list(tmp_path.iterdir()) == []


def test_the_default_leaves_out_a_library_that_lacks_an_operator(without_mean, int8_cnn, tmp_path):
    library = int8_cnn[1].to_arduino(tmp_path / "lib", samples=int8_cnn[2][:1])
    assert "can't run this model: it lacks the operator" in (library / "README.md").read_text()
    assert "<TensorFlowLite.h>" not in (library / "src" / "lib_model.cpp").read_text()


def test_the_oldest_library_lacks_what_the_others_have():
    harvard, chirale, tflm = map(set, (operators.HARVARD, operators.ARDUINO, operators.MICRO))
    assert harvard < chirale < tflm
    assert {"LEAKY_RELU", "TRANSPOSE_CONV", "EXPAND_DIMS"} <= chirale - harvard


def test_sixteen_bits_are_refused_where_there_are_no_kernels(perceptron_as, tmp_path):
    result, x = perceptron_as("int16x8")
    with pytest.raises(ValueError, match=r"Harvard_TinyMLx lacks kernels for int16.*Use Chirale"):
        result.to_arduino(tmp_path / "lib", samples=x[:1], library="Harvard_TinyMLx")


def test_an_unknown_library_is_refused(int8_cnn, tmp_path):
    with pytest.raises(ValueError, match=r"library must be one of None, 'Chirale.*library='tflm'"):
        int8_cnn[1].to_arduino(tmp_path / "lib", samples=int8_cnn[2][:1], library="tflm")


def test_the_resolver_has_exactly_the_models_operators(library):
    source = (library / "src" / "tiny_model.cpp").read_text()
    added = re.findall(r"resolver\.Add(\w+)\(\) != kTfLiteOk", source)
    assert sorted(added) == ["Conv2D", "FullyConnected", "MaxPool2D", "Mean"]
    assert "kOperatorCount = 4;" in source


def test_the_model_array_is_the_file(library, int8_cnn):
    source = (library / "src" / "tiny_model_data.cpp").read_text()
    numbers = re.findall(r"0x([0-9a-f]{2})", source)
    assert bytes.fromhex("".join(numbers)) == int8_cnn[1].content
    assert "alignas(16)" in source


def test_the_arena_is_what_the_kernels_of_the_library_need(library, int8_cnn, tmp_path):
    _, result, x = int8_cnn
    report = result.report()
    s3, usual = arena_sizes(library)
    assert usual == report.arena_constant
    assert s3 == arena.with_headroom(report.expected_arenas["esp-nn-s3"]) > usual
    for name, kernels in (("Harvard_TinyMLx", "cmsis-nn-2023"), ("esp-tflite-micro", "esp-nn")):
        other = result.to_arduino(tmp_path / name, samples=x[:3], name="tiny", library=name)
        assert arena_sizes(other)[-1] == arena.with_headroom(report.expected_arenas[kernels])


def arena_sizes(library):
    header = (library / "src" / "tiny_model.h").read_text()
    return [int(size) for size in re.findall(r"kArenaSize = (\d+);", header)]


def test_the_golden_vectors_are_what_tflm_answers(library, golden):
    text = (library / "src" / "tiny_model_samples.cpp").read_text()
    rows = re.findall(r"\{([-\d, ]+)\}", text.split("kGolden")[1])
    stored = np.array([[int(value) for value in row.split(",")] for row in rows])
    np.testing.assert_array_equal(stored, golden[1])


def test_library_properties_are_complete(library):
    keys = read_properties(library)
    needed = "name version author maintainer sentence paragraph category url architectures includes"
    assert set(needed.split()) <= set(keys) and all(keys.values())
    assert keys["category"] == "Data Processing"
    assert keys["includes"] == "tiny_model.h"


def test_a_model_that_boards_get_wrong_is_refused(perceptron_as, tmp_path):
    result, x = perceptron_as("int8", "mobile")
    with pytest.raises(ValueError, match=r'would not run right .*target="arduino"'):
        result.to_arduino(tmp_path / "lib", samples=x[:1])
    esp32 = TFLiteModel(result.path, target="mcu")
    assert esp32.to_arduino(tmp_path / "lib", samples=x[:1], library="esp-tflite-micro").is_dir()


def test_a_library_is_named_after_its_folder(int8_cnn, tmp_path):
    library = int8_cnn[1].to_arduino(tmp_path / "gestures", samples=int8_cnn[2][:1])
    assert (library / "examples" / "gestures" / "gestures.ino").is_file()
