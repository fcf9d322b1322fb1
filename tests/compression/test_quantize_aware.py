"""A model that trains with int8's rounding computes what its exported file computes."""

import keras
import numpy as np
import pytest

from keras_distill import AttentionTransfer, Distiller, SoftTargets, architectures
from keras_distill.compression import quantize_aware
from keras_distill.tflite import export_tflite
from tests.tflite.conftest import FACTORIES, random_inputs

layers = keras.layers
LABELS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def concatenated():
    """Branches that meet, a layer that is used twice, and an activation that isn't fused."""
    inputs = keras.Input((8, 8, 2))
    shared = layers.Conv2D(4, 3, padding="same", name="shared")
    x = layers.Conv2D(2, 1, activation="tanh", name="squash")(inputs)
    x = layers.Concatenate()([shared(x), shared(inputs)])
    x = layers.Dropout(0.2)(layers.ReLU()(x))
    x = layers.ZeroPadding2D(1)(x)
    x = layers.DepthwiseConv2D(3, strides=2, depth_multiplier=2, use_bias=False)(x)
    x = layers.Activation("relu")(layers.BatchNormalization()(x))
    return keras.Model(inputs, layers.Dense(3, "sigmoid")(layers.Flatten()(x)))


def causal():
    inputs = keras.Input((16, 3))
    x = layers.Conv1D(5, 3, padding="causal", use_bias=False)(inputs)
    x = layers.ReLU()(layers.BatchNormalization()(x))
    x = layers.Conv1D(5, 3, strides=2, padding="same", dilation_rate=1, activation="relu")(x)
    x = layers.GlobalAveragePooling1D()(layers.MaxPooling1D()(x))
    return keras.Model(inputs, layers.Dense(2)(x))


KINDS = ("cnn", "residual", "separable")
MODELS = {name: FACTORIES[name] for name in KINDS}
MODELS |= {f.__name__: f for f in (concatenated, causal)}


@pytest.fixture
def make(request):
    def make(name):
        keras.utils.set_random_seed(3)
        model = MODELS[name]()
        for weight in model.weights:
            if "moving_variance" in weight.path or "gamma" in weight.path:
                weight.assign(np.random.default_rng(0).uniform(0.5, 2.0, weight.shape))
        return model

    return make


def trained(model, x, epochs=2):
    quantized = quantize_aware(model, x)
    classes = model.output_shape[-1]
    y = np.random.default_rng(1).integers(0, classes, len(x))
    quantized.compile(keras.optimizers.SGD(0.01), LABELS, run_eagerly=True)
    quantized.fit(x, y, epochs=epochs, verbose=0)
    return quantized


@pytest.mark.parametrize("name", MODELS)
def test_the_file_computes_what_the_model_does(name, make, tmp_path):
    model = make(name)
    x = random_inputs(model)
    quantized = trained(model, x)
    result = export_tflite(quantized, tmp_path / "model.tflite", "int8", target="mcu")
    assert result.lint() == []
    step = result.outputs[0].scale
    found, expected = result.predict(x), quantized.predict(x, verbose=0)
    wrong = np.abs(found - expected) / step
    assert wrong.max() <= 2.01 and (wrong > 1.01).mean() < 0.02, (wrong.max(), wrong.mean())
    verified = result.verify(quantized, x[:50])
    assert verified.passed, str(verified)


@pytest.mark.parametrize("name", MODELS)
def test_it_begins_as_the_student_nearly_and_with_its_weights(name, make):
    model = make(name)
    x = random_inputs(model)
    quantized = quantize_aware(model, x)
    for layer in model.layers:
        if layer.weights:
            for old, new in zip(
                layer.get_weights(), quantized.get_layer(layer.name).get_weights(), strict=True
            ):
                np.testing.assert_array_equal(old, new)
    expected = model.predict(x, verbose=0)
    error = np.abs(quantized.predict(x, verbose=0) - expected).max()
    assert 0 < error < 0.04 * np.ptp(expected)


def test_it_has_the_name_of_the_student():
    student = keras.Sequential([keras.Input((4,)), layers.Dense(2)], name="small")
    assert quantize_aware(student).name == "small"


