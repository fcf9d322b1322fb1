"""The results of a comparison: values, gains, p-values, verdicts, table and picture."""

import math
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_distill import visualization
from keras_distill.comparison import statistics
from keras_distill.comparison.candidates import ALONE
from keras_distill.comparison.verdicts import verdict
from keras_distill.visualization.rendering import table_text

if TYPE_CHECKING:
    import keras
    from matplotlib.figure import Figure
    from rich.table import Table

_WIDTH = 100


class Comparison:
    """Results of `compare`: the student alone and each candidate, on test data.

    Gains are paired by seed and positive where the candidate is better, for a metric of which less
    is better too. `print(comparison)` shows the table and the verdicts.

    Args:
        metric: `Metric` that is reported.
        seeds: List of the seeds.
        runs: Dictionary from arm to its `Run` objects, one per seed; the student alone, if it was
            trained, comes first.
        teacher: The teacher's own value of the metric, or `None`.
        notes: List of sentences on how the runs were made.
        students: Dictionary from arm to its students, one per seed; empty if none were kept.

    Attributes:
        metric: Name of the metric.
        higher_is_better: Whether more of it is better.
        seeds: List of the seeds.
        values: Dictionary from arm to an array with the metric on the test data, one number per
            seed, NaN for a run that failed.
        results: Dictionary from arm to a list of dictionaries of all metrics, one per seed.
        histories: Dictionary from arm to a list of the training histories, one per seed.
        gains: Dictionary from candidate to an array of its gains over the student alone, one per
            seed; NaN where that wasn't trained.
        mean_gains: Dictionary from candidate to its mean gain.
        standard_errors: Dictionary from candidate to the standard error of its mean gain.
        p_values: Dictionary from candidate to the p-value of the paired t-test, two-sided. NaN with
            one seed, or where all gains are the same.
        adjusted_p_values: The same, corrected for the number of candidates by Holm's method.
        verdicts: Dictionary from candidate to a sentence.
        failures: Dictionary from arm to a dictionary from seed to the reason.
    """

    def __init__(
        self,
        metric: Any,
        seeds: Sequence[int],
        runs: dict[str, list],
        teacher: Any = None,
        notes: Sequence[str] = (),
        students: dict[str, list] | None = None,
    ):
        self.metric, self.higher_is_better = metric.name, metric.higher_is_better
        self._metric, self.seeds, self.notes = metric, list(seeds), list(notes)
        self.teacher, self.students = teacher, students or {}
        self.results = {arm: [run.results for run in of_arm] for arm, of_arm in runs.items()}
        self.histories = {arm: [run.history for run in of_arm] for arm, of_arm in runs.items()}
        self.updates = {arm: [run.updates for run in of_arm] for arm, of_arm in runs.items()}
        self.failures = {
            arm: {run.seed: run.failure for run in of_arm if run.failure}
            for arm, of_arm in runs.items()
        }
        self.values = {
            arm: np.array([math.nan if run.failure else run.results[metric.name] for run in of_arm])
            for arm, of_arm in runs.items()
        }
        self._compute()
        self.notes += self._note_on_the_teacher()

    def _note_on_the_teacher(self):
        if self.teacher is None or not self._has_control:
            return []
        alone = self.values[ALONE][~np.isnan(self.values[ALONE])]
        if not len(alone):
            return []
        if self._metric.gains(self.teacher, alone.mean()) > 0:
            return []
        return [
            f"The teacher itself ({self._metric.text(self.teacher)}) is no better on the test data "
            f"than the {ALONE} ({self._metric.text(alone.mean())}): a better teacher may help more."
        ]

    @property
    def _has_control(self):
        return ALONE in self.values

    def _compute(self):
        alone = self.values.get(ALONE, np.full(len(self.seeds), math.nan))
        names = [arm for arm in self.values if arm != ALONE]
        self.gains = {name: self._metric.gains(self.values[name], alone) for name in names}
        paired = {name: gains[~np.isnan(gains)] for name, gains in self.gains.items()}
        self.mean_gains = {
            name: float(gains.mean()) if len(gains) else math.nan for name, gains in paired.items()
        }
        self.standard_errors = {
            name: statistics.standard_error(gains) for name, gains in paired.items()
        }
        self.p_values = {name: statistics.paired_p_value(gains) for name, gains in paired.items()}
        corrected = statistics.holm(list(self.p_values.values()))
        self.adjusted_p_values = dict(zip(names, corrected, strict=True))
        self.verdicts = {name: self._verdict(name, paired[name], corrected) for name in names}

    def _verdict(self, name, gains, corrected):
        failures = {**self.failures.get(ALONE, {}), **self.failures[name]}
        if not self._has_control and len(failures) < len(self.seeds):
            return f"{name} wasn't compared: the {ALONE} wasn't trained."
        return verdict(
            name,
            self._metric,
            gains,
            self.p_values[name],
            self.adjusted_p_values[name],
            len([p for p in corrected if not math.isnan(p)]),
            failures,
            len(self.seeds),
        )

    @property
    def rows(self) -> list[dict[str, str]]:
        """The table as a list of dictionaries from column to text, one per arm."""
        several = len(self.gains) > 1
        rows = []
        if self.teacher is not None:
            rows.append(self._row("teacher", self._metric.text(self.teacher), several))
        for arm, values in self.values.items():
            finished = values[~np.isnan(values)]
            text = "failed"
            if len(finished):
                mean, error = finished.mean(), statistics.standard_error(finished)
                text = self._metric.spread(mean, error)
            rows.append(self._row(arm, text, several, f"{len(finished)}"))
        return rows

    def _row(self, arm, value, several, seeds=""):
        name = self.metric + (" %" if self._metric.is_share else "")
        row = {"": arm, name: value, "seeds": seeds}
        if not self._has_control:
            return row
        row |= {f"gain{self._metric.unit}": "", "p": ""}
        if several:
            row["p (Holm)"] = ""
        if arm in self.gains and not math.isnan(self.mean_gains[arm]):
            gain = self._metric.difference(self.mean_gains[arm], self.standard_errors[arm])
            row[f"gain{self._metric.unit}"] = gain
            row["p"] = _probability(self.p_values[arm])
            if several:
                row["p (Holm)"] = _probability(self.adjusted_p_values[arm])
        return row

    def table(self) -> str:
        """Returns the table as text: each arm's mean ± standard error, gains and p-values."""
        return table_text(self._rich_table(), _WIDTH).rstrip("\n")

    def _rich_table(self) -> "Table":
        from rich.table import Table
        from rich.text import Text

        table = Table()
        for column in self.rows[0]:
            table.add_column(column, justify="right" if column else "left")
        for row in self.rows:
            # Names of candidates are the user's: brackets in them are brackets.
            table.add_row(*map(Text, row.values()))
        return table

    def __rich_console__(self, console, options):
        yield self._rich_table()
        for sentence in self._sentences():
            yield sentence.replace("[", "\\[")

    def _sentences(self):
        yield "Mean ± standard error on the test data." + self._has_control * (
            f" Gains over the {ALONE} are paired by seed"
            + ("." if self.higher_is_better else f"; + is less {self.metric}, better.")
        )
        yield from self.verdicts.values()
        yield from self.notes

    def __str__(self):
        return "\n".join([self.table(), *self._sentences()])

    def __repr__(self):
        return f"<Comparison of {', '.join(self.values)}: {self.metric}, seeds {self.seeds}>"

    def plot(self, path: str | os.PathLike | None = None) -> "Figure":
        """Draws each arm's values, paired by seed, and the gains with their standard errors.

        Args:
            path: File to write as PNG. Defaults to none.

        Returns:
            A `matplotlib.figure.Figure`.

        Raises:
            ImportError: If matplotlib is not installed.
            ValueError: If no run has results, or the student alone wasn't trained.
        """
        if not self._has_control:
            raise ValueError(
                f"There are no gains to draw, as the {ALONE} wasn't trained: give compare "
                "control=True."
            )
        scale = 100 if self._metric.is_share else 1
        name = self.metric + (" %" if self._metric.is_share else "")
        return visualization.plot_gains(
            {arm: scale * values for arm, values in self.values.items()},
            metric=name,
            higher_is_better=self.higher_is_better,
            path=path,
        )

    def best_student(self, candidate: str) -> "keras.Model":
        """Returns the kept student of a candidate whose validation loss ended lowest.

        Args:
            candidate: Name of a candidate, or `"student alone"`.

        Raises:
            ValueError: If there is no such arm, no student of it was kept, or there was no
                validation data to choose on.
        """
        if not self.students.get(candidate):
            raise ValueError(
                f"There is no student of {candidate!r}: compare keeps them with "
                f"keep_students=True. Kept: {', '.join(self.students) or 'none'}"
            )
        last = [history.get("val_loss", [math.nan])[-1] for history in self.histories[candidate]]
        if np.isnan(last).all():
            raise ValueError(
                "There was no validation data to choose a student on, and the test data is for "
                "the report: give data with a validation part, or take one of "
                f"comparison.students[{candidate!r}]."
            )
        return self.students[candidate][int(np.nanargmin(last))]

    def to_dict(self) -> dict[str, Any]:
        """Returns all numbers in a dictionary that `json` can write; NaN becomes `None`."""
        content = {
            "metric": self.metric,
            "higher_is_better": self.higher_is_better,
            "seeds": self.seeds,
            "teacher": self.teacher,
            "values": self.values,
            "gains": self.gains,
            "mean_gains": self.mean_gains,
            "standard_errors": self.standard_errors,
            "p_values": self.p_values,
            "adjusted_p_values": self.adjusted_p_values,
            "verdicts": self.verdicts,
            "failures": self.failures,
            "results": self.results,
            "histories": self.histories,
            "updates": self.updates,
            "notes": self.notes,
        }
        return _plain(content)


def _plain(value):
    if isinstance(value, dict):
        return {str(key): _plain(part) for key, part in value.items()}
    if isinstance(value, (list, np.ndarray)):
        return [_plain(part) for part in value]
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    return value


def _probability(p):
    if math.isnan(p):
        return "-"
    return "< 0.001" if p < 0.001 else f"{p:.3f}"
