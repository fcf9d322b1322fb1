"""Recordings of sound in one folder per class, as spectrograms."""

import math
import os
import pathlib
import warnings

import numpy as np

from keras_distill.arguments import shown
from keras_distill.datasets import class_folders
from keras_distill.datasets.dataset import Dataset
from keras_distill.sensors import LogMel

SUFFIXES = (".wav",)


def sounds_from_directory(
    directory: str | os.PathLike,
    features: LogMel | None = None,
    validation_split: float = 0.15,
    test_split: float = 0.15,
    seed: int = 0,
) -> Dataset:
    """Loads a folder of `.wav` files, one folder per class, as log-mel spectrograms.

    The folder is laid out as for `keras.utils.audio_dataset_from_directory`, or divided as for
    `images_from_directory`. Channels are averaged, other rates than that of `features` are
    resampled, and each recording is cut after `features.samples` samples, or filled up with zeros.

    Args:
        directory: The folder. Hidden files don't count.
        features: `sensors.LogMel` that makes the inputs, the same as later on the board. By default
            `LogMel()`.
        validation_split: As for `images_from_directory`.
        test_split: As for `images_from_directory`.
        seed: As for `images_from_directory`.

    Returns:
        A `Dataset` of inputs (frames, bands, 1).

    Raises:
        TypeError: If an argument is of the wrong type.
        ValueError: If there are fewer than two classes, a class has too few recordings, or a file
            is damaged or none.
        FileNotFoundError: If there is no such folder.

    Example:
        ```python
        import pathlib
        import tempfile

        from scipy.io import wavfile

        folder = pathlib.Path(tempfile.mkdtemp())
        for name, pitch in (("low", 300), ("high", 900)):
            (folder / name).mkdir()
            for index in range(4):
                wave = np.sin(2 * np.pi * pitch * np.arange(16_000) / 16_000 + index)
                wavfile.write(folder / name / f"{index}.wav", 16_000, wave.astype("float32"))
        data = keras_distill.datasets.sounds_from_directory(folder)
        assert data.labels == ("high", "low") and data.input_shape == (49, 40, 1)
        ```
    """
    if features is not None and not isinstance(features, LogMel):
        raise TypeError(
            f"features must be a keras_distill.sensors.LogMel. Received: features={shown(features)}"
        )
    found = class_folders.find(directory, SUFFIXES, validation_split, test_split, seed)
    return load_sounds(directory, found, features or LogMel())


def load_sounds(directory, found, features):
    """Returns the spectrograms of found files as a `Dataset`.

    Args:
        directory: Where they were found.
        found: `ClassFolders`.
        features: `LogMel`.
    """
    arrays = {}
    for part, (paths, classes) in found.parts.items():
        waves = np.stack([_wave(path, features.rate, features.samples) for path in paths])
        arrays |= {f"x_{part}": features(waves), f"y_{part}": classes}
    inputs = [arrays[f"x_{part}"] for part in found.parts]
    bounds = (
        math.floor(min(x.min() for x in inputs)),
        math.ceil(max(x.max() for x in inputs)) + 1,
    )
    name = pathlib.Path(directory).absolute().name
    return Dataset(name=name, labels=found.labels, range=bounds, **arrays)


def _wave(path, rate, samples):
    """Returns a recording as float32 from -1 to 1, of one channel, rate and length."""
    from scipy import signal
    from scipy.io import wavfile

    try:
        with warnings.catch_warnings():
            # Of notes in the file that aren't sound.
            warnings.simplefilter("ignore", wavfile.WavFileWarning)
            own_rate, wave = wavfile.read(path)
    # A damaged file ends in an error of any kind.
    except Exception as error:
        raise ValueError(
            f"{str(path)!r} can't be read as a recording: it is damaged, or no PCM .wav file. Mend "
            "it, or move it elsewhere."
        ) from error
    if not wave.size:
        raise ValueError(f"{str(path)!r} holds no sound: move it elsewhere.")
    if wave.dtype == np.uint8:
        wave = wave.astype("float32") / 128 - 1
    elif wave.dtype.kind == "i":
        wave = wave / -float(np.iinfo(wave.dtype).min)
    wave = wave.mean(axis=1) if wave.ndim == 2 else wave
    if own_rate != rate:
        common = math.gcd(own_rate, rate)
        wave = signal.resample_poly(wave, rate // common, own_rate // common)
    wave = wave[:samples].astype("float32")
    return np.pad(wave, (0, samples - len(wave)))
