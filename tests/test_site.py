"""The documentation site: it builds without a warning, with every guide and public name in it."""

import html
import pathlib
import re
import warnings

import pytest

import keras_distill

ROOT = pathlib.Path(__file__).parents[1]
TROUBLE = ROOT / "docs" / "troubleshooting.md"
MODULES = ("losses", "schemes", "tflite", "tuning", "visualization")


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    # Material for MkDocs greets whoever imports it.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from mkdocs.commands.build import build
        from mkdocs.config import load_config

    folder = tmp_path_factory.mktemp("site")
    # Strict: a dead link or a wrong docstring raises.
    build(load_config(str(ROOT / "mkdocs.yml"), site_dir=str(folder)))
    return folder


def test_every_guide_is_a_page(site):
    guides = {path.stem for path in (ROOT / "docs").glob("*.md")}
    assert guides == {path.stem for path in (site / "docs").glob("*.html")}
    assert "Knowledge distillation" in (site / "index.html").read_text("utf-8")


@pytest.mark.parametrize("name", MODULES)
def test_every_public_name_has_its_place_in_the_reference(site, name):
    text = (site / "reference" / f"{name}.html").read_text("utf-8")
    module = getattr(keras_distill, name)
    entries = {entry: getattr(module, entry) for entry in module.__all__}
    functions = [n for n, e in entries.items() if callable(e) and hasattr(e, "__qualname__")]
    assert functions
    missing = [n for n in functions if f'.{entries[n].__qualname__}"' not in text]
    assert not missing


def test_nothing_is_loaded_from_elsewhere(site):
    text = (site / "index.html").read_text("utf-8")
    loaded = re.findall(r"<(?:script|link|img)[^>]+(?:src|href)=\"(https?:[^\"]+)", text)
    assert not loaded


def test_the_search_works_in_pages_that_are_opened_as_files(site):
    # There a browser fetches no index and starts no worker.
    assert "plot_sequence_attention" in (site / "search" / "search_index.js").read_text("utf-8")
    script = re.search(
        r'<script src="([^"]*iframe-worker[^"]*)"', (site / "index.html").read_text()
    )
    assert "window.Worker = IFrameWorker" in (site / script[1]).read_text("utf-8")


def test_troubleshooting_quotes_what_the_package_says():
    sources = "\n".join(path.read_text("utf-8") for path in (ROOT / "keras_distill").rglob("*.py"))
    # Messages stand in several pieces, one per line.
    sources = re.sub(r"[\"']\s*\n\s*f?[\"']", "", sources)
    rows = [line.split("|")[1] for line in TROUBLE.read_text("utf-8").splitlines() if "| `" in line]
    quoted = [html.unescape(text) for row in rows for text in re.findall(r"`([^`]+)`", row)]
    quoted = [text for text in quoted if text not in ("verify", "failed", "FAIL")]
    assert len(quoted) > 20
    assert not [text for text in quoted if text not in sources]
