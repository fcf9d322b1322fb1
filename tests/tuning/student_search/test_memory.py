"""What a student takes on a board: students that can't be exported say why."""

import keras
import numpy as np
import pytest

from keras_distill.tuning.student_search.memory import Limits, Memory, Scales

pytest.importorskip("tflite_micro", reason="TensorFlow Lite Micro decides what fits")


def test_a_student_that_cannot_be_exported_does_not_fit():
    student = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
    student.set_weights([np.full((4, 2), np.nan), np.zeros(2)])
    scales = Scales(Limits("esp32"), np.zeros((2, 4), "float32"), "arduino")
    assert "can't be exported" in scales.weigh(student).reason


@pytest.mark.parametrize(
    ("limit", "message"),
    [
        ({"max_arena_bytes": 999}, "arena 1,000 B is over the limit of 999 B"),
        ({"max_model_bytes": 1999}, "file 2,000 B is over the limit of 1,999 B"),
        ({"max_macs": 2999}, "MACs 3,000 is over the limit of 2,999"),
        ({}, ""),
    ],
)
def test_each_limit_counts(limit, message):
    assert Limits("esp32", **limit).reason_against(Memory(1, 1000, 2000, 3000)) == message


def test_the_board_counts_beside_a_limit():
    limits = Limits("esp32", max_arena_bytes=10**9)
    assert "over what one can take" in limits.reason_against(Memory(1, 10**8, 2000, 3000))
