"""What the plots share: colors, texts as they are, a new figure, the end of a plot."""

import os
from typing import TYPE_CHECKING, Any

from keras_distill.arguments import check_path
from keras_distill.files import write_whole
from keras_distill.visualization.rendering import png, require

if TYPE_CHECKING:
    from keras_distill.visualization.picture import Picture

# Colors that people with any color vision tell apart (Okabe & Ito).
COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
# A dollar sign in a user's name is a dollar sign, not the start of a formula.
LITERAL: dict[str, Any] = {"parse_math": False, "usetex": False}

_RIGHT, _WRONG = COLORS[0], COLORS[1]


def class_name(number: Any, class_names: Any = None) -> str:
    """Returns the name of a class.

    Args:
        number: The class.
        class_names: List of names, or `None` for numbers.
    """
    return str(number) if class_names is None else str(class_names[number])


def marked(predicted: int, label: int | None, class_names: Any = None) -> tuple[str, str]:
    """Returns what is written of a prediction, and its color: right and wrong differ in a mark too.

    Args:
        predicted: The class.
        label: The true class, or `None` if it isn't known.
        class_names: List of names, or `None` for numbers.
    """
    name = class_name(predicted, class_names)
    if label is None:
        return name, "black"
    return (f"\u2713 {name}", _RIGHT) if predicted == label else (f"\u2717 {name}", _WRONG)


def new_figure(width: float, height: float) -> "Picture":
    """Returns an empty figure that notebooks show.

    Args:
        width: Inches.
        height: Inches.

    Raises:
        ImportError: If matplotlib is not installed.
    """
    require()
    # Not pyplot's: it would keep the figure alive, and may ask for a display.
    from keras_distill.visualization.picture import Picture

    return Picture(figsize=(width, height), layout="constrained")


def finished(figure: "Picture", path: str | os.PathLike | None) -> "Picture":
    """Writes a figure, where there is a path for it, and has notebooks show it.

    Args:
        figure: As `new_figure` returned.
        path: File to write as PNG, or `None`.
    """
    if path is not None:
        write_whole(check_path("path", path), png(figure))
    figure.show_when_the_cell_ends()
    return figure
