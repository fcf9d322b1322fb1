"""Report page: one HTML file with tables, pictures and text."""

import base64
import html
import numbers
import os
import pathlib
from collections.abc import Sequence

from keras_distill.arguments import check_path
from keras_distill.files import write_whole
from keras_distill.visualization.rendering import png

_KEYS = ("title", "text", "preformatted", "table", "image", "caption")
_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"

_MARK = '<meta name="generator" content="keras_distill">'

_STYLE = """
:root { color-scheme: light dark; --ink: #1c1e21; --soft: #5b6168; --line: #d9dce0;
  --paper: #ffffff; --band: #f5f6f8; --accent: #0b5cad; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6e8eb; --soft: #a0a7b0; --line: #3a3f46; --paper: #16181b;
    --band: #1f2226; --accent: #7db7f2; } }
body { margin: 0 auto; padding: 2rem 1.25rem 4rem; max-width: 60rem; background: var(--paper);
  color: var(--ink); font: 16px/1.55 system-ui, sans-serif; }
h1 { font-size: 1.7rem; line-height: 1.25; border-bottom: 2px solid var(--accent);
  padding-bottom: .5rem; }
h2 { font-size: 1.2rem; margin: 2.2rem 0 .6rem; }
p { white-space: pre-line; max-width: 44rem; }
pre { overflow-x: auto; font-size: .85rem; line-height: 1.45; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-size: .92rem; font-variant-numeric: tabular-nums; }
th, td { padding: .4rem .8rem; border-bottom: 1px solid var(--line); text-align: left; }
th { color: var(--soft); font-weight: 600; }
tbody tr:nth-child(even) { background: var(--band); }
.number { text-align: right; }
figure { margin: 1rem 0; }
img { max-width: 100%; height: auto; background: #ffffff; border: 1px solid var(--line);
  border-radius: 6px; }
figcaption { color: var(--soft); font-size: .9rem; max-width: 44rem; }
"""


def write_report(path: str | os.PathLike, title: str, sections: Sequence[dict]) -> None:
    """Writes a report as one HTML file, with its pictures inside.

    The page asks for nothing from a network, follows the reader's light or dark setting and is
    written whole or not at all. Everything given is text: HTML in it is shown, not obeyed.

    Args:
        path: File to write, e.g. `"report.html"`; its folder must exist.
        title: Title of the page.
        sections: List of dicts, each with one or more of: `"title"` (string), `"text"` (string;
            line breaks are kept), `"preformatted"` (string; spaces are kept too, in type of fixed
            width), `"table"` (list of dicts, one per row; columns stand in the
            order in which they first appear), `"image"` (a matplotlib figure, the bytes of a PNG
            file, or the path of one) and `"caption"` (string, the words below the image and
            those read out instead of it).

    Raises:
        TypeError: If `path`, `sections`, a section, a table or an image is of another type.
        ValueError: If a section is empty or has an unknown key, or an image is not a PNG.
        FileNotFoundError: If an image or the folder of `path` does not exist.

    Example:
        ```python
        import pathlib
        import tempfile

        from keras_distill.visualization.report_page import write_report

        rows = [{"model": "alone", "accuracy": 0.924}, {"model": "distilled", "accuracy": 0.94}]
        page = pathlib.Path(tempfile.mkdtemp()) / "report.html"
        write_report(page, "Digits", [{"title": "Accuracy", "table": rows}])
        ```
    """
    path = check_path("path", path)
    if not isinstance(sections, list | tuple):
        raise TypeError(f"`sections` must be a list of dicts. Received: {type(sections).__name__}")
    body = [_section(section, f"sections[{i}]") for i, section in enumerate(sections)]
    page = (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"{_MARK}\n<title>{html.escape(str(title))}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n"
        f"<h1>{html.escape(str(title))}</h1>\n{''.join(body)}</body>\n</html>\n"
    )
    write_whole(path, page.encode("utf-8"))


