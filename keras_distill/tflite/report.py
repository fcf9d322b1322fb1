"""What a model asks of a device: operators, flash, arena, multiplications, and who has that."""

import dataclasses

from keras_distill.tflite import micro
from keras_distill.tflite.boards import BOARDS, RUNTIME_FLASH


@dataclasses.dataclass(frozen=True)
class Report:
    """What a model asks of a device.

    Args:
        operators: Dictionary from builtin operator to how often it stands in the graph.
        macs: Multiplications and additions of one inference, in pairs.
        model_bytes: Size of the file.
        flash_bytes: Size of the file and of TensorFlow Lite Micro's code, about 125 KiB.
        arena_bytes: Smallest arena that works, bisected on TensorFlow Lite Micro; `None` where
            that isn't installed or can't run the model.
        arena_constant: The arena for a sketch: 5 % and 1 KiB more, in whole KiB.
        boards: Dictionary from board to why the model doesn't fit, empty where it does; empty
            altogether where the arena isn't known.
        notes: What else was noticed.
    """

    operators: dict
    macs: int
    model_bytes: int
    flash_bytes: int
    arena_bytes: int | None
    arena_constant: int | None
    boards: dict
    notes: tuple

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
        for name, obstacle in self.boards.items():
            verdict = f"no: {obstacle}" if obstacle else "fits"
            lines.append(f"  {BOARDS[name].title:<38}{verdict}")
        return "\n".join([*lines, *(f"note: {note}" for note in self.notes)])


def report(tflite_model):
    """Measures a model; see `TFLiteModel.report`.

    Args:
        tflite_model: `TFLiteModel`.

    Returns:
        `Report`.
    """
    notes, arena = [], None
    if micro.is_available():
        try:
            arena = micro.minimum_arena(tflite_model.content)
        except micro.MicroError as error:
            notes.append(str(error))
    else:
        notes.append("TensorFlow Lite Micro isn't installed (extra `micro`): the arena is unknown.")
    constant = None if arena is None else micro.recommended_arena(arena)
    fits = {}
    if constant is not None:
        fits = {name: board.obstacle(constant, tflite_model.size) for name, board in BOARDS.items()}
    return Report(
        operators=tflite_model.operators,
        macs=sum(multiplications(operator) for operator in tflite_model.graph.operators),
        model_bytes=tflite_model.size,
        flash_bytes=tflite_model.size + RUNTIME_FLASH,
        arena_bytes=arena,
        arena_constant=constant,
        boards=fits,
        notes=tuple(notes),
    )


def multiplications(operator):
    """Counts the multiply-accumulates of one operator.

    Args:
        operator: `Operator` of a graph.

    Returns:
        Number of pairs of multiplication and addition; 0 for operators without weights.
    """
    if operator.name == "CONV_2D":
        _, height, width, channels = operator.inputs[1].shape
        return operator.outputs[0].size * height * width * channels
    if operator.name == "DEPTHWISE_CONV_2D":
        _, height, width, _ = operator.inputs[1].shape
        return operator.outputs[0].size * height * width
    if operator.name == "TRANSPOSE_CONV":
        outputs, height, width, _ = operator.inputs[1].shape
        return operator.inputs[2].size * height * width * outputs
    if operator.name == "FULLY_CONNECTED":
        return operator.outputs[0].size * operator.inputs[1].shape[-1]
    if operator.name == "BATCH_MATMUL":
        contracted = operator.inputs[0].shape[-2 if operator.options.adjX else -1]
        return operator.outputs[0].size * contracted
    return 0
