"""The structure of the package, measured from its sources. CONTRIBUTING.md shows the same tree."""

import ast
import pathlib
import re

import pytest

ROOT = pathlib.Path(__file__).parents[1]
PACKAGE = ROOT / "keras_distill"
SOURCES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted(PACKAGE.rglob("*.py"))
}
TREES = {name: ast.parse(path.read_text("utf-8")) for name, path in SOURCES.items()}

# Any module may import these; they import nothing of the package.
BOTTOM = {"_compat", "arguments", "files", "version"}
# What else each module or package directly in keras_distill may import; api and cli may import all.
MAY_IMPORT = {
    "tuning": {
        "cache",
        "comparison",
        "datasets",
        "distiller",
        "features",
        "losses",
        "recipes",
        "tflite",
        "training",
        "visualization",
    },
    "comparison": {
        "distiller",
        "training",
        "cache",
        "features",
        "losses",
        "recipes",
        "visualization",
    },
    "compression": {"tflite", "features"},
    "schemes": {"distiller", "training", "cache", "datasets", "features", "losses"},
    "distiller": {"training", "cache", "features", "losses"},
    "training": {"cache", "features", "losses"},
    "cache": {"features", "losses"},
    "features": {"losses"},
    "tflite": {"features", "sensors", "visualization"},
    "recipes": {"losses"},
    "losses": set(),
    "visualization": {"features", "losses"},
    "architectures": set(),
    "datasets": {"sensors"},
    "sensors": set(),
}
MOST_LINES = 450
MOST_FILES = 10

_STEMS = (
    "capital central customi discreti emphasi equali factori finali generali initiali itemi locali "
    "maximi memori minimi neutrali normali optimi organi parametri penali prioriti quanti randomi "
    "recogni regulari seriali speciali standardi summari symmetri synchroni tokeni utili vectori "
    "visuali categori binari reali"
)
BRITISH = re.compile(
    rf"({'|'.join(_STEMS.split())})s(e|ed|es|er|ers|ing|ation|ations|able)\b"
    r"|analys(e|ed|ing)\b|(behavi|col|fav|neighb|hon|lab|flav)our"
    r"|\b(centi|milli)?metre|\bcentr(e|ed)\b|\bgrey\b|artefact|\blicence|\blearnt\b|\bwhilst\b"
    r"|(label|model|cancel|level|channel|travel)l(ed|ing)\b",
    re.IGNORECASE,
)


def imports(name):
    """Yields the modules of the package that a module imports, in functions too."""
    for node in ast.walk(TREES[name]):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in SOURCES)
        elif isinstance(node, ast.ImportFrom) and node.module in SOURCES:
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                yield full if full in SOURCES else node.module


def room(name):
    """Returns the module or package directly in keras_distill that a module belongs to."""
    return name.split(".")[1] if "." in name else ""


def test_imports_are_absolute():
    relative = [
        f"{name}:{node.lineno}"
        for name, tree in TREES.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.level
    ]
    assert not relative, f"write them from keras_distill on: {relative}"


def test_imports_run_downwards():
    allowed = {top: below | BOTTOM | {top} for top, below in MAY_IMPORT.items()}
    allowed |= {bottom: {bottom} for bottom in BOTTOM}
    wrong = [
        f"{name} imports {target}"
        for name in SOURCES
        for target in imports(name)
        if room(name) in allowed and room(target) not in allowed[room(name)]
    ]
    assert not wrong, (
        "move what is imported down, to a room that both may import, or pass it as an argument "
        f"(MAY_IMPORT says who may import whom): {wrong}"
    )


def test_each_room_has_its_place():
    rooms = {room(name) for name in SOURCES} - {"", "api", "cli"}
    assert rooms == {*MAY_IMPORT, *BOTTOM}, "say in MAY_IMPORT what a new room may import"


def test_no_modules_import_each_other_in_a_circle():
    below = {name: {*imports(name)} - {name} for name in SOURCES}
    # A module that imports only what is no part of a circle, is no part of one either.
    while free := {name for name, targets in below.items() if not targets}:
        below = {name: targets - free for name, targets in below.items() if name not in free}
    above = {name: {n for n, targets in below.items() if name in targets} for name in below}
    while free := {name for name, sources in above.items() if not sources}:
        above = {name: sources - free for name, sources in above.items() if name not in free}
    assert not above, f"move what they share into a module below both: {sorted(above)}"


@pytest.mark.parametrize("folder", ["keras_distill", "benchmarks", "examples", "export"])
def test_files_are_short(folder):
    lengths = {
        str(path.relative_to(ROOT)): len(path.read_text("utf-8").splitlines())
        for path in (ROOT / folder).rglob("*.py")
    }
    long = {name: length for name, length in lengths.items() if length > MOST_LINES}
    assert not long, f"split them by what their parts do (over {MOST_LINES} lines): {long}"


def test_few_files_lie_directly_in_the_package():
    files = sorted(path.name for path in PACKAGE.glob("*.py"))
    assert len(files) <= MOST_FILES, f"move some into a package of their own: {files}"


def test_no_module_is_called_by_what_it_is_not():
    vague = [name for name in SOURCES if re.search(r"\.(utils?|helpers?|misc|common)(\.|$)", name)]
    assert not vague, f"name them by what they hold: {vague}"


@pytest.mark.parametrize(
    "folder", ["keras_distill", "tests", "benchmarks", "examples", "export", "docs", "README.md"]
)
def test_the_spelling_is_american(folder):
    top = ROOT / folder
    files = [top] if top.is_file() else [*top.rglob("*.py"), *top.rglob("*.md")]
    found = [
        f"{path.relative_to(ROOT)}:{number}: {match[0]}"
        for path in files
        if path != pathlib.Path(__file__)
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1)
        for match in BRITISH.finditer(line)
    ]
    assert not found, f"write them as Keras does (quantize, behavior, labeled): {found}"


@pytest.mark.parametrize(
    ("pattern", "advice"),
    [
        (
            r"isinstance\([^()]*\bTeacherCache\b",
            "a cache is a kind of branch: give the branch a method or an attribute",
        ),
        (
            r"getattr\(\w*loss\w*, \"needs_",
            "losses of Keras are wrapped once, where they come in: every loss has the attribute",
        ),
    ],
)
def test_kinds_are_asked_by_a_method(pattern, advice):
    found = [
        f"{name}:{number}"
        for name, path in SOURCES.items()
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1)
        if re.search(pattern, line)
    ]
    assert not found, f"{advice}: {found}"
