"""Compilers for what is written for devices, and stand-ins for TensorFlow Lite Micro."""

import pathlib
import shutil
import subprocess

import numpy as np
import pytest

HEADERS = pathlib.Path(__file__).parent / "tflm_headers"
TFLM = HEADERS / "tflm"
WARNINGS = ["-Wall", "-Wextra", "-Werror", "-pedantic"]
COMPILERS = {
    "host": ["g++"],
    "cortex-m4": ["arm-none-eabi-g++", "-mcpu=cortex-m4", "-mthumb"],
}
ANSWERS = """
#include "tensorflow/lite/micro/micro_interpreter.h"
namespace {{
alignas(16) const unsigned char inputs[] = {{{inputs}}};
alignas(16) const unsigned char outputs[] = {{{outputs}}};
}}
namespace tflite {{
const Script script = {{inputs, outputs, {count}, {input_bytes}, {output_bytes}, {arena}}};
}}
"""


def require(*programs):
    """Skips the test where a program isn't installed."""
    for program in programs:
        if shutil.which(program) is None:
            pytest.skip(f"needs {program}")


def call(*command, **options):
    """Runs a command; its output is in the error if it fails."""
    done = subprocess.run(
        list(map(str, command)), capture_output=True, text=True, check=False, **options
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def compile_objects(compiler, sources, includes, folder, standard="c++14"):
    """Compiles sources with warnings as errors, and returns the object files."""
    command = COMPILERS[compiler]
    require(command[0])
    folder.mkdir(parents=True, exist_ok=True)
    flags = [*command, f"-std={standard}", *WARNINGS, *(f"-I{path}" for path in includes), "-c"]
    call(*flags, *(pathlib.Path(source).resolve() for source in sources), cwd=folder)
    return [folder / f"{pathlib.Path(source).stem}.o" for source in sources]


def answers_source(golden, arena=100):
    """Returns the source of a stand-in interpreter's answers to the golden vectors' samples."""
    samples, answers = golden
    numbers = lambda array: ",".join(map(str, np.ascontiguousarray(array).tobytes()))  # noqa: E731
    return ANSWERS.format(
        inputs=numbers(samples),
        outputs=numbers(answers),
        count=len(samples),
        input_bytes=samples[0].nbytes,
        output_bytes=answers[0].nbytes,
        arena=arena,
    )


def spoiled(golden, steps):
    """Returns golden vectors whose first value is off by some steps."""
    samples, answers = golden
    answers = answers.copy()
    # Away from the ends of the type.
    answers.flat[0] += steps if answers.flat[0] < 0 else -steps
    return samples, answers
