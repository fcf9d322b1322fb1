"""Embeddings: the features of several models in two dimensions."""

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_distill.arguments import check_choice, shown
from keras_distill.visualization.model_predictions import true_classes
from keras_distill.visualization.plot_data import check_named, finite_array, list_of_names
from keras_distill.visualization.style import COLORS, LITERAL, finished, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_LEAST_SAMPLES = 4
# With more samples t-SNE takes minutes, and the points cover each other.
_MOST_SAMPLES = 20_000


def plot_embeddings(
    features: dict[str, Any],
    labels: Any,
    method: str = "pca",
    class_names: Sequence[str | int] | None = None,
    path: str | os.PathLike | None = None,
) -> "Figure":
    """Features in two dimensions: a panel per model, a point per sample, a color per class.

    Each panel is turned or mirrored so that its points lie as near as possible to those of the
    first one: principal components have no sign.

    Args:
        features: Dict of model name to features (samples, size), or (samples, ..., channels),
            which are averaged over the axes between. Models may differ in size.
        labels: True classes (samples,), integers from 0, or scores (samples, classes).
        method: `"pca"`, the two first principal components, whose share of the variance is written
            above; or `"tsne"`, which keeps neighbors together and no distances.
        class_names: List of names of the classes, strings or integers in their order; written as
            they are. Defaults to numbers.
        path: File to write as PNG. Defaults to none.

    Returns:
        A `matplotlib.figure.Figure`.

    Raises:
        TypeError: If `class_names` is no list of names.
        ValueError: If there is no model, `method` is unknown, features have another shape, there
            are fewer than 4 or more than 20,000 samples, or a class has no name.
        ImportError: If matplotlib is not installed.

    Example:
        ```python
        import numpy as np

        from keras_distill.visualization import plot_embeddings

        labels = np.arange(30) % 3
        features = np.eye(3)[labels] + 0.1 * np.random.rand(30, 3)
        figure = plot_embeddings({"teacher": features}, labels)
        ```

    Reference:
        - [van der Maaten & Hinton, 2008](https://www.jmlr.org/papers/v9/vandermaaten08a.html)
    """
    check_choice("method", method, ("pca", "tsne"))
    labels = true_classes(labels)
    rows = _rows_of(features, labels)
    classes = np.unique(labels)
    titles = {number: str(number) for number in classes}
    if class_names is not None:
        class_names = list_of_names(class_names, "class_names")
        check_named(labels, "labels", class_names, "class_names")
        titles = {number: class_names[number] for number in classes}
    figure = new_figure(0.9 + 3.2 * len(rows), 3.6)
    axes = figure.subplots(1, len(rows), squeeze=False)[0]
    first = None
    for axis, (name, values) in zip(axes, rows.items(), strict=True):
        points, note = _points(values, method)
        points = points if first is None else _turned(points, first)
        first = points if first is None else first
        for number, label in enumerate(classes):
            of_class = points[labels == label]
            axis.scatter(*of_class.T, s=9, color=_color(number), label=titles[label])
        axis.set_title(name + note, fontsize=10, **LITERAL)
        axis.set(xticks=[], yticks=[])
    figure.legend(
        *axes[0].get_legend_handles_labels(),
        loc="outside right upper",
        frameon=False,
        fontsize=8,
        markerscale=2,
    )
    for text in figure.legends[0].get_texts():
        text.set(**LITERAL)
    return finished(figure, path)


def _rows_of(features, labels):
    if not isinstance(features, dict) or not features:
        raise ValueError(
            "features must be a dict of model name to features (samples, size). "
            f"Received: features={shown(features)}"
        )
    if not _LEAST_SAMPLES <= len(labels) <= _MOST_SAMPLES:
        raise ValueError(
            f"labels must be those of {_LEAST_SAMPLES} to {_MOST_SAMPLES:,} samples: draw a part "
            f"of them. Received: labels of {len(labels):,} samples"
        )
    rows = {}
    for name, values in features.items():
        where = f"features[{name!r}]"
        rank = max(2, np.ndim(values))
        values = np.asarray(finite_array(values, where, rank), "float64")
        values = values.mean(axis=tuple(range(1, rank - 1)))
        if len(values) != len(labels) or values.shape[1] < 2:
            raise ValueError(
                f"{where} must have the {len(labels)} samples of labels, and at least 2 numbers "
                f"each. Received: {where} of {len(values)} samples, {values.shape[1]} numbers each"
            )
        rows[str(name)] = values
    return rows


def _points(values, method):
    """Returns an array (samples, 2), and what to write after the model's name."""
    if method == "tsne":
        from sklearn.manifold import TSNE

        # At most a third of the samples are neighbors, of which the usual 30 is too many for few.
        perplexity = min(30.0, (len(values) - 1) / 3)
        # It starts from the principal components, so that chance has no part in it.
        tsne = TSNE(2, perplexity=perplexity, init="pca", random_state=0)
        return tsne.fit_transform(values).astype("float64"), ""
    centered = values - values.mean(axis=0)
    left, sizes, _ = np.linalg.svd(centered, full_matrices=False)
    variances = np.square(sizes)
    share = variances[:2].sum() / (variances.sum() or 1)
    return left[:, :2] * sizes[:2], f"\n{share:.0%} of the variance"


def _turned(points, first):
    """Turns and mirrors points to lie as near as possible to others (orthogonal Procrustes)."""
    points = points - points.mean(axis=0)
    left, _, right = np.linalg.svd(points.T @ (first - first.mean(axis=0)))
    return points @ left @ right


def _color(number):
    if number < len(COLORS):
        return COLORS[number]
    from matplotlib import colormaps

    return colormaps["tab20"](number % 20)
