"""The result of a search for a student: the candidates, the best, and its trade-offs."""

import dataclasses
import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import keras

from keras_distill.arguments import check_choice
from keras_distill.comparison.metric import Metric
from keras_distill.comparison.statistics import standard_error
from keras_distill.visualization.rendering import table_text
from keras_distill.visualization.tradeoff_plot import pareto_front

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# What a trade-off can be drawn against: the attribute, and its axis.
COSTS = {
    "arena_bytes": "arena, KiB",
    "macs": "MACs",
    "model_bytes": "file, KiB",
    "parameters": "parameters",
}
_KIB = 1024
_WIDTH = 120


@dataclasses.dataclass(frozen=True)
class Candidate:
    """A student that was measured, and trained if its turn came.

    Args:
        name: What was chosen, in words.
        values: Dictionary from hyperparameter to value.
        score: Score on the validation samples, the mean over its trainings; `None` if it wasn't
            trained, or not to its end.
        parameters: Number of weights.
        arena_bytes: Arena that the board needs for it, with the margin of the exported projects;
            `None` if it can't be exported.
        model_bytes: Size of its int8 file, likewise.
        macs: Multiplications and additions of one inference, in pairs, likewise.
        reason: Why it doesn't fit; empty if it does.
        seconds: Time of its trainings.
        failure: What went wrong in a training, or `None`.
        scores: Score of each training.
    """

    name: str
    values: dict[str, Any]
    score: float | None
    parameters: int
    arena_bytes: int | None
    model_bytes: int | None
    macs: int | None
    reason: str
    seconds: float
    failure: str | None = None
    scores: tuple[float, ...] = ()

    @property
    def fits(self) -> bool:
        """Whether it fits the board and the limits."""
        return not self.reason

    @property
    def is_trained(self) -> bool:
        """Whether it was trained, be it not to its end."""
        return self.score is not None or self.failure is not None


class StudentSearchResult:
    """Result of `search_student`: all candidates, best first.

    First come those that were trained most often, the finalists, then the others with a score,
    those whose training failed, those that fit and weren't trained, and those that don't fit.
    `print(result)` shows the trained ones.

    Args:
        candidates: List of `Candidate`.
        metric: `Metric`.
        board: Name of the board.
        make_student: Function from the values of a candidate to a new student.
        load: Function from them to the trained student and the `Memory` that it takes.

    Raises:
        ValueError: If no candidate fits, or none was trained to its end.
    """

    def __init__(
        self,
        candidates: Sequence[Candidate],
        metric: Metric,
        board: str,
        make_student: Callable,
        load: Callable,
    ):
        self.metric: Metric = metric
        self.board: str = board
        scored: list[Any] = [each for each in candidates if each.score is not None]
        others = [each for each in candidates if each.score is None]
        scored.sort(key=lambda each: (-len(each.scores), metric.rank(each.score), each.arena_bytes))
        others.sort(key=lambda each: (not each.fits, not each.is_trained, each.parameters))
        self.candidates: list[Candidate] = [*scored, *others]
        self._make_student = make_student
        if not scored:
            raise ValueError(_nothing(others, board))
        for place, candidate in enumerate(scored):
            self._student, memory = load(candidate.values)
            self.candidates[place] = dataclasses.replace(candidate, **dataclasses.asdict(memory))
            if not memory.reason:
                break
        else:
            raise ValueError(
                f"No student fits the board {board!r} with its trained weights: {memory.reason}."
            )
        self.best: Candidate = self.candidates[place]

    @property
    def student(self) -> keras.Model:
        """The best student, trained on the training samples of the search.

        Of a student that was trained several times it is that with the best score.
        """
        return self._student

    def make_student(self, candidate: Candidate | None = None) -> keras.Model:
        """Returns a new student, untrained, such as `compare` and `tune` take.

        Args:
            candidate: One of `candidates`; by default the best.
        """
        return self._make_student((candidate or self.best).values)

    def pareto(self, cost: str = "arena_bytes") -> list[Candidate]:
        """Returns the candidates that none beats at no higher cost, the cheapest first.

        Args:
            cost: `"arena_bytes"`, `"macs"`, `"model_bytes"` or `"parameters"`.

        Raises:
            ValueError: If it is something else.
        """
        check_choice("cost", cost, tuple(COSTS))
        return pareto_front(
            self._scored,
            lambda each: getattr(each, cost),
            lambda each: -self.metric.rank(each.score),
        )

    @property
    def trained(self) -> list[Candidate]:
        """The candidates that fit and were trained, be it not to their end, best first."""
        return [each for each in self.candidates if each.fits and each.is_trained]

    @property
    def _scored(self):
        return [each for each in self.trained if each.score is not None]

    def plot(self, path: str | os.PathLike | None = None) -> "Figure":
        """Draws the score against arena and against MACs, with the line of the best trade-offs.

        Args:
            path: File to write as PNG. Defaults to none.

        Returns:
            A `matplotlib.figure.Figure`.

        Raises:
            ImportError: If matplotlib is not installed.
        """
        from keras_distill.visualization import plot_tradeoff

        scale = 100 if self.metric.is_share else 1
        points = [
            {
                "name": each.name,
                "costs": {
                    COSTS["arena_bytes"]: each.arena_bytes / _KIB,
                    COSTS["macs"]: float(each.macs),
                },
                "score": scale * each.score,
                "is_chosen": each is self.best,
            }
            for each in self._scored
        ]
        return plot_tradeoff(points, self._score_title, self.metric.higher_is_better, path)

    @property
    def _score_title(self):
        return f"{self.metric.name}{' in %' * self.metric.is_share}"

    def to_dict(self) -> dict[str, Any]:
        """Returns the result as a dictionary that `json` can write."""
        return {
            "board": self.board,
            "metric": dataclasses.asdict(self.metric),
            "best": self.best.name,
            "candidates": [dataclasses.asdict(each) for each in self.candidates],
        }

    def __rich__(self):
        from rich.table import Table

        fitting = sum(each.fits for each in self.candidates)
        hidden = {
            "that weren't trained": fitting - len(self.trained),
            "that don't fit": len(self.candidates) - fitting,
        }
        counts = [f"{count} {which}" for which, count in hidden.items() if count]
        title = f"students for {self.board}"
        table = Table(title=f"{title}; not shown: {', '.join(counts)}" if counts else title)
        table.add_column("student")
        for column in (self._score_title, "parameters", "file, B", "arena, B", "MACs"):
            table.add_column(column, justify="right")
        for each in self.trained:
            numbers = (each.parameters, each.model_bytes, each.arena_bytes, each.macs)
            style = "bold" if each is self.best else None
            table.add_row(each.name, self._text(each), *(f"{n:,}" for n in numbers), style=style)
        return table

    def _text(self, candidate):
        """Returns the score in words, with its standard error if there is one."""
        if candidate.score is None:
            return "failed"
        return self.metric.spread(candidate.score, standard_error(candidate.scores))

    def __str__(self):
        return table_text(self, _WIDTH)

    def __repr__(self):
        return f"<StudentSearchResult of {len(self.candidates)} candidates for {self.board}>"


def _nothing(others, board):
    """Returns the error where no candidate has a score."""
    failed = [each for each in others if each.failure]
    if failed:
        return f"No student was trained to its end: {failed[0].failure}."
    smallest = min(others, key=lambda each: each.parameters)
    return (
        f"None of {len(others)} students fits the board {board!r}: the smallest has "
        f"{smallest.parameters:,} parameters, and {smallest.reason}. Give space= with smaller "
        "ones, or a larger board or limit."
    )
