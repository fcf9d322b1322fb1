"""Rendering: figures as PNG, tables as text."""

import io
from typing import TYPE_CHECKING, Any

from keras_distill.arguments import shown

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def png(figure: "Figure") -> bytes:
    """PNG file of a figure, as bytes.

    Args:
        figure: A `matplotlib.figure.Figure`.

    Returns:
        Bytes.

    Raises:
        TypeError: If `figure` is no figure.

    Example:
        ```python
        from keras_distill.visualization import plot_confusion, png

        png(plot_confusion([0, 1], [0, 1], ["no", "yes"]))[1:4]  # b"PNG"
        ```
    """
    if not hasattr(figure, "savefig"):
        raise TypeError(f"figure must be a matplotlib figure. Received: figure={shown(figure)}")
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=140, facecolor="white")
    return stream.getvalue()


def table_text(table: Any, width: int) -> str:
    """Text of a table of `rich`, without colors.

    Args:
        table: What `rich` can print.
        width: Number of characters in a line.
    """
    from rich.console import Console

    stream = io.StringIO()
    # In a notebook a console would show the table there, and write nothing.
    console = Console(file=stream, width=width, color_system=None, force_jupyter=False)
    console.print(table)
    return stream.getvalue()


def require() -> None:
    """Checks that matplotlib is installed.

    Raises:
        ImportError: If it isn't; the error names the extra to install.
    """
    try:
        import matplotlib.figure  # noqa: F401
    except ImportError as error:
        raise ImportError('Plots need matplotlib: pip install "keras_distill[plot]"') from error
