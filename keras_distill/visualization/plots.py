"""Plots: training curves, losses, gains by seed, confusion matrices.

In a notebook each figure is shown once: where it is displayed, or when its cell ends.
"""

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_distill.arguments import check_flag, check_text, shown
from keras_distill.visualization.plot_data import (
    check_named,
    class_numbers,
    list_of_names,
    values_of_arms,
    values_of_runs,
)
from keras_distill.visualization.rendering import require
from keras_distill.visualization.style import COLORS, LITERAL, finished, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_SEED = {"marker": "o", "markersize": 4, "linewidth": 1, "alpha": 0.6}


def plot_curves(
    histories: dict[str, Any], metric: str = "val_accuracy", path: str | os.PathLike | None = None
) -> "Figure":
    """Training curves: a metric over the epochs, one line per model with a band over its runs.

    The line is the mean of the runs and the band goes from the lowest to the highest. Where
    runs stopped at different epochs, each epoch is over the runs that reached it.

    Args:
        histories: Dict of model name to a run or a list of runs. A run is what `fit` returns,
            or its `history`: a dict of metric name to a list of one number per epoch.
        metric: Name of the metric. Defaults to `"val_accuracy"`.
        path: File to write as PNG. Defaults to none.

    Returns:
        A `matplotlib.figure.Figure`.

    Raises:
        TypeError: If `metric` isn't a string.
        ValueError: If there is nothing to draw, or a run lacks the metric.
        ImportError: If matplotlib is not installed.

    Example:
        ```python
        from keras_distill.visualization import plot_curves

        alone = [{"val_accuracy": [0.5, 0.8]}, {"val_accuracy": [0.6, 0.9]}]
        figure = plot_curves({"student alone": alone})
        ```
    """
    if not isinstance(histories, dict) or not histories:
        raise ValueError(
            "histories must be a dict of model name to a history or a list of histories. "
            f"Received: histories={shown(histories)}"
        )
    check_text("metric", metric)
    curves = {name: values_of_runs(name, runs, metric) for name, runs in histories.items()}
    figure = new_figure(6.4, 4.0)
    axis = figure.subplots()
    titles = []
    for number, (name, values) in enumerate(curves.items()):
        _draw_curve(axis, values, number)
        runs = len(values)
        titles.append(name if runs == 1 else f"{name} (mean of {runs} runs)")
    axis.set_xlabel("epoch")
    axis.set_ylabel(metric.replace("_", " "), **LITERAL)
    axis.locator_params(axis="x", integer=True)
    axis.grid(alpha=0.3)
    for text in axis.legend(axis.lines, titles, frameon=False).get_texts():
        text.set(**LITERAL)
    return finished(figure, path)


def _draw_curve(axis, values, number, style="-"):
    """Draws the mean of an array (runs, epochs), and the band from its lowest to its highest."""
    epochs = np.arange(1, values.shape[1] + 1)
    color = COLORS[number % len(COLORS)]
    marker = "." * (len(epochs) == 1)
    axis.plot(epochs, values.mean(axis=0), color=color, marker=marker, linestyle=style)
    if len(epochs) == 1:
        # Of one point matplotlib writes parts of epochs.
        axis.set_xlim(0.5, 1.5)
    if len(values) > 1:
        low, high = values.min(axis=0), values.max(axis=0)
        axis.fill_between(epochs, low, high, color=color, alpha=0.18, linewidth=0)


