"""Training data that the command line names: a data set, an .npz file or a folder by class."""

import dataclasses
import functools
import hashlib
import pathlib

import numpy as np

from keras_distill.arguments import closest
from keras_distill.cli import command_input
from keras_distill.cli.run_options import Option

OPTIONS = [
    Option(
        "--data",
        "digits, a tensorflow-datasets name, an .npz file (x_train and y_train; maybe x_test, "
        "y_test, x_val, y_val and labels), or a folder with a folder of images or .wav files per "
        "class",
        replaces=("data_dir", "image_size", "log_mel", "samples", "scale", "split_seed"),
    ),
    Option("--data-dir", "folder of tensorflow-datasets", settings={"metavar": "FOLDER"}),
    Option(
        "--image-size",
        "size that images are resized to; by default that of the models' input",
        settings={"nargs": 2, "type": int, "metavar": ("HEIGHT", "WIDTH")},
    ),
    Option(
        "--scale",
        "what the pixels of --data reached from and to when the teacher was trained, such as 0 255 "
        "or -1 1; default: 0 1, and an .npz file as it is",
        settings={"nargs": 2, "type": float, "metavar": ("LOW", "HIGH")},
    ),
    Option(
        "--log-mel",
        "arguments of sensors.LogMel, which makes the inputs of .wav files, such as rate=8000 "
        "samples=8000",
        settings={"nargs": "+", "metavar": "NAME=VALUE"},
    ),
    Option(
        "--samples",
        "training samples to keep, every class in proportion; default: all",
        settings={"type": command_input.count, "metavar": "COUNT"},
    ),
    Option(
        "--split-seed",
        "what chooses the validation and the test part, where the data has none",
        0,
        settings={"type": int, "metavar": "SEED"},
    ),
]
_PARTS = {"train": "train", "val": "validation", "test": "test"}


@dataclasses.dataclass(frozen=True)
class TrainingData:
    """Inputs and classes of the three parts.

    Args:
        name: Name of the data, for files.
        labels: Tuple of the names of the classes.
        parts: Dictionary from `"train"`, `"validation"` and `"test"` to arrays `(x, y)`.
        files: Dictionary from part to the names of its files, or `None` where there are none.
        sensor: `sensors.LogMel` that made the inputs, or `None`.
    """

    name: str
    labels: tuple
    parts: dict
    files: dict | None = None
    sensor: object = None

    @property
    def input_shape(self):
        """Shape of one input."""
        return self.parts["train"][0].shape[1:]

    @functools.cached_property
    def checksum(self):
        """What tells these arrays from others, a text."""
        from keras_distill.comparison.parts import ArrayPart

        prints = [ArrayPart(part, arrays).fingerprint() for part, arrays in self.parts.items()]
        return hashlib.sha256(" ".join(prints).encode()).hexdigest()

    def describe(self):
        """Returns a dictionary, for `json`, of what is in which part."""
        parts = {}
        for part, (_, y) in self.parts.items():
            counts = np.bincount(y, minlength=len(self.labels)).tolist()
            parts[part] = {
                "samples": len(y),
                "classes": dict(zip(self.labels, counts, strict=True)),
            }
            if self.files is not None:
                parts[part]["files"] = self.files[part]
        return parts


def check(settings):
    """Checks what can be known of the options before Keras is imported.

    Args:
        settings: Namespace of the options of the data.

    Raises:
        ValueError: If they don't go together, or a file isn't there.
    """
    source = pathlib.Path(settings.data)
    is_file = source.suffix in (".npz", ".npy") or source.exists()
    if source.suffix == ".npy":
        raise ValueError(
            "--data needs labels: an .npz file with x_train and y_train. "
            f"Received: --data {settings.data}"
        )
    if is_file and not source.is_dir():
        command_input.check_file(source)
        if source.suffix != ".npz":
            raise ValueError(
                "--data takes digits, a tensorflow-datasets name, an .npz file or a folder. "
                f"Received: --data {settings.data}"
            )
    _check_acts(settings, source)
    if settings.scale is not None:
        command_input.check_scale(*settings.scale)


def _check_acts(settings, source):
    """Refuses options that the kind of data doesn't take."""
    if source.suffix == ".npz":
        kind, taken = "an .npz file", ("samples", "scale", "split_seed")
    elif source.is_dir() and _has_sounds(source):
        kind, taken = "a folder of .wav files", ("log_mel", "samples", "split_seed")
    elif source.is_dir():
        kind, taken = "a folder of images", ("image_size", "samples", "scale", "split_seed")
    elif settings.data == "digits":
        kind, taken = "digits", ("image_size", "samples", "scale")
    else:
        kind, taken = "a data set by name", ("data_dir", "image_size", "samples", "scale")
    for option in OPTIONS:
        is_given = getattr(settings, option.name) != option.default
        if option.name != "data" and option.name not in taken and is_given:
            raise ValueError(
                f"{option.flag} has nothing to do for {kind}: leave it out. "
                f"Received: --data {settings.data}"
            )


