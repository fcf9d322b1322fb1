"""Names and labels that would break the sources which they are filled into."""

import dataclasses

import pytest

from keras_distill.tflite.deploy import arduino, packing, projects, source_literals
from keras_distill.tflite.deploy.arena_size import ArenaSize
from keras_distill.tflite.deploy.cpp import values
from tests.tflite.compilers import HEADERS, TFLM, WARNINGS, call, compile_objects, require

NAMES = """
alignas and asm auto bool break case char class concept const constexpr default delete do double
else enum export extern false float for friend goto if inline int long mutable namespace new
noexcept not nullptr operator or private public register requires return short signed sizeof static
struct switch template this throw true try typedef typename union unsigned using virtual void
volatile wchar_t while xor
EOF NULL NAN INFINITY INT_MAX RAND_MAX BUFSIZ CLOCKS_PER_SEC M_PI errno assert stdin stdout offsetof
linux unix SIGINT isnan signbit va_list INT8_C
index log free main time exit read write open close signal gamma j0 y0 y1 jn div remove rename
select send bind link pipe sleep stat random clock round floor exp pow sin puts printf malloc abort
atoi strlen memcpy toupper environ optarg daylight timezone signgam abs min max size_t int8_t FILE
std tflite flatbuffers math string vector stdio stddef stdint limits memory Arduino model model_data
samples name Model my_model
HIGH LOW INPUT OUTPUT PI DEFAULT F A0 B1 Serial String Wire SPI byte word setup loop delay micros
isReady printAnswer checkSample checkSamples readInput sample error start duration differences arena
begin run input output score best runSample kLabels kInputSize interpreter Resolver addOperators
prepared reporter kTfLiteOk TfLiteStatus
""".split()
ODD = [
    "",
    "日本",
    "späti",
    "1",
    "_",
    "__init__",
    "C++",
    "a\nb",
    "/* */",
    "../../x",
    '"',
    "int main(){",
]
# What boards define as macros.
MACROS = ["HIGH=1", "LOW=0", "INPUT=0", "OUTPUT=1", "PI=3", "DEFAULT=1", "A0=14", "B1=1", "F(x)=x"]
HEADERS_BEFORE = """
#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <locale.h>
#include <math.h>
#include <setjmp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <dirent.h>
#include <fcntl.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>
#include <Arduino.h>
"""


def test_no_name_breaks_a_sketch_or_a_program(int8_cnn, tmp_path):
    require("g++")
    _, result, x = int8_cnn
    package = packing.pack(
        result,
        tmp_path / "it",
        kind="arduino",
        target="arduino",
        answer=packing.golden.on_litert,
        advice="",
        samples=x[:1],
    )
    package = dataclasses.replace(package, content=bytes(16))
    runtime, size = arduino._runtime(None, ""), ArenaSize(64, {})
    names = dict.fromkeys(source_literals.c_name(name) for name in [*NAMES, *ODD])
    program, folders = [HEADERS_BEFORE], []
    for number, name in enumerate(names):
        named = dataclasses.replace(package, name=name)
        folder = tmp_path / str(number)
        folder.mkdir()
        for path, text in arduino._files(named, size, runtime, None).items():
            (folder / path.rsplit("/", 1)[-1]).write_text(text)
        (folder / "main.cpp").write_text(projects.fill("cmake/main.cpp", values(named, size)))
        sources = sorted(path for path in folder.glob("*.cpp") if path.stem != "main")
        program += [f'#include "{source}"\n' for source in sources]
        # Headers were included outside, so a namespace keeps the sketches apart.
        sketch = f'#include "{folder}/{name}.ino"\n#include "{folder}/read_input.ino"\n'
        program.append(f"namespace n{number} {{\nbool readInput();\n{sketch}}}\n")
        program.append(f'namespace m{number} {{\n#include "{folder}/main.cpp"\n}}\n')
        folders.append(f"-I{folder}")
    (tmp_path / "all.cpp").write_text("".join(program))
    headers = [f"-I{HEADERS / name}" for name in ("arduino", "chirale")]
    macros = [f"-D{macro}" for macro in MACROS]
    flags = ["-std=c++17", *WARNINGS, "-fsyntax-only", *macros, *folders, *headers, f"-I{TFLM}"]
    call("g++", *flags, tmp_path / "all.cpp")


def test_every_label_that_is_taken_arrives_in_c_as_it_was(tmp_path):
    labels = [chr(code) for code in (*range(1, 256), 0x2028, 0xFEFF, 0xFFFD, 0x1F600, 0x10FFFF)]
    labels += ["", "??=", "%s%n", "\\0", "\\u0041", '"); system("', "a\\", "*/", "\x01" + "7", "é1"]
    labels += [
        label + following for label in ("\x01", "\x7f", "é") for following in "0123456789abcdef"
    ]
    literal = ", ".join(map(source_literals.c_string, labels))
    (tmp_path / "main.cpp").write_text(
        f"#include <stdio.h>\nstatic const char* const labels[] = {{{literal}}};\n"
        "int main() {\n  for (const char* l : labels) {\n    do {\n"
        '      printf("%02x", static_cast<unsigned char>(*l));\n    } while (*l++);\n  }\n}\n'
    )
    objects = compile_objects("host", [tmp_path / "main.cpp"], [], tmp_path)
    call("g++", *objects, "-o", tmp_path / "main")
    arrived = bytes.fromhex(call(tmp_path / "main")).decode()
    assert arrived.split("\0") == [*labels, ""]


@pytest.mark.parametrize(
    ("name", "namespace"),
    [
        ("tiny", "tiny_model"),
        ("model", "model"),
        ("my_model", "my_model"),
        ("Model", "Model_model"),
    ],
)
def test_namespaces_end_in_model(name, namespace):
    assert source_literals.c_namespace(name) == namespace
