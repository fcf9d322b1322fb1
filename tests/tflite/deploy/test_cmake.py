import os
import re
import shutil
import subprocess

import pytest

from keras_distill.tflite.deploy import arduino
from keras_distill.tflite.runtime import micro
from tests.tflite.compilers import TFLM, answers_source, call, compile_objects, require, spoiled

LABELS = ["a", "b", "c", "%d"]
HOST_BUILD = "linux_x86_64_default_gcc"


@pytest.fixture(scope="module")
def project(int8_cnn, tmp_path_factory):
    _, result, x = int8_cnn
    folder = tmp_path_factory.mktemp("cmake") / "tiny"
    return result.to_cmake(folder, labels=LABELS, samples=x[:3])


@pytest.fixture(scope="module")
def golden(int8_cnn):
    _, result, x = int8_cnn
    inputs = result.quantize_inputs(x[:3])
    return inputs[0], micro.run(result.content, result.graph, inputs)[0]


def make_checkout(folder, golden, compiler="host", name=HOST_BUILD):
    """Makes what looks like a checkout of TensorFlow Lite Micro with its library built."""
    checkout = folder / "tflm"
    shutil.copytree(TFLM, checkout, dirs_exist_ok=True)
    source = folder / "answers.cpp"
    source.write_text(answers_source(golden))
    archive = checkout / "gen" / name / "lib" / "libtensorflow-microlite.a"
    archive.parent.mkdir(parents=True, exist_ok=True)
    objects = compile_objects(compiler, [source], [TFLM], folder / compiler)
    call("ar" if compiler == "host" else "arm-none-eabi-ar", "rcs", archive, *objects)
    return checkout


def build(project, folder, checkout, *options):
    require("g++", "cmake", "make")
    environment = {**os.environ, "CXXFLAGS": "-Werror -pedantic"}
    options = (f"-DTFLM_DIR={checkout}", *options)
    call("cmake", "-S", project, "-B", folder, *options, env=environment)
    call("cmake", "--build", folder)


def run(program):
    done = subprocess.run([program], capture_output=True, text=True, check=False)
    return done.returncode, done.stdout


def test_it_builds_and_passes(project, golden, tmp_path):
    build(project, tmp_path / "build", make_checkout(tmp_path, golden))
    status, said = run(tmp_path / "build" / "check")
    assert status == 0 and said.splitlines()[-1] == "PASS"
    assert len(re.findall(r"sample \d: (?:a|b|c|%d)\n", said)) == 3
    assert re.search(r"time per inference: [\d.]+ us", said)


def test_a_wrong_answer_fails_and_so_does_the_program(project, golden, tmp_path):
    build(project, tmp_path / "build", make_checkout(tmp_path, spoiled(golden, 2)))
    status, said = run(tmp_path / "build" / "check")
    assert status == 1 and "1 output values differ" in said
    assert said.splitlines()[-1] == "FAIL: 1 samples differ"


def test_it_builds_for_a_microcontroller(project, golden, tmp_path):
    require("arm-none-eabi-g++")
    checkout = make_checkout(tmp_path, golden, "cortex-m4", "cortex_m_generic_cortex-m4_default")
    toolchain = f"-DCMAKE_TOOLCHAIN_FILE={project / 'arm-none-eabi.cmake'}"
    build(project, tmp_path / "build", checkout, toolchain, "-DCPU_FLAGS=-mcpu=cortex-m4 -mthumb")
    head = (tmp_path / "build" / "check.elf").read_bytes()[:20]
    machine_of_arm = 40
    assert head[:4] == b"\x7fELF" and int.from_bytes(head[18:20], "little") == machine_of_arm


@pytest.mark.parametrize("names", [[], ["linux_a", "linux_b"]])
def test_a_checkout_without_exactly_one_library_says_what_to_do(names, project, golden, tmp_path):
    shutil.copytree(TFLM, tmp_path / "tflm")
    for name in names:
        make_checkout(tmp_path, golden, name=name)
    with pytest.raises(AssertionError, match=r"(?s)one libtensorflow-microlite\.a.*DTFLM_LIBRARY"):
        build(project, tmp_path / "build", tmp_path / "tflm")


def test_what_is_no_checkout_is_told(project, tmp_path):
    with pytest.raises(AssertionError, match=r"is\s+no\s+checkout\s+of\s+TensorFlow"):
        build(project, tmp_path / "build", tmp_path)


def test_the_sources_are_those_of_arduino(project, int8_cnn, tmp_path):
    _, result, x = int8_cnn
    library = result.to_arduino(tmp_path / "lib", labels=LABELS, samples=x[:3], name="tiny")
    for path in (project / "src").iterdir():
        other = (library / "src" / path.name).read_text()
        assert path.read_text() == other.replace(arduino._ANY, "")
