"""Plots: attention maps, training curves, gains by seed, confusion matrices, images.

In a notebook each figure is shown once: where it is displayed, or when its cell ends.
"""

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_distill.arguments import check_count, check_flag, check_text, shown
from keras_distill.visualization.plot_data import (
    attention_arguments,
    check_named,
    class_numbers,
    finite_array,
    image_array,
    list_of_names,
    values_of_arms,
    values_of_runs,
)
from keras_distill.visualization.style import COLORS, LITERAL, finished, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_RIGHT, _WRONG = "#1a7f37", "#c62828"
_SEED = {"marker": "o", "markersize": 4, "linewidth": 1, "alpha": 0.6}


def attention_map(features: Any) -> np.ndarray:
    """Attention map of a feature map: the mean of squares over channels.

    Each sample's map is divided by its L2 norm, as in attention transfer. A sample without any
    activation has a map of zeros.

    Args:
        features: Array or tensor (batch, height, width, channels).

    Returns:
        A float32 array (batch, height, width), not negative, each sample of L2 norm 1.

    Raises:
        ValueError: If `features` has another rank, or holds NaN, infinity or no numbers.

    Example:
        ```python
        import numpy as np

        from keras_distill.visualization import attention_map

        attention_map(np.ones((2, 4, 4, 8))).shape  # (2, 4, 4)
        ```

    Reference:
        - [Zagoruyko & Komodakis, 2017](https://arxiv.org/abs/1612.03928)
    """
    # In float64, since the square of a square leaves the range of float16 and strains float32.
    values = finite_array(features, "features", rank=4).astype("float64")
    maps = np.square(values).mean(axis=-1)
    norms = np.sqrt(np.square(maps).sum(axis=(1, 2), keepdims=True))
    return np.divide(maps, norms, out=np.zeros_like(maps), where=norms > 0).astype("float32")


def plot_attention(
    images: Any,
    maps: dict[str, Any],
    path: str | os.PathLike | None = None,
    predictions: dict[str, Any] | None = None,
    labels: Any = None,
    class_names: Sequence[str | int] | None = None,
) -> "Figure":
    """Attention maps of several models: a row per sample, a column per model.

    The first column is the input. Every map is stretched to its image's size and scaled to its own
    largest value, so the plot says where a model looks, not how strongly.

    Args:
        images: Array (samples, height, width, channels) of 1 or 3 channels, or without the
            channels; scaled to its own range.
        maps: Dict of model name to array (samples, map height, map width), e.g. from
            `attention_map`. Models may differ in the size of their maps.
        path: File to write as PNG. Defaults to none.
        predictions: Dict of model name to predicted classes (samples,) or scores
            (samples, classes); written above that model's map. Defaults to none.
        labels: True classes (samples,) or scores (samples, classes), with which right
            predictions are green and wrong ones red. Defaults to none.
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

        from keras_distill.visualization import attention_map, plot_attention

        images = np.random.rand(3, 8, 8, 1)
        figure = plot_attention(images, {"teacher": attention_map(np.random.rand(3, 4, 4, 16))})
        ```
    """
    images, maps, predictions, labels = attention_arguments(images, maps, predictions, labels)
    if class_names is not None:
        class_names = list_of_names(class_names, "class_names")
        for name, values in {"labels": labels, **predictions}.items():
            if values is not None:
                check_named(values, name, class_names, "class_names")
    figure = new_figure(1.5 * (1 + len(maps)) + 0.2, 1.65 * len(images) + 0.3)
    axes = figure.subplots(len(images), 1 + len(maps), squeeze=False)
    for axis, name in zip(axes[0], ["input", *maps], strict=True):
        # Not as the title, where the class is written.
        position = {"transform": axis.transAxes, "ha": "center"}
        axis.text(0.5, 1.22, name, fontsize=9, weight="bold", **position, **LITERAL)
    for row, image in enumerate(images):
        label = None if labels is None else labels[row]
        _draw_image(axes[row, 0], image)
        if labels is not None:
            axes[row, 0].set_title(_class_name(label, class_names), fontsize=9, **LITERAL)
        for axis, (name, values) in zip(axes[row, 1:], maps.items(), strict=True):
            _draw_map(axis, values[row], image.shape)
            if name in predictions:
                predicted = predictions[name][row]
                color = "black" if label is None else _RIGHT if predicted == label else _WRONG
                title = _class_name(predicted, class_names)
                axis.set_title(title, color=color, fontsize=9, **LITERAL)
    for axis in axes.flat:
        axis.set_xticks([])
        axis.set_yticks([])
    return finished(figure, path)


