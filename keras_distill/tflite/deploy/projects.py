"""Templates of `export/`, filled in for a model."""

import importlib.resources
import string

README = "README.md"


def source(path):
    """Returns a device-side source as it is.

    Args:
        path: Its path below `export/`, with slashes.
    """
    file = importlib.resources.files("keras_distill.device").joinpath(*path.split("/"))
    return file.read_text(encoding="utf-8")


def fill(path, values):
    """Returns a device-side source with its `${...}` filled in.

    Args:
        path: Its path below `export/`, with slashes.
        values: Dictionary from name to text.
    """
    return string.Template(source(path)).substitute(values)
