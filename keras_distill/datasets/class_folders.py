"""Files in one folder per class, divided into a training, a validation and a test part."""

import dataclasses
import pathlib

import numpy as np

from keras_distill.arguments import check_count, check_path, closest, shown
from keras_distill.datasets.sources import proportional

_PARTS = {"train": "train", "val": "val", "validation": "val", "test": "test"}
# What file managers leave in any folder.
_NOT_THE_USERS = {"thumbs.db", "desktop.ini", "__macosx"}
_FEWEST = 3


@dataclasses.dataclass(frozen=True)
class ClassFolders:
    """Files of each part, with the class of each.

    Args:
        labels: Tuple of the names of the classes, sorted: those of the folders.
        parts: Dictionary from `"train"`, `"val"` and `"test"` to a tuple of a list of paths and an
            int32 array of their classes.
    """

    labels: tuple
    parts: dict


def find(directory, suffixes, validation_split, test_split, seed):
    """Finds the files of a folder with one folder per class, and divides them into parts.

    Args:
        directory: Folder of the classes, or of `train`, `test` and maybe `validation` (or `val`)
            with the classes inside.
        suffixes: Tuple of the endings of the files that count.
        validation_split: Share of the files that is the validation part, in (0, 1), where there is
            no folder of it.
        test_split: The same of the test part.
        seed: Integer that the parts are chosen with, every class in proportion.

    Returns:
        `ClassFolders`.

    Raises:
        TypeError: If an argument is of the wrong type.
        ValueError: If a share is out of bounds, there are fewer than two classes, a class has too
            few files, or a file is of another kind.
        FileNotFoundError: If there is no such folder.
    """
    directory = check_path("directory", directory)
    if not directory.is_dir():
        raise FileNotFoundError(f"There is no folder {str(directory)!r}.")
    check_count("seed", seed, low=0, high=2**32 - 1)
    shares = {"validation_split": validation_split, "test_split": test_split}
    for name, share in shares.items():
        _check_share(name, share)
    if validation_split + test_split >= 1:
        raise ValueError(
            "validation_split and test_split leave nothing to train on: their sum must be below 1. "
            f"Received: validation_split={validation_split}, test_split={test_split}"
        )
    folders = _subfolders(directory)
    given = {_PARTS[folder.name]: folder for folder in folders if folder.name in _PARTS}
    if "train" not in given or len(given) < len(folders):
        given = {"train": directory}
    labels = tuple(folder.name for folder in _subfolders(given["train"]))
    if len(labels) < 2:
        raise ValueError(
            f"{str(given['train'])!r} must hold two or more folders, one per class, with files "
            f"inside. Received: {', '.join(map(repr, labels)) or 'no folder'}"
        )
    parts = {part: _files(folder, labels, suffixes) for part, folder in given.items()}
    count = len(parts["train"][0])
    for part, share in (("test", test_split), ("val", validation_split)):
        if part not in given:
            parts["train"], parts[part] = _divided(parts["train"], share * count, seed)
    _check_classes(parts, labels, directory)
    return ClassFolders(labels, {part: parts[part] for part in ("train", "val", "test")})


def _check_share(name, share):
    if not isinstance(share, (int, float)) or isinstance(share, bool):
        raise TypeError(f"{name} must be a number, a share. Received: {name}={shown(share)}")
    if not 0 < share < 1:
        raise ValueError(f"{name} must be above 0 and below 1. Received: {name}={shown(share)}")


def _subfolders(directory):
    return sorted(
        (path for path in directory.iterdir() if path.is_dir() and _is_the_users(path)),
        key=lambda path: path.name,
    )


def _is_the_users(path):
    return not path.name.startswith(".") and path.name.lower() not in _NOT_THE_USERS


def _files(directory, labels, suffixes):
    """Returns the paths of the files in the folders of classes, and their classes."""
    paths, classes = [], []
    for folder in _subfolders(directory):
        if folder.name not in labels:
            raise ValueError(
                f"{str(folder)!r} is the folder of a class that the training part doesn't have."
                f"{closest(folder.name, labels)} Received: classes {', '.join(labels)}"
            )
        found = [path for path in sorted(folder.rglob("*")) if _is_data(path, folder)]
        for path in found:
            if path.suffix.lower() not in suffixes:
                raise ValueError(
                    f"{str(path)!r} is none of the files that are read here "
                    f"({', '.join(suffixes)}): convert it, or move it elsewhere."
                )
        if not found:
            raise ValueError(
                f"The folder {str(folder)!r} of a class is empty: put files ({', '.join(suffixes)})"
                " there, or remove it."
            )
        paths += found
        classes += [labels.index(folder.name)] * len(found)
    return paths, np.array(classes, "int32")


def _is_data(path, folder):
    return path.is_file() and all(
        _is_the_users(pathlib.Path(name)) for name in path.relative_to(folder).parts
    )


def _divided(part, count, seed):
    """Returns a part without some files, every class in proportion, and a part of those."""
    paths, classes = part
    # Each class has a file apart, however few it has.
    apart = np.zeros(len(paths), bool)
    apart[proportional(classes, max(len(set(classes)), round(count)), seed)] = True
    for each in np.unique(classes):
        members = np.flatnonzero(classes == each)
        if not apart[members].any():
            apart[members[0]] = True
    return tuple(
        ([paths[index] for index in np.flatnonzero(chosen)], classes[chosen])
        for chosen in (~apart, apart)
    )


def _check_classes(parts, labels, directory):
    counts = {
        part: np.bincount(classes, minlength=len(labels)) for part, (_, classes) in parts.items()
    }
    total = sum(counts.values())
    lacking = [name for name, count in zip(labels, counts["train"], strict=True) if not count]
    if lacking:
        name = lacking[0]
        raise ValueError(
            f"The class {name!r} of {str(directory)!r} has too few files to train on, to choose on "
            f"and to test on: at least {_FEWEST} are needed, and some ten are better. "
            f"Received: {total[labels.index(name)]} files"
        )
