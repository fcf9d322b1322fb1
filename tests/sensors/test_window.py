import numpy as np
import pytest

from keras_distill.sensors import Window


def test_windows_start_a_step_apart_and_are_standardized():
    recording = np.arange(30, dtype="float64").reshape(10, 3)
    window = Window(length=4, step=3, mean=(0, 1, 2), std=(1, 2, 4))
    made = window(recording)
    assert made.shape == (3, 4, 3) and window.output_shape == (4, 3)
    expected = (recording - [0, 1, 2]) / [1, 2, 4]
    for index, start in enumerate((0, 3, 6)):
        np.testing.assert_allclose(made[index], expected[start : start + 4], rtol=1e-6)


def test_a_recording_that_is_too_short_has_no_windows():
    assert Window(length=4)(np.zeros((3, 3))).shape == (0, 4, 3)


def test_half_a_window_is_the_default_step():
    assert Window(length=100).step == 50 and Window(length=1).step == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"length": 0}, "length must be at least 1"),
        ({"length": 10, "step": 11}, "step must be at least 1 and at most 10"),
        ({"rate": 119}, "rate must be above 0 and at most 99. Received: rate=119"),
        ({"mean": [1, 2]}, "mean must be a number or 3 of them"),
        ({"std": 0}, "std must be above"),
        ({"std": [1, 1, float("nan")]}, "std must be above"),
        ({"acceleration": "mg"}, "acceleration must be one of 'g', 'm/s2'"),
        ({"rotation": "rpm"}, "rotation must be one of"),
    ],
)
def test_parameters_out_of_bounds_are_refused(arguments, said):
    with pytest.raises(ValueError, match=said):
        Window(**arguments)


@pytest.mark.parametrize(
    "recording", [np.zeros((4, 6)), np.zeros(12), [[0.0, np.nan, 0.0]], np.zeros((2, 4, 3))]
)
def test_recordings_of_another_shape_are_refused(recording):
    with pytest.raises(ValueError, match=r"recordings (must be of shape|holds NaN)"):
        Window(length=4)(recording)
