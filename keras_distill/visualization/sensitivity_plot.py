"""Plot of a sensitivity: a bar per layer, in the order of the network."""

from keras_distill.visualization.style import COLORS, LITERAL, finished, new_figure

# Fewer are a sample or two of a hundred.
_TOLD_POINTS = 1.0
_USUAL, _WORST = COLORS[0], COLORS[1]


def draw(names, errors, errors_without, points, error_of_all, path):
    """Draws what each layer costs in int8.

    Args:
        names: List of names of layers, in the order of the network.
        errors: List of errors where the layer alone is in int8.
        errors_without: List of errors where all but it are.
        points: List of points of accuracy that the layer alone costs; `None` without labels.
        error_of_all: Error where all layers are in int8.
        path: File to write as PNG, or `None`.

    Returns:
        A `matplotlib.figure.Figure`.
    """
    figure = new_figure(7.2, 1.3 + 0.27 * len(names))
    axis = figure.subplots()
    rows = range(len(names))
    worst = max(errors, default=0.0)
    colors = [_WORST if error == worst else _USUAL for error in errors]
    axis.barh(rows, errors, height=0.62, color=colors, label="this layer alone in int8")
    axis.plot(
        errors_without,
        rows,
        "o",
        color="0.2",
        markersize=5,
        label="all layers but this one",
    )
    axis.axvline(error_of_all, color="0.3", linestyle="--", linewidth=1, label="all layers in int8")
    axis.set_yticks(rows, names, fontsize=8, **LITERAL)
    axis.set_ylim(len(names) - 0.4, -0.6)
    _write_points(axis, errors, points)
    axis.set_xlim(left=0)
    axis.margins(x=0.12)
    axis.set_xlabel("error of the outputs (1 = as much as they vary)")
    axis.grid(axis="x", alpha=0.3)
    axis.set_axisbelow(True)
    axis.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside upper center", ncols=3, frameon=False, fontsize=8)
    return finished(figure, path)


def _write_points(axis, errors, points):
    for row, (error, lost) in enumerate(zip(errors, points, strict=True)):
        if lost is not None and abs(lost) >= _TOLD_POINTS:
            axis.annotate(
                f"{lost:+.1f} points",
                (error, row),
                xytext=(4, 0),
                textcoords="offset points",
                va="center",
                fontsize=8,
                bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 1},
            )
