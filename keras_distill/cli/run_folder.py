"""The folder of a run: new, or of the same run, which then goes on."""

import contextlib
import hashlib
import json
import shutil

from keras_distill.arguments import check_directory
from keras_distill.files import locked_folder, write_whole

_FORMAT = 1
# Of what is saved of an unfinished training: what another version left isn't read.
_EPOCHS_FORMAT = 2


class RunFolder:
    """Folder that a command writes into, with what a killed run needs to go on.

    Args:
        path: Path of the folder.
        command: Name of the command.

    Attributes:
        command: The same.
        path: Absolute `pathlib.Path`.
        training: `pathlib.Path` of the folder inside that holds what was trained.

    Raises:
        ValueError: If a file has that name.
    """

    def __init__(self, path, command):
        self.path = check_directory("output", path)
        self.training = self.path / "training"
        self.command = command
        self._file = self.training / "run.json"

    def check(self, settings):
        """Checks that the folder is new, empty, or of the same run. Nothing in it changes.

        A folder in which a run of ours has trained nothing yet is as good as new.

        Args:
            settings: Dictionary, for `json`, of what makes the run what it is.

        Raises:
            ValueError: If it holds another run, or other files.
        """
        if not self._file.is_file():
            others = sorted(path.name for path in self.path.glob("*") if not self._is_begun(path))
            if others:
                raise ValueError(
                    f"The folder {str(self.path)!r} holds other files ({', '.join(others[:3])}): "
                    "give a new one by --output."
                )
            return
        try:
            content = json.loads(self._file.read_bytes())
            found = content["settings"]
            is_ours = content["format"] == _FORMAT and content["command"] == self.command
        except (ValueError, KeyError, TypeError):
            is_ours = False
        if not is_ours:
            raise ValueError(
                f"{str(self._file)!r} isn't what `keras-distill {self.command}` writes: give a "
                "new folder by --output."
            )
        settings = json.loads(json.dumps(settings))
        differing = [
            f"{name} was {json.dumps(found.get(name))} there and is {json.dumps(value)} now"
            for name, value in settings.items()
            if found.get(name) != value
        ]
        if differing and self._has_trained():
            raise ValueError(
                f"The folder {str(self.path)!r} is of another run: {'; '.join(differing)}. Give a "
                "new one by --output, or the same options to go on."
            )

    def _is_begun(self, path):
        """Says whether a path is the empty folder that a run leaves that was killed at once."""
        return path == self.training and path.is_dir() and not any(path.iterdir())

    def _has_trained(self):
        """Says whether there is more than settings: a run that failed before is in no one's way."""
        return any(path.is_file() and path != self._file for path in self.training.rglob("*"))

    @contextlib.contextmanager
    def opened(self, settings):
        """Writes what the run is, and keeps other runs out of the folder.

        Args:
            settings: As for `check`.
        """
        with locked_folder(self.path):
            self.check(settings)
            self.training.mkdir(exist_ok=True)
            content = {"format": _FORMAT, "command": self.command, "settings": settings}
            self.write("training/run.json", json.dumps(content, indent=1) + "\n")
            yield self

    def write(self, name, text):
        """Writes a file whole or not at all.

        Args:
            name: Its name in the folder.
            text: What it holds.
        """
        write_whole(self.path / name, text.encode("utf-8"))

    def save(self, model, name):
        """Saves a model whole or not at all, and without what it was compiled with.

        Args:
            model: `keras.Model`.
            name: Name of the file in the folder.

        Returns:
            The model as it was saved.
        """
        import keras

        unfinished = self.training / f"unfinished_{name}"
        model.save(unfinished)
        # An optimizer that has made no update can't be loaded without a warning.
        plain = keras.models.load_model(unfinished, compile=False)
        plain.save(unfinished)
        unfinished.replace(self.path / name)
        return plain

    def backup(self, *made_of):
        """Returns the folder of a training's epochs, another one for another training.

        Args:
            *made_of: Texts that tell it from others.
        """
        digest = hashlib.sha256(json.dumps([_EPOCHS_FORMAT, *made_of]).encode()).hexdigest()[:16]
        return self.training / "epochs" / digest

    def forget_epochs(self):
        """Removes what only an unfinished training needs."""
        shutil.rmtree(self.training / "epochs", ignore_errors=True)
