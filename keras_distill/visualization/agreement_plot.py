"""Agreement: where students answer as the teacher does, and who is right where they don't."""

import os
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_distill.visualization.model_predictions import named, predicted_classes, true_classes
from keras_distill.visualization.style import LITERAL, finished, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_COLORS = {
    "both right": "#009e73",
    "only the other right": "#56b4e9",
    "only {first} right": "#e69f00",
    "both wrong, same answer": "#999999",
    "both wrong, other answers": "#555555",
}
# A number has no room in a narrower part of a bar.
_WRITTEN = 0.04


def plot_agreement(
    labels: Any, predictions: dict[str, Any], path: str | os.PathLike | None = None
) -> "Figure":
    """Agreement with the teacher: a bar per student, divided by who of the two is right.

    Student and teacher agree where both are right, and where both are wrong in the same way.

    Args:
        labels: True classes (samples,), integers from 0, or scores (samples, classes).
        predictions: Dict of model name to predicted classes (samples,), or scores
            (samples, classes). The first model is the teacher.
        path: File to write as PNG. Defaults to none.

    Returns:
        A `matplotlib.figure.Figure`.

    Raises:
        ValueError: If there are fewer than two models, the numbers of samples differ, or a sample
            has no label.
        ImportError: If matplotlib is not installed.

    Example:
        ```python
        from keras_distill.visualization import plot_agreement

        figure = plot_agreement([0, 1, 1], {"teacher": [0, 1, 0], "distilled": [0, 0, 0]})
        ```
    """
    labels = true_classes(labels)
    classes = {
        name: predicted_classes(values, f"predictions[{name!r}]", labels)
        for name, values in named(predictions, least=2).items()
    }
    teacher, *students = classes
    figure = new_figure(7.2, 1.5 + 0.5 * len(students))
    axis = figure.subplots()
    titles = []
    for row, student in enumerate(students):
        shares = _shares(labels, classes[teacher], classes[student])
        start = 0.0
        for kind, share in shares.items():
            bar = axis.barh(row, share, left=start, color=_COLORS[kind], label=kind, height=0.62)
            start += share
            written = f"{share:.1%}" if share >= _WRITTEN else ""
            axis.bar_label(bar, [written], label_type="center", fontsize=8)
        agreeing = np.mean(classes[teacher] == classes[student])
        titles.append(f"{student}\nagrees on {agreeing:.1%}")
    axis.set_yticks(range(len(students)), titles, **LITERAL)
    axis.invert_yaxis()
    axis.set_xlim(0, 1)
    axis.set_xlabel(f"share of {len(labels):,} samples, compared with: {teacher}", **LITERAL)
    axis.spines[["top", "right"]].set_visible(False)
    handles: dict[str, Any] = dict(zip(_COLORS, axis.containers, strict=False))
    figure.legend(
        list(handles.values()),
        [kind.replace("{first}", teacher) for kind in handles],
        loc="outside upper center",
        ncols=3,
        frameon=False,
        fontsize=8,
    )
    for text in figure.legends[0].get_texts():
        text.set(**LITERAL)
    return finished(figure, path)


def _shares(labels, teacher, student):
    """Returns the share of the samples of each kind, in the order in which they are drawn."""
    is_teacher, is_student = teacher == labels, student == labels
    both_wrong = ~is_teacher & ~is_student
    masks = (
        is_teacher & is_student,
        is_student & ~is_teacher,
        is_teacher & ~is_student,
        both_wrong & (teacher == student),
        both_wrong & (teacher != student),
    )
    return {kind: float(mask.mean()) for kind, mask in zip(_COLORS, masks, strict=True)}
