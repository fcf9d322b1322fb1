import os
import re
import shutil
import subprocess

import pytest

from keras_distill.tflite.analysis import arena
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


def build_for_arm(project, folder, checkout, linker_script):
    require("arm-none-eabi-g++")
    toolchain = f"-DCMAKE_TOOLCHAIN_FILE={project / 'arm-none-eabi.cmake'}"
    processor = "-DCPU_FLAGS=-mcpu=cortex-m4 -mthumb"
    build(project, folder, checkout, toolchain, processor, f"-DLINKER_SCRIPT={linker_script}")


def test_it_builds_for_a_microcontroller_and_passes_on_an_emulated_one(project, golden, tmp_path):
    checkout = make_checkout(tmp_path, golden, "cortex-m4", "cortex_m_generic_cortex-m4_default")
    build_for_arm(project, tmp_path / "build", checkout, "boards/mps2-an386.ld")
    program = tmp_path / "build" / "check.elf"
    head = program.read_bytes()[:20]
    machine_of_arm = 40
    assert head[:4] == b"\x7fELF" and int.from_bytes(head[18:20], "little") == machine_of_arm
    require("qemu-system-arm")
    # As the README says.
    command = re.search(r"qemu-system-arm (?s:.*?) -kernel", (project / "README.md").read_text())
    words = command[0].replace("\\\n", "").split()
    done = subprocess.run(
        [*words, program], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0 and done.stdout.splitlines()[-1] == "PASS"


def test_it_builds_for_a_real_board(project, golden, tmp_path):
    checkout = make_checkout(tmp_path, golden, "cortex-m4", "cortex_m_generic_cortex-m4_default")
    build_for_arm(project, tmp_path / "build", checkout, "boards/nrf52840.ld")
    symbols = call("arm-none-eabi-nm", tmp_path / "build" / "check.elf")
    # The end of the nRF52840's memory.
    assert re.search(r"^20040000 . stack_top$", symbols, re.MULTILINE)


@pytest.mark.parametrize("script", ["", "missing.ld"])
def test_without_a_linker_script_it_says_so_before_it_builds(script, project, golden, tmp_path):
    checkout = make_checkout(tmp_path, golden, "cortex-m4", "cortex_m_generic_cortex-m4_default")
    with pytest.raises(AssertionError, match=rf"LINKER_SCRIPT='{script}' is no linker script"):
        build_for_arm(project, tmp_path / "build", checkout, script)


def test_the_arena_depends_on_the_processor(project, int8_cnn):
    header = (project / "src" / "tiny_model.h").read_text()
    vector, computer, usual = map(int, re.findall(r"kArenaSize = (\d+);", header))
    report = int8_cnn[1].report()
    needed = report.expected_arenas
    assert usual == arena.with_headroom(max(needed["reference"], needed["cmsis-nn"]))
    assert vector == arena.with_headroom(needed["cmsis-nn-vector"])
    assert computer == arena.with_headroom(report.arena_bytes)
    assert micro.runs_in_arena(int8_cnn[1].content, computer)


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
        # The arena, and what decides on it, is that of other kernels.
        assert shared(path.read_text()) == shared(other.replace(arduino._ANY, ""))


def shared(source):
    """Returns a source without its choice of the arena."""
    source = re.sub(r"(?m)^// Which ESP32(?s:.*?)#endif\n", "", source)
    return re.sub(r"(?m)^#if .*\n(constexpr size_t kArenaSize(?s:.*?))#endif\n", "", source)
