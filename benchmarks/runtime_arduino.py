"""Exported Arduino libraries, built against Chirale_TensorFLowLite's sources for a Cortex-M4."""

import concurrent.futures
import pathlib
import shutil

from runtime_libraries import call

# The flags of the CMake project's toolchain file; no TF_LITE_STATIC_MEMORY, as Arduino's build.
FLAGS = (
    *("-mcpu=cortex-m4", "-mthumb", "-mfloat-abi=hard", "-mfpu=fpv4-sp-d16", "-Os"),
    *("-ffunction-sections", "-fdata-sections", "-DARDUINO=10819", "-w"),
)
CPP_FLAGS = ("-std=gnu++17", "-fno-rtti", "-fno-exceptions", "-fno-threadsafe-statics")
LINK_FLAGS = ("--specs=rdimon.specs", "-nostartfiles", "-Wl,--gc-sections")
PARTS = ("", *(f"third_party/{name}" for name in ("flatbuffers/include", "gemmlowp", "ruy")))
# What the sketch and the library use of Arduino's core, on the console of the emulator.
ARDUINO = """#pragma once
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct Console {
  void begin(unsigned long) {}
  explicit operator bool() const { return true; }
  int available() { return 0; }
  int read() { return -1; }
  size_t write(uint8_t byte) { return putchar(byte) >= 0; }
  void print(const char* text) { fputs(text, stdout); }
  void print(char letter) { putchar(letter); }
  void print(int value) { printf("%d", value); }
  void print(unsigned int value) { printf("%u", value); }
  void print(long value) { printf("%ld", value); }
  void print(unsigned long value) { printf("%lu", value); }
  void print(double value, int digits = 2) { printf("%.*f", digits, value); }
  void println() { putchar('\\n'); }
  template <typename Value> void println(Value value) { print(value), println(); }
};
inline Console Serial;
inline unsigned long micros() { return 0; }
inline unsigned long millis() { return 0; }
inline void delay(unsigned long) {}
"""
SKETCH = """#include <Arduino.h>
bool readInput();
{sketch}
int main() {{ setup(); return 0; }}
"""


def stand_ins(folder):
    """Writes the headers in place of Arduino's core; returns the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "Arduino.h").write_text(ARDUINO, encoding="utf-8")
    (folder / "Wire.h").write_text("#pragma once\n", encoding="utf-8")
    return folder


def includes(checkout, core):
    """Returns the options that name the folders of headers."""
    sources = checkout / "src"
    own = [sources / "third_party" / "cmsis" / "CMSIS" / "Core" / "Include"]
    return [f"-I{core}", *(f"-I{sources / part}" for part in PARTS), *(f"-I{path}" for path in own)]


def compiled(source, target, *options):
    """Compiles a file of C or C++, unless that was done."""
    if target.exists():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    compiler = "arm-none-eabi-gcc" if source.suffix == ".c" else "arm-none-eabi-g++"
    language = () if source.suffix == ".c" else CPP_FLAGS
    unfinished = target.with_suffix(".part")
    call(compiler, *FLAGS, *language, *options, "-c", source, "-o", unfinished)
    return unfinished.rename(target)


def chirale(checkout, folder):
    """Builds the Arduino library, all but its drivers, unless that was done.

    Args:
        checkout: Its checkout.
        folder: Where the archive comes to.

    Returns:
        Path of the archive.
    """
    archive = folder / "libchirale.a"
    if archive.exists():
        return archive
    core = stand_ins(folder / "core")
    options = includes(checkout, core)
    root = checkout / "src"
    sources = [
        path
        for path in sorted(root.rglob("*.c*"))
        if path.suffix in (".c", ".cpp") and "peripherals" not in path.parts
    ]
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        objects = list(
            pool.map(
                lambda path: compiled(
                    path, folder / "objects" / f"{path.relative_to(root)}.o", *options
                ),
                sources,
            )
        )
    unfinished = archive.with_suffix(".part")
    call("arm-none-eabi-ar", "rcs", unfinished, *objects)
    unfinished.rename(archive)
    shutil.rmtree(folder / "objects")
    return archive


def linked(project, boards, checkout, archive, build):
    """Builds the sketch and the library of an exported Arduino project.

    Args:
        project: Folder of the project.
        boards: Folder with start-up file and linker scripts of an exported CMake project.
        checkout: Checkout of the Arduino library.
        archive: What `chirale` returned.
        build: Folder for what is made.

    Returns:
        Path of the program.
    """
    build.mkdir(parents=True, exist_ok=True)
    sketches = sorted(next(path for path in (project / "examples").iterdir()).glob("*.ino"))
    # As Arduino joins the tabs of a sketch: the one of the folder's name, then the others.
    text = "\n".join(path.read_text("utf-8") for path in sketches)
    sketch = build / "sketch.cpp"
    sketch.write_text(SKETCH.format(sketch=text), encoding="utf-8")
    options = [f"-I{project / 'src'}", *includes(checkout, stand_ins(build / "core"))]
    sources = [sketch, boards / "startup.cpp", *sorted((project / "src").glob("*.cpp"))]
    objects = [compiled(path, build / f"{path.stem}.o", *options) for path in sources]
    program = build / "sketch.elf"
    script = ["-T", pathlib.Path(boards / "mps2-an386.ld"), "-L", boards]
    call("arm-none-eabi-g++", *FLAGS, *LINK_FLAGS, *script, *objects, archive, "-lm", "-o", program)
    return program
