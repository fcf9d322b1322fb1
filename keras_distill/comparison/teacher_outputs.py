"""The teacher of a comparison: run once for all runs where that is possible, otherwise live."""

import contextlib

import keras
import numpy as np

from keras_distill._compat import set_own_trainable
from keras_distill.arguments import check_choice
from keras_distill.cache import TeacherCache, manifest
from keras_distill.comparison.settings import described
from keras_distill.features.batches import CachedBatch
from keras_distill.features.branch_kinds import branch_of
from keras_distill.files import temporary_folder

# What lies in memory while the arms are trained. Of more samples the size is estimated first.
_MOST_BYTES, _FEW = 2**30, 4096


class TeacherOutputs:
    """The teacher of every run, and the training data that belongs to it.

    Args:
        teacher: As for `compare`.
        teacher_input: As for `Distiller`.
        train: The part to train on.
        cache: `"auto"`, `True` or `False`.

    Attributes:
        notes: List of sentences on what was decided.

    Raises:
        ValueError: If `cache` is none of these, or the teacher is a cache and `cache` is `False`.
    """

    def __init__(self, teacher, teacher_input, train, cache):
        check_choice("cache", cache, ("auto", True, False))
        self.teacher, self.notes = teacher, []
        self.teacher_input, self._train, self._choice = teacher_input, train, cache
        self._cache, self._joined, self._names = None, None, set()
        self.is_cache = teacher is not None and not branch_of(teacher, "teacher").computes
        if self.is_cache and cache is False:
            raise ValueError("The teacher is a TeacherCache: leave cache=False out.")

    @contextlib.contextmanager
    def unchanged(self):
        """Leaves the teacher trainable where it was: a distiller freezes it."""
        is_trainable = getattr(self.teacher, "trainable", None)
        try:
            yield
        finally:
            if isinstance(self.teacher, keras.Model):
                set_own_trainable(self.teacher, is_trainable)

    @contextlib.contextmanager
    def prepared(self, candidates):
        """Runs the teacher over the training part, for the candidates whose losses allow it.

        Args:
            candidates: List of candidates that are still to be trained.
        """
        chosen = [candidate for candidate in candidates if candidate.can_be_cached]
        reason = self._reason_against(candidates, chosen)
        if reason is not None and self._choice is True:
            raise ValueError(f"{reason} Leave cache=True out.")
        if self.teacher is None or not chosen or self._choice is False:
            chosen = []
        with temporary_folder() as folder:
            if chosen and reason is None:
                self._read(folder, chosen)
            yield self

    def _reason_against(self, candidates, chosen):
        """Returns why the teacher must run live, or `None`."""
        if self.is_cache:
            return None
        if not self._train.is_fixed:
            return "A cache needs arrays or a tf.data.Dataset, not a PyDataset or a function."
        live = [candidate.name for candidate in candidates if candidate not in chosen]
        if live and self._choice is True:
            return f"A cache can't serve the candidates {', '.join(map(repr, live))}."
        return None

    def _read(self, folder, chosen):
        """Makes a cache, or takes the one that the teacher is, and reads it."""
        cache = self.teacher
        if not self.is_cache:
            losses = [loss for candidate in chosen for loss in candidate.losses]
            if self._is_too_large(folder / "some", losses):
                return
            cache = self._built(folder / "all", self._source(), losses)
        if self._train.kind == "arrays":
            self._joined = _read_whole(cache, self._train)
        else:
            self._joined = {"x": cache.join(self._train.made()), "shuffle": False}
        self._cache, self._names = cache, {candidate.name for candidate in chosen}

    def _source(self):
        return self._train.arrays if self._train.kind == "arrays" else self._train.made()

    def _built(self, folder, source, losses):
        return TeacherCache.build(
            folder,
            self.teacher,
            source,
            losses,
            dtype="float32",
            teacher_input=self.teacher_input,
            verbose=0,
        )

    def _is_too_large(self, folder, losses):
        if self._train.kind != "arrays" or self._train.count <= _FEW or self._choice is True:
            return False
        some = keras.tree.map_structure(lambda leaf: leaf[:64], self._train.arrays)
        size = self._built(folder, some, losses).nbytes / 64 * self._train.count
        if size > _MOST_BYTES:
            self.notes.append(
                f"The teacher ran in every step: its outputs would take {size / 2**30:.1f} GiB of "
                "memory. cache=True keeps them all the same."
            )
        return size > _MOST_BYTES

    def of(self, arm, batch_size, seed):
        """Returns the teacher of a run, its input function, and the arguments of `fit`.

        Args:
            arm: The candidate.
            batch_size: Samples per update.
            seed: Seed of the run.
        """
        if arm.name not in self._names:
            arguments = self._train.fit_arguments(batch_size, seed)
            return self.teacher, self.teacher_input, arguments
        if self._train.kind == "arrays":
            return self._cache, None, self._train.in_batches(self._joined, batch_size, seed)
        return self._cache, None, self._joined


def teacher_fingerprint(teacher):
    """Returns what tells a teacher from another, for `json`.

    Args:
        teacher: As for `compare`.
    """
    if isinstance(teacher, keras.Model):
        return manifest.weights_checksum(teacher)
    return described(getattr(teacher, "made_of", teacher))


def _read_whole(cache, train):
    """Returns a tuple of arrays of all samples, the inputs with the teacher's outputs."""
    x, *rest = train.arrays
    batches = cache.join((x, np.arange(train.count)), shuffle=False, batch_size=1024)
    read = list(batches.as_numpy_iterator())
    index = np.concatenate([batch.index for batch, _ in read])
    np.testing.assert_array_equal(index, np.arange(train.count))
    targets = {
        name: np.concatenate([batch.targets[name] for batch, _ in read])
        for name in read[0][0].targets
    }
    return CachedBatch(x, index, targets), *rest
