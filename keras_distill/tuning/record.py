"""The record of a search in a folder: what it is of, what was proposed, how each fold scored."""

import hashlib
import json

from keras_distill.arguments import check_directory
from keras_distill.files import write_whole

FILE = "tuning.json"
_FORMAT = 1
# The name of its folder; a checksum is none.
ALONE = "student_alone"


class Record:
    """Files that a search goes on from, each written whole or not at all.

    Args:
        directory: Folder of the search.
    """

    def __init__(self, directory):
        self.directory = check_directory("directory", directory)
        self._scores = self.directory / "folds"
        self._proposals = self.directory / "trials"

    def check(self, made_of):
        """Checks that the folder is new, or of the same search.

        Args:
            made_of: Dictionary from words to what `json` can write.

        Raises:
            ValueError: If the folder holds another search, or other files. Nothing in it changes.
        """
        file = self.directory / FILE
        if not file.exists():
            others = sorted(path.name for path in self.directory.glob("*"))
            if others:
                raise ValueError(
                    f"The folder holds other files ({', '.join(others[:3])}): give the search a "
                    f"folder of its own. Received: directory={str(self.directory)!r}"
                )
        else:
            self._check_same(made_of)

    def begin(self, made_of):
        """Writes what the search is of, in a folder that no other process searches in.

        Args:
            made_of: As for `check`.

        Raises:
            ValueError: If another process began another search since the check.
        """
        self.check(made_of)
        for folder in (self.directory, self._scores, self._proposals):
            folder.mkdir(parents=True, exist_ok=True)
        if not (self.directory / FILE).exists():
            write_whole(self.directory / FILE, as_json({"format": _FORMAT, "made_of": made_of}))

    def _check_same(self, made_of):
        content = read(self.directory / FILE)
        if content.get("format") != _FORMAT:
            raise ValueError(
                f"{str(self.directory / FILE)!r} is of another version of this package: give "
                "another directory."
            )
        # As json reads it, so that it compares equal.
        wanted, found = json.loads(as_json(made_of)), content["made_of"]
        differing = [key for key in wanted if wanted[key] != found.get(key)]
        if differing:
            there = [f"{key}: {_short(found.get(key))} there" for key in differing]
            here = [f"{_short(wanted[key])} here" for key in differing]
            what = "; ".join(f"{a}, {b}" for a, b in zip(there, here, strict=True))
            raise ValueError(
                f"The search in {str(self.directory)!r} is another one ({what}). Its results stay "
                "as they are: give another directory, or the same arguments to go on."
            )

    def proposal(self, number):
        """Returns the values of a trial's hyperparameters, `None` if it wasn't proposed yet.

        Args:
            number: Number of the trial.
        """
        file = self._proposals / f"{number:04d}.json"
        return read(file) if file.exists() else None

    def propose(self, number, values):
        """Keeps the values of a trial's hyperparameters.

        Args:
            number: Number of the trial.
            values: Dictionary of values.
        """
        write_whole(self._proposals / f"{number:04d}.json", as_json(values))

    def proposals(self):
        """Returns the values of all trials, in their order."""
        return [read(file) for file in sorted(self._proposals.glob("*.json"))]

    def folds(self, values, epochs):
        """Returns the finished folds of a trial, a dictionary from number to what was recorded.

        Args:
            values: Values of the hyperparameters, or `None` for the student alone.
            epochs: Epochs of each training.
        """
        folder = self._scores / key_of(values, epochs)
        return {int(file.stem): read(file) for file in sorted(folder.glob("*.json"))}

    def finish(self, values, epochs, number, outcome):
        """Keeps what came of a fold.

        Args:
            values: As for `folds`.
            epochs: As for `folds`.
            number: Number of the fold.
            outcome: Dictionary that `json` can write.
        """
        folder = self._scores / key_of(values, epochs)
        folder.mkdir(parents=True, exist_ok=True)
        write_whole(folder / f"{number:04d}.json", as_json(outcome))


def key_of(values, epochs):
    """Returns a name for a trial, the same in each process.

    Args:
        values: Values of the hyperparameters, or `None` for the student alone.
        epochs: Epochs of each training.
    """
    if values is None:
        return ALONE
    text = json.dumps([values, epochs], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:24]


def as_json(content):
    """Returns what is written of some content, as bytes.

    Args:
        content: What `json` can write.
    """
    return json.dumps(content, indent=1).encode("utf-8")


def read(file):
    """Returns the content of a file of a record.

    Args:
        file: `pathlib.Path`.

    Raises:
        ValueError: If it is damaged.
    """
    try:
        return json.loads(file.read_text("utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(
            f"{str(file)!r} is damaged: remove it, and the search does again what it was of."
        ) from error


def _short(value):
    text = json.dumps(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
