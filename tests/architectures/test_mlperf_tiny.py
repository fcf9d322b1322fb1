"""Depthwise separable networks: their width."""

import pytest

from keras_distill import architectures
from tests.architectures.test_architectures import taps


def test_alpha_scales_every_width():
    half = architectures.mobilenet_v1((32, 32, 3), 4, alpha=0.5)
    assert taps(half)["stem_out"][-1] == 16
    assert taps(half)["stage5_out"][-1] == 512


@pytest.mark.parametrize("alpha", [0, -1, "0.25", None, float("nan")])
def test_bad_alpha_is_named(alpha):
    with pytest.raises(ValueError, match=r"alpha"):
        architectures.mobilenet_v1(alpha=alpha)
