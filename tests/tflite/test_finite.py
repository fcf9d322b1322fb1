"""NaN and infinity are refused where they come in: weights by layer, samples by their number."""

import keras
import ml_dtypes
import numpy as np
import pytest
import tensorflow as tf

from keras_distill import compression
from keras_distill.arguments import check_finite
from keras_distill.tflite import export_tflite
from tests.tflite.conftest import FACTORIES, random_inputs


@pytest.fixture
def model():
    return FACTORIES["perceptron"]()


def spoiled(value, sample=5):
    x = np.random.default_rng(0).random((20, 12), "float32")
    x[sample, 3] = value
    return x


@pytest.mark.parametrize("quantization", [None, "float16", "dynamic", "int8", "int16x8"])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_weights_are_refused_by_layer_and_name(quantization, value, model, tmp_path):
    model.layers[1].bias.assign([0, 0, value, 0, 0])
    x = random_inputs(model, 20)
    with pytest.raises(ValueError, match=r"'bias' of the layer 'perceptron/dense_\d*' \(1 of 5\)"):
        export_tflite(model, tmp_path / "model.tflite", quantization, x)
    assert not list(tmp_path.iterdir())


def test_of_many_weights_some_are_named(tmp_path):
    stack = [keras.layers.Dense(2, name=f"dense_{index}") for index in range(4)]
    model = keras.Sequential([keras.Input((2,)), *stack])
    model.set_weights([np.full_like(weight, np.nan) for weight in model.get_weights()])
    with pytest.raises(ValueError, match=r"dense_0.*, and 5 weights more"):
        export_tflite(model, tmp_path / "model.tflite")


@pytest.mark.parametrize(
    "compress",
    [
        compression.quantize_aware,
        lambda model: compression.prune(model),
        lambda model: compression.cluster(model, clusters=4),
    ],
)
def test_weights_to_compress_are_refused(compress, model):
    model.layers[0].kernel.assign(np.full((12, 16), np.inf))
    with pytest.raises(ValueError, match=r"'kernel' of the layer .* \(192 of 192\)"):
        compress(model)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_samples_are_refused_by_argument_and_number(value, model, tmp_path):
    said = r"representative_data holds NaN or infinite values.*1 of them, first in sample 5"
    with pytest.raises(ValueError, match=said):
        compression.quantize_aware(model, spoiled(value))
    with pytest.raises(ValueError, match=said):
        export_tflite(model, tmp_path / "model.tflite", "int8", spoiled(value))


def test_inputs_and_labels_of_a_verification_are_refused(perceptron_as, model):
    result, _ = perceptron_as(None)
    with pytest.raises(ValueError, match=r"x holds NaN or infinite values.* first in sample 5"):
        result.verify(model, spoiled(np.nan))
    y = np.array([0.0, 1.0, np.nan, *np.zeros(17)])
    with pytest.raises(ValueError, match=r"y holds NaN or infinite values.* first in sample 2"):
        result.verify(model, spoiled(0.0), y)
    with pytest.raises(ValueError, match="y must hold numbers"):
        result.verify(model, spoiled(0.0), ["a"] * 20)


def test_integers_take_no_inputs_that_are_none(perceptron_as):
    result, _ = perceptron_as("int8")
    with pytest.raises(ValueError, match="x holds NaN or infinite values"):
        result.predict(spoiled(np.nan))


def test_short_floats_and_several_inputs_are_checked():
    array = np.array([0.0, np.nan], ml_dtypes.bfloat16)
    with pytest.raises(ValueError, match=r"input 1 of data with 1 of them, first in sample 1"):
        check_finite("data", [np.zeros(2, "uint8"), array])
    with pytest.raises(ValueError, match=r"data must hold numbers.*of the type object"):
        check_finite("data", [np.array([None, 1])])


@pytest.mark.parametrize("of_pairs", [True, False])
def test_ranges_start_from_a_data_set_of_batches(of_pairs, model):
    x = random_inputs(model, 64)
    data = tf.data.Dataset.from_tensor_slices((x, np.zeros(64)) if of_pairs else x).batch(10)
    from_data = compression.quantize_aware(model, data)
    from_array = compression.quantize_aware(model, x)
    ranges = [
        [layer.get_weights() for layer in made.layers if getattr(layer, "holds_range", False)]
        for made in (from_data, from_array)
    ]
    assert ranges[0]
    for one, two in zip(*map(keras.tree.flatten, ranges), strict=True):
        np.testing.assert_allclose(one, two)
    compression.quantize_aware(model, data.repeat())


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (
            np.zeros((4, 11)),
            r"representative_data must suit .*: an array of shape \(4, 11\)",
        ),
        (np.zeros((0, 12)), "representative_data is empty"),
        ([np.zeros((4, 12))] * 2, "has 1 inputs: .*Received: representative_data with 2 arrays"),
        (object(), "representative_data must hold numbers"),
        (tf.data.Dataset.range(4), r"representative_data must suit .*input 0.*of shape \(4,\)"),
    ],
)
def test_data_that_does_not_suit_the_student_is_refused(data, said, model):
    with pytest.raises(ValueError, match=said):
        compression.quantize_aware(model, data)


def test_inputs_of_different_lengths_are_refused(tmp_path):
    ends = [keras.Input((2,)), keras.Input((3,))]
    model = keras.Model(ends, keras.layers.Dense(2)(keras.layers.Concatenate()(ends)))
    with pytest.raises(ValueError, match="as many samples for each input"):
        export_tflite(
            model, tmp_path / "model.tflite", "int8", [np.zeros((4, 2)), np.zeros((5, 3))]
        )
