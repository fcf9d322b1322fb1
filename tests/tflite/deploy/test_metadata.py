"""Metadata of a file: written, read back, and harmless to all that run the model."""

import zipfile

import keras
import numpy as np
import pytest

from keras_distill import cli
from keras_distill.tflite import TFLiteModel, export_tflite
from keras_distill.tflite.analysis import schema
from keras_distill.tflite.deploy.metadata import Metadata, read
from keras_distill.tflite.runtime import micro

LABELS = ["cat", "dog", "naïve, bird", "fish"]


@pytest.fixture
def result(int8_cnn, tmp_path):
    path = tmp_path / "pets.tflite"
    path.write_bytes(int8_cnn[1].content)
    return TFLiteModel(path)


def test_what_is_written_is_read_back_from_the_file(result):
    assert result.metadata is None
    written = result.add_metadata(LABELS, std=255.0, description="Tells pets.")
    assert written == Metadata("pets", "Tells pets.", tuple(LABELS), (0.0,), (255.0,))
    assert TFLiteModel(result.path).metadata == result.metadata == written


def test_the_labels_are_a_file_that_any_zip_tool_opens(result):
    result.add_metadata(LABELS)
    with zipfile.ZipFile(result.path) as archive:
        assert archive.read("labels.txt").decode().splitlines() == LABELS


def test_it_has_the_published_identifier_and_replaces_what_was_there(result):
    result.add_metadata(LABELS)
    raw = schema.metadata(result.content)["TFLITE_METADATA"]
    assert raw[4:8] == b"M001"
    size = result.size
    result.add_metadata(LABELS, name="others")
    assert result.metadata.name == "others" and abs(result.size - size) < 32
    result.add_metadata()
    assert result.metadata.labels == ()


def test_the_model_computes_what_it_did(result, int8_cnn):
    _, plain, x = int8_cnn
    result.add_metadata(LABELS, mean=127.5, std=127.5)
    np.testing.assert_array_equal(result.predict(x[:10]), plain.predict(x[:10]))
    if micro.is_available():
        inputs = plain.quantize_inputs(x[:10])
        first, second = (micro.run(m.content, m.graph, inputs)[0] for m in (plain, result))
        np.testing.assert_array_equal(first, second)
    assert result.lint() == []


def test_each_channel_has_its_scaling(tmp_path):
    model = keras.Sequential([keras.Input((4, 4, 3)), keras.layers.Flatten()])
    result = export_tflite(model, tmp_path / "m.tflite")
    result.add_metadata(mean=(1.0, 2.0, 3.0), std=(4.0, 5.0, 6.0))
    assert result.metadata.mean == (1.0, 2.0, 3.0) and result.metadata.std == (4.0, 5.0, 6.0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"labels": ["cat"]}, r"4 output values, but there are 1 labels"),
        ({"mean": (1.0, 2.0), "std": (1.0, 2.0)}, r"mean is one number or one per channel \(1\)"),
        ({"std": 0.0}, r"std must be above 0"),
        ({"std": np.inf}, r"std must be finite. Received: std=inf"),
        ({"mean": np.nan}, r"mean must be finite. Received: mean=nan"),
        ({"mean": "zero"}, r"mean must be one number or one per channel. Received: mean='zero'"),
        ({"mean": [[1.0]]}, r"mean is one number or one per channel"),
        ({"labels": ["cat", "a\nb", "bird", "fish"]}, r"control character.*labels\[1\]='a\\nb'"),
        ({"labels": ["cat", "dog", "bird", ""]}, r"no label may be blank.*labels\[3\]=''"),
        ({"labels": set(LABELS)}, r"in the order of the model's output values"),
        ({"labels": "cats"}, r"labels must be a list of names.*'cats'"),
        ({"name": 5}, r"name must be a string. Received: name=5"),
        ({"description": "\ud800"}, r"description must be valid Unicode"),
    ],
)
def test_what_does_not_suit_the_model_is_refused_and_the_file_stays(result, arguments, message):
    with pytest.raises((TypeError, ValueError), match=message):
        result.add_metadata(**arguments)
    assert result.path.read_bytes() == result.content and result.metadata is None


def test_labels_are_lines_however_another_tool_ended_them(result):
    result.add_metadata(LABELS)
    names = ["a", "b\u2028c", "d\x0ce", "f"]
    with zipfile.ZipFile(result.path, "w") as archive:
        archive.writestr("labels.txt", "\r\n".join(names))
    content = schema.with_metadata(result.content, "x", b"") + result.path.read_bytes()
    assert read(content).labels == tuple(names)


def test_inspect_names_the_classes(result, capsys):
    result.add_metadata(LABELS)
    assert cli.main(["inspect", str(result.path)]) == 0
    assert "classes    cat, dog" in capsys.readouterr().out
