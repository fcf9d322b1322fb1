"""Each Python block of the README runs as it stands, and its table of losses is the library's."""

import contextlib
import io
import pathlib
import re

import pytest

from keras_distill.losses.catalogue import as_markdown, catalogue

README = pathlib.Path(__file__).parents[1] / "README.md"
TEXT = README.read_text("utf-8")
BLOCKS = [
    (TEXT.count("\n", 0, match.start(1)), match[1])
    for match in re.finditer(r"```python\n(.*?)```", TEXT, re.DOTALL)
]


def heading(line):
    before = "\n".join(TEXT.splitlines()[:line])
    return re.findall(r"^#+ (.*)", before, re.MULTILINE)[-1].replace(" ", "_")


class Reader:
    """Someone who tries the README's blocks one after the other in one folder."""

    def __init__(self, folder):
        self.folder = folder
        self.names = {}
        self.printed = []
        self.failed = None

    def read_to(self, index):
        """Runs the blocks up to one, but for those that ran before, and returns what it printed."""
        while len(self.printed) <= index:
            line, code = BLOCKS[len(self.printed)]
            if self.failed:
                pytest.fail(f"the block at line {line} failed before", pytrace=False)
            self.failed = line
            # An error then names the README's own line.
            program = compile("\n" * line + code, README, "exec")
            output = io.StringIO()
            with contextlib.chdir(self.folder), contextlib.redirect_stdout(output):
                exec(program, self.names)
            self.failed = None
            self.printed.append(output.getvalue())
        return self.printed[index]


@pytest.fixture(scope="module")
def reader(tmp_path_factory):
    return Reader(tmp_path_factory.mktemp("reader"))


@pytest.mark.parametrize(
    "index", range(len(BLOCKS)), ids=[f"line_{line}-{heading(line)}" for line, _ in BLOCKS]
)
def test_block_runs(reader, index):
    reader.read_to(index)


def test_the_first_block_ends_above_90_percent_beside_the_student_alone(reader):
    printed = reader.read_to(0)
    found = dict(re.findall(r"^(.+) (\d+\.\d)%$", printed, re.MULTILINE))
    alone, distilled = float(found["student alone"]), float(found["student distilled"])
    assert distilled > 90
    assert 50 < alone < 100


def test_the_blocks_write_the_files_that_they_name(reader):
    reader.read_to(len(BLOCKS) - 1)
    named = re.findall(r'"(\w+\.tflite)"', "".join(code for _, code in BLOCKS))
    assert "student.tflite" in named
    assert all((reader.folder / name).is_file() for name in named)


def test_the_table_of_losses_is_the_catalogue():
    table = TEXT.partition("losses.catalogue() -->\n")[2].partition("<!-- end of losses")[0]
    assert table == as_markdown(catalogue())
