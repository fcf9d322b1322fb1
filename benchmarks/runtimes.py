"""Exported projects on real runtimes: TensorFlow Lite Micro on an emulated Cortex-M4.

Run: python benchmarks/runtimes.py --tflm CHECKOUT [--cmsis-nn CHECKOUT] [--chirale CHECKOUT]

Each model, with random weights, is exported in int8 as a CMake project, which is built as its
README says and run by QEMU as the board mps2-an386: with the reference kernels and with CMSIS-NN's.
With --chirale also as an Arduino library, whose sketch is built against the sources of
Chirale_TensorFLowLite and run likewise, on stand-ins for Arduino's core. For each: PASS or FAIL,
the bytes of the arena in use, what `report()` expects to be needed, and the project's constant,
which is 5 % and 256 bytes more. Then it is built again with an arena of just the expected size.

It needs arm-none-eabi-g++, cmake, make and qemu-system-arm. TensorFlow Lite Micro's make downloads
flatbuffers, gemmlowp, ruy, kissfft, pigweed and CMSIS; without a network, put them into its folder
tools/make/downloads before. --cmsis-nn takes a checkout of yours in place of what it downloads.
What was built before is taken as it is. Writes benchmarks/results/runtimes.md.
"""

import argparse
import dataclasses
import pathlib
import re
import subprocess
import tempfile
from collections.abc import Callable

import keras
import numpy as np
import runtime_arduino
from devices import activity_network, autoencoder, moved
from runtime_libraries import call, tflm

from keras_distill import architectures, export_tflite

RESULTS = pathlib.Path(__file__).parent / "results" / "runtimes.md"
QEMU = (
    *("qemu-system-arm", "-machine", "mps2-an386", "-nographic", "-monitor", "none"),
    *("-serial", "none", "-semihosting-config", "enable=on,target=native", "-kernel"),
)
# Where an assertion of TensorFlow Lite Micro fails on a board, the program stays there.
SECONDS = 120
layers = keras.layers


def five_by_five(side, filters):
    """Returns a network of two 5x5 convolutions, whose kernels take much scratch memory."""
    inputs = keras.Input((side, side, 1))
    x = layers.Conv2D(filters, 5, strides=2, padding="same", activation="relu")(inputs)
    x = layers.Conv2D(16, 5, strides=2, padding="same", activation="relu")(x)
    return keras.Model(inputs, layers.Dense(10)(layers.Flatten()(x)))


def separable_5x5():
    """Returns a network of depthwise 5x5 and pointwise convolutions, strided ones among them."""
    x = inputs = keras.Input((24, 24, 3))
    for filters in (16, 32):
        x = layers.DepthwiseConv2D(5, padding="same", activation="relu")(x)
        x = layers.Conv2D(filters, 1, strides=2, activation="relu")(x)
    x = layers.AveragePooling2D(2)(x)
    return keras.Model(inputs, layers.Dense(4, activation="softmax")(layers.Flatten()(x)))


def decoder():
    """Returns a network that enlarges its input: transposed convolutions."""
    x = inputs = keras.Input((6, 6, 24))
    for filters in (16, 8):
        x = layers.Conv2DTranspose(filters, 3, strides=2, padding="same", activation="relu")(x)
    return keras.Model(inputs, layers.Conv2D(1, 3, padding="same")(x))


def sine():
    """Returns the smallest network that people begin with: one number in, one out."""
    inputs = keras.Input((1,))
    x = layers.Dense(16, activation="relu")(inputs)
    x = layers.Dense(16, activation="relu")(x)
    return keras.Model(inputs, layers.Dense(1)(x))


def token_mixer():
    """Returns dense layers over many positions, which run as convolutions, and residuals."""
    inputs = keras.Input((16, 32))
    x = layers.Dense(32, activation="relu")(inputs)
    x = layers.Add()([inputs, layers.Dense(32)(x)])
    return keras.Model(inputs, layers.Dense(5)(layers.GlobalAveragePooling1D()(x)))


