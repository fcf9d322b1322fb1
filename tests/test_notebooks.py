"""The notebooks of examples/: each runs in a small form, and is saved with its outputs."""

import ast
import contextlib
import io
import pathlib
import re

import nbformat
import pytest
import tensorflow as tf

EXAMPLES = pathlib.Path(__file__).parents[1] / "examples"
# quickstart.ipynb, which test_examples.py runs whole, has no parameters.
NOTEBOOKS = sorted(path for path in EXAMPLES.glob("*.ipynb") if path.stem != "quickstart")
# What takes the place of the parameters, so that every cell runs within seconds.
SMALL = {
    "attention": {"IMAGES": 50, "LABELED": 25, "EPOCHS": 1},
    "from_keras": {"DATA": "digits", "TRAINED": 50, "TESTED": 25, "EPOCHS": 1},
    "mutual_and_self": {"LABELED": 25, "EPOCHS": 2},
    "sounds_to_arduino": {"CLIPS": 20, "EPOCHS": 2},
    "teachers": {"LABELED": 25, "EPOCHS": 3},
    "transformer_heads": {"OF_TEACHER": 50, "OF_STUDENT": 50, "EPOCHS": 1},
    "tuning": {"LABELED": 60, "OF_TEACHER": 0, "EPOCHS": 1, "TRIALS": 1, "FOLDS": 2, "STUDENTS": 1},
    "your_own": {"LABELED": 25, "EPOCHS": 2, "CYCLES": 2},
}


def code_of(path):
    notebook = nbformat.read(path, as_version=4)
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def is_parameters(cell):
    return "parameters" in cell.metadata.get("tags", ())


def names_of(source):
    """Returns the names that a cell of parameters sets."""
    (statement,) = ast.parse(source).body
    (target,) = statement.targets
    return [element.id for element in target.elts]


@pytest.fixture
def eager():
    # Tracing a step takes longer than the few that are made here.
    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_every_cell_runs(path, eager, tmp_path):
    names = {}
    with contextlib.chdir(tmp_path), contextlib.redirect_stdout(io.StringIO()):
        for number, cell in enumerate(code_of(path)):
            exec(compile(cell.source, f"{path.name}, cell {number}", "exec"), names)
            if is_parameters(cell):
                assert set(names_of(cell.source)) == set(SMALL[path.stem])
                names.update(SMALL[path.stem])


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_is_saved_with_its_outputs_and_names_no_machine(path):
    cells = code_of(path)
    shown = [output for cell in cells for output in cell.outputs]
    assert all(cell.execution_count for cell in cells)
    assert sum("print(" in cell.source for cell in cells) <= len(shown)
    pictures = [output for output in shown if "image/png" in output.get("data", {})]
    drawn = [cell for cell in cells if re.search(r"visualization\.plot_|\.plot\(\)", cell.source)]
    assert len(pictures) == len(drawn)
    assert not [output for output in shown if output.get("name") == "stderr"]
    assert not [output for output in shown if output.output_type == "error"]
    assert not re.search(r"/(tmp|home|root|opt|work)/", path.read_text("utf-8"))


def test_each_notebook_is_named_in_the_list_of_examples():
    page = (EXAMPLES / "README.md").read_text("utf-8")
    files = [path.name for path in EXAMPLES.iterdir() if path.suffix in (".py", ".ipynb")]
    assert not [name for name in files if f"({name})" not in page]
