"""The manifest of a cache: what it was made of, what it holds, and how both are compared."""

import hashlib
import json
import pathlib

import numpy as np

from keras_distill.files import write_whole

FILE = "manifest.json"
FORMAT = 3
_WITH_OLD_WORDS = 2


def write(directory, content):
    """Writes the manifest, whole or not at all, with a checksum of itself.

    Args:
        directory: Folder of the cache.
        content: Dictionary that `json` can write.
    """
    text = json.dumps({"checksum": _checksum(content), **content}, indent=1, sort_keys=True)
    write_whole(pathlib.Path(directory) / FILE, text.encode() + b"\n")


def read(directory):
    """Reads the manifest of a cache.

    Args:
        directory: Folder of the cache.

    Returns:
        Dictionary.

    Raises:
        FileNotFoundError: If there is none.
        ValueError: If it is damaged, or of another format.
    """
    path = pathlib.Path(directory) / FILE
    if not path.is_file():
        raise FileNotFoundError(_nothing_at(path.parent))
    try:
        content = json.loads(path.read_bytes())
        found = content.pop("checksum")
    except (ValueError, KeyError, AttributeError):
        content, found = {}, None
    if found != _checksum(content):
        raise ValueError(
            f"{path} is damaged: its checksum doesn't match what it says. Delete the folder and "
            "build the cache again."
        )
    content = translated(content)
    if content.get("format") != FORMAT:
        raise ValueError(
            f"The cache in {str(path.parent)!r} was made by another version of keras_distill: its "
            f"format is {content.get('format')}, this version's is {FORMAT}. Delete the folder "
            "and build the cache again, or give another one."
        )
    return content


def translated(content):
    """Returns a manifest of format 2 in the words of this one, and any other as it is.

    Args:
        content: Dictionary, as `read` finds it.
    """
    if content.get("format") != _WITH_OLD_WORDS:
        return content
    content = dict(content)
    targets = [target for group in content.pop("parts") for target in group["parts"]]
    renamed = {
        "targets": targets,
        "candidates": content.pop("surveys"),
        "output_activation": content.pop("ends_in"),
    }
    return {**content, **renamed, "format": FORMAT}


def is_of_manifest(name):
    """Whether a file is the manifest, or one that another worker is writing at the same moment.

    Args:
        name: The file's name.
    """
    return name == FILE or (name.startswith(".") and (name.endswith(".kd") or FILE in name))


def _nothing_at(directory):
    if not directory.is_dir():
        return (
            f"There is no folder {str(directory)!r}: if its cache was moved, give the new place, "
            "else make one with TeacherCache.build(directory, teacher, dataset, "
            "distillation_losses)."
        )
    if any(directory.glob("*.tfrecord")):
        return (
            f"{str(directory)!r} holds a cache's shards without its {FILE}: restore that file "
            "too, or delete the folder and build the cache again."
        )
    return (
        f"{str(directory)!r} holds no teacher cache: {FILE} is missing. Make one with "
        "TeacherCache.build(directory, teacher, dataset, distillation_losses)."
    )


def _checksum(content):
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def file_checksum(path):
    """Returns the SHA-256 of a file.

    Args:
        path: The file.
    """
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def weights_checksum(model):
    """Returns the SHA-256 of all weights of a model, in their order.

    Args:
        model: A built `keras.Model`, or `None` for a teacher without weights to look at.
    """
    if model is None:
        return "none"
    digest = hashlib.sha256()
    for weight in model.weights:
        value = np.ascontiguousarray(weight.numpy())
        digest.update(f"{value.dtype} {value.shape}".encode())
        digest.update(value.tobytes())
    return digest.hexdigest()


def check_same(directory, recorded, wanted):
    """Checks that a cache is the one that is wanted.

    Args:
        directory: Folder of the cache, for the error.
        recorded: Dictionary of what the cache was made of.
        wanted: The same of what is wanted now.

    Raises:
        ValueError: If they differ; the error names what differs.
    """
    differing = [
        f"{name}: {_brief(recorded.get(name))} there, {_brief(wanted.get(name))} now"
        for name in wanted
        if recorded.get(name) != wanted[name]
    ]
    if differing:
        raise ValueError(
            f"The cache in {str(directory)!r} is of something else. " + "; ".join(differing) + ". "
            "Give another directory, or delete this one to build it again."
        )


def _brief(value):
    text = value if isinstance(value, str) else json.dumps(value)
    return f"{text[:8]}…" if len(text) == 64 and " " not in text else text
