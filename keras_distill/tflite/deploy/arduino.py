"""An Arduino library from a TensorFlow Lite file, with a sketch that checks itself."""

import dataclasses

from keras_distill.arguments import check_choice
from keras_distill.tflite.analysis import operators
from keras_distill.tflite.deploy import (
    arena_size,
    cpp,
    golden,
    packing,
    project_folder,
    projects,
    sensor_sources,
)


@dataclasses.dataclass(frozen=True)
class Library:
    """An Arduino library or board package with TensorFlow Lite Micro in it.

    Args:
        header: Header that makes the Arduino IDE find it; empty where it is built in.
        operators: Dictionary from the operators that it can add to the types that each takes;
            `None` for all.
        architectures: Boards that it is for, as `library.properties` names them.
        target: Lint target whose rules hold for it.
        kernels: Its library of kernels, a name of `KERNELS` in `analysis.arena`.
        special: Processors whose kernels need another arena, as `arena_size.find` names them.
        install: How to get it, in one sentence.
    """

    header: str
    operators: dict
    architectures: str
    target: str
    kernels: str
    install: str
    special: tuple = ()


LIBRARIES = {
    "Chirale_TensorFLowLite": Library(
        header="Chirale_TensorFlowLite.h",
        operators=operators.ARDUINO,
        # It runs on ESP32 too, but there the board package has the same headers built in.
        architectures="mbed_nano,mbed_nicla,mbed_portenta,mbed_giga",
        target="arduino",
        kernels="cmsis-nn-2023",
        install="Install the library **Chirale_TensorFLowLite** from the library manager.",
    ),
    "Harvard_TinyMLx": Library(
        header="TensorFlowLite.h",
        operators=operators.HARVARD,
        architectures="mbed_nano",
        target="arduino",
        kernels="cmsis-nn-2023",
        install="Install the library **Harvard_TinyMLx** from the library manager.",
    ),
    "esp-tflite-micro": Library(
        header="",
        operators=operators.MICRO,
        architectures="esp32",
        target="mcu",
        kernels="esp-nn",
        special=("esp-nn-s3",),
        install="Nothing else is needed: the board package esp32, version 3 or newer, has "
        "TensorFlow Lite Micro built in.",
    ),
}
_HARVARD = "Harvard_TinyMLx"
_DEFAULT = "Chirale_TensorFLowLite"
_ANY = """\
// Where TensorFlow Lite Micro comes from: the ESP32 board package has it built in; the sketch may
// include Harvard_TinyMLx's <TensorFlowLite.h>; otherwise it is Chirale_TensorFLowLite.
#if !defined(ESP32)
#if __has_include(<TensorFlowLite.h>)
#include <TensorFlowLite.h>
#else
#include <Chirale_TensorFlowLite.h>
#endif
#endif

"""
_ANY_BUT_HARVARD = """\
// Where TensorFlow Lite Micro comes from: the ESP32 board package has it built in; otherwise it is
// Chirale_TensorFLowLite. Harvard_TinyMLx lacks {lacks}.
#if !defined(ESP32)
#include <Chirale_TensorFlowLite.h>
#endif

"""


