"""Collects the pages of the site: the guides where they lie, what they link to, the reference.

MkDocs calls the functions by their names. Each page keeps its place in the repository, so that the
same links lead somewhere here and there.
"""

import importlib
import inspect
import pathlib
import re

from mkdocs.structure.files import File, Files

ROOT = pathlib.Path(__file__).parents[2]
PAGES = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "docs/*.md", "export/README.md")
LINKED = re.compile(r"\]\(([^)#:\s]+)")
MODULES = (
    "distiller",
    "losses",
    "recipes",
    "schemes",
    "features",
    "cache",
    "comparison",
    "tuning",
    "architectures",
    "datasets",
    "compression",
    "tflite",
    "sensors",
    "visualization",
)


def on_files(files, config):
    """Adds the pages to the files of the theme."""
    found = {}
    waiting = [path for pattern in PAGES for path in sorted(ROOT.glob(pattern))]
    while waiting:
        path = waiting.pop()
        uri = path.relative_to(ROOT).as_posix()
        if uri in found or not path.is_file():
            continue
        found[uri] = File.generated(config, uri, abs_src_path=str(path))
        if path.suffix == ".md":
            links = LINKED.findall(path.read_text("utf-8"))
            waiting += [(path.parent / link).resolve() for link in links]
    for name, content in reference().items():
        found[name] = File.generated(config, name, content=content)
    return Files([*files, *found.values()])


def reference():
    """Returns the reference, a dictionary from the address of a page to its text."""
    pages, seen = {}, set()
    for module_name in MODULES:
        module = importlib.import_module(f"keras_distill.{module_name}")
        own = [name for name, entry in vars(module).items() if _is_own(entry, module)]
        names = getattr(module, "__all__", own)
        lines = [f"# {module_name}", "", (module.__doc__ or "").strip(), ""]
        for name in names:
            entry = getattr(module, name)
            if not (inspect.isclass(entry) or inspect.isfunction(entry)) or entry in seen:
                continue
            seen.add(entry)
            lines += [f"::: {entry.__module__}.{entry.__qualname__}", ""]
        pages[f"reference/{module_name}.md"] = "\n".join(lines)
    return pages


def _is_own(entry, module):
    name = getattr(entry, "__name__", "_")
    return getattr(entry, "__module__", None) == module.__name__ and not name.startswith("_")