def check_replaceable(name: str, path: str | os.PathLike) -> pathlib.Path:
    """Checks that a page can be written to a path without a loss, and returns the path.

    Args:
        name: The argument.
        path: File to write: a free name in an existing folder, or a page of `write_report`.

    Raises:
        TypeError: If it is no path.
        ValueError: If no file can have that name.
        FileNotFoundError: If its folder doesn't exist.
        FileExistsError: If there is something else.
    """
    path = check_path(name, path)
    if not path.absolute().parent.is_dir():
        raise FileNotFoundError(
            f"The folder of {name} doesn't exist: create it first. Received: {name}={str(path)!r}"
        )
    if os.path.lexists(path) and not (path.is_file() and _is_page(path)):
        raise FileExistsError(
            f"{name} is there and is no report page of keras_distill, so it isn't written over: "
            f"remove it, or take another name. Received: {name}={str(path)!r}"
        )
    return path


def _is_page(path):
    with path.open("rb") as file:
        return _MARK.encode() in file.read(1000)


def _section(section, where):
    if not isinstance(section, dict):
        raise TypeError(f"`{where}` must be a dict. Received: {type(section).__name__}")
    unknown = [key for key in section if key not in _KEYS]
    if unknown or not section:
        raise ValueError(
            f"`{where}` must have one or more of the keys {', '.join(_KEYS)}. "
            f"Received: {', '.join(map(repr, section)) or 'none'}"
        )
    if "caption" in section and "image" not in section:
        raise ValueError(f"`{where}` has a caption but no image. Use `text` for words only.")
    parts = []
    if "title" in section:
        parts.append(f"<h2>{html.escape(str(section['title']))}</h2>\n")
    if "text" in section:
        parts.append(f"<p>{html.escape(str(section['text']))}</p>\n")
    if "preformatted" in section:
        parts.append(f"<pre>{html.escape(str(section['preformatted']))}</pre>\n")
    if "table" in section:
        parts.append(_table(section["table"], f"{where}['table']"))
    if "image" in section:
        caption = html.escape(str(section.get("caption", "")))
        spoken = caption or html.escape(str(section.get("title", "")))
        data = base64.b64encode(_image(section["image"], f"{where}['image']")).decode("ascii")
        below = f"<figcaption>{caption}</figcaption>" if caption else ""
        source = f"data:image/png;base64,{data}"
        parts.append(f'<figure><img src="{source}" alt="{spoken}">{below}</figure>\n')
    return f"<section>\n{''.join(parts)}</section>\n"


def _table(rows, where):
    if not isinstance(rows, list | tuple) or not all(isinstance(row, dict) for row in rows):
        raise TypeError(f"`{where}` must be a list of dicts, one per row. Received: {rows!r:.80}")
    columns = list(dict.fromkeys(key for row in rows for key in row))
    if not columns:
        raise ValueError(f"`{where}` has no rows, or rows without columns.")
    numeric = {
        column: all(_is_number(row[column]) for row in rows if row.get(column) is not None)
        for column in columns
    }
    head = "".join(_cell("th", column, numeric[column]) for column in columns)
    body = "".join(
        "<tr>"
        + "".join(_cell("td", _shown(row.get(column)), numeric[column]) for column in columns)
        + "</tr>\n"
        for row in rows
    )
    return (
        f'<div class="wide"><table>\n<thead><tr>{head}</tr></thead>\n'
        f"<tbody>\n{body}</tbody>\n</table></div>\n"
    )


def _cell(tag, value, numeric):
    kind = ' class="number"' if numeric else ""
    return f"<{tag}{kind}>{html.escape(str(value))}</{tag}>"


def _is_number(value):
    return isinstance(value, numbers.Number) and not isinstance(value, bool)


def _shown(value):
    """A value as a reader wants it: thousands set apart, four significant digits."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, numbers.Integral):
        return f"{int(value):,}"
    if isinstance(value, numbers.Real):
        number = float(value)
        return f"{number:,.0f}" if 1e4 <= abs(number) < 1e15 else f"{number:.4g}"
    return value


def _image(image, where):
    if hasattr(image, "savefig"):
        return png(image)
    if isinstance(image, str | pathlib.Path):
        if not pathlib.Path(image).is_file():
            raise FileNotFoundError(f"`{where}`: there is no file {str(image)!r}.")
        image = pathlib.Path(image).read_bytes()
    if not isinstance(image, bytes):
        raise TypeError(
            f"`{where}` must be a matplotlib figure, the bytes of a PNG file or the path of one. "
            f"Received: {type(image).__name__}"
        )
    if not image.startswith(_PNG_SIGNATURE):
        raise ValueError(f"`{where}` is not a PNG file; it begins with {image[:8]!r}.")
    return image
