"""The result of a search: its trials, their statistics, and the best settings."""

import dataclasses
import math
import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from keras_distill.arguments import check_choice, shown
from keras_distill.comparison.metric import Metric
from keras_distill.comparison.statistics import holm, paired_p_value, standard_error
from keras_distill.distiller import Distiller
from keras_distill.tuning.settings import complexity, settings_of
from keras_distill.visualization.rendering import table_text

if TYPE_CHECKING:
    from matplotlib.figure import Figure

RULES = ("best", "one_standard_error")
_SIGNIFICANT = 0.05
_ROUNDING = 1e-6
_WIDTH = 120


@dataclasses.dataclass(frozen=True, eq=False)
class Trial:
    """Trial: one setting, scored on every fold.

    Args:
        name: The setting in words.
        values: Dictionary from hyperparameter to value; empty for the student alone.
        scores: Array with the score of each fold of each repeat; empty if the training diverged.
        epochs: Epochs of each training. HyperBand trains some settings less than others.
        seconds: Time of all folds.
        failure: What went wrong, or `None`.
    """

    name: str
    values: dict[str, Any]
    scores: np.ndarray
    epochs: int
    seconds: float
    failure: str | None = None

    @property
    def mean(self) -> float:
        """Mean score over the folds; NaN if the training diverged."""
        return float(self.scores.mean()) if len(self.scores) else math.nan

    @property
    def standard_error(self) -> float:
        """Standard error of the mean over the folds."""
        return standard_error(self.scores)


