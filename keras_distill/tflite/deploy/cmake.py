"""A plain C++ project from a TensorFlow Lite file, for Linux and for Cortex-M."""

from keras_distill.tflite.deploy import cpp, golden, packing, project_folder, projects
from keras_distill.tflite.runtime import micro


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
    arena = micro.recommended_arena(micro.minimum_arena(package.content))
    values = cpp.values(package, arena)
    sources = cpp.sources(package, arena)
    return project_folder.write(
        folder,
        package.kind,
        {
            "CMakeLists.txt": projects.source("cmake/CMakeLists.txt"),
            "arm-none-eabi.cmake": projects.source("cmake/arm-none-eabi.cmake"),
            "main.cpp": projects.fill("cmake/main.cpp", values),
            projects.README: projects.fill("cmake/README.md", values),
            **{f"src/{file}": text for file, text in sources.items()},
        },
    )