def load(settings, input_shape=None):
    """Returns the data.

    Args:
        settings: As for `check`.
        input_shape: Shape of the models' input, which images are resized to, or `None`.

    Raises:
        ValueError: If the data is unknown, damaged or doesn't suit the models.
    """
    source = pathlib.Path(settings.data)
    if source.suffix == ".npz":
        data = _of_file(source, settings)
    elif source.is_dir() and _has_sounds(source):
        data = _of_sounds(source, settings)
    else:
        data = _of_images(source, settings, input_shape)
    shape = data.input_shape
    if input_shape is not None and not _suits(shape, input_shape):
        hint = " --log-mel sets rate, samples, frame, hop and bands." if data.sensor else ""
        raise ValueError(
            f"The data doesn't suit the model: its inputs have the shape {tuple(shape)}, and the "
            f"model takes {tuple(input_shape)}.{hint} Received: --data {settings.data}"
        )
    return data


def _suits(shape, wanted):
    return len(shape) == len(wanted) and all(
        size in (given, None) for given, size in zip(shape, wanted, strict=True)
    )


def _has_sounds(folder):
    return any(path.suffix.lower() == ".wav" for path in folder.rglob("*"))


def _of_images(source, settings, input_shape):
    """Returns a named set, or a folder of images."""
    from keras_distill.datasets import image_folders, load, names

    size, channels = settings.image_size, None
    if input_shape is not None and len(input_shape) == 3:
        *own, channels = input_shape
        size = size or (None if None in own else own)
    files = None
    if source.is_dir():
        found = _files_by_class(source, image_folders.SUFFIXES, settings)
        channels = channels if channels in (1, 3) else None
        data, files = image_folders.load_images(source, found, size, channels), _names(found)
    else:
        name = settings.data
        known = names()
        if name.split("/")[0].split(":")[0] not in known:
            raise ValueError(
                f"There is no file or folder {name!r}, and no data set of that name."
                f"{closest(name, known)}"
            )
        data = load(name, settings.data_dir, settings.samples, image_size=size)
        _check_kept(data.y_train, data.num_classes, settings)
    low, high = settings.scale or (0.0, 1.0)

    def inputs(x):
        x = image_folders.with_channels(x, channels)
        return x if (low, high) == (0.0, 1.0) else (low + (high - low) * x).astype("float32")

    parts = {
        part: (inputs(getattr(data, f"x_{key}")), getattr(data, f"y_{key}"))
        for key, part in _PARTS.items()
    }
    return TrainingData(_file_name(data.name), data.labels, parts, files)


def _of_sounds(source, settings):
    from keras_distill.datasets import sound_folders
    from keras_distill.sensors import LogMel

    log_mel = LogMel(**_arguments(settings.log_mel or []))
    found = _files_by_class(source, sound_folders.SUFFIXES, settings)
    data = sound_folders.load_sounds(source, found, log_mel)
    parts = {
        part: (getattr(data, f"x_{key}"), getattr(data, f"y_{key}")) for key, part in _PARTS.items()
    }
    return TrainingData(_file_name(data.name), data.labels, parts, _names(found), log_mel)


def _files_by_class(source, suffixes, settings):
    """Returns the `ClassFolders` of a folder, with as many training files as are asked for."""
    from keras_distill.datasets import class_folders

    found = class_folders.find(source, suffixes, 0.15, 0.15, settings.split_seed)
    paths, classes = found.parts["train"]
    kept = _kept(classes, settings)
    train = [paths[index] for index in kept], classes[kept]
    return dataclasses.replace(found, parts={**found.parts, "train": train})


def _kept(classes, settings):
    """Returns the indices of the training samples that `--samples` keeps."""
    from keras_distill.datasets.sources import proportional

    kept = proportional(classes, settings.samples, settings.split_seed)
    _check_kept(classes[kept], len(np.unique(classes)), settings)
    return kept


def _check_kept(classes, count, settings):
    """Refuses `--samples` that leave fewer classes than there are."""
    lacking = count - len(np.unique(classes))
    if settings.samples is not None and lacking:
        raise ValueError(
            f"--samples {settings.samples} leaves {lacking} of {count} classes without a training "
            "sample: give more."
        )


def _arguments(words):
    """Returns the arguments of `LogMel` that words such as rate=8000 are."""
    import yaml

    from keras_distill.sensors import LogMel

    known = [field.name for field in dataclasses.fields(LogMel)]
    given = {}
    for word in words:
        name, separator, value = word.partition("=")
        if not separator or name not in known:
            raise ValueError(
                f"--log-mel takes NAME=VALUE with the names {', '.join(known)}."
                f"{closest(name, known)} Received: --log-mel {word}"
            )
        given[name] = yaml.safe_load(value)
    return given


