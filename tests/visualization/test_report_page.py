"""The report page: self-contained, escaped, whole, and clear about bad sections."""

import base64
import html.parser
import re

import numpy as np
import pytest

from keras_distill.visualization.report_page import check_replaceable, write_report

PNG = b"\x89PNG\r\n\x1a\n" + b"the rest of a picture"


@pytest.fixture
def page(tmp_path):
    """Writes sections and returns the HTML."""

    def write(sections, title="Report"):
        write_report(tmp_path / "report.html", title, sections)
        return (tmp_path / "report.html").read_text("utf-8")

    return write


def cells(text):
    return [
        re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row) for row in re.findall("<tr>.*?</tr>", text)
    ]


def test_page_is_well_formed_and_asks_for_nothing(page):
    text = page([{"title": "a", "text": "b", "table": [{"c": 1}], "image": PNG, "caption": "d"}])
    open_tags = []

    class Parser(html.parser.HTMLParser):
        def handle_starttag(self, tag, attributes):
            if tag not in ("meta", "img"):
                open_tags.append(tag)
            for key, value in attributes:
                assert key not in ("src", "href") or value.startswith("data:image/png;base64,")

        def handle_endtag(self, tag):
            assert open_tags.pop() == tag

    Parser().feed(text)
    assert not open_tags
    assert "http" not in text and "@import" not in text and "url(" not in text
    assert "prefers-color-scheme: dark" in text


def test_text_is_shown_and_not_obeyed(page):
    evil = '<script>alert("x")</script>'
    text = page(
        [{"title": evil, "text": evil, "table": [{evil: evil}], "image": PNG, "caption": evil}],
        title=evil,
    )
    assert "<script" not in text
    # Title twice, heading, text, column, cell, caption, and the words for the image.
    assert text.count("&lt;script&gt;") == 8
    assert 'alt="&lt;script&gt;alert(&quot;x&quot;)' in text


def test_table_has_every_column_once_and_a_dash_for_what_is_missing(page):
    rows = [{"model": "alone", "size": 702}, {"model": "teacher", "accuracy": 0.98765}]
    assert cells(page([{"table": rows}])) == [
        ["model", "size", "accuracy"],
        ["alone", "702", "-"],
        ["teacher", "-", "0.9877"],
    ]


def test_numbers_are_readable_and_stand_to_the_right(page):
    row = {
        "a": 99754,
        "b": np.float32(0.5),
        "c": np.int64(1234567),
        "d": True,
        "e": 1e-9,
        "f": -2.5e6,
    }
    text = page([{"table": [row]}])
    assert cells(text)[1] == ["99,754", "0.5", "1,234,567", "yes", "1e-09", "-2,500,000"]
    assert text.count('<td class="number">') == 5


def test_images_are_embedded_from_bytes_files_and_figures(page, tmp_path):
    (tmp_path / "a.png").write_bytes(PNG)
    embedded = base64.b64encode(PNG).decode()
    assert embedded in page([{"image": PNG}])
    assert embedded in page([{"image": tmp_path / "a.png"}])
    assert embedded in page([{"image": str(tmp_path / "a.png")}])
    pytest.importorskip("matplotlib")
    from keras_distill.visualization import plot_confusion

    text = page([{"image": plot_confusion([0, 1], [1, 1], ["a", "b"])}])
    data = re.search('base64,([^"]+)', text).group(1)
    assert base64.b64decode(data).startswith(b"\x89PNG")


def test_a_path_that_is_none_is_refused():
    with pytest.raises(TypeError, match=r"path must be a path.*Received: path=5"):
        write_report(5, "x", [])


def test_title_is_read_out_where_there_is_no_caption(page):
    assert 'alt="Curves"' in page([{"title": "Curves", "image": PNG}])


@pytest.mark.parametrize(
    ("sections", "error", "message"),
    [
        ({"title": "x"}, TypeError, "list of dicts"),
        (["x"], TypeError, r"sections\[0\]"),
        ([{"title": "x"}, {}], ValueError, r"sections\[1\].*none"),
        ([{"heading": "x"}], ValueError, "'heading'"),
        ([{"caption": "x"}], ValueError, "no image"),
        ([{"table": {"a": 1}}], TypeError, "list of dicts"),
        ([{"table": []}], ValueError, "no rows"),
        ([{"image": b"GIF89a"}], ValueError, "not a PNG"),
        ([{"image": 5}], TypeError, "int"),
        ([{"image": "nowhere.png"}], FileNotFoundError, "nowhere.png"),
    ],
)
def test_bad_sections_are_named_and_nothing_is_written(sections, error, message, tmp_path):
    with pytest.raises(error, match=message):
        write_report(tmp_path / "report.html", "x", sections)
    assert not list(tmp_path.iterdir())


def test_only_a_page_of_ours_may_be_replaced(tmp_path, page):
    assert check_replaceable("path", tmp_path / "new.html") == tmp_path / "new.html"
    page([{"text": "old"}])
    check_replaceable("path", str(tmp_path / "report.html"))
    (tmp_path / "notes.html").write_text("mine")
    for name in ("notes.html", "."):
        with pytest.raises(FileExistsError, match="no report page of keras_distill"):
            check_replaceable("path", tmp_path / name)
    with pytest.raises(FileNotFoundError, match="create it first"):
        check_replaceable("path", tmp_path / "absent" / "report.html")


def test_preformatted_text_keeps_its_spaces(page):
    assert "<pre>a   b\n  &lt;c&gt;</pre>" in page([{"preformatted": "a   b\n  <c>"}])
