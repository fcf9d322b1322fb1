"""Damaged files: refused with a reason when they are opened, whatever is damaged."""

import pathlib
import random

import flatbuffers
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema_module

from keras_distill.tflite import TFLiteModel, formats
from keras_distill.tflite.analysis import costs, flatbuffer, schema
from tests.tflite.changes import changed


@pytest.fixture(scope="module")
def content(int8_cnn, tmp_path_factory):
    """Bytes of a file with metadata and names of classes."""
    path = tmp_path_factory.mktemp("described") / "cnn.tflite"
    path.write_bytes(int8_cnn[1].content)
    model = TFLiteModel(path)
    model.add_metadata(["a", "b", "c", "d"], 0.0, 255.0)
    return model.content


def look_into(path):
    """Reads all that is read of a file without an interpreter."""
    model = TFLiteModel(path)
    assert repr(model) and model.operators
    for target in formats.TARGETS:
        [str(finding) for finding in model.lint_for(target)]
    costs.operator_costs(model.graph)
    costs.live_bytes(model.graph)
    return model.metadata


def operator_of(model, name):
    codes = [code.deprecatedBuiltinCode for code in model.operatorCodes]
    wanted = codes.index(getattr(schema_module.BuiltinOperator, name))
    return next(o for o in model.subgraphs[0].operators if o.opcodeIndex == wanted)


def largest_buffer(model):
    return max(model.buffers, key=lambda buffer: 0 if buffer.data is None else len(buffer.data))


def test_the_whole_file_is_accepted(content, tmp_path):
    path = tmp_path / "whole.tflite"
    path.write_bytes(content)
    assert look_into(path).labels == ("a", "b", "c", "d")


@pytest.mark.parametrize("seed", range(4))
def test_flipped_bits_and_cut_ends_are_clean_or_told(seed, content, tmp_path):
    randomness, path, told = random.Random(seed), tmp_path / "flipped.tflite", 0
    for step in range(150):
        damaged = bytearray(content)
        if step % 8:
            damaged[randomness.randrange(len(content))] ^= 1 << randomness.randrange(8)
        else:
            del damaged[randomness.randrange(len(content)) :]
        path.write_bytes(damaged)
        try:
            look_into(path)
        except schema.DamagedError as error:
            assert "damaged" in str(error) or "no TensorFlow Lite file" in str(error)
            told += 1
    assert told > 20


def leave_out_inputs(model):
    model.subgraphs[0].inputs = []


def unknown_operator(model):
    model.operatorCodes[0].builtinCode = 9999


def custom_without_name(model):
    model.operatorCodes[0].builtinCode = schema_module.BuiltinOperator.CUSTOM


def foreign_buffer(model):
    model.subgraphs[0].tensors[0].buffer = 999


def foreign_type(model):
    model.subgraphs[0].tensors[0].type = 99


def negative_shape(model):
    model.subgraphs[0].tensors[0].shape = np.array([-8, 8], "int32")


def short_constant(model):
    weights = model.subgraphs[0].tensors[operator_of(model, "CONV_2D").inputs[1]]
    model.buffers[weights.buffer].data = model.buffers[weights.buffer].data[:-1]


def foreign_operand(model):
    model.subgraphs[0].operators[0].inputs = np.array([0, 1000, 2], "int32")


def convolution_without_weights(model):
    operator_of(model, "CONV_2D").inputs = np.array([0, -1, -1], "int32")


def convolution_of_a_vector(model):
    operator = operator_of(model, "CONV_2D")
    operator.inputs = np.array([operator.inputs[0], operator.inputs[2], -1], "int32")


def no_operator_code(model):
    model.subgraphs[0].operators[0].opcodeIndex = 77


def too_many_scales(model):
    scales = model.subgraphs[0].tensors[0].quantization
    scales.scale, scales.zeroPoint = np.ones(3, "float32"), np.zeros(3, "int64")


def zero_points_missing(model):
    model.subgraphs[0].tensors[0].quantization.zeroPoint = np.zeros(2, "int64")


def zero_point_beyond(model):
    model.subgraphs[0].tensors[0].quantization.zeroPoint = np.array([300], "int64")


def foreign_signature(model):
    model.signatureDefs[0].inputs[0].tensorIndex = 5


def another_version(model):
    model.version = 2


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (leave_out_inputs, "it has no inputs"),
        (unknown_operator, "no operator of the number 9999"),
        (custom_without_name, "a custom operator has no name"),
        (foreign_buffer, "has no buffer"),
        (foreign_type, "unknown type, 99"),
        (negative_shape, r"has the shape \[-8, 8\]"),
        (short_constant, r"has \d+ bytes, not \d+"),
        (foreign_operand, "has tensors that aren't there"),
        (convolution_without_weights, "CONV_2D lacks inputs"),
        (convolution_of_a_vector, "CONV_2D has an input of 1 axes"),
        (no_operator_code, "no operator code 77"),
        (too_many_scales, "3 scales .* along axis 0"),
        (zero_points_missing, "1 scales and 2 zero points"),
        (zero_point_beyond, "a zero point beyond that type"),
        (foreign_signature, "the inputs of a signature aren't those of its graph"),
        (another_version, "its version is 2, not 3"),
    ],
)
def test_what_does_not_fit_together_is_named(change, said, int8_cnn):
    with pytest.raises(schema.DamagedError, match=f"file is damaged: .*{said}"):
        schema.parse(changed(int8_cnn[1].content, change))


