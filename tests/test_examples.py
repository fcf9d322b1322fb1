"""Every notebook of examples/ and every Python block of the README runs as it stands."""

import pathlib
import re
import runpy
import shutil

import pytest

ROOT = pathlib.Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "examples").glob("*.ipynb"))
BLOCKS = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text("utf-8"), re.DOTALL)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_runs(path, tmp_path):
    nbclient = pytest.importorskip("nbclient")
    nbformat = pytest.importorskip("nbformat")
    copy = shutil.copy(path, tmp_path)
    notebook = nbformat.read(copy, as_version=4)
    nbclient.NotebookClient(
        notebook, timeout=240, resources={"metadata": {"path": tmp_path}}
    ).execute()
    assert (tmp_path / "arduino").is_dir()


def test_the_transformer_example_shows_what_alignment_gains(monkeypatch, capsys):
    example = runpy.run_path(str(ROOT / "examples" / "transformer_heads.py"))

    def few(count, seed):
        return example["sequences"](count // 50, seed)

    monkeypatch.setitem(example["main"].__globals__, "sequences", few)
    example["main"](seeds=2)
    assert len(re.findall(r"2 heads, .*: \d+\.\d ± \d+\.\d %", capsys.readouterr().out)) == 3


def test_the_readme_shows_code():
    assert len(BLOCKS) >= 2


def test_the_readmes_python_runs_in_order(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = {}
    for block in BLOCKS:
        exec(compile(block, "README.md", "exec"), names)
    assert (tmp_path / "student.tflite").is_file()
