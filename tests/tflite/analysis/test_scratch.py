"""Scratch memory of kernels, beside what their own libraries say.

`scratch_sizes.csv` was recorded from the libraries' own functions on random shapes: those of
CMSIS-NN (17 June 2026, commit 4ab83cc), compiled for Cortex-M4 (`cmsis_8`, and `cmsis_other`: 16
bits, or the second buffer of a transposed convolution) and for Cortex-M55 (`vector_8`,
`vector_other`) and run by QEMU; those of ESP-NN 1.2.3 (commit d45b843) for the ESP32-S3.
"""

import csv
import pathlib
import types

import pytest

from keras_distill.tflite.analysis import cmsis_nn, esp_nn, schema, scratch

with pathlib.Path(__file__).with_name("scratch_sizes.csv").open(newline="") as file:
    ROWS = [
        {name: int(text) if text.isdigit() else text for name, text in row.items()}
        for row in csv.DictReader(file)
    ]


def tensor(shape, dtype="int8", scales=(0.1,)):
    return schema.Tensor("", tuple(shape), False, dtype, scales, (0,), False, 0, ())


def operator(name, inputs, output, **options):
    return schema.Operator(name, False, tuple(inputs), (output,), types.SimpleNamespace(**options))


def operator_of(row, dtype="int8"):
    """Returns the operator that a row of the table is about."""
    data = tensor((1, row["height"], row["width"], row["inputs"]), dtype)
    output = tensor((1, row["output_height"], row["output_width"], row["outputs"]), dtype)
    kernel = (row["kernel_height"], row["kernel_width"])
    options = {
        "strideH": row["stride_height"],
        "strideW": row["stride_width"],
        "dilationHFactor": row["dilation"],
        "dilationWFactor": row["dilation"],
        "padding": 0 if row["padding"] == "same" else 1,
    }
    name = row["operator"]
    if name == "DEPTHWISE_CONV_2D":
        inputs = [data, tensor((1, *kernel, row["outputs"]))]
    elif name == "TRANSPOSE_CONV":
        inputs = [tensor((4,), "int32"), tensor((row["outputs"], *kernel, row["inputs"])), data]
    elif name == "FULLY_CONNECTED":
        data, output = tensor((1, row["inputs"]), dtype), tensor((1, row["outputs"]), dtype)
        inputs = [data, tensor((row["outputs"], row["inputs"]))]
    elif name == "AVERAGE_POOL_2D":
        inputs = [data]
    else:
        inputs = [data, tensor((row["outputs"], *kernel, row["inputs"]))]
    return operator(name, inputs, output, **options)


def rows_of(*names):
    return [row for row in ROWS if row["operator"] in names]


SQUARE = {
    **{"height": 8, "width": 8, "inputs": 16, "output_height": 8, "output_width": 8},
    **{"kernel_height": 3, "kernel_width": 3, "stride_height": 1, "stride_width": 1},
    **{"dilation": 1, "padding": "same"},
}
KINDS = ("CONV_2D", "DEPTHWISE_CONV_2D", "TRANSPOSE_CONV", "AVERAGE_POOL_2D", "FULLY_CONNECTED")


@pytest.mark.parametrize("name", KINDS)
def test_cmsis_nn_is_asked_for_what_its_own_functions_say(name):
    rows = rows_of(name)
    assert len(rows) == 20
    for row in rows:
        both = [row["cmsis_8"]] + ([row["cmsis_other"]] if name == "TRANSPOSE_CONV" else [])
        assert cmsis_nn.buffers(operator_of(row)) == tuple(size for size in both if size), row


@pytest.mark.parametrize("name", KINDS)
def test_the_vector_extension_is_asked_for_what_its_own_functions_say(name):
    for row in rows_of(name):
        both = [row["vector_8"]] + ([row["vector_other"]] if name == "TRANSPOSE_CONV" else [])
        one = operator_of(row)
        if name == "FULLY_CONNECTED":
            # TensorFlow Lite Micro keeps these sums for good.
            kept = cmsis_nn.vector_records(one) - cmsis_nn.records(one)
            assert cmsis_nn.vector_buffers(one) == () and 0 <= kept - both[0] < 16
        else:
            assert cmsis_nn.vector_buffers(one) == tuple(size for size in both if size), row


@pytest.mark.parametrize(
    ("name", "buffers", "column"),
    [
        ("CONV_2D", cmsis_nn.buffers, "cmsis_other"),
        ("AVERAGE_POOL_2D", cmsis_nn.buffers, "cmsis_other"),
        ("CONV_2D", cmsis_nn.vector_buffers, "vector_other"),
    ],
)
def test_in_16_bits_as_well(name, buffers, column):
    for row in rows_of(name):
        assert buffers(operator_of(row, "int16")) == (row[column],), row


def test_the_older_cmsis_nn_asks_for_no_less():
    # Up to three values less, where it didn't round up to four.
    for row in rows_of("CONV_2D", "DEPTHWISE_CONV_2D", "AVERAGE_POOL_2D"):
        older, now = (
            sum(buffers(operator_of(row))) for buffers in (cmsis_nn.older_buffers, cmsis_nn.buffers)
        )
        assert older >= now - 12, row


def test_the_older_cmsis_nn_asks_for_3x3_depthwise_and_strided_1x1():
    depthwise = operator_of({**rows_of("DEPTHWISE_CONV_2D")[0], **SQUARE, "outputs": 16})
    assert cmsis_nn.buffers(depthwise) == ()
    assert cmsis_nn.older_buffers(depthwise) == (2 * 3 * 3 * 16,)
    strided = {
        **{"kernel_height": 1, "kernel_width": 1, "stride_height": 2, "stride_width": 2},
        **{"output_height": 4, "output_width": 4},
    }
    pointwise = operator_of({**rows_of("CONV_2D")[0], **SQUARE, **strided})
    assert cmsis_nn.buffers(pointwise) == () and cmsis_nn.older_buffers(pointwise) == (4 * 16,)


@pytest.mark.parametrize("name", ["CONV_2D", "DEPTHWISE_CONV_2D"])
def test_the_esp32_s3_is_asked_for_what_its_own_functions_say(name):
    for row in rows_of(name):
        assert esp_nn.s3_buffers(operator_of(row)) == (row["esp32_s3"],), row
        assert esp_nn.buffers(operator_of(row)) == ()


def test_kernels_without_scratch_of_their_own_take_the_reference_kernels():
    mean = operator("MEAN", [tensor((1, 4, 4, 6)), tensor((2,), "int32")], tensor((1, 6)))
    assert scratch.buffers(mean) == (24, 16, 8)
    for buffers in (cmsis_nn.buffers, cmsis_nn.older_buffers, esp_nn.s3_buffers):
        assert buffers(mean) == scratch.buffers(mean)


def test_a_dense_layer_over_positions_has_scale_and_shift_of_each_output():
    inputs = [tensor((1, 7, 12)), tensor((5, 12))]
    wide = operator("FULLY_CONNECTED", inputs, tensor((1, 7, 5)))
    assert cmsis_nn.buffers(wide) == (8 * 5,)
    # Formerly they were kept for good.
    assert cmsis_nn.older_buffers(wide) == ()
    assert cmsis_nn.older_records(wide) - cmsis_nn.records(wide) == 2 * 32
    per_channel = [inputs[0], tensor((5, 12), scales=(0.1,) * 5)]
    assert cmsis_nn.buffers(operator("FULLY_CONNECTED", per_channel, tensor((1, 7, 5)))) == ()
