"""Calibration: reliability diagrams and the expected calibration error."""

import os
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_distill.arguments import check_count
from keras_distill.visualization.model_predictions import named, probabilities, true_classes
from keras_distill.visualization.style import COLORS, LITERAL, finished, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_MOST_BINS = 1000


def calibration_error(
    labels: Any, predictions: Any, bins: int = 15, from_logits: bool = False
) -> float:
    """Expected calibration error (ECE): how far a model's confidence is from its accuracy.

    Samples are put into bins of equal width by the probability of the predicted class; the error
    is the mean over the samples of the distance between their bin's accuracy and its mean
    confidence. A teacher that is far off softens badly: see `losses.SoftTargets(temperature)`.

    Args:
        labels: True classes (samples,), integers from 0, or scores (samples, classes).
        predictions: Probabilities (samples, classes), or logits.
        bins: Number of bins of equal width in [0, 1].
        from_logits: Whether `predictions` are logits.

    Returns:
        A float in [0, 1].

    Raises:
        TypeError: If `bins` isn't an integer or `from_logits` isn't a boolean.
        ValueError: If the numbers of samples differ, a sample has no label, or `predictions` are
            no probabilities.

    Example:
        ```python
        from keras_distill.visualization import calibration_error

        calibration_error([0, 1], [[0.75, 0.25], [0.75, 0.25]])  # 0.25: sure by 75%, right by 50%
        ```

    Reference:
        - [Guo et al., 2017](https://arxiv.org/abs/1706.04599)
    """
    labels = true_classes(labels)
    check_count("bins", bins, high=_MOST_BINS)
    values = probabilities(predictions, "predictions", labels, from_logits)
    counts, confidence, accuracy = _bins_of(labels, values, bins)
    return _error_of(counts, confidence, accuracy)


def plot_calibration(
    labels: Any,
    predictions: dict[str, Any],
    bins: int = 15,
    from_logits: bool = False,
    path: str | os.PathLike | None = None,
) -> "Figure":
    """Reliability diagram of several models, with their expected calibration errors.

    Above is the accuracy of each bin of samples against their mean confidence: below the diagonal
    a model is too sure of itself. Below is the share of the samples in each bin.

    Args:
        labels: True classes (samples,), integers from 0, or scores (samples, classes).
        predictions: Dict of model name to probabilities (samples, classes), or to logits.
        bins: Number of bins of equal width in [0, 1].
        from_logits: Whether `predictions` are logits.
        path: File to write as PNG. Defaults to none.

    Returns:
        A `matplotlib.figure.Figure`.

    Raises:
        TypeError: If `bins` isn't an integer or `from_logits` isn't a boolean.
        ValueError: If there is no model, the numbers of samples differ, a sample has no label, or
            `predictions` are no probabilities.
        ImportError: If matplotlib is not installed.

    Example:
        ```python
        from keras_distill.visualization import plot_calibration

        teacher, student = [[0.9, 0.1], [0.2, 0.8]], [[0.6, 0.4], [0.7, 0.3]]
        figure = plot_calibration([0, 1], {"teacher": teacher, "student": student}, bins=5)
        ```

    Reference:
        - [Guo et al., 2017](https://arxiv.org/abs/1706.04599)
    """
    labels = true_classes(labels)
    check_count("bins", bins, high=_MOST_BINS)
    tables = {
        name: _bins_of(
            labels, probabilities(values, f"predictions[{name!r}]", labels, from_logits), bins
        )
        for name, values in named(predictions).items()
    }
    figure = new_figure(4.8, 5.6)
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    upper.plot([0, 1], [0, 1], color="0.6", linestyle="--", linewidth=1)
    for number, (name, (counts, confidence, accuracy)) in enumerate(tables.items()):
        color, has = COLORS[number % len(COLORS)], counts > 0
        error = _error_of(counts, confidence, accuracy)
        upper.plot(
            confidence[has],
            accuracy[has],
            marker="o",
            markersize=4,
            color=color,
            label=f"{name} (ECE {error:.1%})",
        )
        lower.stairs(counts / counts.sum(), np.linspace(0, 1, bins + 1), color=color)
    upper.set(ylabel="accuracy", xlim=(0, 1), ylim=(0, 1))
    lower.set(xlabel="confidence: probability of the predicted class", ylabel="share of samples")
    for text in upper.legend(frameon=False, fontsize=8).get_texts():
        text.set(**LITERAL)
    for axis in (upper, lower):
        axis.grid(alpha=0.3)
    return finished(figure, path)


def _bins_of(labels, values, bins):
    """Returns counts, mean confidence and accuracy of each bin, the last two NaN where empty."""
    confidence = values.max(axis=1)
    is_right = values.argmax(axis=1) == labels
    # A bin has its upper edge, as in the paper.
    places = np.digitize(confidence, np.linspace(0, 1, bins + 1)[1:-1], right=True)
    counts = np.bincount(places, minlength=bins)
    sums = (np.bincount(places, each, minlength=bins) for each in (confidence, is_right))
    empty = np.full(bins, np.nan)
    return counts, *(np.divide(each, counts, out=empty.copy(), where=counts > 0) for each in sums)


def _error_of(counts, confidence, accuracy):
    has = counts > 0
    return float(np.abs(accuracy - confidence)[has] @ counts[has] / counts.sum())
