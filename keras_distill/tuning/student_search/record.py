"""The record of a search for a student: what each candidate takes, how it scored, its weights."""

import dataclasses

from keras_distill.files import write_whole
from keras_distill.tuning.record import Record, as_json, key_of, read
from keras_distill.tuning.student_search.memory import Memory


class StudentRecord(Record):
    """A `Record` of candidates. What is written of one is never written again.

    Args:
        directory: Folder of the search.
    """

    def memory(self, values):
        """Returns the `Memory` of a candidate, `None` if it wasn't measured yet.

        Args:
            values: Values of its hyperparameters.
        """
        found = self._read(values, "memory.json")
        return None if found is None else Memory(**found)

    def keep_memory(self, values, memory):
        """Keeps what a candidate takes.

        Args:
            values: Values of its hyperparameters.
            memory: `Memory`.
        """
        self._write(values, "memory.json", {**dataclasses.asdict(memory), "values": values})

    def outcome(self, values, repeat=0):
        """Returns what came of a candidate's training, a dictionary, or `None` before that.

        Args:
            values: Values of its hyperparameters.
            repeat: Number of the training, from 0.
        """
        return self._read(values, f"outcome{_suffix(repeat)}.json")

    def outcomes(self, values):
        """Returns what came of all trainings of a candidate, a list.

        Args:
            values: Values of its hyperparameters.
        """
        found = []
        while (outcome := self.outcome(values, len(found))) is not None:
            found.append(outcome)
        return found

    def keep_outcome(self, values, outcome, repeat=0):
        """Keeps what came of a candidate's training.

        Args:
            values: Values of its hyperparameters.
            outcome: Dictionary for `json`.
            repeat: Number of the training, from 0.
        """
        self._write(values, f"outcome{_suffix(repeat)}.json", outcome)

    def measured(self):
        """Returns the values and the `Memory` of all candidates that were measured."""
        found = []
        for file in sorted(self._folder().glob("*/memory.json")):
            content = read(file)
            values = content.pop("values")
            found.append((values, Memory(**content)))
        return found

    def student_file(self, values, repeat=0):
        """Returns the path of a candidate's trained weights.

        Args:
            values: Values of its hyperparameters.
            repeat: Number of the training, from 0.
        """
        return self._folder(values) / f"student{_suffix(repeat)}.weights.h5"

    def _folder(self, values=None):
        folder = self.directory / "candidates"
        return folder if values is None else folder / key_of(values, None)

    def _read(self, values, name):
        file = self._folder(values) / name
        if not file.exists():
            return None
        content = read(file)
        content.pop("values", None)
        return content

    def _write(self, values, name, content):
        folder = self._folder(values)
        folder.mkdir(parents=True, exist_ok=True)
        write_whole(folder / name, as_json(content))


def _suffix(repeat):
    return f"_{repeat}" if repeat else ""