def test_few_bytes_that_lead_to_many_tables_do_not_take_for_ever():
    builder, count = flatbuffers.Builder(1024), 300
    table = None
    # Type of a tensor, tensor, graph, model: each with 300 offsets to the one before.
    for slot in (None, 9, 0, 2):
        items = None
        if slot is not None:
            builder.StartVector(4, count, 4)
            for _ in range(count):
                builder.PrependUOffsetTRelative(table)
            items = builder.EndVector()
        builder.StartObject(12)
        if slot is not None:
            builder.PrependUOffsetTRelativeSlot(slot, items, 0)
        table = builder.EndObject()
    builder.Finish(table, b"TFL3")
    with pytest.raises(flatbuffer.DamagedError, match="more tables than the file can hold"):
        schema.parse(bytes(builder.Output()))


def test_the_error_names_the_file(tmp_path):
    path = tmp_path / "some.tflite"
    path.write_bytes(b"nothing of the kind")
    with pytest.raises(ValueError, match=r"some\.tflite: This is no TensorFlow Lite file"):
        TFLiteModel(path)


def test_tensors_without_names_and_of_any_type_are_read(int8_cnn, tmp_path):
    def without_names(model):
        for tensor in model.subgraphs[0].tensors:
            tensor.name = None
        model.subgraphs[0].tensors[-1].type = schema_module.TensorType.RESOURCE
        model.signatureDefs = None

    path = tmp_path / "model.tflite"
    path.write_bytes(changed(int8_cnn[1].content, without_names))
    look_into(path)
    assert TFLiteModel(path).inputs[0].name == ""


def test_an_open_batch_of_one_is_a_batch_of_one(int8_cnn, tmp_path):
    def open_axes(*axes):
        def change(model):
            index = model.subgraphs[0].inputs[0]
            signature = np.array(model.subgraphs[0].tensors[index].shape)
            signature[list(axes)] = -1
            model.subgraphs[0].tensors[index].shapeSignature = signature

        return TFLiteModel(write(changed(int8_cnn[1].content, change)), target="arduino")

    def write(content):
        path = tmp_path / "open.tflite"
        path.write_bytes(content)
        return path

    published = open_axes(0)
    assert published.lint() == []
    folder = published.to_arduino(tmp_path / "library", samples=int8_cnn[2][:2])
    assert (folder / "library.properties").is_file()
    assert [finding.code for finding in open_axes(0, 1).lint()] == ["dynamic-shape"]


def test_scales_of_biases_may_name_the_axis_of_their_weights(int8_cnn):
    def change(model):
        bias = model.subgraphs[0].tensors[operator_of(model, "CONV_2D").inputs[2]]
        assert len(bias.quantization.scale) > 1
        bias.quantization.quantizedDimension = 3

    assert schema.parse(changed(int8_cnn[1].content, change)).operators[0].name == "CONV_2D"


@pytest.mark.parametrize(("value", "word"), [(np.nan, "NaN"), (np.inf, "infinity")])
def test_weights_that_are_no_numbers_are_found(value, word, perceptron_as, tmp_path):
    def spoil(model):
        data = np.array(largest_buffer(model).data).view("float32").copy()
        data[3] = value
        largest_buffer(model).data = data.view("uint8")

    path = pathlib.Path(tmp_path) / "spoiled.tflite"
    path.write_bytes(changed(perceptron_as(None)[0].content, spoil))
    [finding] = TFLiteModel(path).lint()
    assert (finding.code, finding.severity) == ("not-finite", "error")
    assert word in finding.message and "FULLY_CONNECTED" in finding.where


def test_scales_that_are_no_numbers_are_found(int8_cnn, tmp_path):
    def spoil(model):
        model.subgraphs[0].tensors[0].quantization.scale = np.array([np.nan], "float32")

    path = tmp_path / "spoiled.tflite"
    path.write_bytes(changed(int8_cnn[1].content, spoil))
    [finding] = [f for f in TFLiteModel(path).lint() if f.code == "not-finite"]
    assert "the scales of" in finding.message and finding.severity == "error"
    with pytest.raises(ValueError, match="of the type int8 with a scale that is NaN"):
        TFLiteModel(path).predict(int8_cnn[2])


def test_inputs_of_types_that_samples_cannot_have_are_refused(int8_cnn, tmp_path):
    def retype(model):
        index = model.subgraphs[0].inputs[0]
        model.subgraphs[0].tensors[index].type = schema_module.TensorType.INT4

    path = tmp_path / "small.tflite"
    path.write_bytes(changed(int8_cnn[1].content, retype))
    with pytest.raises(ValueError, match="is of the type int4"):
        TFLiteModel(path).predict(int8_cnn[2])
