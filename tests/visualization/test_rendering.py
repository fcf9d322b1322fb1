"""PNG files of plots, written whole, and the package that draws them."""

import pytest

from keras_distill import visualization
from keras_distill.visualization.rendering import table_text

pytest.importorskip("matplotlib")


def test_png_is_written_and_nothing_else_is_left(tmp_path):
    visualization.plot_confusion([0, 1], [0, 1], ["a", "b"], path=tmp_path / "c.png")
    assert [file.name for file in tmp_path.iterdir()] == ["c.png"]
    assert (tmp_path / "c.png").read_bytes().startswith(b"\x89PNG")


def test_missing_matplotlib_names_the_extra(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "matplotlib.figure", None)
    with pytest.raises(ImportError, match=r"keras_distill\[plot\]"):
        visualization.plot_confusion([0], [0], ["a", "b"])


def test_a_table_is_text_in_a_notebook_too(monkeypatch):
    from rich import console
    from rich.table import Table

    monkeypatch.setattr(console, "_is_jupyter", lambda: True)
    table = Table("a", "b")
    table.add_row("1", "two")
    lines = table_text(table, 40).splitlines()
    assert "two" in lines[3] and max(map(len, lines)) <= 40
