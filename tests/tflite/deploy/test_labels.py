import itertools

import numpy as np
import pytest

from keras_distill.tflite.deploy import labels


@pytest.mark.parametrize(
    "given",
    [["a", "b"], ("a", "b"), np.array(["a", "b"]), iter(["a", "b"]), {0: "a", 1: "b"}.values()],
)
def test_names_in_order_are_taken_from_anything(given):
    assert labels.checked(given, 2) == ("a", "b")


def test_an_endless_iterator_of_names_is_refused():
    with pytest.raises(ValueError, match=r"2 output values, but there are 3 labels"):
        labels.checked(itertools.count(), 2)


def test_integers_are_names_too():
    assert labels.checked([7, np.int64(8)], 2) == ("7", "8")


UNORDERED = [{"a", "b"}, frozenset("ab"), {"a": 0, "b": 1}, "ab", b"ab", 2, np.array("ab")]


@pytest.mark.parametrize("given", UNORDERED)
def test_what_has_no_order_is_refused(given):
    with pytest.raises(TypeError, match=r"labels must be a list of names.*Received: labels="):
        labels.checked(given, 2)


@pytest.mark.parametrize("given", [["a", None], ["a", b"b"], ["a", ["b"]], ["a", 0.5], ["a", True]])
def test_what_is_no_name_is_refused_by_its_place(given):
    with pytest.raises(TypeError, match=r"strings or integers. Received: labels\[1\]="):
        labels.checked(given, 2)


def test_what_cannot_be_stored_is_refused():
    with pytest.raises(ValueError, match=r"valid Unicode.*labels\[1\]='\\ud800'"):
        labels.checked(["a", "\ud800"], 2)


@pytest.mark.parametrize("bad", ["a\nb", "\r", "a\x0b", "\x1c", "\x7f", "\x85", "a\u2028", "", " "])
def test_names_that_are_no_line_are_refused_where_lines_are_needed(bad):
    assert labels.checked(["a", bad], 2) == ("a", bad)
    with pytest.raises(ValueError, match=r"no label may be blank or hold .*labels\[1\]="):
        labels.check_lines(("a", bad))
