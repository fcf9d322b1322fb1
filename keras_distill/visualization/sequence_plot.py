"""Plot of where models look along sequences: series of numbers, or text."""

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_distill.arguments import shown
from keras_distill.visualization.plot_data import (
    attended,
    finite_array,
    names_of_classes,
)
from keras_distill.visualization.style import (
    COLORS,
    LITERAL,
    class_name,
    finished,
    marked,
    new_figure,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# More words, or letters in a row of them, than this beside each other aren't read.
_MOST_WORDS, _LETTERS = 60, 80


def plot_sequence_attention(
    sequences: Any,
    maps: dict[str, Any],
    path: str | os.PathLike | None = None,
    predictions: dict[str, Any] | None = None,
    labels: Any = None,
    class_names: Sequence[str | int] | None = None,
) -> "Figure":
    """Attention maps of several models along sequences: a panel per sample, a strip per model.

    Above the strips of a sample are its series, a line per channel; below those of text are the
    tokens. A strip is stretched over the whole sequence, where a model has fewer positions, and
    scaled to its own largest value: it says where a model looks, not how strongly.

    Args:
        sequences: Array of series (samples, steps, channels), or of tokens (samples, steps); of
            text a list of lists of words too.
        maps: Dict of model name to array (samples, positions), e.g. from `attention_maps`.
        path: File to write as PNG. Defaults to none.
        predictions: Dict of model name to predicted classes (samples,) or scores
            (samples, classes), written beside that model's strip. Defaults to none.
        labels: True classes (samples,) or scores (samples, classes), with which right
            predictions have a check mark and wrong ones a cross. Defaults to none.
        class_names: List of names of the classes, strings or integers in their order, that
            replace the class numbers; written as they are. Defaults to numbers.

    Returns:
        A `matplotlib.figure.Figure`.

    Raises:
        TypeError: If `class_names` is no list of names, or `predictions` isn't a dictionary.
        ValueError: If the numbers of samples differ or are above 250, a shape is not as described,
            `predictions` names a model that has no map, or a class has no name.
        ImportError: If matplotlib is not installed.

    Example:
        ```python
        import numpy as np

        from keras_distill.visualization import plot_sequence_attention

        maps = {"teacher": np.array([[0.1, 0.9, 0.2, 0.1]])}
        figure = plot_sequence_attention([["so", "good", "a", "film"]], maps)
        ```
    """
    series, words = _series_or_words(sequences)
    samples = len(series if words is None else words)
    maps, predictions, labels = attended(samples, "sequences", maps, predictions, labels, rank=2)
    class_names = names_of_classes(class_names, labels, predictions)
    steps = [series.shape[1]] * samples if words is None else [len(row) for row in words]
    heights = _heights(len(maps), words, samples)
    figure = new_figure(7.5, sum(map(sum, heights)))
    parts = figure.subfigures(samples, 1, squeeze=False, height_ratios=list(map(sum, heights)))
    for row, part in enumerate(parts[:, 0]):
        ratios = heights[row][:-1]
        axes = part.subplots(len(ratios), 1, squeeze=False, height_ratios=ratios, sharex=True)[:, 0]
        if words is None:
            _draw_series(axes[0], series[row])
        of_row = {name: values[row] for name, values in maps.items()}
        _draw_strips(axes[-1], of_row, steps[row], None if words is None else words[row])
        label = None if labels is None else labels[row]
        _write_predictions(axes[-1], predictions, maps, row, label, class_names)
        if label is not None:
            title = class_name(label, class_names)
            axes[0].set_title(title, fontsize=9, loc="left", **LITERAL)
    return finished(figure, path)


def _heights(models, words, samples):
    """Returns inches of each sample's panels, and of what is written around them."""
    strips = 0.28 * models
    if words is None:
        return [(1.0, strips, 0.75)] * samples
    return [(strips, 0.6 + (0.07 * max(map(len, row)) if _is_long(row) else 0)) for row in words]


def _is_long(words):
    """Whether words are too long to stand beside each other."""
    return len(words) * max(map(len, words)) > _LETTERS and len(words) <= _MOST_WORDS


def _draw_series(axis, series):
    for number, channel in enumerate(series.T):
        color = COLORS[number % len(COLORS)]
        axis.plot(np.arange(len(channel)), channel, color=color, linewidth=1)
    axis.tick_params(labelsize=7)


def _series_or_words(sequences):
    """Returns series (samples, steps, channels) and `None`, or `None` and lists of words."""
    is_list = isinstance(sequences, list | tuple) and len(sequences)
    if is_list and all(isinstance(row, list | tuple) and len(row) for row in sequences):
        words = [list(row) for row in sequences]
        if all(isinstance(word, str) for row in words for word in row):
            return None, _checked_words(words)
    array = finite_array(sequences, "sequences", rank=None)
    if array.ndim == 2 and np.array_equal(array, array.astype(int)):
        return None, _checked_words([[str(int(token)) for token in row] for row in array])
    array = array[..., None] if array.ndim == 2 else array
    if array.ndim != 3:
        raise ValueError(
            "sequences must be series (samples, steps, channels), tokens (samples, steps), or "
            f"lists of words. Received: sequences={shown(sequences)}"
        )
    return array, None


def _checked_words(words):
    # Padding and all: the positions of the maps are those of the longest.
    longest = max(map(len, words))
    return [[*row, *[""] * (longest - len(row))] for row in words]


def _draw_strips(axis, maps, steps, words):
    """Draws the maps of one sample below each other, each over the whole sequence."""
    for row, values in enumerate(maps.values()):
        # Columns of their own for each model, since the numbers of positions differ.
        edges = (-0.5, steps - 0.5, row + 0.5, row - 0.5)
        axis.imshow(
            values[None],
            cmap="inferno",
            vmin=0,
            vmax=values.max() or 1,
            aspect="auto",
            interpolation="nearest",
            extent=edges,
        )
        if row:
            axis.axhline(row - 0.5, color="white", linewidth=2)
    axis.set_xlim(-0.5, steps - 0.5)
    axis.set_ylim(len(maps) - 0.5, -0.5)
    axis.set_yticks(range(len(maps)), list(maps), fontsize=8, **LITERAL)
    axis.tick_params(axis="x", labelsize=8)
    if words is None or len(words) > _MOST_WORDS:
        axis.locator_params(axis="x", integer=True)
        axis.set_xlabel("step" if words is None else "token", fontsize=8)
    else:
        axis.set_xticks(range(steps), words, **LITERAL)
        if _is_long(words):
            for text in axis.get_xticklabels():
                text.set(rotation=60, ha="right", rotation_mode="anchor")


def _write_predictions(axis, predictions, maps, row, label, class_names):
    """Writes each model's answer to the right of its strip."""
    for number, name in enumerate(maps):
        if name in predictions:
            text, color = marked(predictions[name][row], label, class_names)
            axis.annotate(
                text,
                (1, number),
                xycoords=("axes fraction", "data"),
                xytext=(4, 0),
                textcoords="offset points",
                va="center",
                fontsize=8,
                color=color,
                **LITERAL,
            )
