import numpy as np
import pytest

from keras_distill.arguments import (
    check_choice,
    check_count,
    check_flag,
    check_model,
    check_path,
    check_text,
    shown,
)
from tests.fuzz.values import LongRepr, NastyEquality, NastyRepr


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("kd", "'kd'"),
        (np.zeros((3, 2), "float32"), "<ndarray of shape (3, 2), float32>"),
        (np.float32(0.5), "np.float32(0.5)"),
        (NastyRepr(), "<NastyRepr that can't be shown>"),
    ],
)
def test_a_value_is_shown_shortly(value, text):
    assert shown(value) == text


def test_a_long_value_is_cut():
    assert len(shown(LongRepr())) < 250
    assert shown(LongRepr()).endswith("(500,000 characters)")


@pytest.mark.parametrize("value", [[], {}, "KL", 1, np.ones(3), NastyEquality(), NastyRepr()])
def test_what_is_none_of_the_choices_is_refused(value):
    with pytest.raises(ValueError, match=r"form must be one of 'kl', None\. Received: form="):
        check_choice("form", value, ("kl", None))
    assert check_choice("form", None, ("kl", None)) is None


@pytest.mark.parametrize("value", [0, 1, "yes", None, np.bool_(True)])
def test_what_is_no_flag_is_refused(value):
    with pytest.raises(TypeError, match=r"verify must be True or False\. Received: verify="):
        check_flag("verify", value)


def test_a_count_is_an_integer_within_bounds():
    assert type(check_count("size", np.int64(3))) is int
    for value in (True, 2.0, "2", np.ones(2), None):
        with pytest.raises(TypeError, match=r"size must be an integer\. Received: size="):
            check_count("size", value)
    with pytest.raises(ValueError, match=r"size must be at least 1 and at most 4\. Received: "):
        check_count("size", 5, high=4)


def test_a_text_is_not_empty():
    for value, error in (("", ValueError), (b"a", TypeError), (None, TypeError)):
        with pytest.raises(error, match="name "):
            check_text("name", value)


def test_a_path_is_a_string_or_of_pathlib():
    assert check_path("folder", "a/b").name == "b"
    for value, error in ((None, TypeError), (b"a", TypeError), (3, TypeError)):
        with pytest.raises(error, match=r"folder must be a path.*Received: folder="):
            check_path("folder", value)
    for value in ("", "nul\0byte", "\ud800"):
        with pytest.raises(
            ValueError, match=r"folder can't be the name of a file. Received: folder="
        ):
            check_path("folder", value)


def test_an_array_in_the_place_of_a_model_is_not_printed():
    with pytest.raises(TypeError, match=r"teacher must be a keras.Model. Received: teacher=<nd"):
        check_model("teacher", np.zeros((1000, 3)))
