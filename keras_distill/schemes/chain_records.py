"""The finished links of a chain on the disk, so that a killed one goes on."""

import contextlib
import hashlib
import json

import keras
import numpy as np

from keras_distill._compat import all_layers
from keras_distill.arguments import check_directory
from keras_distill.cache import manifest
from keras_distill.files import locked_folder, temporary_folder, write_whole

FILE = "chain.json"
_FORMAT = 1


class ChainRecords:
    """Finished links of a chain, in a folder if there is one.

    Args:
        directory: Folder, or `None`.
        teacher: The first teacher.
        data: The data of all links.
        settings: Dictionary of what the links share.

    Raises:
        TypeError: If `directory` is no path.
        ValueError: If it is a file.
    """

    def __init__(self, directory, teacher, data, settings):
        self._folder, self._links, self._students = None, [], []
        if directory is None:
            return
        self._folder = check_directory("directory", directory)
        setup = {name: _described(value) for name, value in settings.items()}
        setup |= {"teacher": _teacher_fingerprint(teacher), "data": _data_fingerprint(data)}
        # As `json` gives it back, so that both compare.
        self._setup = json.loads(json.dumps(setup))

    @contextlib.contextmanager
    def opened(self, students):
        """Reads what is there, and keeps other writers out.

        Args:
            students: Models of all links.

        Raises:
            ValueError: If the folder holds another chain, or other files.
        """
        if self._folder is None:
            yield self
            return
        with locked_folder(self._folder):
            self._students = [_structure(student) for student in students]
            self._read()
            yield self

    def restored(self, number, student):
        """Gives a student the weights of its finished link, and returns the link's history.

        Args:
            number: Number of the link.
            student: Its model.

        Returns:
            Dictionary, or `None` if the link isn't finished.

        Raises:
            ValueError: If the file is damaged.
        """
        if number >= len(self._links):
            return None
        link, path = self._links[number], self._path(number)
        if not path.is_file() or manifest.file_checksum(path) != link["checksum"]:
            raise ValueError(
                f"{path} is missing or damaged: it isn't what distill_chain wrote. Delete the "
                "folder to train all links again, or give another directory."
            )
        student.load_weights(path)
        return link["history"]

    def add(self, number, student, history):
        """Keeps a finished link: its student first, then the record that it is there.

        Args:
            number: Number of the link.
            student: Its trained model.
            history: Its history.
        """
        if self._folder is None:
            return
        with temporary_folder() as folder:
            student.save(folder / "student.keras")
            write_whole(self._path(number), (folder / "student.keras").read_bytes())
        checksum = manifest.file_checksum(self._path(number))
        structure = self._students[number]
        self._links.append({"student": structure, "checksum": checksum, "history": history})
        content = {"format": _FORMAT, "setup": self._setup, "links": self._links}
        write_whole(self._folder / FILE, json.dumps(content, indent=1).encode() + b"\n")

    def _path(self, number):
        return self._folder / f"link-{number}.keras"

    def _read(self):
        path = self._folder / FILE
        if not path.is_file():
            # What a killed run may have left: the student of the first link.
            known = {self._path(0).name}
            found = [file.name for file in self._folder.iterdir()]
            others = [name for name in found if name not in known and not name.endswith(".kd")]
            if others:
                raise ValueError(
                    f"{str(self._folder)!r} holds other files ({', '.join(sorted(others)[:3])}): "
                    "give a folder of its own to the chain."
                )
            return
        try:
            content = json.loads(path.read_bytes())
            found, setup, links = content["format"], content["setup"], content["links"]
            structures = [link["student"] for link in links]
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(
                f"{path} is damaged: it isn't what distill_chain wrote. Delete the folder to train "
                "all links again, or give another directory."
            ) from error
        differing = [] if found == _FORMAT else [f"format: {found} there, {_FORMAT} now"]
        differing += [
            f"{name}: {_brief(setup.get(name))} there, {_brief(value)} now"
            for name, value in self._setup.items()
            if setup.get(name) != value
        ]
        if len(structures) > len(self._students):
            differing.append(f"{len(structures)} models there, {len(self._students)} now")
        differing += [
            f"students[{index}] has other layers"
            for index, (old, new) in enumerate(zip(structures, self._students, strict=False))
            if old != new
        ]
        if differing:
            raise ValueError(
                f"{path} is of another chain. {'; '.join(differing)}. Give another directory, or "
                "delete this one to train all links again."
            )
        self._links = links


def _structure(model):
    """Returns a checksum of a model's layers and of the shapes of its weights."""
    layers = [type(layer).__name__ for layer in all_layers(model)]
    shapes = [[list(weight.shape), weight.dtype] for weight in model.weights]
    return hashlib.sha256(json.dumps([layers, shapes]).encode()).hexdigest()


def _teacher_fingerprint(teacher):
    if isinstance(teacher, keras.Model):
        return manifest.weights_checksum(teacher)
    return _described(getattr(teacher, "made_of", teacher))


def _data_fingerprint(data):
    """Returns a checksum of arrays; of other data, what is known without reading it."""
    if not isinstance(data, tuple) and not hasattr(data, "shape"):
        return str(getattr(data, "element_spec", type(data).__name__))
    digest = hashlib.sha256()
    for leaf in keras.tree.flatten(data):
        array = np.ascontiguousarray(leaf)
        digest.update(f"{array.dtype} {array.shape}".encode())
        digest.update(array.tobytes() if array.dtype != object else str(array.tolist()).encode())
    return digest.hexdigest()


def _described(value):
    """Returns a setting in a form that `json` can write, the same in every process."""
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, dict):
        return {str(key): _described(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [_described(part) for part in value]
    if hasattr(value, "get_config"):
        # Keras counts the names of what has none.
        return [type(value).__name__, _described({**value.get_config(), "name": None})]
    return getattr(value, "__qualname__", type(value).__qualname__)


def _brief(value):
    text = json.dumps(value)
    return text if len(text) <= 160 else f"{text[:120]}…"
