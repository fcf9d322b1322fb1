"""Deployment report: operators, flash, arena, MACs, boards."""

import dataclasses

from keras_distill.tflite.analysis import arena, costs
from keras_distill.tflite.analysis.boards import BOARDS, CORTEX_M, RUNTIME_FLASH
from keras_distill.tflite.runtime import micro


@dataclasses.dataclass(frozen=True)
class Report:
    """Deployment report of a model: operators, flash, arena, MACs, boards.

    Args:
        operators: Dictionary from builtin operator to how often it stands in the graph.
        costs: List of `OperatorCost`, one per operator: multiplications, bytes of weights and
            outputs.
        macs: Multiplications and additions of one inference, in pairs.
        model_bytes: Size of the file.
        flash_bytes: Size of the file and of TensorFlow Lite Micro's code, about 125 KiB.
        arena_bytes: Smallest arena that works on this computer, bisected on TensorFlow Lite Micro;
            `None` where that isn't installed or can't run the model.
        expected_arenas: Dictionary from library of kernels to the smallest arena that is expected
            to work on a device: what was measured here, with shorter pointers and with the
            library's scratch memory; empty where `arena_bytes` is `None`.
        live_bytes: What the tensors that are needed at the same time take, the bound below which
            no arena can be; `None` for models with loops.
        persistent_bytes: What TensorFlow Lite Micro keeps in the arena beside the tensors, on this
            computer; `None` where `arena_bytes` is.
        arena_constant: The arena for a program on Cortex-M, with its own kernels or CMSIS-NN's: 5 %
            and 256 bytes above what is expected, rounded up to 256.
        boards: Dictionary from board to why the model doesn't fit, empty where it does; empty
            altogether where the arena isn't known.
        notes: What else was noticed.
    """

    operators: dict[str, int]
    costs: tuple[costs.OperatorCost, ...]
    macs: int
    model_bytes: int
    flash_bytes: int
    arena_bytes: int | None
    expected_arenas: dict[str, int]
    live_bytes: int | None
    persistent_bytes: int | None
    arena_constant: int | None
    boards: dict[str, str]
    notes: tuple[str, ...]

    def __str__(self):
        measured = "unknown" if self.arena_bytes is None else f"{self.arena_bytes:,} B"
        lines = [
            f"operators  {', '.join(f'{n} x {name}' for name, n in self.operators.items())}",
            f"MACs       {self.macs:,}",
            f"model      {self.model_bytes:,} B",
            f"flash      {self.flash_bytes:,} B with TensorFlow Lite Micro",
            f"arena      {measured}, measured on this computer",
        ]
        for kernels, needed in self.expected_arenas.items():
            lines.append(f"           {needed:,} B expected with {arena.KERNELS[kernels].title}")
        if self.arena_constant is not None:
            lines.append(f"           {self.arena_constant:,} B for a program on Cortex-M")
        if self.live_bytes is not None:
            lines.append(f"           tensors alone: {self.live_bytes:,} B, the least there can be")
        if self.persistent_bytes is not None:
            lines.append(
                f"           TensorFlow Lite Micro's own, here: {self.persistent_bytes:,} B"
            )
        for name, reason in self.boards.items():
            verdict = f"no: {reason}" if reason else "fits"
            lines.append(f"  {BOARDS[name].title:<38}{verdict}")
        return "\n".join([*lines, *(f"note: {note}" for note in self.notes)])


def report(tflite_model):
    """Measures a model; see `TFLiteModel.report`.

    Args:
        tflite_model: `TFLiteModel`.

    Returns:
        `Report`.
    """
    notes, measured = [], None
    of_operators = costs.operator_costs(tflite_model.graph)
    if micro.is_available():
        try:
            measured = micro.measure_arena(tflite_model.content)
        except micro.MicroError as error:
            notes.append(str(error))
    else:
        notes.append("TensorFlow Lite Micro isn't installed (extra `micro`): the arena is unknown.")
    expected, constant, fits = {}, None, {}
    if measured is not None:
        source = (tflite_model.graph, tflite_model.content, measured)
        expected = {name: arena.expected(*source, name) for name in arena.KERNELS}
        constant = _size(expected, CORTEX_M)
        fits = {
            name: board.reason_against(_size(expected, board.kernels), tflite_model.size)
            for name, board in BOARDS.items()
        }
    return Report(
        operators=tflite_model.operators,
        costs=tuple(of_operators),
        macs=sum(cost.macs for cost in of_operators),
        model_bytes=tflite_model.size,
        flash_bytes=tflite_model.size + RUNTIME_FLASH,
        arena_bytes=measured and measured.minimum,
        expected_arenas=expected,
        live_bytes=costs.live_bytes(tflite_model.graph),
        persistent_bytes=measured and measured.persistent,
        arena_constant=constant,
        boards=fits,
        notes=tuple(notes),
    )


def _size(expected, kernels):
    """Returns the arena for a program that runs with any of several libraries of kernels."""
    return arena.with_headroom(*(expected[name] for name in kernels))
