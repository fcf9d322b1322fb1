"""Pictures: crop and scale of a camera's frames."""

import dataclasses
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from keras_distill.arguments import check_count, shown
from keras_distill.sensors import parameters
from keras_distill.sensors.sensor import Sensor, random_words

# The frame that the board takes: QCIF, in RGB565.
_HEIGHT, _WIDTH = 144, 176
_GRAY = (77, 150, 29)


@dataclasses.dataclass(frozen=True)
class Camera(Sensor):
    """Centered crop to the model's aspect ratio, area average, and scaling of pixels.

    Works on pictures of any size: those of the training, and the camera's 144 x 176. Averages are
    over whole pixels in integers; larger pictures than the crop repeat pixels. On a board each
    value is bit by bit what it is here.

    Args:
        height: Rows of the model's input.
        width: Columns of the model's input.
        channels: 3 for red, green, blue; 1 for gray, `(77 R + 150 G + 29 B) / 256`.
        mean: What is subtracted from a pixel of 0 to 255: a number or one per channel.
        std: What the difference is divided by: a number or one per channel. 255 by default, for
            models that are trained on 0 to 1.

    Raises:
        TypeError: If an argument is of a wrong type.
        ValueError: If one is out of bounds.

    Example:

    ```python
    pictures = np.random.default_rng(0).integers(0, 256, (2, 144, 176, 3)).astype("uint8")
    assert Camera(height=96, width=96, channels=1)(pictures).shape == (2, 96, 96, 1)
    ```
    """

    height: int = 96
    width: int = 96
    channels: int = 3
    mean: float | Sequence[float] | np.ndarray = 0.0
    std: float | Sequence[float] | np.ndarray = 255.0

    source: ClassVar[str] = "camera"
    tolerance: ClassVar[float] = 0.0

    def __post_init__(self):
        # So that products with the frame's sides are integers of 32 bits on the board.
        self._set("height", check_count("height", self.height, high=4_096))
        self._set("width", check_count("width", self.width, high=4_096))
        self._set("channels", check_count("channels", self.channels))
        if self.channels not in (1, 3):
            raise ValueError(f"channels must be 1 or 3. Received: channels={self.channels}")
        self._set("mean", parameters.check_channels("mean", self.mean, self.channels))
        self._set("std", parameters.check_std(self.std, self.channels))

    @property
    def output_shape(self) -> tuple[int, ...]:
        """Shape of one input of the model: `(height, width, channels)`."""
        return (self.height, self.width, self.channels)

    def __call__(self, recordings: Any) -> np.ndarray:
        """Crops and scales pictures.

        Args:
            recordings: Array of shape `(pictures, rows, columns, 3)`, uint8.

        Returns:
            Array of shape `(pictures, height, width, channels)`, float32.

        Raises:
            TypeError: If they aren't uint8.
            ValueError: If they are of another shape.
        """
        shape = ("pictures", "rows", "columns", 3)
        pictures = parameters.check_recording("recordings", recordings, shape)
        if pictures.dtype != np.uint8:
            raise TypeError(
                f"recordings must be uint8, from 0 to 255. Received: recordings={shown(pictures)}"
            )
        if 0 in pictures.shape[1:]:
            raise ValueError(f"recordings must have pixels. Received: recordings={shown(pictures)}")
        made = np.empty((len(pictures), *self.output_shape), "float32")
        factors = parameters.inverse(self.std)
        for index, picture in enumerate(pictures):
            pixels = self._scaled(picture)
            if self.channels == 1:
                pixels = (pixels @ np.array(_GRAY)[:, None] + 128) >> 8
            made[index] = (pixels.astype("float32") - np.array(self.mean, "float32")) * factors
        return made

    def _crop(self, rows, columns):
        """Returns top, left, height and width of the crop."""
        if columns * self.height >= rows * self.width:
            height, width = rows, max(1, rows * self.width // self.height)
        else:
            height, width = max(1, columns * self.height // self.width), columns
        return (rows - height) // 2, (columns - width) // 2, height, width

    def _scaled(self, picture):
        """Returns the averages of a picture's pixels, int64 of shape `(height, width, 3)`."""
        top, left, height, width = self._crop(*picture.shape[:2])
        part = picture[top : top + height, left : left + width].astype("int64")
        sums, counts = part, 1
        for axis, (size, wanted) in enumerate(((height, self.height), (width, self.width))):
            starts = np.arange(wanted) * size // wanted
            ends = np.maximum(starts + 1, np.arange(1, wanted + 1) * size // wanted)
            total = np.insert(sums.cumsum(axis), 0, 0, axis)
            sums = total.take(ends, axis) - total.take(starts, axis)
            counts = counts * np.expand_dims(ends - starts, (1 - axis, 2))
        return (sums + counts // 2) // counts

    def constants(self) -> dict[str, Any]:
        """Returns what the C++ source is filled in with."""
        top, left, height, width = self._crop(_HEIGHT, _WIDTH)
        return {
            "frame_height": _HEIGHT,
            "frame_width": _WIDTH,
            "top": top,
            "left": left,
            "crop_height": height,
            "crop_width": width,
            **{name: getattr(self, name) for name in ("height", "width", "channels")},
            "means": np.array(self.mean, "float32"),
            "factors": parameters.inverse(self.std),
        }

    def test_recording(self) -> np.ndarray:
        """Returns a frame of red from left to right, green from top to bottom, and blue noise."""
        rows, columns = np.mgrid[:_HEIGHT, :_WIDTH]
        red, green = columns * 31 // (_WIDTH - 1), rows * 63 // (_HEIGHT - 1)
        blue = random_words(_HEIGHT * _WIDTH).reshape(_HEIGHT, _WIDTH) >> 11
        return _from_rgb565(red << 11 | green << 5 | blue)[None]


def _from_rgb565(words):
    """Returns uint8 colors of words in which red has five bits, green six, and blue five."""
    red, green, blue = words >> 11, words >> 5 & 63, words & 31
    colors = (red << 3 | red >> 2, green << 2 | green >> 4, blue << 3 | blue >> 2)
    return np.stack(colors, axis=-1).astype("uint8")