def _names(found):
    return {part: [str(path) for path in found.parts[key][0]] for key, part in _PARTS.items()}


def _of_file(path, settings):
    """Returns the data of an .npz file; parts that it lacks are taken from the training part."""
    from keras_distill.datasets.sources import proportional

    arrays = command_input.read_arrays(path)
    for key in ("x_train", "y_train"):
        if key not in arrays:
            raise ValueError(
                f"{path} has no array {key}: it must hold x_train and y_train, and may hold "
                f"x_test, y_test, x_val, y_val and labels. Received: arrays {', '.join(arrays)}"
            )
    arrays = _with_numbered_classes(path, arrays)
    parts = {part: _part(path, arrays, key) for key, part in _PARTS.items()}
    count = len(parts["train"][1])
    for part in ("test", "validation"):
        if parts[part] is None:
            x, y = parts["train"]
            apart = proportional(y, max(1, round(0.15 * count)), settings.split_seed)
            rest = np.setdiff1d(np.arange(len(y)), apart)
            parts |= {"train": (x[rest], y[rest]), part: (x[apart], y[apart])}
    if settings.samples is not None:
        x, y = parts["train"]
        kept = _kept(y, settings)
        parts["train"] = x[kept], y[kept]
    most = max(int(y.max()) for _, y in parts.values())
    labels = tuple(map(str, arrays.get("labels", range(most + 1))))
    if most >= len(labels) or len(labels) < 2:
        raise ValueError(
            f"{path} must hold two or more classes, and as many labels. Received: classes up to "
            f"{most}, labels {', '.join(labels)}"
        )
    if settings.scale is not None:
        parts = {
            part: (command_input.rescaled(x, *settings.scale), y) for part, (x, y) in parts.items()
        }
    return TrainingData(_file_name(path.stem), labels, parts)


def _with_numbered_classes(path, arrays):
    """Returns the arrays with classes as numbers where they are names, or rows with a single 1."""
    given = {f"y_{key}": arrays[f"y_{key}"] for key in _PARTS if f"y_{key}" in arrays}
    given = {key: _one_per_sample(y) for key, y in given.items()}
    if not all(y.dtype.kind in "US" for y in given.values()):
        return {**arrays, **given}
    names = {key: y.astype("U") for key, y in given.items()}
    found = np.unique(np.concatenate([each.ravel() for each in names.values()]))
    labels = np.asarray(arrays.get("labels", found)).astype("U")
    unknown = np.setdiff1d(found, labels)
    if len(unknown):
        raise ValueError(
            f"{path} has samples of classes that its labels lack: {', '.join(unknown[:5])}. "
            f"Received: labels {', '.join(labels[:10])}"
        )
    places = {label: number for number, label in enumerate(labels)}
    numbers = {key: np.vectorize(places.get)(each) for key, each in names.items()}
    return {**arrays, **numbers, "labels": labels}


def _one_per_sample(y):
    """Returns labels without a second axis, where that is a column, or rows with a single 1."""
    if y.shape[1:] == (1,):
        return y[:, 0]
    is_rows = y.ndim == 2 and y.dtype.kind in "biuf" and np.isin(y, (0, 1)).all()
    return y.argmax(axis=1) if is_rows and (y.sum(axis=1) == 1).all() else y


def _part(path, arrays, key):
    """Returns the inputs and classes of a part, or `None` where there is none."""
    x, y = arrays.get(f"x_{key}"), arrays.get(f"y_{key}")
    if x is None and y is None:
        return None
    if x is None or y is None:
        lacking = f"x_{key}" if x is None else f"y_{key}"
        raise ValueError(f"{path} has no array {lacking}, which belongs to the other one.")
    if y.ndim != 1 or y.dtype.kind not in "iu" or len(y) != len(x) or not len(y) or y.min() < 0:
        raise ValueError(
            f"{path}: y_{key} must be the class of each sample of x_{key}: whole numbers from 0 "
            "on, names, or rows with a 1 at the class. "
            f"Received: y_{key} of shape {y.shape}, {y.dtype}, x_{key} of shape {x.shape}"
        )
    if x.dtype.kind not in "biuf" or not np.isfinite(x).all():
        raise ValueError(f"{path}: x_{key} must hold finite numbers. Received: {x.dtype}")
    return x, y.astype("int32")


def _file_name(name):
    """Returns a name of data as one of files: letters, digits and underscores."""
    return "".join(sign if sign.isalnum() and sign.isascii() else "_" for sign in name) or "data"
