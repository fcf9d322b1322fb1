"""Sound: log-mel spectrograms of a microphone."""

import dataclasses
import functools
from typing import Any, ClassVar

import numpy as np

from keras_distill.arguments import check_count, check_flag, shown
from keras_distill.sensors import parameters
from keras_distill.sensors.sensor import Sensor, random_words

# What the board's microphone is read at; slower clips are averages of its samples.
_MICROPHONE = 16_000
_RATES = (8_000, 16_000)
# Seconds of a clip, and values of an FFT: more than boards have memory for.
_LONGEST, _LARGEST_FFT = 60, 4_096
_FULL_SCALE = 32_768.0
# Clips that are transformed at once, so that large data sets fit.
_AT_ONCE = 64
# Below what a microphone gives, and above 0.
_LEAST_VARIANCE, _LEAST_POWER = 1e-6, 1e-12


@dataclasses.dataclass(frozen=True)
class LogMel(Sensor):
    """Log-mel spectrograms: the logarithm of a clip's power per frame and mel band.

    Frames are weighted with a periodic Hann window and transformed by an FFT of the next power of
    two; the bands are HTK's triangles. On a board, in float32, the values are within 1e-3 of these.

    Args:
        rate: Samples per second, 8,000 or 16,000.
        samples: Samples in a clip, of at most a minute.
        frame: Samples in a frame, at most 4,096.
        hop: Samples from one frame to the next.
        bands: Mel bands.
        lowest: Lower end of the first band, in hertz.
        highest: Upper end of the last band, in hertz; `None` for half of `rate`.
        offset: What is added to a band's power before the logarithm.
        level: Whether a clip is divided by its root mean square (that of its frames), so that
            loudness doesn't count.
        standardize: Whether each clip's values get mean 0 and standard deviation 1.
        step: Frames from one run of the model to the next on the board; `None` for half a clip.

    Raises:
        TypeError: If an argument is of a wrong type.
        ValueError: If one is out of bounds, or bands are so narrow that some hold no frequency.

    Example:

    ```python
    log_mel = LogMel(rate=8_000, samples=8_000, frame=256, hop=160, bands=20)
    waves = np.random.default_rng(0).normal(size=(2, 8_000))
    assert log_mel(waves).shape == (2, 49, 20, 1)
    ```
    """

    rate: int = 16_000
    samples: int = 16_000
    frame: int = 480
    hop: int = 320
    bands: int = 40
    lowest: float = 60.0
    highest: float | None = None
    offset: float = 1e-3
    level: bool = True
    standardize: bool = True
    step: int | None = None

    source: ClassVar[str] = "log_mel"
    tolerance: ClassVar[float] = 1e-3

    def __post_init__(self):
        self._set("rate", check_count("rate", self.rate))
        if self.rate not in _RATES:
            raise ValueError(f"rate must be 8000 or 16000. Received: rate={self.rate}")
        for name, low, high in (
            ("samples", 2, lambda: _LONGEST * self.rate),
            ("frame", 2, lambda: min(self.samples, _LARGEST_FFT)),
            ("hop", 1, lambda: self.samples),
            ("bands", 1, lambda: self.fft // 2),
        ):
            self._set(name, check_count(name, getattr(self, name), low, high()))
        step = max(1, self.frames // 2) if self.step is None else self.step
        self._set("step", check_count("step", step, high=self.frames))
        nyquist = self.rate / 2
        highest = nyquist if self.highest is None else self.highest
        self._set("highest", parameters.check_number("highest", highest, 0, nyquist))
        self._set("lowest", parameters.check_number("lowest", self.lowest, -1, nyquist))
        if not 0 <= self.lowest < self.highest:
            raise ValueError(
                f"lowest must be at least 0 and below highest, {self.highest:g}. "
                f"Received: lowest={self.lowest!r}"
            )
        self._set("offset", parameters.check_number("offset", self.offset, 1e-30))
        check_flag("level", self.level)
        check_flag("standardize", self.standardize)
        empty = np.flatnonzero(~self._weights.any(axis=0))
        if len(empty):
            raise ValueError(
                f"{len(empty)} bands hold no frequency of the FFT of {self.fft} values: give fewer "
                f"bands, or a longer frame. Received: bands={self.bands}"
            )

    @property
    def frames(self) -> int:
        """Frames in a clip."""
        return 1 + (self.samples - self.frame) // self.hop

    @property
    def fft(self) -> int:
        """Length of the FFT: the next power of two."""
        return 1 << (self.frame - 1).bit_length()

    @property
    def output_shape(self) -> tuple[int, ...]:
        """Shape of one input of the model: `(frames, bands, 1)`."""
        return (self.frames, self.bands, 1)

    def __call__(self, recordings: Any) -> np.ndarray:
        """Computes the spectrograms of clips.

        Args:
            recordings: Array of shape `(clips, samples)`: floats from -1 to 1, or int16.

        Returns:
            Array of shape `(clips, frames, bands, 1)`, float32.

        Raises:
            TypeError: If they aren't floats or int16.
            ValueError: If they are of another shape, or hold NaN or infinity.
        """
        waves = parameters.check_recording("recordings", recordings, ("clips", self.samples))
        if waves.dtype.kind != "f" and waves.dtype != np.int16:
            raise TypeError(
                "recordings must be floats from -1 to 1, or int16. "
                f"Received: recordings={shown(waves)}"
            )
        scale = 1.0 if waves.dtype.kind == "f" else 1 / _FULL_SCALE
        made = np.empty((len(waves), *self.output_shape), "float32")
        for start in range(0, len(waves), _AT_ONCE):
            part = waves[start : start + _AT_ONCE].astype("float64") * scale
            made[start : start + _AT_ONCE, ..., 0] = self._spectrograms(part)
        return made

    def _spectrograms(self, waves):
        frames = np.lib.stride_tricks.sliding_window_view(waves, self.frame, axis=1)
        frames = frames[:, :: self.hop]
        power = np.abs(np.fft.rfft(frames * self._hann, self.fft)) ** 2 @ self._weights
        if self.level:
            squares = np.square(frames).mean(axis=(1, 2), keepdims=True)
            power /= squares + _LEAST_POWER
        values = np.log(power + self.offset)
        if not self.standardize:
            return values
        mean = values.mean(axis=(1, 2), keepdims=True)
        variance = values.var(axis=(1, 2), keepdims=True)
        return (values - mean) / np.sqrt(variance + _LEAST_VARIANCE)

    @functools.cached_property
    def _hann(self):
        phase = 2 * np.pi * np.arange(self.frame) / self.frame
        return np.float32(0.5 - 0.5 * np.cos(phase))

    @functools.cached_property
    def _weights(self):
        """Matrix of shape `(fft / 2 + 1, bands)`: HTK's triangles, without the constant part."""
        mel = lambda hertz: 1127 * np.log1p(np.asarray(hertz) / 700)  # noqa: E731
        edges = np.linspace(mel(self.lowest), mel(self.highest), self.bands + 2)
        below, center, above = edges[:-2], edges[1:-1], edges[2:]
        bins = mel(np.linspace(0, self.rate / 2, self.fft // 2 + 1))[:, None]
        rising, falling = (bins - below) / (center - below), (above - bins) / (above - center)
        weights = np.maximum(0, np.minimum(rising, falling))
        weights[0] = 0
        return np.float32(weights)

    def constants(self) -> dict[str, Any]:
        """Returns what the C++ source is filled in with."""
        spans = [np.flatnonzero(column) for column in self._weights.T]
        columns = zip(spans, self._weights.T, strict=True)
        phase = 2 * np.pi * np.arange(self.fft // 2) / self.fft
        return {
            **{name: getattr(self, name) for name in ("frame", "hop", "fft", "frames", "bands")},
            "step": self.step,
            "starts": np.array([span[0] for span in spans]),
            "counts": np.array([len(span) for span in spans]),
            "weights": np.concatenate([column[span] for span, column in columns]),
            "hann": self._hann,
            "cosines": np.float32(np.cos(phase)),
            "sines": np.float32(np.sin(phase)),
            "offset": np.float32(self.offset),
            "level": int(self.level),
            "standardize": int(self.standardize),
            "least_power": np.float32(_LEAST_POWER),
            "least_variance": np.float32(_LEAST_VARIANCE),
            "microphone_rate": _MICROPHONE,
            "averaged": _MICROPHONE // self.rate,
        }

    def test_recording(self) -> np.ndarray:
        """Returns a clip of noise that swells, int16."""
        words, swell = random_words(self.samples), np.arange(self.samples) % 4096
        return ((words * swell >> 12) - 8 * swell).astype("int16")[None]
