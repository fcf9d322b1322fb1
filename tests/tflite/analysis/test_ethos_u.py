"""The estimate for Arm's neural processors."""

import importlib.util

import keras
import pytest

from keras_distill import cli
from keras_distill.tflite import export_tflite
from tests.tflite.conftest import random_inputs

needs_vela = pytest.mark.skipif(
    importlib.util.find_spec("ethosu") is None, reason="needs ethos-u-vela"
)


@needs_vela
def test_a_wider_processor_needs_fewer_cycles_for_the_same_operators(int8_cnn):
    _, result, _ = int8_cnn
    small, large = (result.estimate_ethos_u(f"ethos-u55-{width}") for width in (32, 256))
    assert 0 < large.cycles < small.cycles
    assert small.seconds == pytest.approx(small.cycles / small.clock_hz)
    assert small.operators_npu >= len(result.operators) - 1 and small.operators_cpu == 0
    # It holds the input and the convolution's output at least; flash holds the weights.
    assert small.sram_bytes >= 8 * 8 * (1 + 6) and small.flash_bytes > 0


@needs_vela
def test_inspect_prints_the_estimate(int8_cnn, capsys):
    assert cli.main(["inspect", str(int8_cnn[1].path), "--ethos-u"]) == 0
    assert "ethos-u55-128: " in capsys.readouterr().out


def test_what_can_not_be_estimated_is_refused(int8_cnn, tmp_path, monkeypatch):
    _, result, _ = int8_cnn
    with pytest.raises(ValueError, match=r"accelerator must be one of .*accelerator='ethos-u1'"):
        result.estimate_ethos_u("ethos-u1")
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
    floats = export_tflite(model, tmp_path / "m.tflite", None, random_inputs(model, 2))
    with pytest.raises(ValueError, match="computes with integers only"):
        floats.estimate_ethos_u()
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r'pip install "keras_distill\[ethos-u\]"'):
        result.estimate_ethos_u()