def plot_images(
    images: Any,
    labels: Any = None,
    class_names: Sequence[str | int] | None = None,
    columns: int = 10,
    path: str | os.PathLike | None = None,
) -> "Figure":
    """Images side by side, such as those that `schemes.synthesize` made.

    Args:
        images: Array (samples, height, width, channels) of 1 or 3 channels, or without the
            channels; each scaled to its own range.
        labels: Classes (samples,) or scores (samples, classes), written above the images. Defaults
            to none.
        class_names: List of names of the classes, strings or integers in their order, that
            replace the class numbers; written as they are. Defaults to numbers.
        columns: Number of images in a row.
        path: File to write as PNG. Defaults to none.

    Returns:
        A `matplotlib.figure.Figure`.

    Raises:
        TypeError: If `class_names` is no list of names, or `columns` no integer.
        ValueError: If there are more than 250 images, a shape is not as described, or a class has
            no name.
        ImportError: If matplotlib is not installed.

    Example:
        ```python
        import numpy as np

        from keras_distill.visualization import plot_images

        figure = plot_images(np.random.rand(6, 8, 8, 1), labels=[0, 1, 2, 0, 1, 2], columns=3)
        ```
    """
    images = image_array(images)
    columns = min(check_count("columns", columns), len(images))
    if labels is not None:
        labels = class_numbers(labels, "labels")
        if len(labels) != len(images):
            raise ValueError(
                f"labels has {len(labels)} samples, but images has {len(images)}. "
                f"Received: labels={shown(labels)}"
            )
    if class_names is not None:
        class_names = list_of_names(class_names, "class_names")
        if labels is not None:
            check_named(labels, "labels", class_names, "class_names")
    rows = -(-len(images) // columns)
    height = 1.0 if labels is None else 1.25
    figure = new_figure(1.0 * columns + 0.2, height * rows + 0.2)
    axes = figure.subplots(rows, columns, squeeze=False)
    for index, axis in enumerate(axes.flat):
        axis.set_axis_off()
        if index < len(images):
            _draw_image(axis, images[index])
            if labels is not None:
                axis.set_title(_class_name(labels[index], class_names), fontsize=9, **LITERAL)
    return finished(figure, path)


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
        epochs = np.arange(1, values.shape[1] + 1)
        color = COLORS[number % len(COLORS)]
        runs = len(values)
        marker = "." * (len(epochs) == 1)
        axis.plot(epochs, values.mean(axis=0), color=color, marker=marker)
        titles.append(name if runs == 1 else f"{name} (mean of {runs} runs)")
        if runs > 1:
            low, high = values.min(axis=0), values.max(axis=0)
            axis.fill_between(epochs, low, high, color=color, alpha=0.18, linewidth=0)
    axis.set_xlabel("epoch")
    axis.set_ylabel(metric.replace("_", " "), **LITERAL)
    axis.locator_params(axis="x", integer=True)
    axis.grid(alpha=0.3)
    for text in axis.legend(axis.lines, titles, frameon=False).get_texts():
        text.set(**LITERAL)
    return finished(figure, path)


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


def _draw_image(axis, image):
    low, high = float(image.min()), float(image.max())
    scaled = (image - low) / ((high - low) or 1)
    if scaled.shape[-1] == 1:
        scaled = scaled[..., 0]
    axis.imshow(scaled, cmap="gray", vmin=0, vmax=1)


def _draw_map(axis, values, image_shape):
    """Draws a map on the whole of an image's size, without the image: colors would mix."""
    height, width = image_shape[:2]
    axis.imshow(
        values,
        cmap="inferno",
        interpolation="bilinear",
        vmin=0,
        vmax=values.max() or 1,
        extent=(-0.5, width - 0.5, height - 0.5, -0.5),
    )


def _class_name(number, class_names):
    return str(number) if class_names is None else str(class_names[number])
