"""Architectures by name."""

import numpy as np
import pytest

from keras_distill import architectures


def test_names_are_sorted_and_each_builds_its_namesake():
    assert architectures.names() == sorted(architectures.names())
    assert architectures.get("digits_student").name == "digits_student"


def test_unknown_name_lists_the_closest():
    with pytest.raises(ValueError, match=r"Closest: 'resnet20'"):
        architectures.get("resnet-20")


@pytest.mark.parametrize("name", [["resnet8"], None, {"resnet8": 1}, np.ones(2)])
def test_what_is_no_name_is_refused(name):
    with pytest.raises(ValueError, match=r"Unknown architecture.*Known: "):
        architectures.get(name)


def test_unknown_argument_names_what_is_allowed():
    with pytest.raises(TypeError, match=r"resnet8\(input_shape=.*classes"):
        architectures.get("resnet8", classes=10)
