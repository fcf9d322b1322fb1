"""Gains by class: which classes distillation helps, and which it hurts."""

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_distill.arguments import shown
from keras_distill.visualization.model_predictions import named, predicted_classes, true_classes
from keras_distill.visualization.plot_data import check_named, list_of_names
from keras_distill.visualization.style import COLORS, LITERAL, finished, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def plot_class_gains(
    labels: Any,
    predictions: dict[str, Any],
    class_names: Sequence[str | int] | None = None,
    path: str | os.PathLike | None = None,
) -> "Figure":
    """Gains by class: by how many points more of each class's samples are recognized.

    The gains are those over the first model, paired by seed where there are several; their mean
    has its standard error over the seeds.

    Args:
        labels: True classes (samples,), integers from 0, or scores (samples, classes).
        predictions: Dict of model name to predicted classes (samples,) or scores
            (samples, classes), or to a list of such arrays, one per seed, equally many of each
            model. The first model is the one that the others are compared with.
        class_names: List of names of the classes, strings or integers in their order; written as
            they are. Defaults to numbers.
        path: File to write as PNG. Defaults to none.

    Returns:
        A `matplotlib.figure.Figure`.

    Raises:
        TypeError: If `class_names` is no list of names.
        ValueError: If there are fewer than two models, the numbers of samples or seeds differ, a
            sample has no label, or a class has no name.
        ImportError: If matplotlib is not installed.

    Example:
        ```python
        from keras_distill.visualization import plot_class_gains

        alone, distilled = [0, 0, 0, 1], [0, 0, 1, 1]
        figure = plot_class_gains([0, 0, 1, 1], {"alone": alone, "distilled": distilled})
        ```
    """
    labels = true_classes(labels)
    classes = np.unique(labels)
    recalls = {
        name: _recalls(values, f"predictions[{name!r}]", labels, classes)
        for name, values in named(predictions, least=2).items()
    }
    first, *others = recalls
    for name in others:
        if len(recalls[name]) != len(recalls[first]):
            raise ValueError(
                f"predictions[{name!r}] must have as many seeds as {first!r}, which has "
                f"{len(recalls[first])}. Received: {len(recalls[name])} seeds"
            )
    titles = [str(number) for number in classes]
    if class_names is not None:
        class_names = list_of_names(class_names, "class_names")
        check_named(labels, "labels", class_names, "class_names")
        titles = [class_names[number] for number in classes]
    figure = new_figure(6.4, 1.3 + 0.28 * len(classes) * max(1.0, 0.6 * len(others)))
    axis = figure.subplots()
    for number, name in enumerate(others):
        _draw(axis, 100 * (recalls[name] - recalls[first]), name, number, len(others))
    axis.axvline(0, color="black", linewidth=0.8)
    axis.set_yticks(range(len(classes)), titles, **LITERAL)
    axis.invert_yaxis()
    errors = _errors(recalls[first])
    axis.set_xlabel(f"gain over {first}, points of the class's accuracy{errors}", **LITERAL)
    axis.grid(axis="x", alpha=0.3)
    axis.set_axisbelow(True)
    for text in axis.legend(frameon=False, fontsize=8).get_texts():
        text.set(**LITERAL)
    return finished(figure, path)


def _errors(runs):
    return f"\nmean ± standard error of {len(runs)} seeds" if len(runs) > 1 else ""


def _draw(axis, gains, name, number, count):
    """Draws the bars of a model, `gains` being an array (seeds, classes)."""
    seeds, classes = gains.shape
    error = gains.std(axis=0, ddof=1) / np.sqrt(seeds) if seeds > 1 else None
    thickness = 0.8 / count
    rows = np.arange(classes) + (number - (count - 1) / 2) * thickness
    color = COLORS[number % len(COLORS)]
    axis.barh(rows, gains.mean(axis=0), thickness, xerr=error, color=color, capsize=2, label=name)


def _recalls(values, name, labels, classes):
    """Returns an array (seeds, classes) of the share of each class's samples that are right."""
    # Scores in nested lists are rows, and arrays in a list are seeds.
    is_list = isinstance(values, list | tuple) and len(values)
    is_seeds = is_list and all(hasattr(each, "shape") and len(each.shape) for each in values)
    if is_list and not is_seeds and any(np.ndim(each) == 2 for each in values):
        raise ValueError(
            f"{name} must be one array, or a list of arrays, one per seed. "
            f"Received: {name}={shown(values)}"
        )
    runs = values if is_seeds else [values]
    is_right = [predicted_classes(run, name, labels) == labels for run in runs]
    return np.array([[each[labels == label].mean() for label in classes] for each in is_right])
