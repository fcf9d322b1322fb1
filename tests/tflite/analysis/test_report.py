"""The deployment report: arena, MACs and boards."""

import pytest

from keras_distill.tflite import BOARDS, export_tflite
from keras_distill.tflite.analysis import arena
from keras_distill.tflite.analysis.boards import CORTEX_M
from keras_distill.tflite.analysis.operators import MICRO, resolver_method
from keras_distill.tflite.runtime import micro


def test_the_smallest_arena_works_and_64_bytes_less_fail(int8_cnn):
    _, result, _ = int8_cnn
    report = result.report()
    assert micro.runs_in_arena(result.content, report.arena_bytes)
    assert not micro.runs_in_arena(result.content, report.arena_bytes - 64)


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
    assert "over what one can take (131,072 B)" in nano.reason_against(129 * 1024, 1000)
    assert "flash" in nano.reason_against(1000, 1024 * 1024)
    assert nano.reason_against(128 * 1024, 800 * 1024) == ""


def test_an_arena_is_no_larger_than_the_memory_that_is_there_in_one_piece():
    usable = {name: board.usable_arena // 1024 for name, board in BOARDS.items()}
    assert usable["arduino_nano_33_ble"] == 128
    # Of the ESP32's 520 KiB, 160 can be static variables; the H7's megabyte is in banks of 512.
    assert usable["esp32"] == 120 and usable["stm32h743"] == usable["arduino_portenta_h7"] == 384
    assert all(board.static_ram <= board.sram for board in BOARDS.values())


def test_it_says_what_was_measured_here_and_what_is_expected_on_a_board(int8_cnn):
    report = int8_cnn[1].report()
    assert set(report.expected_arenas) == set(arena.KERNELS)
    cortex = [report.expected_arenas[name] for name in CORTEX_M]
    assert report.arena_constant == arena.with_headroom(max(cortex))
    assert report.arena_constant % 256 == 0 and max(cortex) < report.arena_bytes
    said = str(report)
    for words in (
        f"{report.arena_bytes:,} B, measured on this computer",
        f"{report.expected_arenas['cmsis-nn']:,} B expected with CMSIS-NN\n",
        f"{report.arena_constant:,} B for a program on Cortex-M",
    ):
        assert words in said, said


def test_every_micro_operator_has_a_resolver_method():
    methods = [resolver_method(name) for name in MICRO]
    assert len(set(methods)) == len(MICRO)
    assert resolver_method("MAX_POOL_2D") == "AddMaxPool2D"
    assert resolver_method("RESIZE_NEAREST_NEIGHBOR") == "AddResizeNearestNeighbor"
    with pytest.raises(ValueError, match=r"no operator 'GELU'"):
        resolver_method("GELU")
