"""The verdict on one call: clear, Keras's own, works, obscure, silent."""

import ast
import dataclasses
import functools
import os
import pathlib
import re
import traceback
import zipfile

import keras_distill
from keras_distill.arguments import shown

OURS = pathlib.Path(keras_distill.__file__).parent
VERDICTS = ("clear", "keras", "works", "obscure", "silent", "crash", "hang")
# What tells a user that an argument or a file is wrong.
_CLEAR = (
    ValueError,
    TypeError,
    OSError,
    ImportError,
    RuntimeError,
    SystemExit,
    zipfile.BadZipFile,
)
_LONGEST = 2_500


@dataclasses.dataclass(frozen=True)
class Verdict:
    """What came of a call.

    Args:
        kind: One of `VERDICTS`.
        text: The error, or what the call gave.
    """

    kind: str
    text: str = ""


def judge_result(call, argument, value, place):
    """Judges a call that went through."""
    if place.is_harmed(value if call.rule(argument).replaces else None):
        return Verdict("silent", "a file of the user's was deleted or changed")
    if call.rule(argument).accepts(value):
        return Verdict("works")
    return Verdict("silent", "the call went through")


def judge_error(error, call, argument, value, place):
    """Judges a call that ended in an error."""
    text = _text_of(error)
    if place.is_harmed():
        return Verdict("silent", f"a file of the user's was deleted or changed; then {text[:200]}")
    described = f"{type(error).__name__}: {text[:400]}"
    if not isinstance(error, _CLEAR) or isinstance(error, (RecursionError, NotImplementedError)):
        return Verdict("obscure", f"{described} {_where(error)}")
    if isinstance(error, OSError) and _plain(value) in str(error.filename):
        # The system's own error, of the file that was named.
        return Verdict("clear", described)
    if len(text) > _LONGEST:
        return Verdict("obscure", f"{len(text)} characters: {described} {_where(error)}")
    mentions = _mentions(text, call, argument, value)
    if _is_python_on_arguments(text) or (_is_raised_by_us(error) and mentions):
        return Verdict("clear", described)
    if call.rule(argument).is_keras and not _is_raised_by_us(error):
        return Verdict("keras", described)
    return Verdict("obscure", f"{described} {_where(error)}")


def _text_of(error):
    try:
        return str(error)
    except Exception as second:
        return f"<an error that can't be shown: {type(second).__name__}>"


def _plain(value):
    return str(value) if isinstance(value, (str, os.PathLike)) else repr(None)


def _where(error):
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if OURS in pathlib.Path(frame.filename).parents]
    last = (ours or frames)[-1:]
    return "".join(f"[{pathlib.Path(f.filename).name}:{f.lineno} {f.name}]" for f in last)


def _is_python_on_arguments(text):
    # Python's own check of a signature names the function and the argument.
    return bool(
        re.match(r"(Distiller\.|\w+\.)*\w+\(\) (got an unexpected keyword|missing \d+ req)", text)
    )


def _mentions(text, call, argument, value):
    words = (argument, argument.replace("_", " "), *call.rule(argument).words)
    if any(re.search(rf"(?<![a-z]){re.escape(word)}", text, re.IGNORECASE) for word in words):
        return True
    # As the library shows a value, so that one that is too long counts where it is cut.
    as_shown = shown(value)
    return len(as_shown) >= 3 and as_shown in text


def _is_raised_by_us(error):
    """Whether the error comes from a `raise` statement of ours."""
    frames = traceback.extract_tb(error.__traceback__)
    if isinstance(error, SystemExit) or not frames:
        return True
    path = pathlib.Path(frames[-1].filename)
    if OURS not in path.parents:
        return False
    return any(first <= frames[-1].lineno <= last for first, last in _raises_in(path))


@functools.cache
def _raises_in(path):
    tree = ast.parse(path.read_text())
    return [
        (node.lineno, node.end_lineno) for node in ast.walk(tree) if isinstance(node, ast.Raise)
    ]