def plot_losses(
    history: Any,
    names: Sequence[str] | None = None,
    path: str | os.PathLike | None = None,
) -> "Figure":
    """Loss curves of a distillation: a panel per loss, with the validation's dashed.

    Each panel has its own scale, since losses differ by orders of magnitude. The distillation
    losses are unweighted, as in the history; `distiller.diagnose()` compares their gradients.

    Args:
        history: A run or a list of runs, whose mean is drawn with a band from the lowest to the
            highest. A run is what `fit` returns, or its `history`.
        names: Keys of the history to draw, without `"val_"`. Defaults to all: the total, the
            student's loss, each distillation loss, and the metrics.
        path: File to write as PNG. Defaults to none.

    Returns:
        A `matplotlib.figure.Figure`.

    Raises:
        TypeError: If `names` isn't a list of strings.
        ValueError: If there is nothing to draw, or a run lacks a loss.
        ImportError: If matplotlib is not installed.

    Example:
        ```python
        from keras_distill.visualization import plot_losses

        history = {"student_loss": [1.2, 0.8], "soft_targets": [0.5, 0.2]}
        figure = plot_losses({**history, "val_student_loss": [1.3, 0.9]})
        ```
    """
    require()
    from matplotlib.lines import Line2D

    runs = history if isinstance(history, list | tuple) else [history]
    known = _keys_of(runs)
    names = _drawn_losses(names, known)
    columns = min(3, len(names))
    rows = -(-len(names) // columns)
    figure = new_figure(3.3 * columns, 2.4 * rows + 0.3)
    axes = list(figure.subplots(rows, columns, squeeze=False).flat)
    for number, (axis, name) in enumerate(zip(axes, names, strict=False)):
        for key, style in ((name, "-"), (f"val_{name}", "--")):
            if key == name or key in known:
                _draw_curve(axis, values_of_runs("history", runs, key), number, style)
        axis.set_title(name.replace("_", " "), fontsize=10, **LITERAL)
        axis.set_xlabel("epoch")
        axis.xaxis.get_major_locator().set_params(integer=True)
        axis.grid(alpha=0.3)
    for axis in axes[len(names) :]:
        axis.set_axis_off()
    if any(f"val_{name}" in known for name in names):
        styles = [Line2D([], [], color="0.3", linestyle=style) for style in ("-", "--")]
        figure.legend(
            styles,
            ["training", "validation"],
            loc="outside upper center",
            ncols=2,
            frameon=False,
            fontsize=8,
        )
    return finished(figure, path)


def _keys_of(runs):
    """Returns the keys that all runs have, in the order of the first one."""
    histories = [getattr(run, "history", run) for run in runs]
    is_known = [isinstance(each, dict) and all(map(_is_series, each.items())) for each in histories]
    if not histories or not all(is_known):
        raise ValueError(
            "history must be what fit returns, its history, or a list of them. "
            f"Received: history={shown(runs)}"
        )
    return [key for key in histories[0] if all(key in each for each in histories)]


def _is_series(item):
    return isinstance(item[0], str) and isinstance(item[1], list | tuple | np.ndarray)


def _drawn_losses(names, known):
    if names is None:
        # The total stands in the history twice, and "loss" is the key that any model has.
        names = [key for key in known if not key.startswith("val_") and key != "total_loss"]
    elif not isinstance(names, list | tuple) or not all(isinstance(name, str) for name in names):
        raise TypeError(f"names must be a list of strings. Received: names={shown(names)}")
    if not names or any(name not in known for name in names):
        raise ValueError(
            f"names must be one or more keys of the history: {', '.join(known) or 'it has none'}. "
            f"Received: names={shown(names)}"
        )
    return list(names)


def plot_gains(
    values: dict[str, Any],
    metric: str = "accuracy",
    higher_is_better: bool = True,
    path: str | os.PathLike | None = None,
) -> "Figure":
    """Paired comparison: the values of each arm by seed, and the gains over the first arm.

    On the left each line is a seed. On the right are the gains of each seed and their mean with its
    standard error; where the bar is far from 0, the gain is more than chance.

    Args:
        values: Dict of arm to array (seeds,), all of the same length, the first arm being the one
            that the others are compared with. NaN stands for a run without result.
        metric: Name of the values, written at the axis.
        higher_is_better: Whether more is better; if not, a gain is how much less there is.
        path: File to write as PNG. Defaults to none.

    Returns:
        A `matplotlib.figure.Figure`.

    Raises:
        TypeError: If `metric` isn't a string or `higher_is_better` isn't a boolean.
        ValueError: If there are fewer than two arms, the numbers of seeds differ, or an arm has no
            number.
        ImportError: If matplotlib is not installed.

    Example:
        ```python
        from keras_distill.visualization import plot_gains

        figure = plot_gains({"student alone": [0.90, 0.92], "distilled": [0.93, 0.94]})
        ```
    """
    values = values_of_arms(values)
    check_text("metric", metric)
    check_flag("higher_is_better", higher_is_better)
    alone, *names = values
    figure = new_figure(5.4 + 0.9 * len(values), 1.6 + 0.55 * max(4, len(names)))
    left, right = figure.subplots(1, 2)
    table = np.array(list(values.values()))
    for seed, column in enumerate(table.T):
        left.plot(range(len(values)), column, color=COLORS[seed % len(COLORS)], **_SEED)
    left.set_xticks(range(len(values)), list(values), rotation=20, ha="right", **LITERAL)
    left.set_ylabel(metric, **LITERAL)
    right.axvline(0, color="black", linewidth=0.8)
    for row, name in enumerate(names):
        gains = (values[name] - values[alone]) * (1 if higher_is_better else -1)
        for seed, gain in enumerate(gains):
            right.plot(gain, row, color=COLORS[seed % len(COLORS)], **_SEED)
        gains = gains[np.isfinite(gains)]
        if len(gains):
            error = gains.std(ddof=1) / np.sqrt(len(gains)) if len(gains) > 1 else None
            right.errorbar(gains.mean(), row, xerr=error, fmt="D", color="black", capsize=4)
    right.set_yticks(range(len(names)), names, **LITERAL)
    # More numbers of several digits run into each other.
    right.locator_params(axis="x", nbins=5)
    right.set_ylim(len(names) - 0.4, -0.6)
    right.set_xlabel(f"gain in {metric}\nmean ± standard error", **LITERAL)
    for axis in (left, right):
        axis.grid(alpha=0.3)
    return finished(figure, path)


def plot_confusion(
    y_true: Any,
    y_pred: Any,
    labels: Sequence[str | int],
    path: str | os.PathLike | None = None,
) -> "Figure":
    """Confusion matrix: how often each class was predicted for each true class.

    Colors are shares of the true class, numbers are counts. The title gives the accuracy.

    Args:
        y_true: True classes (samples,), integers from 0, or scores (samples, classes).
        y_pred: Predicted classes (samples,), or scores (samples, classes).
        labels: List of at most 250 names of the classes, strings or integers in their order;
            drawn as they are.
        path: File to write as PNG. Defaults to none.

    Returns:
        A `matplotlib.figure.Figure`.

    Raises:
        TypeError: If `labels` is no list of names.
        ValueError: If the numbers of samples differ, there are none, scores are NaN, a class has
            no name, or there are more classes than a plot holds.
        ImportError: If matplotlib is not installed.

    Example:
        ```python
        from keras_distill.visualization import plot_confusion

        figure = plot_confusion([0, 1, 1], [0, 1, 0], labels=["no", "yes"])
        ```
    """
    names = list_of_names(labels, "labels")
    y_true, y_pred = class_numbers(y_true, "y_true"), class_numbers(y_pred, "y_pred")
    if len(y_true) != len(y_pred) or not len(y_true):
        raise ValueError(
            "y_true and y_pred must be one or more samples each, equally many. "
            f"Received: {len(y_true)} and {len(y_pred)} samples"
        )
    check_named(y_true, "y_true", names, "labels")
    check_named(y_pred, "y_pred", names, "labels")
    counts = np.zeros((len(names), len(names)), dtype=int)
    np.add.at(counts, (y_true, y_pred), 1)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    side = 2.2 + 0.38 * len(names)
    figure = new_figure(side, side)
    axis = figure.subplots()
    axis.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for row, column in np.argwhere(counts):
        color = "white" if shares[row, column] > 0.5 else "black"
        axis.text(
            column, row, counts[row, column], ha="center", va="center", color=color, fontsize=8
        )
    rotation = 90 if max(map(len, names)) > 2 else 0
    axis.set_xticks(range(len(names)), names, rotation=rotation, **LITERAL)
    axis.set_yticks(range(len(names)), names, **LITERAL)
    axis.set_xlabel("predicted")
    axis.set_ylabel("true")
    axis.set_title(f"accuracy {np.mean(y_true == y_pred):.1%}", fontsize=10)
    return finished(figure, path)
