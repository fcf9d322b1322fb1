"""Plots of images, and of where models look in them."""

import os
import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_distill.arguments import check_count, check_flag, shown
from keras_distill.visualization.plot_data import (
    attended,
    class_numbers,
    image_array,
    names_of_classes,
)
from keras_distill.visualization.style import LITERAL, class_name, finished, marked, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_OVERLAY = 0.65
# Inches of an image's width, and letters of a name that fit above it.
_WIDTH, _LETTERS = 1.5, 18


def plot_attention(
    images: Any,
    maps: dict[str, Any],
    path: str | os.PathLike | None = None,
    predictions: dict[str, Any] | None = None,
    labels: Any = None,
    class_names: Sequence[str | int] | None = None,
    overlay: bool = False,
) -> "Figure":
    """Attention maps of several models: a row per sample, a column per model.

    The first column is the input. Every map is stretched to its image's size and scaled to its own
    largest value, so the plot says where a model looks, not how strongly.

    Args:
        images: Array (samples, height, width, channels) of 1 or 3 channels, or without the
            channels; scaled to its own range.
        maps: Dict of model name to array (samples, map height, map width), e.g. from
            `attention_maps`. Models may differ in the size of their maps.
        path: File to write as PNG. Defaults to none.
        predictions: Dict of model name to predicted classes (samples,) or scores
            (samples, classes); written above that model's map. Defaults to none.
        labels: True classes (samples,) or scores (samples, classes), with which right
            predictions have a check mark and wrong ones a cross. Defaults to none.
        class_names: List of names of the classes, strings or integers in their order, that
            replace the class numbers; written as they are. Defaults to numbers.
        overlay: Whether the maps lie over their images, which are gray there: colors are the
            map's.

    Returns:
        A `matplotlib.figure.Figure`.

    Raises:
        TypeError: If `class_names` is no list of names, `predictions` isn't a dictionary, or
            `overlay` isn't a boolean.
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
    images = image_array(images)
    maps, predictions, labels = attended(len(images), "images", maps, predictions, labels, rank=3)
    check_flag("overlay", overlay)
    class_names = names_of_classes(class_names, labels, predictions)
    height = _WIDTH * float(np.clip(images.shape[1] / images.shape[2], 0.3, 3))
    names = [textwrap.fill(str(name), _LETTERS) for name in ("input", *maps)]
    above = 0.2 + 0.15 * max(name.count("\n") for name in names)
    figure = new_figure(_WIDTH * len(names) + 0.2, (height + 0.2) * len(images) + above)
    axes = figure.subplots(len(images), len(names), squeeze=False)
    for axis, name in zip(axes[0], names, strict=True):
        _write_name(axis, name)
    for row, image in enumerate(images):
        label = None if labels is None else labels[row]
        _draw_image(axes[row, 0], image)
        if labels is not None:
            axes[row, 0].set_title(class_name(label, class_names), fontsize=9, **LITERAL)
        for axis, (name, values) in zip(axes[row, 1:], maps.items(), strict=True):
            _draw_map(axis, values[row], image, overlay)
            if name in predictions:
                title, color = marked(predictions[name][row], label, class_names)
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
    class_names = names_of_classes(class_names, labels, {})
    rows = -(-len(images) // columns)
    height = 1.0 if labels is None else 1.25
    figure = new_figure(1.0 * columns + 0.2, height * rows + 0.2)
    axes = figure.subplots(rows, columns, squeeze=False)
    for index, axis in enumerate(axes.flat):
        axis.set_axis_off()
        if index < len(images):
            _draw_image(axis, images[index])
            if labels is not None:
                axis.set_title(class_name(labels[index], class_names), fontsize=9, **LITERAL)
    return finished(figure, path)


def _write_name(axis, name):
    # Above the title, where the class is written.
    axis.annotate(
        name,
        (0.5, 1),
        xycoords="axes fraction",
        xytext=(0, 18),
        textcoords="offset points",
        ha="center",
        fontsize=9,
        weight="bold",
        **LITERAL,
    )


def _draw_image(axis, image):
    low, high = float(image.min()), float(image.max())
    scaled = (image - low) / ((high - low) or 1)
    if scaled.shape[-1] == 1:
        scaled = scaled[..., 0]
    axis.imshow(scaled, cmap="gray", vmin=0, vmax=1)


def _draw_map(axis, values, image, overlay):
    """Draws a map on the whole of an image's size, and under it the image, if wanted."""
    height, width = image.shape[:2]
    if overlay:
        _draw_image(axis, image.mean(axis=-1, keepdims=True))
    axis.imshow(
        values,
        cmap="inferno",
        interpolation="bilinear",
        vmin=0,
        vmax=values.max() or 1,
        alpha=_OVERLAY if overlay else None,
        extent=(-0.5, width - 0.5, height - 0.5, -0.5),
    )
