"""README and guides: code blocks run, tables are those of the library, links lead somewhere."""

import contextlib
import io
import pathlib
import re
import shlex

import pytest

from keras_distill.cli.command import parser
from keras_distill.losses.catalogue import as_markdown, catalogue

ROOT = pathlib.Path(__file__).parents[1]
README = ROOT / "README.md"
GUIDES = sorted((ROOT / "docs").glob("*.md"))
PAGES = [README, *GUIDES]
LINKING = [*PAGES, ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md"]
TEXTS = {page.name: page.read_text("utf-8") for page in LINKING}


class Reader:
    """Someone who tries a page's Python blocks one after the other in one folder."""

    def __init__(self, page, folder):
        self.page = page
        self.folder = folder
        self.blocks = blocks_of(page)
        self.names = {}
        self.printed = []
        self.failed = None

    def read_to(self, index):
        """Runs the blocks up to one, but for those that ran before, and returns what it printed."""
        while len(self.printed) <= index:
            line, code = self.blocks[len(self.printed)]
            if self.failed:
                pytest.fail(f"the block at line {line} failed before", pytrace=False)
            self.failed = line
            # An error then names the page's own line.
            program = compile("\n" * line + code, self.page, "exec")
            output = io.StringIO()
            with contextlib.chdir(self.folder), contextlib.redirect_stdout(output):
                exec(program, self.names)
            self.failed = None
            self.printed.append(output.getvalue())
        return self.printed[index]

    def read(self):
        """Runs all blocks and returns what the last one printed."""
        return self.read_to(len(self.blocks) - 1)


def blocks_of(page):
    text = TEXTS[page.name]
    return [
        (text.count("\n", 0, match.start(1)), match[1])
        for match in re.finditer(r"```python\n(.*?)```", text, re.DOTALL)
    ]


def heading(page, line):
    before = "\n".join(TEXTS[page.name].splitlines()[:line])
    return re.findall(r"^#+ (.*)", before, re.MULTILINE)[-1].replace(" ", "_")


def blocks():
    for page in PAGES:
        for index, (line, _) in enumerate(blocks_of(page)):
            yield pytest.param(page, index, id=f"{page.name}-line_{line}-{heading(page, line)}")


@pytest.fixture(scope="module")
def readers(tmp_path_factory):
    return {page: Reader(page, tmp_path_factory.mktemp(page.stem)) for page in PAGES}


@pytest.mark.parametrize(("page", "index"), list(blocks()))
def test_block_runs(readers, page, index):
    readers[page].read_to(index)


def test_the_first_distillation_ends_above_90_percent_beside_the_student_alone(readers):
    printed = readers[ROOT / "docs" / "distillation.md"].read_to(0)
    found = dict(re.findall(r"^(.+) (\d+\.\d)%$", printed, re.MULTILINE))
    alone, distilled = float(found["student alone"]), float(found["student distilled"])
    assert distilled > 90
    assert 50 < alone < 100


def test_the_student_of_the_readme_ends_above_90_percent(readers):
    accuracies = re.findall(r"(\d+\.\d+) %", readers[README].read())
    assert accuracies and min(map(float, accuracies)) > 90


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_blocks_write_the_files_that_they_name(readers, page):
    named = re.findall(r'"(\w+\.tflite)"', "".join(code for _, code in blocks_of(page)))
    assert named or page.name not in ("README.md", "devices.md")
    if named:
        readers[page].read()
    assert all((readers[page].folder / name).is_file() for name in named)


def test_the_table_of_losses_is_the_catalogue():
    text = TEXTS["losses.md"]
    table = text.partition("losses.catalogue() -->\n")[2].partition("<!-- end of losses")[0]
    assert table == as_markdown(catalogue())


@pytest.mark.parametrize("page", ["README.md", "results.md"])
def test_the_table_of_digits_is_that_of_its_script(page):
    lines = (ROOT / "benchmarks" / "results" / "digits.md").read_text("utf-8").splitlines()
    assert "\n".join(line for line in lines if line.startswith("|")) in TEXTS[page]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_command_takes_what_a_page_says(page):
    for block in re.findall(r"```bash\n(.*?)```", TEXTS[page.name], re.DOTALL):
        for line in block.replace("\\\n", " ").splitlines():
            program, *words = shlex.split(line, comments=True) or [""]
            if program == "keras-distill":
                parser().parse_args(words)


def test_the_readme_is_short():
    assert len(TEXTS["README.md"].splitlines()) < 200


@pytest.mark.parametrize("page", LINKING, ids=lambda page: page.name)
def test_links_lead_to_files_and_headings(page):
    for target in re.findall(r"\]\((?!https?:)([^)]+)\)", TEXTS[page.name]):
        path, _, anchor = target.partition("#")
        file = page.parent / path if path else page
        assert file.exists(), f"{page.name} links to {target}, which isn't there"
        if anchor:
            headings = re.findall(r"^#+ (.*)", file.read_text("utf-8"), re.MULTILINE)
            anchors = [re.sub(r"[^\w -]", "", text).lower().replace(" ", "-") for text in headings]
            assert anchor in anchors, f"{page.name} links to {target}: no such heading"


def test_the_readme_links_to_every_guide():
    assert all(f"(docs/{guide.name})" in TEXTS["README.md"] for guide in GUIDES)


def test_the_files_that_contributing_names_are_there():
    named = re.findall(r"`([a-z_]+/[\w/.]+)`", TEXTS["CONTRIBUTING.md"])
    named = [name for name in named if "NAME" not in name and "FAMILY" not in name]
    missing = [
        n for n in named if not (ROOT / n).exists() and not (ROOT / "keras_distill" / n).exists()
    ]
    assert named and not missing
