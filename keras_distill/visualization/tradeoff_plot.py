"""Plot of a trade-off: scores of models against what they cost."""

import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from keras_distill.arguments import check_text, shown
from keras_distill.visualization.style import COLORS, LITERAL, finished, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Costs of so many digits need a comma between.
_LONG = 10_000


def plot_tradeoff(
    points: Sequence[dict[str, Any]],
    metric: str = "score",
    higher_is_better: bool = True,
    path: str | os.PathLike | None = None,
) -> "Figure":
    """Scores of models against their costs: a panel per cost, and the line of the best trade-offs.

    On the line (the Pareto front) are the models that no other beats at no higher cost.

    Args:
        points: List of dictionaries, one per model: `"name"`; `"costs"`, a dictionary from the name
            of an axis to a positive number, the same names in each; `"score"`; and maybe
            `"is_chosen"`, which marks a model with a star.
        metric: Name of the score.
        higher_is_better: Whether more of it is better.
        path: File to write as PNG. Defaults to none.

    Returns:
        A `matplotlib.figure.Figure`.

    Raises:
        TypeError: If a point isn't such a dictionary.
        ValueError: If there are no points, or they have other costs each.
        ImportError: If matplotlib is not installed.

    Example:
        ```python
        from keras_distill.visualization import plot_tradeoff

        points = [
            {"name": f"width {w}", "costs": {"arena, KiB": 2.0 * w}, "score": s}
            for w, s in ((4, 0.90), (8, 0.93), (16, 0.92))
        ]
        figure = plot_tradeoff(points, "accuracy")
        ```
    """
    check_text("metric", metric)
    points = [_checked(point) for point in points]
    all_names = {tuple(point["costs"]) for point in points}
    if len(all_names) != 1:
        raise ValueError(
            "points must hold at least one model, all with the same costs. "
            f"Received: points={shown(points)}"
        )
    (names,) = all_names
    figure = new_figure(1.0 + 3.6 * len(names), 3.6)
    panels = figure.subplots(1, len(names), squeeze=False, sharey=True)[0]
    for axis, name in zip(panels, names, strict=True):
        _draw(axis, points, name, 1 if higher_is_better else -1)
    panels[0].set_ylabel(metric.replace("_", " "), **LITERAL)
    panels[0].legend(frameon=False, fontsize=8)
    return finished(figure, path)


def pareto_front(entries: Sequence[Any], cost: Callable, gain: Callable) -> list[Any]:
    """Returns the entries that no other beats at no higher cost, the cheapest first.

    Args:
        entries: What is compared.
        cost: Function from an entry to its cost.
        gain: Function from an entry to a number, of which more is better.
    """
    front: list[Any] = []
    for entry in sorted(entries, key=lambda each: (cost(each), -gain(each))):
        if not front or gain(entry) > gain(front[-1]):
            front.append(entry)
    return front


def _checked(point):
    wanted = {"name", "costs", "score"}
    if not isinstance(point, dict) or wanted - set(point) or not isinstance(point["costs"], dict):
        raise TypeError(
            f"points must be dictionaries with {', '.join(sorted(wanted))}. "
            f"Received: {shown(point)}"
        )
    return point


def _draw(axis, points, name, sign):
    costs = [point["costs"][name] for point in points]
    axis.scatter(costs, [point["score"] for point in points], s=16, color="0.6", label="tried")
    front = pareto_front(
        points, lambda each: each["costs"][name], lambda each: sign * each["score"]
    )
    axis.step(
        [point["costs"][name] for point in front],
        [point["score"] for point in front],
        where="post",
        marker="o",
        markersize=4,
        color=COLORS[0],
        label="best at its cost",
    )
    for point in points:
        if point.get("is_chosen"):
            place = point["costs"][name], point["score"]
            axis.plot(*place, marker="*", markersize=11, color=COLORS[1], label="chosen", ls="")
    if max(costs) > 10 * min(costs) > 0:
        axis.set_xscale("log")
    else:
        axis.locator_params(axis="x", nbins=5)
        if max(costs) >= _LONG:
            axis.xaxis.set_major_formatter("{x:,.0f}")
    axis.set_xlabel(name, **LITERAL)
    axis.grid(alpha=0.3)
