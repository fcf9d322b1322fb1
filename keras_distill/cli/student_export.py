"""The export of a student that a command has trained."""

import argparse

from keras_distill.cli import device_commands


class StudentExport:
    """Converts the student of a run, checks it, and packs it, as `keras-distill export` does.

    Args:
        settings: Namespace of the options `data`, `target`, `board` and `pack`.
        quantization: One of `device_commands.QUANTIZATIONS`.
        folder: `RunFolder`.
        data: `TrainingData`.

    Raises:
        ValueError: If the folder of a project holds something else.
    """

    def __init__(self, settings, quantization, folder, data):
        self._folder, self._data = folder, data
        # Projects are named after it.
        self._project = folder.path / f"{data.name}_student.tflite"
        self._options = argparse.Namespace(
            model=folder.path / "student.keras",
            data=settings.data,
            quantization=quantization,
            target=settings.target or "mobile",
            board=settings.board,
            pack=settings.pack,
            labels=None,
            time_limit=device_commands.TIME_LIMIT,
        )
        device_commands.check_projects(self._options, self._project)

    def convert(self, student):
        """Writes the file and the projects.

        Args:
            student: `keras.Model`, trained.

        Returns:
            Exit status: 0, or 1 if the file doesn't hold or fit.
        """
        data = self._data
        return device_commands.convert(
            self._options,
            student,
            self._folder.path / "student.tflite",
            data.parts["train"][0][:500],
            data.parts["test"],
            list(data.labels),
            self._project,
            data.sensor,
        )
