"""Plain convolutional networks: stages, what a device runs, bad input."""

import keras
import numpy as np
import pytest

from keras_distill import architectures
from tests.architectures.test_architectures import taps


def test_small_cnn_has_a_stage_for_every_entry_of_filters():
    model = architectures.small_cnn((16, 16, 3), 5, filters=(2, 3, 4))
    assert taps(model) == {
        "stage1_out": (16, 16, 2),
        "stage2_out": (8, 8, 3),
        "stage3_out": (4, 4, 4),
    }


def test_digits_student_converts_to_the_five_documented_ops(tmp_path, capfd):
    import tensorflow as tf
    from ai_edge_litert.interpreter import Interpreter

    samples = np.random.default_rng(0).random((20, 1, 8, 8, 1), "float32")
    architectures.digits_student().export(
        tmp_path / "student.tflite",
        format="litert",
        input_signature=[keras.InputSpec(shape=(1, 8, 8, 1), dtype="float32")],
        optimizations=[tf.lite.Optimize.DEFAULT],
        representative_dataset=lambda: ([sample] for sample in samples),
        target_spec={"supported_ops": [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]},
        inference_input_type=tf.int8,
        inference_output_type=tf.int8,
        verbose=False,
    )
    interpreter = Interpreter(model_content=(tmp_path / "student.tflite").read_bytes())
    ops = {operator["op_name"] for operator in interpreter._get_ops_details()} - {"DELEGATE"}
    assert ops == {"CONV_2D", "MAX_POOL_2D", "AVERAGE_POOL_2D", "RESHAPE", "FULLY_CONNECTED"}


def test_numpy_integers_are_taken():
    model = architectures.small_cnn((np.int64(8), 8, 1), np.int32(3), filters=(np.uint8(2), 4))
    assert model.output_shape == (None, 3)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"input_shape": (8, 8)}, "without the batch"),
        ({"input_shape": (None, 8, 1)}, "integers of 1 or more"),
        ({"input_shape": 8}, "integers of 1 or more"),
        ({"input_shape": (3, 8, 1)}, "at least 4x4"),
        ({"num_classes": 1}, "2 or more"),
        ({"num_classes": True}, "2 or more"),
        ({"num_classes": 2.0}, "2 or more"),
        ({"filters": (4, 0)}, "filters"),
        ({"filters": (4, 8, 8)}, "two integers"),
    ],
)
def test_bad_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        architectures.digits_student(**arguments)
