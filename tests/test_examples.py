"""Every notebook and script of examples/ runs as it stands, and notebooks show their pictures."""

import pathlib
import re
import runpy

import pytest
import tensorflow as tf

ROOT = pathlib.Path(__file__).parents[1]
NOTEBOOK = ROOT / "examples" / "quickstart.ipynb"

# Cells to run after those of the notebook, in its kernel, and how often each picture is shown.
PICTURES = {
    "the last value": ("visualization.plot_curves(runs)", 1),
    "in the middle": ("visualization.plot_curves(runs)\nNone", 1),
    "assigned": ("figure = visualization.plot_curves(runs)", 1),
    "displayed": ("figure = visualization.plot_curves(runs)\ndisplay(figure)", 1),
    "displayed twice": ("display(figure)\ndisplay(figure)", 2),
    "two": ("visualization.plot_curves(runs)\nvisualization.plot_curves(runs)", 2),
    "before an error": ("visualization.plot_curves(runs)\n1 / 0", 1),
    "beside pyplot": (
        "import matplotlib.pyplot as plt\n_ = plt.plot([0, 1])\nvisualization.plot_curves(runs)",
        2,
    ),
    "none": ("1 + 1", 0),
}


@pytest.fixture(scope="module")
def executed(tmp_path_factory):
    """The notebook, run to its end in an empty folder, with the cells of `PICTURES` after it."""
    nbclient = pytest.importorskip("nbclient")
    nbformat = pytest.importorskip("nbformat")
    pytest.importorskip("ipykernel")
    folder = tmp_path_factory.mktemp("notebook")
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    own = len(notebook.cells)
    notebook.cells.append(nbformat.v4.new_code_cell('runs = {"a": {"val_accuracy": [0, 1]}}'))
    for source, _ in PICTURES.values():
        cell = nbformat.v4.new_code_cell(source)
        cell.metadata.tags = ["raises-exception"] if "1 / 0" in source else []
        notebook.cells.append(cell)
    nbclient.NotebookClient(
        notebook, timeout=240, resources={"metadata": {"path": folder}}
    ).execute()
    return notebook.cells[:own], notebook.cells[own + 1 :], folder


def pictures(cell):
    return [output.data["image/png"] for output in cell.outputs if "image/png" in shown(output)]


def shown(output):
    return output.get("data", {})


def printed(cell):
    return "".join(output.get("text", "") for output in cell.outputs)


def test_the_notebook_runs(executed):
    cells, _, folder = executed
    assert (folder / "arduino" / "digits" / "library.properties").is_file()
    assert not any("INFO:tensorflow" in printed(cell) for cell in cells if "outputs" in cell)


def test_the_notebook_shows_its_pictures(executed):
    calls = [cell for cell in executed[0] if "visualization.plot_" in cell.source]
    assert len(calls) >= 2
    assert [len(pictures(cell)) for cell in calls] == [1] * len(calls)


@pytest.mark.parametrize("where", PICTURES)
def test_a_cell_shows_each_picture_once(executed, where):
    cell = executed[1][list(PICTURES).index(where)]
    assert len(pictures(cell)) == PICTURES[where][1]


def test_the_saved_notebook_holds_its_pictures_and_names_no_machine():
    nbformat = pytest.importorskip("nbformat")
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            assert cell.execution_count
            assert len(pictures(cell)) == cell.source.count("visualization.plot_")
            assert not any(output.get("name") == "stderr" for output in cell.outputs)
    assert not re.search(r"/(tmp|home|root|opt)/", NOTEBOOK.read_text("utf-8"))


def test_the_transformer_example_shows_what_alignment_gains(monkeypatch, capsys):
    example = runpy.run_path(str(ROOT / "examples" / "transformer_heads.py"))

    def few(count, seed):
        return example["sequences"](count // 50, seed)

    made_graphs = set()

    def train(model, data, epochs):
        # One of each kind in graphs, since making them takes longer than a few steps.
        kind = len(getattr(model, "distillation_losses", ()))
        tf.config.run_functions_eagerly(kind in made_graphs)
        made_graphs.add(kind)
        try:
            example["train"](model, data, epochs=2)
        finally:
            tf.config.run_functions_eagerly(False)

    for name, function in (("sequences", few), ("train", train)):
        monkeypatch.setitem(example["main"].__globals__, name, function)
    example["main"](seeds=2)
    assert len(re.findall(r"2 heads, .*: \d+\.\d ± \d+\.\d %", capsys.readouterr().out)) == 3


def test_the_example_of_images_and_text_compares_three_students(monkeypatch, capsys):
    example = runpy.run_path(str(ROOT / "examples" / "image_text_pair.py"))

    def few(images, digits, seed):
        return example["pairs"](images[:50], digits[:50], seed)

    monkeypatch.setitem(example["main"].__globals__, "pairs", few)
    # A step of each model: tracing it would take longer.
    tf.config.run_functions_eagerly(True)
    try:
        example["main"](epochs=1)
    finally:
        tf.config.run_functions_eagerly(False)
    assert len(re.findall(r"2 heads, .*: \d+\.\d ± \d+\.\d %", capsys.readouterr().out)) == 3
