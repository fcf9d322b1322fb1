"""A TensorFlow Lite file: contents, predictions, lint, verification, report, projects."""

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_distill.arguments import check_choice, check_finite, check_path, shown
from keras_distill.files import write_whole
from keras_distill.tflite import formats
from keras_distill.tflite.analysis import ethos_u, schema
from keras_distill.tflite.analysis import lint as lint_module
from keras_distill.tflite.analysis import report as report_module
from keras_distill.tflite.analysis.tensor_info import TensorInfo, info_of
from keras_distill.tflite.deploy import metadata as metadata_module
from keras_distill.tflite.deploy.device_projects import DeviceProjects
from keras_distill.tflite.runtime import litert

if TYPE_CHECKING:
    import keras

    from keras_distill.tflite.runtime.sensitivity import Sensitivity
    from keras_distill.tflite.runtime.verify import Verification

# Types of inputs that NumPy has too.
_SAMPLED = "bool float16 float32 float64 int8 int16 int32 int64 uint8 uint16 uint32 uint64".split()


class TFLiteModel(DeviceProjects):
    """A TensorFlow Lite file on its way to a device.

    Args:
        path: The `.tflite` file.
        quantization: How it was quantized; by default found out from the file.
        target: `"mobile"`, `"mcu"` or `"arduino"`.

    Raises:
        TypeError: If `path` is no path.
        ValueError: If the file isn't there, is no TensorFlow Lite file or a damaged one, or an
            argument is none of those above.

    Example:

    ```python
    from keras_distill.tflite import export_tflite

    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
    export_tflite(model, "model.tflite")
    loaded = TFLiteModel("model.tflite")
    assert loaded.predict(np.ones((3, 4))).shape == (3, 2)
    ```
    """

    def __init__(
        self, path: str | os.PathLike, quantization: str | None = "auto", target: str = "mobile"
    ):
        check_choice("quantization", quantization, ("auto", *formats.QUANTIZATIONS))
        check_choice("target", target, formats.TARGETS)
        self.path = check_path("path", path)
        if not self.path.is_file():
            raise ValueError(f"There is no file {str(self.path)!r}.")
        self.content = self.path.read_bytes()
        try:
            self.graph = schema.parse(self.content)
        except schema.DamagedError as error:
            raise schema.DamagedError(f"{self.path}: {error}") from error
        self.quantization = (
            formats.quantization_of(self.graph) if quantization == "auto" else quantization
        )
        self.target = target

    def __repr__(self):
        ends = ", ".join(
            f"{info.dtype} {side} {list(info.shape)}"
            for side, infos in (("input", self.inputs), ("output", self.outputs))
            for info in infos
        )
        kind = self.quantization or "float32"
        return f"<TFLiteModel {str(self.path)!r}: {kind}, {self.size:,} bytes, {ends}>"

    @property
    def size(self) -> int:
        """Size of the file in bytes."""
        return len(self.content)

    @property
    def inputs(self) -> list[TensorInfo]:
        """List of `TensorInfo`, in the order of the Keras model's inputs."""
        return [info_of(tensor) for tensor in self.graph.inputs]

    @property
    def outputs(self) -> list[TensorInfo]:
        """List of `TensorInfo`, in the order of the Keras model's outputs."""
        return [info_of(tensor) for tensor in self.graph.outputs]

    @property
    def operators(self) -> dict[str, int]:
        """Dictionary from the name of each builtin operator to how often it stands."""
        names = [operator.name for operator in self.graph.operators]
        return {name: names.count(name) for name in dict.fromkeys(names)}

    def quantize_inputs(self, x: Any) -> list[np.ndarray]:
        """Returns inputs as the model takes them.

        Args:
            x: Float array of shape `(samples, ...)`, or a list or dictionary of them.

        Returns:
            List of arrays, one per input, in the inputs' types.

        Raises:
            ValueError: If number or shapes of the inputs are wrong, there are no samples, or they
                hold NaN or infinity, which integers don't have.
        """
        # Not before: what only looks into a file needs no Keras.
        from keras_distill.tflite import inputs

        for tensor in self.graph.inputs:
            if tensor.not_finite or tensor.dtype not in _SAMPLED:
                scale = "".join(f" with a scale that is {what}" for what in tensor.not_finite)
                raise ValueError(
                    f"The input {tensor.name!r} is of the type {tensor.dtype}{scale}: no samples "
                    "can be given to it here."
                )
        arrays = inputs.flat_arrays("x", x)
        if len(arrays) != len(self.inputs):
            raise ValueError(
                f"The model has {len(self.inputs)} inputs: give one array for each. "
                f"Received: x with {len(arrays)} arrays"
            )
        for array, info in zip(arrays, self.inputs, strict=True):
            if array.shape[1:] != info.shape[1:]:
                raise ValueError(
                    f"Input {info.name!r} takes samples of shape {info.shape[1:]}. "
                    f"Received: an array of shape {array.shape}"
                )
            if len(array) == 0:
                raise ValueError(f"There are no samples: give at least one. Received: x={shown(x)}")
        if any(info.is_quantized for info in self.inputs):
            check_finite("x", arrays)
        return [info.quantize(array) for array, info in zip(arrays, self.inputs, strict=True)]

    def predict(self, x: Any) -> np.ndarray | list[np.ndarray]:
        """Runs the model on LiteRT: its reference kernels, or its fast ones where those are wrong.

        Args:
            x: Float array of shape `(samples, ...)`, or a list or dictionary of them.

        Returns:
            Float array, or a list of them for several outputs.

        Raises:
            LiteRTError: If LiteRT can't run the model.
            ValueError: If `x` doesn't suit the model; see `quantize_inputs`.
        """
        raw = litert.run_right(self.content, self.graph, self.quantize_inputs(x))
        values = [info.dequantize(part) for part, info in zip(raw, self.outputs, strict=True)]
        return values[0] if len(values) == 1 else values

    def lint(self) -> list[lint_module.Finding]:
        """Lists what would fail, or be silently wrong, on the target.

        Returns:
            List of `Finding` (code, severity, message, where, fix), empty when clean.
        """
        return self.lint_for(self.target)

    def lint_for(self, target: str) -> list[lint_module.Finding]:
        """Lists what would fail, or be silently wrong, on another target.

        Args:
            target: `"mobile"`, `"mcu"` or `"arduino"`.

        Returns:
            List of `Finding`, empty when clean.

        Raises:
            ValueError: If the target is unknown.
        """
        return lint_module.lint(self.graph, target, self.quantization)

    def verify(self, model: "keras.Model", x: Any, y: Any = None) -> "Verification":
        """Compares the Keras model, LiteRT and TensorFlow Lite Micro on real samples.

        Args:
            model: The `keras.Model` that was exported.
            x: Inputs of shape `(samples, ...)`, scaled as in training.
            y: Labels, sparse or one-hot, for the accuracies. Optional.

        Returns:
            `Verification`, which prints as a table.

        Raises:
            TypeError: If `model` isn't a `keras.Model`.
            ValueError: If `x` doesn't suit the model, `y` isn't as long as `x`, or one of them
                holds NaN or infinity.
        """
        from keras_distill.tflite.runtime.verify import verify

        return verify(self, model, x, y)

    def sensitivity(
        self, model: "keras.Model", x: Any, y: Any = None, *, verbose: int = 1
    ) -> "Sensitivity":
        """Measures what each layer costs in int8.

        Each layer is quantized alone, and then all layers but it, and run on LiteRT: where one
        stands out, change it, or keep it in float with `export_tflite(..., float_layers=[...])`.
        The ranges of the activations are those of the first 500 samples of `x`. Errors are those
        of the logits where the model ends in a softmax or sigmoid. A hundred samples of a small
        model take some seconds.

        Args:
            model: The `keras.Model` that was exported.
            x: Inputs of shape `(samples, ...)`, scaled as in training; a hundred are enough for
                the errors, not for differences in accuracy of under a point.
            y: Labels, sparse or one-hot, for the accuracies. Optional.
            verbose: 1 for a progress bar, 0 for none.

        Returns:
            `Sensitivity`, which prints as a table and has `plot()`.

        Raises:
            RuntimeError: If the converter or LiteRT fails.
            TypeError: If `model` isn't a `keras.Model`.
            ValueError: If the file isn't in int8, `model` is one of `compression.quantize_aware`,
                or `x` or `y` doesn't suit it.

        Example:

        ```python
        from keras_distill.tflite import export_tflite

        model = keras.Sequential(
            [keras.Input((4,)), keras.layers.Dense(8, "relu"), keras.layers.Dense(2)]
        )
        x = np.random.rand(100, 4).astype("float32")
        result = export_tflite(model, "model.tflite", "int8", x)
        sensitivity = result.sensitivity(model, x, verbose=0)
        print(sensitivity.layers[0].layer, sensitivity.layers[0].error)
        ```
        """
        from keras_distill.tflite.runtime.sensitivity import sensitivity

        return sensitivity(self, model, x, y, verbose)

    def report(self) -> report_module.Report:
        """Measures what the model needs of a device.

        Returns:
            `Report`: operators, flash, arena, multiplications, and the boards that it fits.
        """
        return report_module.report(self)

    @property
    def metadata(self) -> metadata_module.Metadata | None:
        """`Metadata` that the file carries (name, classes, scaling), or `None`."""
        return metadata_module.read(self.content)

    def add_metadata(
        self,
        labels: Sequence[str] = (),
        mean: float | Sequence[float] = 0.0,
        std: float | Sequence[float] = 1.0,
        name: str | None = None,
        description: str = "",
    ) -> metadata_module.Metadata:
        """Writes names of classes and scaling into the file, where phone tools look for them.

        In the published form of TensorFlow Lite Metadata, as MediaPipe and Android Studio read it
        (MediaPipe takes images and float32 inputs only). Metadata that the file has is replaced.

        Args:
            labels: Names of the classes, one per output value. Optional.
            mean: What is subtracted from an input value, a number or one per channel. For images
                in the unit of pixels from 0 to 255.
            std: What the difference is divided by: `255.0` for models trained on 0 to 1.
            name: Name of the model. Defaults to the file's.
            description: What it does. Optional.

        Returns:
            `Metadata`, as the file now has it.

        Raises:
            TypeError: If `labels` has no order, or an argument is of a wrong type.
            ValueError: If the model has several inputs or outputs, the numbers of labels or
                channels don't suit it, or a label isn't one line of text. The file is as before
                then.

        Example:

        ```python
        from keras_distill.tflite import export_tflite

        model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
        result = export_tflite(model, "model.tflite")
        result.add_metadata(["left", "right"])
        assert TFLiteModel("model.tflite").metadata.labels == ("left", "right")
        ```
        """
        if len(self.inputs) != 1 or len(self.outputs) != 1:
            raise ValueError(
                "Metadata is for models with one input and one output. Received: a model with "
                f"{len(self.inputs)} and {len(self.outputs)}"
            )
        given = {
            "name": self.path.stem if name is None else name,
            "description": description,
            "labels": labels,
            "mean": mean,
            "std": std,
        }
        outputs, shape = self.outputs[0].shape[-1], self.inputs[0].shape
        content, metadata = metadata_module.add(self.content, outputs, shape, given)
        write_whole(self.path, content)
        self.content = content
        return metadata

    def estimate_ethos_u(self, accelerator: str = "ethos-u55-128") -> ethos_u.EthosUEstimate:
        """Estimates the model on Arm's Ethos-U, a neural processor beside some microcontrollers.

        Args:
            accelerator: Processor and its multiplications per cycle, such as `"ethos-u55-128"`,
                `"ethos-u65-256"` or `"ethos-u85-512"`.

        Returns:
            `EthosUEstimate`: cycles, time, memory, and the operators that are left to the CPU.

        Raises:
            ImportError: If ethos-u-vela isn't installed (extra `ethos-u`).
            ValueError: If the accelerator is unknown or the model isn't quantized to integers.
        """
        return ethos_u.estimate(self, accelerator)