def tabulated():
    """Returns convolutions with activations that boards compute by tables in int8."""
    x = inputs = keras.Input((8, 8, 2))
    for activation in ("gelu", "softplus"):
        x = layers.Conv2D(8, 3, strides=2, activation=activation)(x)
    return keras.Model(inputs, layers.Dense(4)(layers.Flatten()(x)))


def unrolled():
    """Returns a recurrent network, whose steps the export unrolls."""
    inputs = keras.Input((8, 4))
    return keras.Model(inputs, layers.Dense(3)(layers.LSTM(6)(inputs)))


MODELS = {
    "sine": sine,
    "5x5 convolutions, 12x12": lambda: five_by_five(12, 32),
    "5x5 convolutions of 64 channels, 16x16": lambda: five_by_five(16, 64),
    "depthwise 5x5": separable_5x5,
    "transposed convolutions": decoder,
    "dense over positions": token_mixer,
    "GELU and softplus, by tables": tabulated,
    "LSTM, unrolled": unrolled,
    "autoencoder (MLPerf Tiny)": autoencoder,
    "activity (Conv1D)": activity_network,
    "DS-CNN (MLPerf Tiny)": architectures.ds_cnn,
    "ResNet-8 (MLPerf Tiny)": architectures.resnet8,
    "MobileNetV1-0.25 (MLPerf Tiny)": architectures.mobilenet_v1,
}


@dataclasses.dataclass(frozen=True)
class Runtime:
    """TensorFlow Lite Micro, built for Cortex-M4.

    Args:
        kernels: Its library of kernels, as `Report.expected_arenas` names it.
        title: Its name in the table.
        project: Which project is built for it, "cmake" or "arduino".
        program: Function from the folder of both projects, and one to build in, to the program.
    """

    kernels: str
    title: str
    project: str
    program: Callable


@dataclasses.dataclass(frozen=True)
class Run:
    """What a program said.

    Args:
        verdict: Its last line.
        used: Bytes of the arena in use.
        constant: Bytes of the arena.
    """

    verdict: str
    used: int
    constant: int


def exported(name, folder):
    """Exports a model; returns `TFLiteModel` and samples."""
    keras.utils.set_random_seed(0)
    model = moved(MODELS[name]())
    x = np.random.default_rng(1).normal(0, 1, (60, *model.input_shape[1:])).astype("float32")
    return export_tflite(model, folder / "model.tflite", "int8", x, target="arduino"), x


def by_cmake(checkout, library):
    """Returns the function that builds a CMake project as its README says.

    Args:
        checkout: What the project takes as TFLM_DIR.
        library: Its archive.
    """

    def program(projects, build):
        options = [
            f"-DTFLM_DIR={checkout}",
            f"-DTFLM_LIBRARY={library}",
            "-DCMAKE_TOOLCHAIN_FILE=arm-none-eabi.cmake",
            "-DLINKER_SCRIPT=boards/mps2-an386.ld",
        ]
        call("cmake", "-S", projects / "cmake", "-B", build, *options)
        call("cmake", "--build", build)
        return build / "check.elf"

    return program


def by_arduino(checkout, library):
    """Returns the function that builds an Arduino library with its sketch.

    Args:
        checkout: Checkout of Chirale_TensorFLowLite.
        library: Its archive.
    """

    def program(projects, build):
        boards = projects / "cmake" / "boards"
        return runtime_arduino.linked(projects / "arduino", boards, checkout, library, build)

    return program