class TuningResult:
    """Result of `tune`: the trials, best first, beside the student alone.

    `print(result)` shows the table.

    Args:
        trials: List of `Trial`, without the student alone.
        alone: `Trial` of the student alone.
        metric: `Metric`.
        space: Function from hyperparameters to arguments of the `Distiller`.
        rule: `"best"` or `"one_standard_error"`.
        inputs: Dictionary with `teacher_input` and `student_input`.
        notes: List of sentences that the user should read.
    """

    def __init__(
        self,
        trials: Sequence[Trial],
        alone: Trial,
        metric: Metric,
        space: Callable,
        rule: str = "best",
        inputs: dict[str, Any] | None = None,
        notes: Sequence[str] = (),
    ):
        self.alone: Trial = alone
        self.metric: Metric = metric
        self.notes = list(notes)
        self.rule = check_choice("rule", rule, RULES)
        self.trials: list[Trial] = sorted(
            trials,
            key=lambda t: (math.isnan(t.mean), t.epochs != alone.epochs, metric.rank(t.mean)),
        )
        self._space = space
        self._inputs = inputs or {}
        self._finished = [t for t in self.trials if len(t.scores) and t.epochs == alone.epochs]

    def gains(self, trial: Trial) -> np.ndarray:
        """How much better a trial is than the student alone, fold by fold.

        Args:
            trial: One of `trials`.

        Returns:
            Array of differences, positive where the trial is better; empty if it diverged,
            or was trained for fewer epochs.
        """
        if trial.failure is not None or trial.epochs != self.alone.epochs:
            return np.empty(0)
        return self.metric.gains(trial.scores, self.alone.scores)

    @property
    def best_trial(self) -> Trial:
        """The trial that `rule` chooses.

        Raises:
            ValueError: If the training diverged in every trial.
        """
        if not self._finished:
            raise ValueError(
                "No trial was trained to its end, so there are no best settings: "
                f"{self.trials[0].failure if self.trials else 'no trial has all of its folds'}."
            )
        best = self._finished[0]
        if self.rule == "best":
            return best
        limit = best.standard_error
        close = [
            trial for trial in self._finished if self.metric.gains(best.mean, trial.mean) <= limit
        ]
        return min(close, key=lambda trial: complexity(settings_of(self._space, trial.values)))

    @property
    def best(self) -> dict[str, Any]:
        """The best settings, as arguments of the `Distiller`, with new losses in each call."""
        return settings_of(self._space, self.best_trial.values)

    @property
    def gain(self) -> float:
        """Mean gain of the best settings over the student alone, positive if they are better."""
        return float(self.gains(self.best_trial).mean())

    @property
    def p_values(self) -> list[float]:
        """p-value per trial: the paired t-test beside the student alone, corrected by Holm.

        Folds share training samples, so that these are too small rather than too large.
        """
        return holm([paired_p_value(self.gains(trial)) for trial in self.trials])

    @property
    def verdict(self) -> str:
        """What the search says, in a sentence."""
        best = self.best_trial
        gains = self.gains(best)
        gain = self._gain_text(gains)
        count = len(self._finished)
        settings = f"{count} setting{'s' * (count > 1)}"
        if gains.mean() <= 0:
            return f"Nothing to gain here: of {settings}, none is better than the student alone."
        p_value = self.p_values[self.trials.index(best)]
        if p_value < _SIGNIFICANT:
            return (
                f"{best.name}: {gain} over the student alone, p = {p_value:.2g} among "
                f"{settings}. Confirm it on test data, which the search has not seen."
            )
        return (
            f"No gain is shown: the best of {settings}, {best.name}, has {gain} over the "
            f"student alone, which chance may give (p = {p_value:.2g}, corrected for choosing "
            "among them). Give repeats=, more samples, or try settings that differ more."
        )

    def make_distiller(self, teacher: Any, student: keras.Model, **kwargs: Any) -> Distiller:
        """Returns a `Distiller` with the best settings.

        Args:
            teacher: As for the `Distiller`.
            student: As for the `Distiller`.
            **kwargs: Further arguments of the `Distiller`.
        """
        is_cache = hasattr(teacher, "make_branch")
        inputs = {k: v for k, v in self._inputs.items() if not (is_cache and k == "teacher_input")}
        return Distiller(teacher, student, **{**inputs, **self.best, **kwargs})

    def to_dict(self) -> dict[str, Any]:
        """Returns the result as a dictionary that `json` can write."""

        def of(trial, p_value=None):
            gains = self.gains(trial)
            return {
                "name": trial.name,
                "values": trial.values,
                "scores": trial.scores.tolist(),
                "mean": _finite(trial.mean),
                "standard_error": _finite(trial.standard_error),
                "gain": _finite(gains.mean() if len(gains) else math.nan),
                "gain_standard_error": _finite(standard_error(gains)),
                "p_value": _finite(math.nan if p_value is None else p_value),
                "epochs": trial.epochs,
                "seconds": trial.seconds,
                "failure": trial.failure,
            }

        return {
            "metric": dataclasses.asdict(self.metric),
            "rule": self.rule,
            "student_alone": of(self.alone),
            "trials": [of(*each) for each in zip(self.trials, self.p_values, strict=True)],
            "best": self.best_trial.name if self._finished else None,
            "verdict": self.verdict if self._finished else None,
            "notes": self.notes,
        }

    def plot(self, path: str | os.PathLike | None = None) -> "Figure":
        """Draws the score against each number of the settings, or by setting if there is none.

        Args:
            path: File to write as PNG. Defaults to none.

        Returns:
            A `matplotlib.figure.Figure`.

        Raises:
            ImportError: If matplotlib is not installed.
        """
        from keras_distill.visualization import plot_settings

        points = [
            {"name": t.name, "values": t.values, "mean": t.mean, "error": t.standard_error}
            for t in self._finished
        ]
        baseline = (self.alone.mean, self.alone.standard_error)
        return plot_settings(points, self.metric.name, baseline, path)

    def __rich__(self):
        from rich.table import Table

        what = f"{self.metric.name}{' in %' * self.metric.is_share}"
        table = Table(title=f"{what}, mean of {len(self.alone.scores)} trainings")
        table.add_column("setting")
        for column in ("mean ± standard error", "gain over the student alone", "p"):
            table.add_column(column, justify="right")
        better = [trial for trial in self._finished if self.gains(trial).mean() > 0]
        rows = list(zip(self.p_values, self.trials, strict=True))
        rows.insert(len(better), (math.nan, self.alone))
        chosen = self.best_trial if self._finished else None
        for p_value, trial in rows:
            table.add_row(*self._row(trial, p_value), style="bold" if trial is chosen else None)
        return table

    def _row(self, trial, p_value):
        name = trial.name
        if trial.epochs != self.alone.epochs:
            name += f" ({trial.epochs} epochs)"
        if trial.failure is not None:
            return name, f"failed: {trial.failure}", "", ""
        score = self.metric.spread(trial.mean, trial.standard_error)
        if trial is self.alone or trial.epochs != self.alone.epochs:
            return name, score, "", ""
        gain = self._gain_text(self.gains(trial))
        return name, score, gain, "" if math.isnan(p_value) else f"{p_value:.2g}"

    def _gain_text(self, gains):
        mean = gains.mean()
        # Scores are float32: what is left of their rounding is no gain.
        mean = 0.0 if abs(mean) < _ROUNDING * abs(self.alone.mean) else mean
        return self.metric.difference(mean, standard_error(gains)) + self.metric.unit

    def __str__(self):
        lines = [self.verdict] if self._finished else []
        return table_text(self, _WIDTH) + "\n".join([*lines, *self.notes])

    def __repr__(self):
        return (
            f"<TuningResult of {len(self.trials)} trials, "
            f"{shown(self.best_trial.name) if self._finished else 'all failed'}>"
        )


def _finite(value):
    return float(value) if math.isfinite(value) else None
