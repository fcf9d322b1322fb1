"""Evolution as a search algorithm of KerasTuner: copies of the best students, a little changed.

It imports KerasTuner, so that only a search imports it.
"""

import keras_tuner
import numpy as np

from keras_distill.tuning import oracles

# How often the best, the second and the third is the parent of a new student.
_PARENTS = (0.5, 0.3, 0.2)
# How often one, two or three of its hyperparameters change.
_CHANGES = (0.6, 0.3, 0.1)
_MOST_SIMILAR = 100
# Times the number of fitting ones: where few fit, a large one is the largest of fewer.
_MOST_DRAWN = 4


class EvolutionOracle(keras_tuner.Oracle):
    """Proposes the space's defaults, large students, and then changed copies of the best.

    Among students that fit a small board the larger ones are mostly the better: the first ones are
    each the largest of several that fit, drawn by chance. After them, one of the three best so far
    is copied, and up to three of its hyperparameters move to the next value, or by a twentieth to a
    tenth of their range.

    Args:
        size_of: Function from values to the size of a student, `None` if it doesn't fit.
        first: Number of students before the first copy.
        drawn: Number of fitting students of which a large one is the largest.
        **kwargs: As for `keras_tuner.Oracle`.

    Reference:
        - Real et al., "Regularized Evolution for Image Classifier Architecture Search", 2019,
          https://arxiv.org/abs/1802.01548.
    """

    def __init__(self, size_of, first=5, drawn=8, **kwargs):
        super().__init__(**kwargs)
        self._size_of, self._first, self._drawn = size_of, first, drawn
        self._rng = np.random.default_rng(self.seed)
        self._proposed = set()

    def populate_space(self, trial_id):
        """Proposes values for a trial."""
        number, values = int(trial_id), None
        if number == 0:
            values = self._fitting_defaults()
        elif number >= self._first:
            values = self._changed_copy()
        if values is None:
            values = self._large()
        if values is None:
            return {"status": "STOPPED", "values": None}
        self._proposed.add(_key(values))
        return {"status": "RUNNING", "values": values}

    def _fitting_defaults(self):
        values = oracles.defaults_of(self.hyperparameters)
        return values if self._size_of(values) is not None else None

    def _large(self):
        """Returns the largest of several random students that fit, `None` if none is found."""
        fitting = []
        for number in range(_MOST_SIMILAR):
            if fitting and number >= _MOST_DRAWN * self._drawn:
                break
            values = self._child({})
            if _key(values) in self._proposed:
                continue
            size = self._size_of(values)
            if size is not None:
                fitting.append((size, values))
            if len(fitting) == self._drawn:
                break
        return max(fitting, key=lambda pair: pair[0])[1] if fitting else None

    def _changed_copy(self):
        """Returns a copy of one of the best that fits and is new, `None` if none is found."""
        # KerasTuner fills the list up with trials that failed.
        best = self.get_best_trials(len(_PARENTS))
        best = [trial for trial in best if trial.status == "COMPLETED"]
        if not best:
            return None
        shares = np.array(_PARENTS[: len(best)])
        for _ in range(_MOST_SIMILAR):
            parent = self._rng.choice(len(best), p=shares / shares.sum())
            values = self._child(best[parent].hyperparameters.values)
            if _key(values) not in self._proposed and self._size_of(values) is not None:
                return values
        return None

    def _child(self, parent):
        """Returns a changed copy of values; what they lack is drawn by chance."""
        count = 1 + self._rng.choice(len(_CHANGES), p=_CHANGES)
        active = [hp.name for hp in self.hyperparameters.space if hp.name in parent]
        changed = set(self._rng.permutation(sorted(set(active)))[:count])
        child = keras_tuner.HyperParameters()
        for hp in self.hyperparameters.space:
            child.merge([hp])
            if not child.is_active(hp):
                continue
            if hp.name not in parent:
                child.values[hp.name] = hp.random_sample(int(self._rng.integers(2**31)))
            elif hp.name in changed:
                child.values[hp.name] = self._beside(hp, parent[hp.name])
            else:
                child.values[hp.name] = parent[hp.name]
        return child.values

    def _beside(self, hp, value):
        """Returns another value: a little up or down where values are ordered."""
        if not getattr(hp, "ordered", True):
            others = [other for other in hp.values if other != value]
            return others[self._rng.integers(len(others))] if others else value
        place, way = hp.value_to_prob(value), self._rng.choice([-1.0, 1.0])
        for direction in (way, -way):
            step = self._rng.uniform(0.05, 0.1)
            while step < 2.0:
                moved = hp.prob_to_value(float(np.clip(place + direction * step, 0.0, 1.0 - 1e-6)))
                if moved != value:
                    return moved
                step *= 2.0
        return value


def _key(values):
    return str(sorted(values.items()))
