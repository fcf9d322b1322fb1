"""Sensitivity: which layer costs what in int8, of a trained model with a bad layer."""

import json

import keras
import numpy as np
import pytest

from keras_distill import datasets
from keras_distill.compression import quantize_aware
from keras_distill.tflite import conversion_job, export_tflite
from keras_distill.tflite.analysis import schema
from keras_distill.tflite.runtime import litert

layers = keras.layers
BAD = ("depthwise", "pointwise")


@pytest.fixture(scope="module")
def digits():
    return datasets.load("digits")


@pytest.fixture(scope="module")
def model(digits):
    """A trained depthwise network whose depthwise layer has one channel of 1,000 x the range.

    The layer after it divides by as much, so that the float model computes what it did.
    """
    keras.utils.set_random_seed(0)

    def normalized(x):
        return layers.ReLU()(layers.BatchNormalization(momentum=0.8)(x))

    inputs = keras.Input((8, 8, 1))
    x = normalized(layers.Conv2D(8, 3, 2, padding="same", use_bias=False, name="stem")(inputs))
    x = normalized(layers.DepthwiseConv2D(3, padding="same", use_bias=False, name="depthwise")(x))
    x = normalized(layers.Conv2D(12, 1, use_bias=False, name="pointwise")(x))
    x = layers.Flatten(name="flatten")(x)
    outputs = layers.Dense(10, activation="softmax", name="logits")(x)
    model = keras.Model(inputs, outputs, name="net")
    model.compile(keras.optimizers.Adam(0.02), "sparse_categorical_crossentropy")
    model.fit(digits.x_train, digits.y_train, epochs=4, batch_size=64, verbose=0)
    factors = np.ones(8, "float32")
    factors[3] = 1000.0
    normalization = model.layers[5]
    for weight in (normalization.gamma, normalization.beta):
        weight.assign(weight * factors)
    kernel = model.get_layer("pointwise").kernel
    kernel.assign(kernel / factors[:, None])
    return model


@pytest.fixture(scope="module")
def result(model, digits, tmp_path_factory):
    path = tmp_path_factory.mktemp("sensitivity") / "net.tflite"
    return export_tflite(model, path, "int8", digits.x_train[:100], "arduino")


@pytest.fixture(scope="module")
def sensitivity(model, result, digits):
    return result.sensitivity(model, digits.x_test[:150], digits.y_test[:150], verbose=0)


def test_it_names_the_bad_layer_and_the_one_that_reads_it(sensitivity):
    assert {row.layer for row in sensitivity.layers[:2]} == set(BAD)
    bad, others = sensitivity.layers[:2], sensitivity.layers[2:]
    assert min(row.error for row in bad) > 10 * max(row.error for row in others)
    assert all(row.accuracy < sensitivity.accuracy_float - 0.3 for row in bad)
    assert all(abs(row.accuracy - sensitivity.accuracy_float) < 0.03 for row in others)


def test_every_layer_has_a_row_with_its_operators(sensitivity):
    rows = sorted(sensitivity.layers, key=lambda row: row.position)
    # The softmax comes after the logits, at which it is measured.
    assert [(row.layer, row.operators) for row in rows] == [
        ("stem", ("CONV_2D",)),
        ("depthwise", ("DEPTHWISE_CONV_2D",)),
        ("pointwise", ("CONV_2D",)),
        ("flatten", ("RESHAPE",)),
        ("logits", ("FULLY_CONNECTED",)),
    ]


def test_the_accuracies_are_those_of_keras_and_of_the_file(sensitivity, model, result, digits):
    x, y = digits.x_test[:150], digits.y_test[:150]
    accuracies = [
        np.mean(np.argmax(one, -1) == y) for one in (model.predict(x, verbose=0), result.predict(x))
    ]
    assert sensitivity.accuracy_float == pytest.approx(accuracies[0])
    assert sensitivity.accuracy == pytest.approx(accuracies[1], abs=0.05)
    assert sensitivity.accuracy_float > 0.85


def test_quantized_with_nothing_left_out_it_is_the_exported_file(model, result, digits):
    x = digits.x_train[:100]
    specs = conversion_job.input_specs(model, [x])
    settings = {"quantization": "int8", "only_calibrated": True}
    calibrated = conversion_job.convert(model, specs, [x], settings, "arduino", 60)
    [content] = conversion_job.quantize(calibrated, [[]], "arduino", 60)
    graph, inputs = schema.parse(content), result.quantize_inputs(digits.x_test[:50])
    expected = litert.run(result.content, result.graph, inputs)
    np.testing.assert_array_equal(litert.run(content, graph, inputs), expected)


def test_the_bad_layers_in_float_bring_the_accuracy_back(sensitivity, model, digits, tmp_path):
    mended = export_tflite(
        model,
        tmp_path / "mended.tflite",
        "int8",
        digits.x_train[:100],
        "arduino",
        float_layers=list(BAD),
    )
    decisions = mended.predict(digits.x_test[:150]).argmax(-1)
    accuracy = np.mean(decisions == digits.y_test[:150])
    assert accuracy > sensitivity.accuracy_float - 0.03 > sensitivity.accuracy + 0.3


def test_it_prints_and_plots_and_becomes_json(sensitivity, tmp_path):
    lines = str(sensitivity).splitlines()
    assert lines[0].startswith("150 samples") and lines[4].split()[0] in BAD
    values = json.loads(json.dumps(sensitivity.to_dict()))
    assert [row["layer"] for row in values["layers"]] == [row.layer for row in sensitivity.layers]
    figure = sensitivity.plot(tmp_path / "plot.png")
    assert (tmp_path / "plot.png").read_bytes()[1:4] == b"PNG"
    bars = figure.axes[0].patches
    in_order = sorted(sensitivity.layers, key=lambda row: row.position)
    assert [bar.get_width() for bar in bars] == pytest.approx([row.error for row in in_order])


def test_without_labels_there_are_errors_only(model, result, digits, capsys):
    sensitivity = result.sensitivity(model, digits.x_test[:10])
    assert sensitivity.accuracy is None and sensitivity.layers[0].accuracy is None
    assert sensitivity.layers[0].error > 0.1
    assert "5/5" in capsys.readouterr().out
    head, *rows = str(sensitivity).splitlines()[1:]
    assert head.split() == ["layer", "operators", "error", "agreement", "error", "without"]
    assert len(rows) == 7 and "accuracy" not in head
    sensitivity.plot()


def test_other_files_and_models_are_refused(model, result, digits, tmp_path):
    x = digits.x_test[:10]
    in_float = export_tflite(model, tmp_path / "float.tflite")
    with pytest.raises(ValueError, match=r"int8 files.*quantization=None"):
        in_float.sensitivity(model, x)
    with pytest.raises(ValueError, match="measure the student"):
        result.sensitivity(quantize_aware(model, x), x)
    with pytest.raises(ValueError, match="one label per sample"):
        result.sensitivity(model, x, digits.y_test[:9])
    with pytest.raises(TypeError, match=r"keras\.Model"):
        result.sensitivity("net", x)