def test_an_input_that_is_an_output_too_is_rounded():
    inputs = keras.Input((4,), name="same")
    model = keras.Model(inputs, [layers.Dense(2)(inputs), inputs])
    quantized = quantize_aware(model, np.linspace(-1, 1, 8, dtype="float32").reshape(2, 4))
    x = np.full((1, 4), 0.3, "float32")
    found = np.asarray(quantized(x)[1])
    assert 0 < np.abs(found - x).max() <= 1.01 / 255


def test_training_moves_the_copy_and_not_the_student(make):
    model = make("residual")
    before = [weight.copy() for weight in model.get_weights()]
    quantized = trained(model, random_inputs(model))
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    assert not np.allclose(before[0], quantized.get_weights()[0]) or not np.allclose(
        before[1], quantized.get_weights()[1]
    )


def test_it_is_distilled_saved_loaded_and_goes_on(tmp_path):
    teacher = architectures.small_cnn((8, 8, 1), 4, filters=(6, 8))
    student = architectures.small_cnn((8, 8, 1), 4, filters=(3, 4))
    rng = np.random.default_rng(0)
    x, y = rng.random((64, 8, 8, 1), "float32"), rng.integers(0, 4, 64)
    quantized = quantize_aware(student, x)
    losses = [SoftTargets(4.0), AttentionTransfer("stage2_out", "stage2_out")]
    distiller = Distiller(teacher, quantized, losses)
    distiller.compile("adam", LABELS)
    distiller.fit(x, y, verbose=0)
    distiller.save(tmp_path / "distiller.keras")
    loaded = keras.models.load_model(tmp_path / "distiller.keras")
    np.testing.assert_allclose(loaded.predict(x, verbose=0), distiller.predict(x, verbose=0))
    for one in (distiller, loaded):
        one.fit(x, y, shuffle=False, verbose=0)
    for first, second in zip(distiller.get_weights(), loaded.get_weights(), strict=True):
        np.testing.assert_allclose(first, second, atol=1e-6)
    export_tflite(loaded.student, tmp_path / "student.tflite", "int8", target="arduino")


def test_what_can_not_be_quantized_is_named():
    inputs = keras.Input((8, 8, 2))
    x = layers.BatchNormalization(name="early")(inputs)
    x = layers.Conv2D(4, 3, activation="gelu", name="smooth")(x)
    x = layers.LayerNormalization(name="normal")(x)
    x = layers.ReLU(negative_slope=0.1, name="leaky")(x)
    model = keras.Model(inputs, layers.Dense(2)(layers.Flatten()(x)))
    with pytest.raises(ValueError, match="can't be trained with quantization") as caught:
        quantize_aware(model)
    for name in ("early", "smooth", "normal", "leaky"):
        assert f"- {name} (" in str(caught.value)
    assert "flatten" not in str(caught.value).split("These can")[0]


def test_a_normalization_that_no_convolution_does_is_named():
    inputs = keras.Input((16, 3))
    x = layers.BatchNormalization(name="of_rows")(layers.Dense(5)(inputs))
    model = keras.Model(inputs, layers.Dense(2)(layers.Flatten()(x)))
    with pytest.raises(ValueError, match=r"of_rows .*only after a convolution"):
        quantize_aware(model)


def test_bad_models_are_refused():
    with pytest.raises(TypeError, match=r"must be a keras\.Model"):
        quantize_aware("student")
    with pytest.raises(ValueError, match="doesn't show its graph"):
        quantize_aware(keras.Sequential([layers.Dense(2)]))
    model = FACTORIES["perceptron"]()
    with pytest.raises(ValueError, match="already"):
        quantize_aware(quantize_aware(model))


def test_exports_of_other_kinds_and_of_unknown_ranges_are_refused(tmp_path):
    quantized = quantize_aware(FACTORIES["perceptron"]())
    with pytest.raises(ValueError, match="quantization='int8'"):
        export_tflite(quantized, tmp_path / "model.tflite")
    with pytest.raises(ValueError, match=r"input_layer.*_range.* are unknown: train"):
        export_tflite(quantized, tmp_path / "model.tflite", "int8")
    assert not list(tmp_path.iterdir())
