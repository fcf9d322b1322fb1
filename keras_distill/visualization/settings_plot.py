"""Plot of a search: scores against the numbers of the settings, or by setting."""

import math
import numbers
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from keras_distill.arguments import check_text, shown
from keras_distill.visualization.style import COLORS, LITERAL, finished, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Numbers that reach over more than this factor are drawn on a logarithmic axis.
_WIDE = 10.0


def plot_settings(
    points: Sequence[dict[str, Any]],
    metric: str = "score",
    baseline: tuple[float, float] | None = None,
    path: str | os.PathLike | None = None,
) -> "Figure":
    """Scores of settings: a panel per number that they differ in, a color per kind.

    Where the settings have no numbers, there is one panel with a row per setting.

    Args:
        points: List of dictionaries, one per setting: `"name"`; `"values"`, a dictionary from what
            was chosen to a number, text or boolean; `"mean"` and `"error"` of its score. The first
            text among the values is its kind.
        metric: Name of the score.
        baseline: Mean and error of what the settings are compared with, drawn as a band.
        path: File to write as PNG. Defaults to none.

    Returns:
        A `matplotlib.figure.Figure`.

    Raises:
        TypeError: If a point isn't such a dictionary.
        ValueError: If there are no points.
        ImportError: If matplotlib is not installed.

    Example:
        ```python
        from keras_distill.visualization import plot_settings

        points = [
            {"name": f"T {t}", "values": {"temperature": t}, "mean": m, "error": 0.01}
            for t, m in ((1.0, 0.90), (4.0, 0.93))
        ]
        figure = plot_settings(points, "accuracy", baseline=(0.89, 0.01))
        ```
    """
    check_text("metric", metric)
    points = [_checked(point) for point in points]
    if not points:
        raise ValueError("points is empty: give at least one setting. Received: points=[]")
    names = _numbers_of(points)
    if not names:
        return _by_setting(points, metric, baseline, path)
    figure = new_figure(0.8 + 3.4 * len(names), 3.6)
    panels = figure.subplots(1, len(names), squeeze=False, sharey=True)[0]
    for axis, name in zip(panels, names, strict=True):
        _against(axis, points, name)
        _draw_baseline(axis.axhspan, axis.axhline, baseline)
        axis.set_xlabel(name.replace("_", " "), **LITERAL)
        axis.grid(alpha=0.3)
    first = figure.axes[0]
    first.set_ylabel(metric.replace("_", " "), **LITERAL)
    handles: dict[Any, Any] = {
        line.get_label(): line for axis in figure.axes for line in axis.containers
    }
    if baseline is not None:
        handles["student alone"] = first.lines[-1]
    for text in figure.legend(
        list(handles.values()), list(handles), frameon=False, loc="outside right upper", fontsize=8
    ).get_texts():
        text.set(**LITERAL)
    return finished(figure, path)


def _checked(point):
    wanted = {"name", "values", "mean", "error"}
    if not isinstance(point, dict) or wanted - set(point) or not isinstance(point["values"], dict):
        raise TypeError(
            f"points must be dictionaries with {', '.join(sorted(wanted))}. "
            f"Received: {shown(point)}"
        )
    return point


def _is_number(value):
    return isinstance(value, numbers.Real) and not isinstance(value, bool)


def _numbers_of(points):
    """Returns the names of the numbers that have several values among the settings."""
    found = {}
    for point in points:
        for name, value in point["values"].items():
            if _is_number(value):
                found.setdefault(name, set()).add(value)
    return [name for name, values in found.items() if len(values) > 1]


def _kind(point):
    texts = [value for value in point["values"].values() if isinstance(value, str)]
    return texts[0] if texts else "settings"


def _against(axis, points, name):
    kinds = list(dict.fromkeys(map(_kind, points)))
    having = [point for point in points if _is_number(point["values"].get(name))]
    for number, kind in enumerate(kinds):
        of_kind = [point for point in having if _kind(point) == kind]
        if of_kind:
            axis.errorbar(
                [point["values"][name] for point in of_kind],
                [point["mean"] for point in of_kind],
                [_error(point) for point in of_kind],
                fmt="o",
                markersize=4,
                linewidth=1,
                color=COLORS[number % len(COLORS)],
                label=kind,
            )
    values = [point["values"][name] for point in having]
    if min(values) > 0 and max(values) > _WIDE * min(values):
        from matplotlib.ticker import LogLocator, NullFormatter

        axis.set_xscale("log")
        # Not all ten steps of a decade, whose labels would overlap.
        axis.xaxis.set_major_locator(LogLocator(subs=(1.0, 3.0)))
        axis.xaxis.set_major_formatter("{x:g}")
        axis.xaxis.set_minor_formatter(NullFormatter())


def _by_setting(points, metric, baseline, path):
    figure = new_figure(6.4, 1.2 + 0.3 * len(points))
    axis = figure.subplots()
    rows = range(len(points))
    axis.errorbar(
        [point["mean"] for point in points],
        rows,
        xerr=[_error(point) for point in points],
        fmt="o",
        color=COLORS[0],
    )
    _draw_baseline(axis.axvspan, axis.axvline, baseline)
    axis.set_yticks(rows, [str(point["name"]) for point in points], **LITERAL)
    axis.invert_yaxis()
    axis.set_xlabel(metric.replace("_", " "), **LITERAL)
    axis.grid(alpha=0.3)
    return finished(figure, path)


def _error(point):
    return point["error"] if math.isfinite(point["error"]) else 0.0


def _draw_baseline(span, line, baseline):
    if baseline is None:
        return
    mean, error = baseline
    if math.isfinite(error):
        span(mean - error, mean + error, color="0.6", alpha=0.25, linewidth=0)
    line(mean, color="0.3", linestyle="--", linewidth=1)
