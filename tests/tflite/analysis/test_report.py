"""The deployment report: arena, MACs and boards."""

import pytest

from keras_distill.tflite import BOARDS, export_tflite
from keras_distill.tflite.analysis.operators import MICRO, resolver_method
from keras_distill.tflite.runtime import micro


def test_the_smallest_arena_works_and_64_bytes_less_fail(int8_cnn):
    _, result, _ = int8_cnn
    report = result.report()
    assert micro.runs_in_arena(result.content, report.arena_bytes)
    assert not micro.runs_in_arena(result.content, report.arena_bytes - 64)
    assert micro.runs_in_arena(result.content, report.arena_constant)
    assert report.arena_constant % 1024 == 0
    assert report.arena_constant >= 1.05 * report.arena_bytes + 1024


def test_multiplications_are_those_of_the_layers(int8_cnn, make_model, tmp_path):
    _, result, _ = int8_cnn
    assert result.report().macs == 8 * 8 * 6 * 9 + 6 * 4
    separable = export_tflite(make_model("separable"), tmp_path / "m.tflite")
    assert separable.report().macs == 10 * 6 * 9 + 10 * 6 * 8 + 8 * 3


def test_boards_fit_or_say_why(int8_cnn):
    _, result, _ = int8_cnn
    report = result.report()
    assert set(report.boards) == set(BOARDS) and not any(report.boards.values())
    nano = BOARDS["arduino_nano_33_ble"]
    assert "half of the SRAM" in nano.reason_against(129 * 1024, 1000)
    assert "flash" in nano.reason_against(1000, 1024 * 1024)
    assert nano.reason_against(128 * 1024, 800 * 1024) == ""


def test_every_micro_operator_has_a_resolver_method():
    methods = [resolver_method(name) for name in MICRO]
    assert len(set(methods)) == len(MICRO)
    assert resolver_method("MAX_POOL_2D") == "AddMaxPool2D"
    assert resolver_method("RESIZE_NEAREST_NEIGHBOR") == "AddResizeNearestNeighbor"
    with pytest.raises(ValueError, match=r"no operator 'GELU'"):
        resolver_method("GELU")
