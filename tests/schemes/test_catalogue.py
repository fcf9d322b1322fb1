"""The list of schemes is complete, and the guide shows it."""

import inspect
import pathlib

import keras_distill
from keras_distill import TeacherCache, schemes
from keras_distill.schemes.catalogue import as_markdown, catalogue


def test_it_lists_each_public_scheme_once():
    names = [scheme.name for scheme in catalogue()]
    assert len(set(names)) == len(names)
    public = {name for name in schemes.__all__ if name[0].isupper() or "_" in name}
    public = public - {"Scheme", "Chain", "robust_accuracy"} | {"synthesize"}
    assert public == {name for name in names if hasattr(schemes, name)}
    others = [name for name in names if not hasattr(schemes, name)]
    homes = {"TeacherCache.from_outputs": getattr(TeacherCache, "from_outputs", None)}
    assert all(hasattr(keras_distill, name) or homes.get(name) for name in others)


def test_each_paper_stands_in_the_docstring():
    for scheme in catalogue():
        made = getattr(schemes, scheme.name, None)
        if made is not None:
            text = inspect.getdoc(made)
            assert "Reference:" in text
            assert scheme.paper.split(",")[0].split(" et al.")[0].split()[0] in text


def test_the_guide_has_the_table():
    guide = pathlib.Path(__file__).parents[2] / "docs" / "schemes.md"
    table = guide.read_text("utf-8").partition("schemes.catalogue() -->\n")[2]
    assert table.partition("<!-- end of schemes")[0] == as_markdown(catalogue())