def export(tflite_model, folder, labels=None, samples=None, name=None, library=None, sensor=None):
    """Writes the Arduino library of a model; see `TFLiteModel.to_arduino`.

    Args:
        tflite_model: `TFLiteModel` with one input and one output.
        folder: Folder of the library.
        labels: Names of the classes, or `None`.
        samples: Inputs of shape `(samples, ...)`.
        name: Name of the library, or `None` for the folder's name.
        library: A name of `LIBRARIES`, or `None` for any of them, decided when it is compiled.
        sensor: `Sensor` whose preprocessing the model was trained with, or `None`.

    Returns:
        `pathlib.Path` of the library.

    Raises:
        ImportError: If tflite-micro isn't installed: it finds arena and expected outputs.
        TypeError: If an argument is of a wrong type.
        ValueError: If the model can't run on a board, or arguments don't suit it.
    """
    if library is not None:
        _check_library(tflite_model, library)
    if sensor is not None:
        sensor_sources.check(sensor, tflite_model)
    package = packing.pack(
        tflite_model,
        folder,
        kind="arduino",
        target=LIBRARIES[library or _DEFAULT].target,
        answer=golden.on_micro,
        advice='Export it with target="arduino", or give library="esp-tflite-micro" if it is for '
        "an ESP32.",
        labels=labels,
        samples=samples,
        name=name,
    )
    known = [LIBRARIES[library]] if library else LIBRARIES.values()
    size = arena_size.find(
        package,
        tflite_model.graph,
        kernels=tuple(one.kernels for one in known),
        special=tuple(name for one in known for name in one.special),
    )
    runtime = _runtime(library, lacking(tflite_model, _HARVARD))
    files = _files(package, size, runtime, sensor)
    editable = [_input_file(package), sensor_sources.tab(package.name)]
    return project_folder.write(folder, package.kind, files, editable)


def lacking(tflite_model, library):
    """Returns what a model needs that a library lacks, in words; nothing if it lacks nothing.

    Args:
        tflite_model: `TFLiteModel`.
        library: A name of `LIBRARIES`.
    """
    known = LIBRARIES[library]
    names = [name for name in tflite_model.operators if name not in known.operators]
    if names:
        return f"the operator{'s' * (len(names) > 1)} {', '.join(names)}"
    kernels = {
        f"{foreign[0].dtype} {operator.name}"
        for operator in tflite_model.graph.operators
        if (foreign := operators.foreign_tensor(operator, known.operators))
    }
    return f"kernels for {', '.join(sorted(kernels))}" if kernels else ""


def _check_library(tflite_model, library):
    check_choice("library", library, (None, *LIBRARIES))
    lacks = lacking(tflite_model, library)
    if lacks:
        others = [name for name in LIBRARIES if not lacking(tflite_model, name)]
        advice = f"Use {' or '.join(others)}." if others else "So do all the others."
        raise ValueError(f"{library} lacks {lacks}, which this model needs. {advice}")


def _runtime(library, harvard_lacks):
    """Returns the texts of sources and README about where TensorFlow Lite Micro comes from."""
    if library is not None:
        known = LIBRARIES[library]
        return {
            "includes": f"#include <{known.header}>\n\n" if known.header else "",
            "depends": f"depends={library}\n" if known.header else "",
            "architectures": known.architectures,
            "install": known.install,
        }
    harvard = (
        f"**{_HARVARD}** can't run this model: it lacks {harvard_lacks}."
        if harvard_lacks
        else f"To use **{_HARVARD}** instead, put `#include <TensorFlowLite.h>` at the top of the "
        "sketch."
    )
    return {
        "includes": _ANY_BUT_HARVARD.format(lacks=harvard_lacks) if harvard_lacks else _ANY,
        "depends": f"depends={_DEFAULT}\n",
        "architectures": "*",
        "install": f"{LIBRARIES[_DEFAULT].install} On an ESP32 nothing is needed: the board "
        f"package, version 3 or newer, has TensorFlow Lite Micro built in. {harvard}",
    }


def _files(package, size, runtime, sensor):
    name = package.name
    values = {**cpp.values(package, size), **runtime}
    values["live"] = sensor_sources.readme(values) if sensor else ""
    templates = {
        "library.properties": "library.properties",
        projects.README: "README.md",
        f"examples/{name}/{name}.ino": "example.ino",
        _input_file(package): "read_input.ino",
    }
    sources = cpp.sources(package, size, runtime["includes"])
    return {
        **{f"src/{file}": text for file, text in sources.items()},
        **{path: projects.fill(f"arduino/{file}", values) for path, file in templates.items()},
        **(sensor_sources.files(sensor, values, name) if sensor else {}),
    }


def _input_file(package):
    """Returns the path of the file that the user edits."""
    return f"examples/{package.name}/read_input.ino"
