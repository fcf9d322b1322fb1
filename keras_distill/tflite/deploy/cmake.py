"""A plain C++ project from a TensorFlow Lite file, for Linux and for Cortex-M."""

from keras_distill.tflite.deploy import (
    arena_size,
    cpp,
    golden,
    packing,
    project_folder,
    projects,
)

# What a Cortex-M needs before main(), and the memory maps of an emulated and a real board.
_BOARD_FILES = ("startup.cpp", "sections.ld", "mps2-an386.ld", "nrf52840.ld")


def export(tflite_model, folder, labels=None, samples=None, name=None):
    """Writes the CMake project of a model; see `TFLiteModel.to_cmake`.

    Args:
        tflite_model: `TFLiteModel` with one input and one output.
        folder: Folder of the project.
        labels: Names of the classes, or `None`.
        samples: Inputs of shape `(samples, ...)`.
        name: Name of the project, or `None` for the folder's name.

    Returns:
        `pathlib.Path` of the project.

    Raises:
        ImportError: If tflite-micro isn't installed: it finds arena and expected outputs.
        ValueError: If the model can't run on a microcontroller, or arguments don't suit it.
    """
    package = packing.pack(
        tflite_model,
        folder,
        kind="cmake",
        target="mcu",
        answer=golden.on_micro,
        advice='Export it with target="mcu".',
        labels=labels,
        samples=samples,
        name=name,
    )
    size = arena_size.find(
        package,
        tflite_model.graph,
        kernels=("reference", "cmsis-nn"),
        special=("cmsis-nn-vector",),
        on_computer=True,
    )
    values = cpp.values(package, size)
    sources = cpp.sources(package, size)
    return project_folder.write(
        folder,
        package.kind,
        {
            "CMakeLists.txt": projects.source("cmake/CMakeLists.txt"),
            "arm-none-eabi.cmake": projects.source("cmake/arm-none-eabi.cmake"),
            **{f"boards/{file}": projects.source(f"cmake/boards/{file}") for file in _BOARD_FILES},
            "main.cpp": projects.fill("cmake/main.cpp", values),
            projects.README: projects.fill("cmake/README.md", values),
            **{f"src/{file}": text for file, text in sources.items()},
        },
    )
