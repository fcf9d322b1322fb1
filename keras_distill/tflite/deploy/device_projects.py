"""Projects for devices, written from a TensorFlow Lite file."""

import os
import pathlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from keras_distill.tflite.deploy import android, arduino, cmake, ios, raspberry_pi

if TYPE_CHECKING:
    from keras_distill.sensors import Sensor


class DeviceProjects:
    """Methods of `TFLiteModel` that write a project for a kind of device."""

    def to_arduino(
        self,
        folder: str | os.PathLike,
        labels: Sequence[str] | None = None,
        samples: Any = None,
        name: str | None = None,
        library: str | None = None,
        sensor: "Sensor | None" = None,
    ) -> pathlib.Path:
        """Writes an Arduino library with a sketch that checks itself on stored samples.

        The tabs `read_*.ino` are yours: once edited, they stay. C++ namespace: `<name>_model`.

        Args:
            folder: Folder of the library, made with its parents. Of what was written here before,
                files that have not changed since are replaced; all others stay.
            labels: Names of the classes, one per output value. Optional.
            samples: Inputs of shape `(samples, ...)`, scaled as in training; some ten are plenty.
            name: Name of the library. Defaults to the folder's name. What isn't an ASCII letter or
                digit becomes `_`.
            library: Where TensorFlow Lite Micro comes from: `"Chirale_TensorFLowLite"`,
                `"Harvard_TinyMLx"` or `"esp-tflite-micro"` (part of the ESP32 board package). By
                default any of them, decided when the sketch is compiled.
            sensor: Preprocessing of the training, of `keras_distill.sensors`, for a second sketch,
                `<name>_live`, that reads the sensor. Optional.

        Returns:
            `pathlib.Path` of the library.

        Raises:
            ImportError: If tflite-micro isn't installed: it finds arena and expected outputs.
            ValueError: If the model can't run on a board or `library` lacks an operator, `labels`,
                `samples` or `sensor` don't suit the model, or the folder holds other files.
        """
        return arduino.export(self, folder, labels, samples, name, library, sensor)

    def to_cmake(
        self,
        folder: str | os.PathLike,
        labels: Sequence[str] | None = None,
        samples: Any = None,
        name: str | None = None,
    ) -> pathlib.Path:
        """Writes a C++ project for Linux and Cortex-M that checks itself on stored samples.

        It is built with CMake against a checkout of TensorFlow Lite Micro.

        Args:
            folder: Folder of the project, made with its parents. Of what was written here before,
                files that have not changed since are replaced; all others stay.
            labels: Names of the classes, one per output value. Optional.
            samples: Inputs of shape `(samples, ...)`, scaled as in training; some ten are plenty.
            name: Name of the project. Defaults to the folder's name. What isn't an ASCII letter or
                digit becomes `_`.

        Returns:
            `pathlib.Path` of the project.

        Raises:
            ImportError: If tflite-micro isn't installed: it finds arena and expected outputs.
            ValueError: If the model can't run on a microcontroller, `labels` or `samples` don't
                suit it, or the folder holds something else or changed files that would have to be
                replaced.
        """
        return cmake.export(self, folder, labels, samples, name)

    def to_raspberry_pi(
        self,
        folder: str | os.PathLike,
        labels: Sequence[str] | None = None,
        samples: Any = None,
        name: str | None = None,
    ) -> pathlib.Path:
        """Writes a Python runner that checks itself on stored samples.

        It needs numpy and ai-edge-litert only, and runs on any computer.

        Args:
            folder: Folder of the runner, made with its parents. Of what was written here before,
                files that have not changed since are replaced; all others stay.
            labels: Names of the classes, one per output value. Optional.
            samples: Inputs of shape `(samples, ...)`, scaled as in training; some ten are plenty.
            name: Name of the model. Defaults to the folder's name. What isn't an ASCII letter or
                digit becomes `_`.

        Returns:
            `pathlib.Path` of the runner.

        Raises:
            ValueError: If the model has several inputs or outputs, `labels` or `samples` don't
                suit it, or the folder holds something else or changed files that would have to be
                replaced.

        Example:

        ```python
        from keras_distill.tflite import export_tflite

        model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
        result = export_tflite(model, "model.tflite")
        runner = result.to_raspberry_pi("pi", ["left", "right"], samples=np.ones((3, 4)))
        assert (runner / "classify.py").is_file()
        ```
        """
        return raspberry_pi.export(self, folder, labels, samples, name)

    def to_android(
        self,
        folder: str | os.PathLike,
        labels: Sequence[str] | None = None,
        samples: Any = None,
        name: str | None = None,
    ) -> pathlib.Path:
        """Writes a Kotlin class with its assets that checks itself on stored samples.

        Args:
            folder: Folder of the files, made with its parents. Of what was written here before,
                files that have not changed since are replaced; all others stay.
            labels: Names of the classes, one per output value. Optional.
            samples: Inputs of shape `(samples, ...)`, scaled as in training; some ten are plenty.
            name: Name of the class and the assets. Defaults to the folder's name. What isn't an
                ASCII letter or digit becomes `_`.

        Returns:
            `pathlib.Path` of the folder.

        Raises:
            ValueError: If the model has several inputs or outputs, `labels` or `samples` don't
                suit it, or the folder holds something else or changed files that would have to be
                replaced.
        """
        return android.export(self, folder, labels, samples, name)

    def to_ios(
        self,
        folder: str | os.PathLike,
        labels: Sequence[str] | None = None,
        samples: Any = None,
        name: str | None = None,
    ) -> pathlib.Path:
        """Writes a Swift class with its resources that checks itself on stored samples.

        Args:
            folder: Folder of the files, made with its parents. Of what was written here before,
                files that have not changed since are replaced; all others stay.
            labels: Names of the classes, one per output value. Optional.
            samples: Inputs of shape `(samples, ...)`, scaled as in training; some ten are plenty.
            name: Name of the class and the resources. Defaults to the folder's name. What isn't an
                ASCII letter or digit becomes `_`.

        Returns:
            `pathlib.Path` of the folder.

        Raises:
            ValueError: If the model has several inputs or outputs, `labels` or `samples` don't
                suit it, or the folder holds something else or changed files that would have to be
                replaced.
        """
        return ios.export(self, folder, labels, samples, name)
