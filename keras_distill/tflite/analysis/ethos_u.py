"""Cycles, time and memory on Arm's Ethos-U, as estimated by Arm's compiler Vela."""

import csv
import dataclasses
import importlib.util
import re

from keras_distill.arguments import check_choice
from keras_distill.files import temporary_folder
from keras_distill.tflite import subprocesses

ACCELERATORS = (
    "ethos-u55-32",
    "ethos-u55-64",
    "ethos-u55-128",
    "ethos-u55-256",
    "ethos-u65-256",
    "ethos-u65-512",
    "ethos-u85-128",
    "ethos-u85-256",
    "ethos-u85-512",
    "ethos-u85-1024",
    "ethos-u85-2048",
)
_KIB = 1024
_TIMEOUT_SECONDS = 3600.0
_COMPILER = "Arm's compiler for the Ethos-U"


@dataclasses.dataclass(frozen=True)
class EthosUEstimate:
    """How a model would run on an Ethos-U, by the compiler's default system for it.

    Args:
        accelerator: Name of the processor, with its multiplications per cycle.
        cycles: Clock cycles of one inference.
        clock_hz: Clock rate in Hz.
        seconds: Time of one inference.
        sram_bytes: Working memory.
        flash_bytes: Memory of the compiled weights.
        operators_npu: Operators that the processor runs.
        operators_cpu: Operators that are left to the CPU, whose time isn't in the estimate.
    """

    accelerator: str
    cycles: int
    clock_hz: int
    seconds: float
    sram_bytes: int
    flash_bytes: int
    operators_npu: int
    operators_cpu: int

    def __str__(self):
        left = f", {self.operators_cpu} left to the CPU" if self.operators_cpu else ""
        return (
            f"{self.accelerator}: {self.cycles:,} cycles ({1000 * self.seconds:.3g} ms at "
            f"{self.clock_hz / 1e6:g} MHz), SRAM {self.sram_bytes:,} B, flash "
            f"{self.flash_bytes:,} B, {self.operators_npu} operators{left}"
        )


def estimate(tflite_model, accelerator="ethos-u55-128"):
    """Estimates a model on an Ethos-U; see `TFLiteModel.estimate_ethos_u`.

    Args:
        tflite_model: `TFLiteModel` in int8 or int16x8.
        accelerator: One of `ACCELERATORS`.

    Returns:
        `EthosUEstimate`.

    Raises:
        ImportError: If ethos-u-vela isn't installed.
        ValueError: If the accelerator is unknown or the model isn't quantized to integers.
        RuntimeError: If the compiler fails.
    """
    check_choice("accelerator", accelerator, ACCELERATORS)
    if tflite_model.quantization not in ("int8", "int16x8"):
        raise ValueError(
            "An Ethos-U computes with integers only: export the model with quantization='int8' or "
            f"'int16x8'. Received: a model with quantization={tflite_model.quantization!r}"
        )
    if importlib.util.find_spec("ethosu") is None:
        raise ImportError(
            "The estimate is made by Arm's compiler, which isn't installed: "
            'pip install "keras_distill[ethos-u]".'
        )
    with temporary_folder() as folder:
        (folder / "model.tflite").write_bytes(tflite_model.content)
        printed = _compile(folder, accelerator)
        [summary] = folder.glob("*_summary_*.csv")
        with summary.open(encoding="utf-8", newline="") as file:
            figures = next(csv.DictReader(file))
    return EthosUEstimate(
        accelerator=accelerator,
        cycles=int(float(figures["cycles_total"])),
        clock_hz=int(float(figures["core_clock"])),
        seconds=float(figures["inference_time"]),
        sram_bytes=round(_KIB * float(figures["sram_memory_used"])),
        flash_bytes=round(
            _KIB
            * sum(float(figures[f"{where}_flash_memory_used"]) for where in ("on_chip", "off_chip"))
        ),
        operators_npu=_count(printed, "NPU"),
        operators_cpu=_count(printed, "CPU"),
    )


def _compile(folder, accelerator):
    options = ["--output-dir", str(folder), "--accelerator-config", accelerator]
    result = subprocesses.run(
        "ethosu.vela",
        str(folder / "model.tflite"),
        *options,
        folder=folder,
        timeout=_TIMEOUT_SECONDS,
        task=_COMPILER,
        advice="estimate a smaller model.",
    )
    if result.returncode != 0:
        ending = subprocesses.ending(result.returncode, result.stdout + result.stderr)
        raise RuntimeError(f"{_COMPILER} {ending}")
    return result.stdout


def _count(printed, processor):
    found = re.search(rf"{processor} operators = (\d+)", printed)
    return int(found[1]) if found else 0
