"""The sensors' C++ computes what Python does, and their sketches compile and run."""

import keras
import numpy as np
import pytest

from keras_distill import sensors
from keras_distill.tflite import export_tflite
from keras_distill.tflite.deploy import sensor_sources
from keras_distill.tflite.runtime import micro
from tests.tflite.compilers import (
    HEADERS,
    TFLM,
    answers_source,
    call,
    compile_objects,
)

WINDOW = sensors.Window(
    length=16, step=5, gyroscope=True, mean=(0, 0.1, 1, 0, -3, 0.7), std=(0.3, 1, 0.7, 90, 120, 11)
)
# How a recording is fed to each sensor: its type, and what is done with each element.
FEEDS = {
    "window": (
        "float",
        "static float reading[Sensor::kChannels]; reading[at % Sensor::kChannels] = element;"
        "if (++at % Sensor::kChannels == 0 && sensor.add(reading)) emit();",
    ),
}
HARNESS = """
#include <stdio.h>
#include "it_model_sensor_check.h"
using namespace it_model;
static Sensor sensor;
static void emit() {{
  for (size_t index = 0; index < {size}; ++index) {{
    printf("%.9g ", static_cast<double>(sensor.value(index)));
  }}
}}
int main() {{
  if (!(checkSensor(sensor) <= kSensorTolerance)) return 1;
  {type} element;
  size_t at = 0;
  while (fread(&element, sizeof(element), 1, stdin) == 1) {{ {feed} }}
  return at > 0 ? 0 : 2;
}}
"""
SKETCH = """
#include <Arduino.h>
const char* beginSensor();
bool readSensor();
#include "it_live.ino"
#include "read_sensor.ino"
int main() {
  setup();
  // The stand-in's clock goes on by 7 us each time that it is read.
  for (long calls = 0; isReady && calls < 80000; ++calls) loop();
}
"""


def computed(sensor, recording, folder):
    """Returns the inputs that a sensor's header computes of a recording, on this computer."""
    values = {"namespace": "it_model", "guard": "IT", "name": "it"}
    for path, text in sensor_sources.files(sensor, values, "it").items():
        (folder / path.rpartition("/")[2]).write_text(text)
    kind, feed = FEEDS[sensor.source]
    size = int(np.prod(sensor.output_shape))
    source = folder / "main.cpp"
    source.write_text(HARNESS.format(size=size, type=kind, feed=feed))
    objects = compile_objects("host", [source], [folder], folder, "c++11")
    call("g++", *objects, "-o", folder / "program")
    (folder / "recording").write_bytes(recording.tobytes())
    with (folder / "recording").open("rb") as given:
        output = call(folder / "program", stdin=given)
    return np.array(output.split(), "float32").reshape(-1, *sensor.output_shape)


def test_windows_are_the_same_bit_by_bit(tmp_path):
    time = np.arange(90)[:, None] / 50
    swing = np.sin(time * [5, 7, 9, 11, 2, 3]) * [1, 0.5, 2, 200, 100, 250]
    recording = (swing + np.random.default_rng(0).normal(size=(90, 6)) / 9).astype("float32")
    made = computed(WINDOW, recording, tmp_path)
    assert len(made) == 15
    np.testing.assert_array_equal(made, WINDOW(recording))


@pytest.fixture(scope="module")
def motion(tmp_path_factory):
    """An exported model of windows, and its project."""
    folder = tmp_path_factory.mktemp("motion")
    keras.utils.set_random_seed(3)
    stack = [keras.Input(WINDOW.output_shape), keras.layers.Flatten(), keras.layers.Dense(2)]
    result = export_tflite(keras.Sequential(stack), folder / "it.tflite", target="arduino")
    return result, project(result, folder, WINDOW)


def project(result, folder, sensor):
    samples = np.zeros((1, *sensor.output_shape), "float32")
    labels = ["no", "yes", "so", "or"][: result.outputs[0].shape[-1]]
    return result.to_arduino(folder / "it", labels, samples, sensor=sensor)


def compile_sketch(library, folder, compiler="host", defines=()):
    main = folder / "main.cpp"
    main.write_text("".join(f"#define {one}\n" for one in defines) + SKETCH)
    own = [library / "src", library / "examples" / "it_live"]
    headers = [HEADERS / "chirale", HEADERS / "arduino", HEADERS / "sensors", TFLM]
    sources = [main, *sorted((library / "src").glob("*.cpp"))]
    return compile_objects(compiler, sources, [*own, *headers], folder / compiler)


def run_sketch(result, library, inputs, folder):
    """Returns the lines that a sketch prints, with the class and the score of these inputs."""
    raw = result.quantize_inputs(inputs)
    answers = micro.run(result.content, result.graph, raw)[0]
    (folder / "answers.cpp").write_text(answers_source((raw[0], answers)))
    answer_objects = compile_objects("host", [folder / "answers.cpp"], [TFLM], folder)
    call("g++", *compile_sketch(library, folder), *answer_objects, "-o", folder / "sketch")
    score = result.outputs[0].dequantize(answers)[0].max()
    label = ["no", "yes", "so", "or"][answers[0].argmax()]
    return call(folder / "sketch").splitlines(), f"{label} {score:.3f}"


def test_the_motion_sketch_checks_itself_and_runs_the_model_on_windows(motion, tmp_path):
    lines, expected = run_sketch(
        *motion,
        # What the stand-in for the sensor measures, again and again.
        WINDOW(np.tile([0.25, 2.0, -1.0, 90.0, 30.0, -60.0], (WINDOW.length, 1))),
        tmp_path,
    )
    assert lines[:2] == ["preprocessing: largest difference 0.0000000", "PASS"]
    # 16 readings and 5 more for each further window, of 20 ms.
    assert len(lines) == 2 + 1 + 2 and set(lines[2:]) == {expected}


@pytest.mark.parametrize("revision", [1, 2])
def test_the_motion_sketch_compiles_for_both_revisions(revision, motion, tmp_path):
    compile_sketch(motion[1], tmp_path, "cortex-m4", [f"REVISION {revision}"])


def test_a_sensor_of_another_shape_is_refused(motion, tmp_path):
    said = r"inputs of shape \(10, 3\), and the model takes \(16, 6\): .*sensor=Window"
    with pytest.raises(ValueError, match=said):
        project(motion[0], tmp_path, sensors.Window(length=10))
    with pytest.raises(TypeError, match="sensor must be of keras_distill"):
        motion[0].to_arduino(tmp_path / "it", samples=np.zeros((1, 16, 6)), sensor="Window")
    assert list(tmp_path.iterdir()) == []


def test_what_the_user_edits_of_the_live_sketch_stays(motion, tmp_path, capsys):
    result, library = motion
    mine = library / "examples" / "it_live" / "read_sensor.ino"
    mine.write_text("my sensor")
    project(result, library.parent, WINDOW)
    assert mine.read_text() == "my sensor" and "read_sensor.ino" in capsys.readouterr().out
    assert "File > Save As" in (library / "README.md").read_text()
