"""Compression summary: zeros, patterns and different weights of kernels, bytes of a model."""

import dataclasses
import gzip
import os
import pathlib

import keras
import numpy as np

from keras_distill.arguments import check_path, shown
from keras_distill.compression.strip import plain_model


@dataclasses.dataclass(frozen=True)
class KernelSummary:
    """Summary of a kernel: zeros, 2:4 pattern, different weights.

    Args:
        layer: Path of the layer's variable.
        shape: Shape of the kernel.
        sparsity: Share of zeros.
        is_2_4: Whether of every four neighboring input channels, or of those that remain beyond
            the last full four, no more than two aren't zero; `None` for one or two channels.
        values: Number of different weights.
    """

    layer: str
    shape: tuple
    sparsity: float
    is_2_4: bool | None
    values: int


@dataclasses.dataclass(frozen=True)
class CompressionSummary:
    """Summary of a model's kernels and its size in bytes; prints as a table.

    Args:
        kernels: Tuple of `KernelSummary`; empty for a file.
        size: Bytes of all weights, or of the file.
        compressed_size: The same after gzip, in bytes.
    """

    kernels: tuple
    size: int
    compressed_size: int

    def __str__(self):
        rows = [("kernel", "shape", "zeros", "2:4", "values")]
        for kernel in self.kernels:
            shape = "x".join(map(str, kernel.shape))
            pattern = {True: "yes", False: "no", None: "-"}[kernel.is_2_4]
            rows.append(
                (kernel.layer, shape, f"{kernel.sparsity:.1%}", pattern, f"{kernel.values:,}")
            )
        widths = [max(len(row[column]) for row in rows) for column in range(5)]
        lines = [
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
            for row in rows
        ]
        sizes = f"{self.size:,} bytes, {self.compressed_size:,} with gzip"
        return "\n".join([*(lines if self.kernels else ()), sizes])


def summarize(model: keras.Model | str | os.PathLike) -> CompressionSummary:
    """Summary of compression: zeros and different weights of each kernel, and bytes.

    Args:
        model: Built `keras.Model`, compressed, stripped or plain; or the path of any file, such
            as a `.tflite` file, for its sizes only.

    Returns:
        `CompressionSummary`, which prints as a table.

    Raises:
        FileNotFoundError: If there is no such file.
        TypeError: If `model` is neither.
        ValueError: If the model isn't built.

    Example:

    ```python
    model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(4)])
    summary = summarize(model)
    assert summary.size == (8 * 4 + 4) * 4
    print(summary)
    ```
    """
    if isinstance(model, (str, pathlib.Path)):
        path = check_path("model", model)
        if path.exists() and not path.is_file():
            raise ValueError(
                f"model must be a model or the path of a file. Received: model={shown(model)}"
            )
        content = path.read_bytes()
        return CompressionSummary((), len(content), _compressed(content))
    if not isinstance(model, keras.Model):
        raise TypeError(f"model must be a keras.Model or a path. Received: model={shown(model)}")
    if not model.built:
        raise ValueError(f"The model {model.name!r} isn't built: call it on data first.")
    model = plain_model(model)
    content = b"".join(keras.ops.convert_to_numpy(weight).tobytes() for weight in model.weights)
    kernels = tuple(
        _of_kernel(weight.path.removeprefix(f"{model.name}/"), keras.ops.convert_to_numpy(weight))
        for weight in model.weights
        if weight.name in ("kernel", "recurrent_kernel")
    )
    return CompressionSummary(kernels, len(content), _compressed(content))


def _compressed(content):
    return len(gzip.compress(content, compresslevel=9, mtime=0))


def _of_kernel(name, kernel):
    return KernelSummary(
        layer=name.removesuffix("/kernel"),
        shape=kernel.shape,
        sparsity=float(np.mean(kernel == 0)),
        is_2_4=_is_2_4(kernel),
        values=len(np.unique(kernel)),
    )


def _is_2_4(kernel):
    # TensorFlow Lite has the input channels last, Keras last but one.
    channels = np.moveaxis(kernel, -2, -1)
    if channels.shape[-1] < 3:
        return None
    missing = -channels.shape[-1] % 4
    channels = np.pad(channels, [(0, 0)] * (channels.ndim - 1) + [(0, missing)])
    return bool(np.all(np.count_nonzero(channels.reshape(-1, 4), axis=1) <= 2))
