"""The records of a comparison: finished runs on the disk, so that a killed one goes on."""

import contextlib
import dataclasses
import hashlib
import json

import keras

from keras_distill.arguments import check_directory
from keras_distill.comparison.training_runs import Run
from keras_distill.files import locked_folder, write_whole

FILE = "comparison.json"
_FORMAT = 1


class Records:
    """Finished runs of a comparison, in memory and in a folder if there is one.

    Args:
        directory: Folder, or `None`.
        setup: Dictionary, for `json`, of what all runs have in common.
        arms: Dictionary from arm to what tells it from another.

    Raises:
        TypeError: If `directory` is no path.
        ValueError: If the folder holds a comparison of something else, or a damaged one.
    """

    def __init__(self, directory, setup, arms):
        self._folder = None
        self._runs, self.students = {}, {}
        # As `json` gives it back, so that both compare.
        self._setup, self._arms = json.loads(json.dumps([setup, arms]))
        if directory is not None:
            self._folder = check_directory("directory", directory)

    @contextlib.contextmanager
    def opened(self):
        """Reads what is there, and keeps other writers out."""
        if self._folder is None:
            yield self
            return
        with locked_folder(self._folder):
            self._read()
            yield self

    def get(self, arm, seed):
        """Returns a finished `Run`, or `None`."""
        return self._runs.get((arm, seed))

    def add(self, run, student=None):
        """Keeps a finished run, and its student where one is given.

        Args:
            run: `Run`.
            student: `keras.Model` to keep, or `None`.
        """
        key = run.arm, run.seed
        self._runs[key] = run
        if student is not None:
            self.students[key] = student
        if self._folder is None:
            return
        if student is not None:
            student.save(self._student_file(*key))
        content = {
            "format": _FORMAT,
            "setup": self._setup,
            "arms": self._arms,
            "runs": [dataclasses.asdict(run) for run in self._runs.values()],
        }
        write_whole(self._folder / FILE, json.dumps(content, indent=1).encode() + b"\n")

    def student(self, arm, seed):
        """Returns a kept student, or `None`.

        Args:
            arm: Name of the arm.
            seed: The seed.
        """
        if (arm, seed) not in self.students and self._folder is not None:
            file = self._student_file(arm, seed)
            if file.is_file():
                self.students[arm, seed] = keras.models.load_model(file, compile=False)
        return self.students.get((arm, seed))

    def has_student(self, arm, seed):
        """Returns whether a student was kept, without reading it."""
        is_saved = self._folder is not None and self._student_file(arm, seed).is_file()
        return (arm, seed) in self.students or is_saved

    def _student_file(self, arm, seed):
        # Names of arms are texts of any kind.
        name = hashlib.sha256(arm.encode()).hexdigest()[:12]
        return self._folder / f"student-{name}-{seed}.keras"

    def _read(self):
        path = self._folder / FILE
        if not path.is_file():
            return
        try:
            content = json.loads(path.read_bytes())
            found, setup, arms = content["format"], content["setup"], content["arms"]
            runs = [Run(**run) for run in content["runs"]]
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(
                f"{path} is damaged: it isn't what compare wrote. Delete it to train all runs "
                "again, or give another directory."
            ) from error
        differing = [f"format: {found} there, {_FORMAT} now"] if found != _FORMAT else []
        differing += [
            f"{name}: {_brief(setup.get(name))} there, {_brief(value)} now"
            for name, value in self._setup.items()
            if setup.get(name) != value
        ]
        differing += [
            f"the candidate {name!r}: {_brief(arms[name])} there, {_brief(value)} now"
            for name, value in self._arms.items()
            if name in arms and arms[name] != value
        ]
        if differing:
            raise ValueError(
                f"{path} is of another comparison. {'; '.join(differing)}. Give another directory, "
                "or delete this file to train all runs again."
            )
        self._runs = {(run.arm, run.seed): run for run in runs}
        # Candidates that this call leaves out stay for the next one.
        self._arms = {**arms, **self._arms}


def _brief(value):
    text = json.dumps(value)
    if len(text) <= 160:
        return text
    return f"{text[:100]}… ({hashlib.sha256(text.encode()).hexdigest()[:8]})"
