"""Motion: sliding windows of an accelerometer and a gyroscope."""

import dataclasses
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from keras_distill.arguments import check_choice, check_count, check_flag
from keras_distill.sensors import parameters
from keras_distill.sensors.sensor import Sensor, random_words

# The slower of the boards' sensors, the BMI270, measures that often.
_FASTEST = 99.0
# More than boards have memory for.
_LONGEST = 65_536
_ACCELERATIONS = {"g": 1.0, "m/s2": 9.80665}
_ROTATIONS = {"deg/s": 1.0, "rad/s": np.pi / 180}


@dataclasses.dataclass(frozen=True)
class Window(Sensor):
    """Sliding windows over motion: x, y, z of an accelerometer, and of a gyroscope.

    On a board each value is bit by bit what it is here.

    Args:
        length: Readings in a window, at most 65,536.
        step: Readings from the start of one window to the start of the next, at most `length`;
            `None` for half a window.
        rate: Readings per second, at most 99: the boards' sensors measure 99 (BMI270) or 119
            (LSM9DS1) times a second, and the sketch takes the last measurement each time.
        gyroscope: Whether the gyroscope's three values follow the accelerometer's.
        mean: What is subtracted: a number or one per channel, as of the training data.
        std: What the difference is divided by: a number or one per channel.
        acceleration: Unit of the training data, `"g"` or `"m/s2"`.
        rotation: Unit of the training data, `"deg/s"` or `"rad/s"`.

    Raises:
        TypeError: If an argument is of a wrong type.
        ValueError: If one is out of bounds.

    Example:

    ```python
    recording = np.random.default_rng(0).normal(size=(500, 3))
    window = Window(length=100, rate=50, mean=recording.mean(0), std=recording.std(0))
    assert window(recording).shape == (9, 100, 3)
    ```
    """

    length: int = 128
    step: int | None = None
    rate: float = 50.0
    gyroscope: bool = False
    mean: float | Sequence[float] | np.ndarray = 0.0
    std: float | Sequence[float] | np.ndarray = 1.0
    acceleration: str = "g"
    rotation: str = "deg/s"

    source: ClassVar[str] = "window"
    tolerance: ClassVar[float] = 0.0

    def __post_init__(self):
        self._set("length", check_count("length", self.length, high=_LONGEST))
        step = max(1, self.length // 2) if self.step is None else self.step
        self._set("step", check_count("step", step, high=self.length))
        self._set("rate", parameters.check_number("rate", self.rate, 0, _FASTEST))
        check_flag("gyroscope", self.gyroscope)
        self._set("mean", parameters.check_channels("mean", self.mean, self.channels))
        self._set("std", parameters.check_std(self.std, self.channels))
        check_choice("acceleration", self.acceleration, tuple(_ACCELERATIONS))
        check_choice("rotation", self.rotation, tuple(_ROTATIONS))

    @property
    def channels(self) -> int:
        """Values of one reading: 3, or 6 with the gyroscope."""
        return 6 if self.gyroscope else 3

    @property
    def output_shape(self) -> tuple[int, ...]:
        """Shape of one input of the model: `(length, channels)`."""
        return (self.length, self.channels)

    def __call__(self, recordings: Any) -> np.ndarray:
        """Cuts one recording into windows, and standardizes them.

        Args:
            recordings: Array of shape `(readings, channels)`, one uninterrupted recording.

        Returns:
            Array of shape `(windows, length, channels)`, float32, none where it is too short.

        Raises:
            TypeError: If it isn't an array of numbers.
            ValueError: If it is of another shape, or holds NaN or infinity.
        """
        values = parameters.check_recording("recordings", recordings, ("readings", self.channels))
        values = values.astype("float32") - np.array(self.mean, "float32")
        values *= parameters.inverse(self.std)
        if len(values) < self.length:
            return np.zeros((0, *self.output_shape), "float32")
        windows = np.lib.stride_tricks.sliding_window_view(values, self.length, axis=0)
        return np.ascontiguousarray(windows[:: self.step].transpose(0, 2, 1))

    def constants(self) -> dict[str, Any]:
        """Returns what the C++ source is filled in with."""
        return {
            "length": self.length,
            "channels": self.channels,
            "step": self.step,
            "period": round(1e6 / self.rate),
            "acceleration": np.float32(_ACCELERATIONS[self.acceleration]),
            "rotation": np.float32(_ROTATIONS[self.rotation]),
            "means": np.array(self.mean, "float32"),
            "factors": parameters.inverse(self.std),
        }

    def test_recording(self) -> np.ndarray:
        """Returns a window's worth of random readings from -4 to 4."""
        words = random_words(self.length * self.channels)
        return ((words - 32768) / 8192).reshape(self.length, self.channels)
