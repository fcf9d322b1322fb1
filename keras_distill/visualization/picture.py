"""Matplotlib figure that notebooks show, without pyplot."""

import sys

from matplotlib.figure import Figure

from keras_distill.visualization.rendering import png

_unshown: list["Picture"] = []


class Picture(Figure):
    """Matplotlib figure that notebooks show, without pyplot.

    A cell shows each figure once, as it does with those of pyplot: where it is displayed, as
    the cell's last value, or else when the cell ends. Outside of notebooks it is an ordinary
    `matplotlib.figure.Figure`.

    Example:
        ```python
        from keras_distill.visualization.picture import Picture

        Picture(figsize=(2, 1)).savefig("empty.png")
        ```
    """

    def show_when_the_cell_ends(self) -> None:
        """Shows the figure at the end of the running notebook cell, if nothing did before."""
        # Whoever runs in a notebook has IPython imported; nobody else needs it.
        ipython = sys.modules.get("IPython")
        shell = None if ipython is None else ipython.get_ipython()
        if shell is not None and hasattr(shell, "kernel"):
            _unshown.append(self)
            shell.events.register("post_execute", _show_the_rest)

    def _repr_mimebundle_(self, include=None, exclude=None):
        _unshown[:] = [picture for picture in _unshown if picture is not self]
        return {"image/png": png(self)}


def _show_the_rest():
    from IPython.display import display

    while _unshown:
        display(_unshown.pop(0))
