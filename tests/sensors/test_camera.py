import numpy as np
import pytest

from keras_distill.sensors import Camera


def pictures(rows, columns, count=2):
    return np.random.default_rng(0).integers(0, 256, (count, rows, columns, 3)).astype("uint8")


def test_pictures_of_the_models_size_are_only_scaled():
    x = pictures(12, 16)
    np.testing.assert_allclose(Camera(height=12, width=16)(x), x / 255, rtol=1e-6)
    made = Camera(height=12, width=16, mean=(1, 2, 3), std=(4, 5, 6))(x)
    np.testing.assert_allclose(made, (x - [1.0, 2.0, 3.0]) / [4, 5, 6], rtol=1e-6, atol=1e-6)


def test_the_middle_is_cropped_and_averaged():
    x = pictures(6, 10)
    middle = x[:, :, 2:8].astype(float).reshape(2, 3, 2, 3, 2, 3)
    expected = np.floor(middle.mean(axis=(2, 4)) + 0.5)
    np.testing.assert_array_equal(Camera(height=3, width=3, std=1)(x), expected)
    np.testing.assert_array_equal(
        Camera(height=3, width=3, std=1)(x.transpose(0, 2, 1, 3)), expected.transpose(0, 2, 1, 3)
    )


def test_larger_pictures_repeat_pixels():
    x = pictures(4, 4)
    made = Camera(height=8, width=8, std=1)(x)
    np.testing.assert_array_equal(made, x.repeat(2, axis=1).repeat(2, axis=2))


def test_gray_is_the_weighted_mean_of_the_colors():
    x = pictures(4, 4)
    made = Camera(height=4, width=4, channels=1, std=1)(x)[..., 0]
    np.testing.assert_allclose(made, x @ [0.299, 0.587, 0.114], atol=1)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"height": 0}, "height must be at least 1"),
        ({"width": 5_000}, "width must be at least 1 and at most 4096"),
        ({"channels": 2}, "channels must be 1 or 3"),
        ({"channels": 1, "mean": (1, 2, 3)}, "mean must be a number or 1 of them"),
        ({"std": -1}, "std must be above"),
    ],
)
def test_parameters_out_of_bounds_are_refused(arguments, said):
    with pytest.raises(ValueError, match=said):
        Camera(**arguments)


def test_pictures_of_another_kind_are_refused():
    with pytest.raises(TypeError, match="must be uint8, from 0 to 255"):
        Camera()(np.zeros((1, 4, 4, 3)))
    with pytest.raises(ValueError, match=r"of shape \(pictures, rows, columns, 3\)"):
        Camera()(np.zeros((4, 4, 3), "uint8"))
    with pytest.raises(ValueError, match="must have pixels"):
        Camera()(np.zeros((1, 0, 4, 3), "uint8"))
