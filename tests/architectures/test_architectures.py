"""All architectures: published sizes, taps, logits, saving."""

import keras
import numpy as np
import pytest

from keras_distill import architectures

PUBLISHED_SIZES = {
    "resnet8": 78_666,
    "ds_cnn": 24_908,
    "mobilenet_v1": 221_794,
    "tutorial_teacher": 1_433_610,
    "tutorial_student": 20_490,
    "digits_teacher": 99_754,
    "digits_student": 702,
}
SMALL = {"input_shape": (9, 7, 2), "num_classes": 3}


def taps(model):
    return {layer.name: layer.output.shape[1:] for layer in model.layers if "_out" in layer.name}


@pytest.mark.parametrize(("name", "size"), PUBLISHED_SIZES.items())
def test_parameter_count_is_the_published_one(name, size):
    assert architectures.get(name).count_params() == size


@pytest.mark.parametrize("name", sorted({*architectures.names()} - {"resnet110", "resnet56"}))
def test_every_architecture_takes_other_shapes_and_ends_in_logits(name):
    model = architectures.get(name, **SMALL)
    x = np.random.default_rng(0).normal(size=(4, 9, 7, 2)).astype("float32")
    y = model(x).numpy()
    assert y.shape == (4, 3)
    # Probabilities would lie in 0..1 and sum to 1.
    assert not np.allclose(y.sum(axis=-1), 1, atol=1e-3)
    assert model.layers[-1].activation is keras.activations.linear
    assert not model.compiled


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("digits_teacher", {"stage1_out": (8, 8, 32), "stage2_out": (4, 4, 64)}),
        ("digits_student", {"stage1_out": (8, 8, 4), "stage2_out": (4, 4, 8)}),
        ("tutorial_teacher", {"stage1_out": (14, 14, 256), "stage2_out": (7, 7, 512)}),
        ("tutorial_student", {"stage1_out": (14, 14, 16), "stage2_out": (7, 7, 32)}),
        ("ds_cnn", {"stem_out": (25, 5, 64), "stage4_out": (25, 5, 64)}),
        ("resnet8", {"stem_out": (32, 32, 16), "stage3_out": (8, 8, 64)}),
        ("resnet20", {"stage2_out": (16, 16, 32), "stage3_block2_out": (8, 8, 64)}),
        ("mobilenet_v1", {"stage1_out": (48, 48, 16), "stage5_out": (3, 3, 256)}),
    ],
)
def test_taps_have_the_documented_shapes(name, expected):
    found = taps(architectures.get(name))
    assert {tap: found[tap] for tap in expected} == expected


@pytest.mark.parametrize("name", ["digits_student", "ds_cnn", "resnet20"])
def test_saving_and_loading_keeps_the_function(name, tmp_path):
    model = architectures.get(name, input_shape=(8, 8, 1), num_classes=4)
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    x = np.random.default_rng(0).random((3, 8, 8, 1), "float32")
    np.testing.assert_allclose(model(x), again(x), atol=1e-6)
