"""What a student takes on a board, by a real export, and whether that is within the limits."""

import dataclasses
import pathlib
import tempfile

from keras_distill.arguments import check_choice, check_count
from keras_distill.tflite import export_tflite
from keras_distill.tflite.analysis import arena
from keras_distill.tflite.analysis.boards import BOARDS


@dataclasses.dataclass(frozen=True)
class Memory:
    """What a student takes.

    Args:
        parameters: Number of weights.
        arena_bytes: Arena that the board's kernels are expected to need, from what TensorFlow Lite
            Micro measured; `None` if the model can't be exported.
        model_bytes: Size of the exported file.
        macs: Multiplications and additions of one inference, in pairs.
        reason: Why it doesn't fit; empty if it does.
    """

    parameters: int
    arena_bytes: int | None = None
    model_bytes: int | None = None
    macs: int | None = None
    reason: str = ""


@dataclasses.dataclass(frozen=True)
class Limits:
    """The board, and what else a student must stay within.

    Args:
        board: Name of the board.
        max_arena_bytes: Largest arena, `None` for the board's own limit.
        max_model_bytes: Largest file, likewise.
        max_macs: Most multiplications of one inference, or `None`.

    Raises:
        ValueError: If the board is unknown, or a limit is out of bounds.
    """

    board: str
    max_arena_bytes: int | None = None
    max_model_bytes: int | None = None
    max_macs: int | None = None

    def __post_init__(self):
        check_choice("board", self.board, tuple(BOARDS))
        for name in ("max_arena_bytes", "max_model_bytes", "max_macs"):
            if getattr(self, name) is not None:
                check_count(name, getattr(self, name))

    def reason_against(self, memory):
        """Returns why a student doesn't fit; an empty string if it does.

        Args:
            memory: `Memory`.
        """
        asked = (
            ("arena", memory.arena_bytes, self.max_arena_bytes, " B"),
            ("file", memory.model_bytes, self.max_model_bytes, " B"),
            ("MACs", memory.macs, self.max_macs, ""),
        )
        for what, value, most, unit in asked:
            if most is not None and value > most:
                return f"{what} {value:,}{unit} is over the limit of {most:,}{unit}"
        return BOARDS[self.board].reason_against(memory.arena_bytes, memory.model_bytes)


class Scales:
    """Exports students and measures them.

    Args:
        limits: `Limits`.
        representative: Inputs as for `export_tflite`.
        target: `"arduino"` or `"mcu"`.
    """

    def __init__(self, limits, representative, target):
        self.limits = limits
        self.target = check_choice("target", target, ("arduino", "mcu"))
        self._representative = representative

    def weigh(self, student):
        """Returns what a student takes, a `Memory`. One that can't be exported doesn't fit.

        Args:
            student: `keras.Model`.
        """
        parameters = student.count_params()
        with tempfile.TemporaryDirectory() as folder:
            try:
                exported = export_tflite(
                    student,
                    pathlib.Path(folder) / "student.tflite",
                    "int8",
                    self._representative,
                    self.target,
                )
            except ValueError as error:
                return Memory(parameters, reason=f"it can't be exported: {error}")
            report = exported.report()
        kernels = BOARDS[self.limits.board].kernels
        memory = Memory(
            parameters,
            arena.with_headroom(*(report.expected_arenas[name] for name in kernels)),
            report.model_bytes,
            report.macs,
        )
        return dataclasses.replace(memory, reason=self.limits.reason_against(memory))
