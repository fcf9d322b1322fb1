"""A plan of the arena that TensorFlow Lite Micro follows."""

import random

import numpy as np
import pytest

from keras_distill import architectures
from keras_distill.tflite import export_tflite
from keras_distill.tflite.analysis import costs, memory_plan, schema
from keras_distill.tflite.runtime import micro
from tests.tflite.conftest import random_inputs

needs_micro = pytest.mark.skipif(not micro.is_available(), reason="needs TensorFlow Lite Micro")


def random_blocks(seed, count=12):
    rng = random.Random(seed)
    blocks = []
    for index in range(count):
        first = rng.randrange(8)
        size = 16 * rng.randrange(1, 20)
        blocks.append(costs.Lifetime((index,), size, first, first + rng.randrange(4)))
    return sorted(blocks, key=lambda block: -block.size)


@pytest.mark.parametrize("seed", range(20))
def test_what_is_needed_together_never_overlaps(seed):
    blocks = random_blocks(seed)
    bound = costs.most_at_once(blocks)
    places = memory_plan._search(blocks, bound)
    assert sorted(block.indices for block, _ in places) == sorted(b.indices for b in blocks)
    for block, start in places:
        assert start % memory_plan.ALIGNMENT == 0
        for other, offset in places:
            if other is not block and block.meets(other):
                assert start + block.size <= offset or offset + other.size <= start
    assert bound <= memory_plan._height(places) <= memory_plan._height(memory_plan._place(blocks))


def test_searching_finds_what_placing_the_largest_first_misses():
    gains = []
    for seed in range(20):
        blocks = random_blocks(seed)
        found = memory_plan._search(blocks, costs.most_at_once(blocks))
        gains.append(memory_plan._height(memory_plan._place(blocks)) - memory_plan._height(found))
    assert min(gains) >= 0 and sum(gain > 0 for gain in gains) >= 5


@pytest.fixture(scope="module")
def mobilenet(tmp_path_factory):
    """A small MobileNet in int8, as for a phone: without a plan."""
    model = architectures.mobilenet_v1((32, 32, 3), 4)
    x = random_inputs(model, 20)
    path = tmp_path_factory.mktemp("mobilenet") / "model.tflite"
    return export_tflite(model, path, "int8", x), x


@needs_micro
def test_a_mobilenet_needs_no_more_than_its_tensors_and_the_interpreters_own(mobilenet):
    result, x = mobilenet
    planned = memory_plan.with_plan(result.content)
    before = micro.measure_arena(result.content)
    after = micro.measure_arena(planned)
    saved = memory_plan.usual_bytes(result.graph) - costs.live_bytes(result.graph)
    assert saved > 1_000 and before.minimum - after.minimum == saved
    assert after.planned == costs.live_bytes(result.graph)
    assert after.minimum == after.planned + after.persistent
    assert memory_plan.bytes_with(result.graph, {}, []) == before.planned
    offsets = memory_plan.planned_offsets(planned)
    assert memory_plan.bytes_with(result.graph, offsets, []) == after.planned
    inputs = result.quantize_inputs(x[:5])
    answers = micro.run(result.content, result.graph, inputs)[0]
    np.testing.assert_array_equal(micro.run(planned, schema.parse(planned), inputs)[0], answers)


def test_a_planned_file_holds_the_same_model_with_data_at_multiples_of_16(mobilenet, tmp_path):
    from ai_edge_litert import schema_py_generated as generated

    result, x = mobilenet
    planned = memory_plan.with_plan(result.content)
    assert list(schema.metadata(planned))[-1] == memory_plan.METADATA_NAME
    assert schema.parse(planned).inputs == result.graph.inputs
    path = tmp_path / "planned.tflite"
    path.write_bytes(planned)
    again = type(result)(path)
    assert again.operators == result.operators
    np.testing.assert_array_equal(again.predict(x[:5]), result.predict(x[:5]))
    model = generated.Model.GetRootAsModel(planned, 0)
    for index in range(model.BuffersLength()):
        buffer = model.Buffers(index)
        if buffer.DataLength():
            assert buffer._tab.Vector(buffer._tab.Offset(4)) % 16 == 0


def test_boards_get_a_plan_and_phones_do_not(mobilenet, tmp_path):
    result, x = mobilenet
    assert memory_plan.METADATA_NAME not in schema.metadata(result.content)
    model = architectures.mobilenet_v1((32, 32, 3), 4)
    board = export_tflite(model, tmp_path / "board.tflite", "int8", x, target="mcu")
    assert memory_plan.METADATA_NAME in schema.metadata(board.content)


def test_what_has_no_better_plan_stays_as_it_is(int8_cnn):
    content = int8_cnn[1].content
    assert memory_plan.with_plan(content) is content


def test_metadata_is_added_and_replaced(int8_cnn):
    content = int8_cnn[1].content
    before = schema.metadata(content)
    once = schema.with_metadata(content, "note", b"first")
    twice = schema.with_metadata(once, "note", b"second")
    assert schema.metadata(once) == {**before, "note": b"first"}
    assert schema.metadata(twice) == {**before, "note": b"second"}
