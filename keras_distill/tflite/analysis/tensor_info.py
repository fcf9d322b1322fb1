"""An input or output of a TensorFlow Lite model: its shape, type and quantization."""

import dataclasses
from typing import Any

import numpy as np


@dataclasses.dataclass(frozen=True)
class TensorInfo:
    """An input or output of the model.

    Args:
        name: Name of the tensor.
        shape: Sizes, the batch included.
        dtype: `"int8"`, `"int16"`, `"float32"`, ...
        scale: Quantization scale; 0 for a tensor that isn't quantized.
        zero_point: Quantization zero point.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    scale: float
    zero_point: int

    @property
    def is_quantized(self) -> bool:
        """Whether the tensor holds quantized values."""
        return self.scale > 0

    def quantize(self, values: Any) -> np.ndarray:
        """Returns float values in the tensor's type: round(x / scale) + zero point, clamped.

        Ties are rounded away from zero, as LiteRT's and TensorFlow Lite Micro's reference kernels
        do, and all exported sources. NaN maps to the minimum.
        """
        if not self.is_quantized:
            return np.asarray(values, self.dtype)
        limits = np.iinfo(self.dtype)
        # In 64 bits, adding 0.5 rounds nothing by itself.
        exact = (np.asarray(values, "float32") / np.float32(self.scale)).astype("float64")
        steps = np.trunc(exact + np.copysign(0.5, exact)) + self.zero_point
        steps = np.where(np.isnan(steps), limits.min, steps)
        return np.clip(steps, limits.min, limits.max).astype(self.dtype)

    def dequantize(self, values: Any) -> np.ndarray:
        """Returns the tensor's values in float32."""
        values = np.asarray(values)
        if not self.is_quantized:
            return values
        return np.float32(self.scale) * (values.astype("float32") - self.zero_point)


def info_of(tensor):
    """Returns shape, type and quantization of an input or output.

    Args:
        tensor: `Tensor` of a graph.
    """
    is_quantized = len(tensor.scales) == 1
    return TensorInfo(
        name=tensor.name,
        shape=tensor.shape,
        dtype=tensor.dtype,
        scale=tensor.scales[0] if is_quantized else 0.0,
        zero_point=tensor.zero_points[0] if is_quantized and tensor.zero_points else 0,
    )
