"""The arena that a board needs, beside what was seen there.

`FIVE_BY_FIVE` was run by QEMU as a Cortex-M4 with CMSIS-NN's kernels, TensorFlow Lite Micro of 20
August 2026: 6,884 bytes of the arena in use, and 6,144, which was the sketch's constant before
scratch memory was counted, failed.
"""

import keras
import numpy as np
import pytest

from keras_distill.tflite import export_tflite
from keras_distill.tflite.analysis import arena, memory_plan
from keras_distill.tflite.runtime import micro

pytestmark = pytest.mark.skipif(not micro.is_available(), reason="needs TensorFlow Lite Micro")
FIVE_BY_FIVE = 6_884
CONSTANT_BEFORE = 6_144


@pytest.fixture(scope="module")
def five_by_five(tmp_path_factory):
    layers = keras.layers
    keras.utils.set_random_seed(0)
    inputs = keras.Input((12, 12, 1))
    x = layers.Conv2D(32, 5, strides=2, padding="same", activation="relu")(inputs)
    x = layers.Conv2D(32, 5, padding="same", activation="relu")(x)
    model = keras.Model(inputs, layers.Dense(10)(layers.GlobalAveragePooling2D()(x)))
    x = np.random.default_rng(0).random((20, 12, 12, 1)).astype("float32")
    path = tmp_path_factory.mktemp("five_by_five") / "model.tflite"
    return export_tflite(model, path, "int8", x, target="arduino")


@pytest.fixture(scope="module")
def source(five_by_five):
    content = five_by_five.content
    return five_by_five.graph, content, micro.measure_arena(content)


def test_scratch_memory_of_cmsis_nn_is_expected_and_in_the_constant(source):
    needed = arena.expected(*source, "cmsis-nn")
    assert FIVE_BY_FIVE <= needed <= 1.05 * FIVE_BY_FIVE
    assert arena.with_headroom(1, needed) >= 1.05 * needed + 256 > CONSTANT_BEFORE


def test_the_interpreter_of_an_arduino_library_keeps_more_of_each_operator(source):
    # Compiled for Cortex-M4 without TF_LITE_STATIC_MEMORY, a node has 44 bytes in place of 32, and
    # an input or output 64 in place of 32.
    now, older = (arena.expected(*source, name) for name in ("cmsis-nn", "cmsis-nn-2023"))
    assert older - now == 12 * len(source[0].operators) + 2 * 32


def test_without_scratch_memory_a_board_takes_less_than_this_computer(source):
    measured = source[2]
    assert measured.planned < arena.expected(*source, "reference") < measured.minimum


def test_scratch_buffers_are_planned_with_the_tensors_and_not_added_up(source):
    graph = source[0]
    buffers = [arena.KERNELS["cmsis-nn"].buffers(operator) for operator in graph.operators]
    assert [sum(sizes) for sizes in buffers[:2]] == [4 * 28, 4 * 5 * 5 * 32]
    alone = memory_plan.bytes_with(graph, {}, [])
    together = memory_plan.bytes_with(graph, {}, buffers)
    # Of the second convolution's: the first one's and the averages' lie where it lay.
    assert together == alone + 4 * 5 * 5 * 32 < alone + sum(map(sum, buffers))


def test_headroom_is_a_twentieth_and_256_bytes_and_no_more_than_256_above():
    for needed in (0, 1_000, 2_304, 54_788, 2**20):
        size = arena.with_headroom(needed)
        assert size % 256 == 0 and 0 <= size - (1.05 * needed + 256) < 256


def test_kernels_whose_scratch_is_unknown_keep_what_was_measured(source):
    graph, content, measured = source
    more = measured._replace(planned=measured.planned + 4_000)
    for kernels in ("reference", "cmsis-nn"):
        grown = arena.expected(graph, content, more, kernels)
        assert grown == arena.expected(graph, content, measured, kernels) + 4_000


def test_planning_takes_what_small_tensors_do_not(perceptron_as):
    result, _ = perceptron_as("int8")
    measured = micro.measure_arena(result.content)
    assert measured.minimum > measured.planned + measured.persistent
    expected = arena.expected(result.graph, result.content, measured, "reference")
    assert expected < measured.minimum
