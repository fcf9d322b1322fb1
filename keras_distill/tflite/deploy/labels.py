"""Class labels: one text per output value, in their order."""

import collections.abc
import itertools
import numbers

from keras_distill.arguments import shown

_BREAKS = "\x85\u2028\u2029"


def checked(labels, width):
    """Returns the names of classes as a tuple of texts.

    Args:
        labels: Names in the order of the output values: strings or integers.
        width: Number of output values.

    Raises:
        TypeError: If they have no order, or aren't strings or integers.
        ValueError: If there are more or fewer than output values, or one is no text of UTF-8.

    Example:

    ```python
    assert checked(["cat", 7], 2) == ("cat", "7")
    ```
    """
    has_no_order = isinstance(labels, (str, bytes, collections.abc.Set, collections.abc.Mapping))
    received, given = f"labels={shown(labels)} of type {type(labels).__name__}", labels
    # An iterator may be endless.
    longest = None if isinstance(labels, collections.abc.Sized) else width + 1
    try:
        labels = None if has_no_order else tuple(itertools.islice(given, longest))
    except Exception:
        # Whatever an object raises that can't be a list, such as a symbolic tensor.
        labels = None
    if labels is None:
        raise TypeError(
            "labels must be a list of names, in the order of the model's output values. "
            f"Received: {received}"
        )
    for index, label in enumerate(labels):
        if isinstance(label, bool) or not isinstance(label, (str, numbers.Integral)):
            raise TypeError(
                "labels must be strings or integers. "
                f"Received: labels[{index}]={shown(label)} of type {type(label).__name__}"
            )
    if len(labels) != width:
        raise ValueError(
            f"The model has {width} output values, but there are {len(labels)} labels. "
            f"Received: {received}"
        )
    return tuple(_text(f"labels[{index}]", label) for index, label in enumerate(labels))


def check_lines(labels):
    """Refuses names that can't be one line each of a text file, so that none shifts the others.

    Args:
        labels: Tuple of texts.

    Raises:
        ValueError: If one is blank or holds control characters or ends of lines.
    """
    for index, label in enumerate(labels):
        if not label.strip() or any(ord(c) < ord(" ") or c in f"\x7f{_BREAKS}" for c in label):
            raise ValueError(
                "The labels of a file's metadata are lines of text: no label may be blank or hold "
                "a control character, such as an end of a line. "
                f"Received: labels[{index}]={label!r}"
            )


def _text(name, label):
    """Returns a label as text, if it can be stored: C's texts end at a zero byte."""
    text = str(label)
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        raise ValueError(
            f"labels must be valid Unicode texts. Received: {name}={label!r}"
        ) from None
    if "\0" in text:
        raise ValueError(f"labels can't hold a zero character. Received: {name}={label!r}")
    return text
