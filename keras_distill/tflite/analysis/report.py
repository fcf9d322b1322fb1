"""Deployment report: operators, flash, arena, MACs, boards."""

import dataclasses

from keras_distill.tflite.analysis import costs
from keras_distill.tflite.analysis.boards import BOARDS, RUNTIME_FLASH
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
        arena_bytes: Smallest arena that works, bisected on TensorFlow Lite Micro; `None` where
            that isn't installed or can't run the model.
        live_bytes: What the tensors that are needed at the same time take, the bound below which
            no arena can be; `None` for models with loops.
        persistent_bytes: What TensorFlow Lite Micro keeps in the arena beside the tensors (a little
            more than half of it on a 32-bit device); `None` where `arena_bytes` is.
        arena_constant: The arena for a sketch: 5 % and 1 KiB more, in whole KiB.
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
    live_bytes: int | None
    persistent_bytes: int | None
    arena_constant: int | None
    boards: dict[str, str]
    notes: tuple[str, ...]

    def __str__(self):
        arena = (
            "unknown"
            if self.arena_bytes is None
            else f"{self.arena_bytes:,} B at least, {self.arena_constant:,} B recommended"
        )
        lines = [
            f"operators  {', '.join(f'{n} x {name}' for name, n in self.operators.items())}",
            f"MACs       {self.macs:,}",
            f"model      {self.model_bytes:,} B",
            f"flash      {self.flash_bytes:,} B with TensorFlow Lite Micro",
            f"arena      {arena}",
        ]
        if self.live_bytes is not None:
            lines.append(f"           tensors alone: {self.live_bytes:,} B, the least there can be")
        if self.persistent_bytes is not None:
            lines.append(f"           TensorFlow Lite Micro's own: {self.persistent_bytes:,} B")
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
    notes, arena, persistent = [], None, None
    of_operators = costs.operator_costs(tflite_model.graph)
    if micro.is_available():
        try:
            arena, persistent = micro.measure_arena(tflite_model.content)
        except micro.MicroError as error:
            notes.append(str(error))
    else:
        notes.append("TensorFlow Lite Micro isn't installed (extra `micro`): the arena is unknown.")
    constant = None if arena is None else micro.recommended_arena(arena)
    fits = {}
    if constant is not None:
        fits = {
            name: board.reason_against(constant, tflite_model.size)
            for name, board in BOARDS.items()
        }
    return Report(
        operators=tflite_model.operators,
        costs=tuple(of_operators),
        macs=sum(cost.macs for cost in of_operators),
        model_bytes=tflite_model.size,
        flash_bytes=tflite_model.size + RUNTIME_FLASH,
        arena_bytes=arena,
        live_bytes=costs.live_bytes(tflite_model.graph),
        persistent_bytes=persistent,
        arena_constant=constant,
        boards=fits,
        notes=tuple(notes),
    )