def run(projects, runtime, arena=None):
    """Builds a project and runs it; returns `Run`.

    Args:
        projects: Folder of the CMake project and the Arduino library.
        runtime: `Runtime`.
        arena: Bytes of the arena in place of the project's, or `None`.
    """
    if arena is not None:
        header = projects / runtime.project / "src" / "net_model.h"
        text = re.sub(r"kArenaSize = \d+", f"kArenaSize = {arena}", header.read_text("utf-8"))
        header.write_text(text, encoding="utf-8")
    # Little is compiled twice with CMake: libraries are exchanged by linking anew.
    is_new = runtime.project == "arduino"
    build = projects / f"build_{runtime.project}{f'_{arena}' if is_new else ''}"
    said = _said_by(runtime.program(projects, build))
    sizes = re.search(r"arena: (\d+) of (\d+) bytes", said)
    used, constant = map(int, sizes.groups()) if sizes else (0, 0)
    return Run((said.splitlines() or ["nothing"])[-1], used, constant)


def _said_by(program):
    """Returns what a program prints on the emulated board."""
    command = [*QEMU, program]
    try:
        return subprocess.run(command, stdout=subprocess.PIPE, timeout=SECONDS).stdout.decode()
    except subprocess.TimeoutExpired as error:
        return f"{(error.stdout or b'').decode()}\nno end in {SECONDS} s"


def rows(name, runtimes, folder):
    """Yields the lines of the table for a model."""
    result, x = exported(name, folder)
    report = result.report()
    result.to_cmake(folder / "cmake", samples=x[:3], name="net")
    result.to_arduino(folder / "arduino", samples=x[:3], name="net")
    # Those of the usual size first, as the others change the headers.
    usual = {runtime.title: run(folder, runtime) for runtime in runtimes}
    tight = {
        runtime.title: run(folder, runtime, report.expected_arenas[runtime.kernels])
        for runtime in runtimes
    }
    for runtime in runtimes:
        said, just = usual[runtime.title], tight[runtime.title]
        yield (
            f"| {name} | {runtime.title} | {said.verdict} | {said.used:,} | "
            f"{report.expected_arenas[runtime.kernels]:,} {just.verdict} | {said.constant:,} | "
            f"{report.arena_bytes:,} |"
        )


def all_runtimes(options):
    """Builds what isn't built yet; returns a list of `Runtime`.

    Args:
        options: Those of the command line.
    """
    checkout = options.tflm.resolve()
    archives = {
        "reference": tflm(checkout),
        "cmsis-nn": tflm(checkout, "cmsis_nn", options.cmsis_nn),
    }
    titles = {"reference": "TFLM", "cmsis-nn": "TFLM, CMSIS-NN"}
    runtimes = [
        Runtime(kernels, titles[kernels], "cmake", by_cmake(checkout, archive))
        for kernels, archive in archives.items()
    ]
    if options.chirale is not None:
        sources = options.chirale.resolve()
        archive = runtime_arduino.chirale(sources, options.build.resolve())
        program = by_arduino(sources, archive)
        runtimes.append(Runtime("cmsis-nn-2023", "Chirale 2.0.0", "arduino", program))
    return runtimes


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tflm", type=pathlib.Path, required=True)
    parser.add_argument("--cmsis-nn", type=pathlib.Path)
    parser.add_argument("--chirale", type=pathlib.Path)
    parser.add_argument("--build", type=pathlib.Path, help="folder for Chirale's archive")
    parser.add_argument("--models", nargs="*", choices=MODELS, default=list(MODELS))
    options = parser.parse_args()
    if (options.chirale is None) != (options.build is None):
        parser.error("--chirale and --build go together")
    runtimes = all_runtimes(options)
    lines = [
        "Made by `benchmarks/runtimes.py` on QEMU's mps2-an386, a Cortex-M4. In use: what the "
        "program says. Expected: what `report()` expects to be needed, and what the program says "
        "with just that. Constant: the project's. Computer: the smallest that works on x86-64.",
        "",
        "| int8 model | runtime | said | in use, bytes | expected | constant | computer |",
        "|---|---|---|---|---|---|---|",
    ]
    for name in options.models:
        with tempfile.TemporaryDirectory() as folder:
            for line in rows(name, runtimes, pathlib.Path(folder)):
                lines.append(line)
                print(line, flush=True)
    RESULTS.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
