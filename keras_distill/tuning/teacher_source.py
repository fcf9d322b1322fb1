"""The teacher of a search: its outputs computed once for all folds and trials."""

import keras
import numpy as np

from keras_distill.cache import TeacherCache
from keras_distill.comparison.parts import ArrayPart
from keras_distill.distiller import Distiller
from keras_distill.features.batches import take
from keras_distill.features.branch import beyond_tensors
from keras_distill.features.branch_kinds import branch_of
from keras_distill.losses.keras_loss import distillation_loss
from keras_distill.tuning.training_data import samples_at

FOLDER = "teacher_cache"
# A cache that is larger stays on the disk, and each run reads it from there.
_MOST_BYTES = 2**30


class TeacherSource:
    """Gives each run its teacher and its samples: from a cache where the losses allow it.

    Args:
        teacher: As for the `Distiller`.
        data: `TrainingData`.
        batch_size: Samples per update.
        teacher_input: As for the `Distiller`.
        student_input: As for the `Distiller`.

    Attributes:
        notes: List of sentences that the user should read.
    """

    def __init__(self, teacher, data, batch_size, teacher_input=None, student_input=None):
        self._teacher = teacher
        self._data = data
        self._batch_size = batch_size
        self._inputs = {"teacher_input": teacher_input, "student_input": student_input}
        branch = branch_of(teacher, "teacher", teacher_input)
        self._computes = teacher is not None and branch.computes
        self._cache = teacher if teacher is not None and not branch.computes else None
        # The student's own inputs, and what the cache keeps of all samples.
        self._seen, self._kept = data.seen_through(student_input), None
        self._has_unlabeled = len(data.labeled) < data.count
        self.notes = []

    def fill(self, directory, all_settings, verbose=0):
        """Computes what the losses need of the teacher, for all samples, in a folder.

        Args:
            directory: `pathlib.Path` of the search's folder. A finished cache there is used.
            all_settings: List of settings.
            verbose: As for `TeacherCache.build`.
        """
        needed = [
            loss
            for settings in all_settings
            if not _reasons(settings)
            for loss in settings["distillation_losses"]
        ]
        live = sorted({reason for settings in all_settings for reason in _reasons(settings)})
        self.notes = [f"The teacher runs in each step of the trials with {each}." for each in live]
        if self._has_unlabeled:
            self.notes.append(
                "The student alone was trained on the samples that have a label, repeated to the "
                "same number of updates."
            )
        if self._computes and needed:
            self._cache = TeacherCache.build(
                directory / FOLDER,
                self._teacher,
                self._data.arrays,
                needed,
                batch_size=self._batch_size,
                teacher_input=self._inputs["teacher_input"],
                verbose=verbose,
            )
        self._read()

    def open(self, directory):
        """Opens the cache that another process filled.

        Args:
            directory: As for `fill`.
        """
        if self._computes and (directory / FOLDER).exists():
            self._cache = TeacherCache(directory / FOLDER, verify=False)
        self._read()

    def distiller(self, settings, student):
        """Returns a distiller.

        Args:
            settings: As `checked_settings` returns.
            student: A new student.

        Returns:
            Tuple of the distiller and whether it learns from the cache.

        Raises:
            TypeError: If an argument of the distiller is of the wrong type.
            ValueError: If the settings don't suit the models.
        """
        if self._cache is not None and (not self._computes or not _reasons(settings)):
            inputs = {**self._inputs, "teacher_input": None}
            try:
                return Distiller(self._cache, student, **settings, **inputs), True
            except ValueError:
                # A layer that no example of the space had: the teacher itself has it.
                if not self._computes:
                    raise
        return Distiller(self._teacher, student, **settings, **self._inputs), False

    def fit_arguments(self, fold, from_cache):
        """Returns the arguments of `fit` for a distiller.

        Args:
            fold: `Fold`.
            from_cache: Whether it learns from the cache.
        """
        if not from_cache:
            return _of_arrays(samples_at(self._data, fold.train), self._batch_size)
        if self._kept is None:
            return {"x": self._joined(fold), "shuffle": False}
        batch = keras.tree.map_structure(lambda array: array[fold.train], self._kept)
        return _of_arrays((batch, *samples_at(self._data, fold.train)[1:]), self._batch_size)

    def fit_arguments_alone(self, fold):
        """Returns the arguments of `fit` for the student alone: the same batches, no teacher.

        Args:
            fold: `Fold`.
        """
        if self._cache is None or self._kept is not None or self._has_unlabeled:
            part = ArrayPart("training", samples_at(self._seen, fold.train))
            # As many samples as the distillers have, so that there are as many updates.
            part = part.only_labeled(self._data.classes is not None)
            return _of_arrays(part.arrays, self._batch_size)
        student_input = self._inputs["student_input"]
        return {
            "x": self._joined(fold).map(
                lambda x, *others: (take(student_input, x.inputs, "student_input"), *others)
            ),
            "shuffle": False,
        }

    def _joined(self, fold):
        return self._cache.join(
            self._data.arrays, batch_size=self._batch_size, seed=fold.seed, indices=fold.train
        )

    def _read(self):
        """Reads a cache that isn't too large into memory, where an epoch starts sooner."""
        if self._cache is None or self._cache.nbytes > _MOST_BYTES:
            return
        arrays = (self._data.arrays[0], np.arange(self._data.count))
        read = list(self._cache.join(arrays, shuffle=False, batch_size=1024).as_numpy_iterator())
        parts = [batch for batch, _ in read]
        kept = keras.tree.map_structure(lambda *leaves: np.concatenate(leaves), *parts)
        self._kept = kept._replace(inputs=self._data.arrays[0])


def _of_arrays(arrays, batch_size):
    names = ("x", "y", "sample_weight")
    return {**dict(zip(names, arrays, strict=False)), "batch_size": batch_size}


def _reasons(settings):
    """Returns why a cache can't serve some of the losses."""
    losses = [distillation_loss(loss) for loss in settings["distillation_losses"]]
    found = [(type(loss).__name__, beyond_tensors(loss)) for loss in losses]
    return [f"{name}, which {reason}" for name, reason in found if reason is not None]
