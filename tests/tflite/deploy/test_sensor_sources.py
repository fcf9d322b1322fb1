"""The sensors' C++ computes what Python does, and their sketches compile and run."""

import pathlib

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
    require,
)

BOARDS = pathlib.Path(__file__).parents[3] / "export" / "cmake" / "boards"
WINDOW = sensors.Window(
    length=16, step=5, gyroscope=True, mean=(0, 0.1, 1, 0, -3, 0.7), std=(0.3, 1, 0.7, 90, 120, 11)
)
# For a model of 8 x 8 x 1.
LOG_MEL = sensors.LogMel(rate=8_000, samples=576, frame=128, hop=64, bands=8, step=3)
CAMERA = sensors.Camera(height=8, width=8, channels=1)
# How a recording is fed to each sensor: its type, and what is done with each element.
FEEDS = {
    "window": (
        "float",
        "static float reading[Sensor::kChannels]; reading[at % Sensor::kChannels] = element;"
        "if (++at % Sensor::kChannels == 0 && sensor.add(reading)) emit();",
    ),
    "log_mel": ("int16_t", "++at; if (sensor.add(element)) emit();"),
    "camera": (
        "uint8_t",
        "sensor.frame()[at++ % Sensor::kFrameBytes] = element;"
        "if (at % Sensor::kFrameBytes == 0) emit();",
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
CHECK = """
#include <stdio.h>
#include "it_model_sensor_check.h"
static it_model::Sensor sensor;
int main() { printf("%.9g", static_cast<double>(checkSensor(sensor))); }
"""
SKETCH = """
#include <Arduino.h>
const char* beginSensor();
bool readSensor();
#include "it_live.ino"
#include "read_sensor.ino"
int main() {
  setup();
#ifndef STAND_IN_INTERRUPT
#define STAND_IN_INTERRUPT
#endif
  for (long calls = 0; isReady && calls < CALLS; ++calls) {
    STAND_IN_INTERRUPT;
    loop();
  }
}
"""


def write_sources(sensor, folder):
    values = {"namespace": "it_model", "guard": "IT", "name": "it"}
    for path, text in sensor_sources.files(sensor, values, "it").items():
        (folder / path.rpartition("/")[2]).write_text(text)


def computed(sensor, recording, folder):
    """Returns the inputs that a sensor's header computes of a recording, on this computer."""
    write_sources(sensor, folder)
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


def test_frames_may_have_gaps(tmp_path):
    log_mel = sensors.LogMel(samples=1_000, frame=128, hop=200, bands=8, step=5)
    recording = np.random.default_rng(0).integers(-9_000, 9_000, 2_000).astype("int16")
    made = computed(log_mel, recording, tmp_path)
    expected = log_mel(np.stack([recording[:1_000], recording[1_000:]]))
    np.testing.assert_allclose(made, expected, rtol=0, atol=log_mel.tolerance / 2)


@pytest.mark.parametrize(("level", "standardize"), [(False, False), (True, True)])
def test_log_mels_are_within_the_tolerance(level, standardize, tmp_path):
    log_mel = sensors.LogMel(samples=6_000, step=2, level=level, standardize=standardize)
    time = np.arange(9_600) / 16_000
    chirp = np.sin(2 * np.pi * (200 + 4_000 * time) * time) * np.hanning(9_600)
    noise = np.random.default_rng(0).normal(size=9_600)
    recording = (8_000 * chirp + 100 * noise).astype("int16")
    made = computed(log_mel, recording, tmp_path)
    starts = range(0, 9_600 - 5_920 + 1, 640)
    clips = np.stack([np.resize(recording[start:], 6_000) for start in starts])
    assert len(made) == len(clips) == 6
    np.testing.assert_allclose(made, log_mel(clips), rtol=0, atol=log_mel.tolerance / 2)


@pytest.mark.parametrize(
    "camera",
    [
        sensors.Camera(height=32, width=32, mean=(123.7, 116.3, 103.5), std=(58.4, 57.1, 57.4)),
        sensors.Camera(height=50, width=20, channels=1, mean=127.5, std=127.5),
        sensors.Camera(height=30, width=200),
    ],
    ids=repr,
)
def test_pictures_are_the_same_bit_by_bit(camera, tmp_path):
    words = np.random.default_rng(0).integers(0, 65_536, (2, 144, 176))
    made = computed(camera, words.astype(">u2"), tmp_path)
    red, green, blue = words // 2_048, words // 32 % 64, words % 32
    # The upper bits are repeated below.
    colors = (red * 8 + red // 4, green * 4 + green // 16, blue * 8 + blue // 4)
    pictures = np.stack(colors, axis=-1).astype("uint8")
    np.testing.assert_array_equal(made, camera(pictures))


@pytest.mark.parametrize("sensor", [WINDOW, LOG_MEL, CAMERA], ids=lambda one: one.source)
def test_a_cortex_m4_computes_the_same(sensor, tmp_path):
    """With its own floating point, which joins products and sums, on an emulated board."""
    require("arm-none-eabi-g++", "qemu-system-arm")
    write_sources(sensor, tmp_path)
    (tmp_path / "main.cpp").write_text(CHECK)
    processor = ["-mcpu=cortex-m4", "-mthumb", "-mfloat-abi=hard", "-mfpu=fpv4-sp-d16", "-O2"]
    linking = ["--specs=rdimon.specs", "-nostartfiles", f"-L{BOARDS}", f"-T{BOARDS}/mps2-an386.ld"]
    sources = [tmp_path / "main.cpp", BOARDS / "startup.cpp"]
    options = ["-fno-threadsafe-statics", *processor, *linking]
    call("arm-none-eabi-g++", *options, *sources, "-o", tmp_path / "check.elf")
    board = ["-machine", "mps2-an386", "-nographic", "-monitor", "none", "-serial", "none"]
    output = call(
        "qemu-system-arm", *board, "-semihosting", "-kernel", tmp_path / "check.elf", timeout=60
    )
    assert float(output) <= sensor.tolerance / 10


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


def compile_sketch(library, folder, compiler="host", defines=(), calls=0):
    main = folder / "main.cpp"
    main.write_text("".join(f"#define {one}\n" for one in (f"CALLS {calls}", *defines)) + SKETCH)
    own = [library / "src", library / "examples" / "it_live"]
    headers = [HEADERS / "chirale", HEADERS / "arduino", HEADERS / "sensors", TFLM]
    sources = [main, *sorted((library / "src").glob("*.cpp"))]
    return compile_objects(compiler, sources, [*own, *headers], folder / compiler)


def run_sketch(result, library, inputs, folder, calls):
    """Returns the lines that a sketch prints, with the class and the score of these inputs."""
    raw = result.quantize_inputs(inputs)
    answers = micro.run(result.content, result.graph, raw)[0]
    (folder / "answers.cpp").write_text(answers_source((raw[0], answers)))
    answer_objects = compile_objects("host", [folder / "answers.cpp"], [TFLM], folder)
    objects = compile_sketch(library, folder, calls=calls)
    call("g++", *objects, *answer_objects, "-o", folder / "sketch")
    score = result.outputs[0].dequantize(answers)[0].max()
    label = ["no", "yes", "so", "or"][answers[0].argmax()]
    return call(folder / "sketch").splitlines(), f"{label} {score:.3f}"


def test_the_motion_sketch_checks_itself_and_runs_the_model_on_windows(motion, tmp_path):
    lines, expected = run_sketch(
        *motion,
        # What the stand-in for the sensor measures, again and again.
        WINDOW(np.tile([0.25, 2.0, -1.0, 90.0, 30.0, -60.0], (WINDOW.length, 1))),
        tmp_path,
        # The stand-in's clock goes on by 7 us each time that it is read.
        calls=80_000,
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


@pytest.fixture(scope="module")
def microphone(int8_cnn, tmp_path_factory):
    """An exported model of log-mels, and its project."""
    _, result, _ = int8_cnn
    return result, project(result, tmp_path_factory.mktemp("microphone"), LOG_MEL)


def test_the_microphone_sketch_checks_itself_and_runs_the_model_on_clips(microphone, tmp_path):
    sawtooth = (np.arange(LOG_MEL.samples) % 64 * 400 - 12_800).astype("int16")
    lines, expected = run_sketch(*microphone, LOG_MEL(sawtooth[None]), tmp_path, calls=20)
    assert lines[1] == "PASS" and float(lines[0].split()[-1]) < LOG_MEL.tolerance
    # 175 samples come with each call, the first clip takes 576, and each further one 192.
    assert len(lines) == 2 + 16 and set(lines[2:]) == {expected}


@pytest.mark.parametrize("board", ["ARDUINO_ARDUINO_NANO33BLE", "ESP32"])
def test_the_microphone_sketch_compiles_for_both_boards(board, microphone, tmp_path):
    compile_sketch(microphone[1], tmp_path, "cortex-m4", [board])


def test_the_camera_sketch_checks_itself_and_runs_the_model_on_pictures(int8_cnn, tmp_path):
    _, result, _ = int8_cnn
    library = project(result, tmp_path, CAMERA)
    # What the stand-in for the camera sees: red above, blue below.
    frame = np.zeros((1, 144, 176, 3), "uint8")
    frame[:, :72, :, 0] = frame[:, 72:, :, 2] = 255
    lines, expected = run_sketch(result, library, CAMERA(frame), tmp_path, calls=2)
    assert lines == ["preprocessing: largest difference 0.0000000", "PASS", expected, expected]
    compile_sketch(library, tmp_path, "cortex-m4")
