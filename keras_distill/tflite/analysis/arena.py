"""Arena of a model on a device, computed for each library of kernels.

TensorFlow Lite Micro on a computer says what its own kernels take there. A microcontroller takes
less for the interpreter's records, since its pointers are half as long, and more where its kernels
ask for scratch memory of their own.
"""

import dataclasses
from collections.abc import Callable
from typing import NamedTuple

from keras_distill.tflite.analysis import cmsis_nn, costs, esp_nn, memory_plan, scratch

HEADROOM_RATIO = 1.05
HEADROOM_BYTES = 256
GRANULARITY = 256
# What 32-bit pointers save of the records: per tensor, per operator, per input or output of the
# model, and once, where the wheel on this computer also counts for its own account.
_SAVED_PER_TENSOR = 12
_SAVED_PER_OPERATOR = 32
_SAVED_PER_END = 44
_SAVED_ONCE = 300
# What Arduino's builds keep beyond that, per operator and per input or output.
_ARDUINO_PER_OPERATOR = 12
_ARDUINO_PER_END = 32
# What an input or output of the model adds once the plan is made, at least.
_END_BYTES = 64
# While it plans, the interpreter keeps in the arena per scratch buffer, with some in reserve, what
# was asked for; per tensor or buffer its lifetime; and per planned block its place.
_REQUEST_BYTES = 12
_REQUESTS_IN_RESERVE = 12
_LIFETIME_BYTES = 24
_PLACE_BYTES = 40


class Measured(NamedTuple):
    """What TensorFlow Lite Micro takes on this computer.

    Args:
        minimum: Bytes of the smallest arena that works.
        planned: Bytes of it for tensors and scratch buffers.
        persistent: Bytes of it for the interpreter's own records.
    """

    minimum: int
    planned: int
    persistent: int


@dataclasses.dataclass(frozen=True)
class Kernels:
    """A library of kernels on a device with 32-bit pointers.

    Args:
        title: Its name, in words.
        buffers: Function of an operator that returns the bytes of its scratch buffers.
        records: Function of an operator that returns the bytes which it keeps for good beyond those
            that the reference kernels keep.
        is_arduino: Whether Arduino's IDE builds it, without the option that makes the interpreter's
            records of operators, inputs and outputs smaller (`TF_LITE_STATIC_MEMORY`).
    """

    title: str
    buffers: Callable
    records: Callable = lambda operator: 0
    is_arduino: bool = False


KERNELS = {
    "reference": Kernels("TensorFlow Lite Micro's own", scratch.buffers),
    "cmsis-nn": Kernels("CMSIS-NN", cmsis_nn.buffers, cmsis_nn.records),
    "cmsis-nn-2023": Kernels(
        "CMSIS-NN of Arduino's libraries",
        cmsis_nn.older_buffers,
        cmsis_nn.older_records,
        is_arduino=True,
    ),
    "cmsis-nn-vector": Kernels(
        "CMSIS-NN with the vector extension (Cortex-M55, M85)",
        cmsis_nn.vector_buffers,
        cmsis_nn.vector_records,
    ),
    "esp-nn": Kernels("ESP-NN", esp_nn.buffers),
    "esp-nn-s3": Kernels("ESP-NN on the ESP32-S3", esp_nn.s3_buffers),
}


def expected(graph, content, measured, kernels):
    """Returns the smallest arena that works on a 32-bit device, computed.

    Args:
        graph: `Graph`.
        content: The file's bytes, with the memory plan if it has one.
        measured: `Measured` on this computer.
        kernels: A name of `KERNELS`.

    Returns:
        Bytes, up to a few hundred more than needed: what isn't known to be smaller on the device
        counts as it is here.
    """
    library = KERNELS[kernels]
    buffers = [library.buffers(operator) for operator in graph.operators]
    count = sum(len(sizes) for sizes in buffers)
    records = _records(graph, measured.persistent) + 4 * count
    records += sum(library.records(operator) for operator in graph.operators)
    ends = len(graph.inputs) + len(graph.outputs)
    if library.is_arduino:
        records += _ARDUINO_PER_OPERATOR * len(graph.operators) + _ARDUINO_PER_END * ends
    planning = (
        _REQUEST_BYTES * (count + _REQUESTS_IN_RESERVE)
        + _LIFETIME_BYTES * (graph.tensor_count + count)
        + _PLACE_BYTES * (_planned_blocks(graph) + count)
    )
    return records + max(_planned(graph, content, measured, buffers), planning - _END_BYTES * ends)


def with_headroom(*needs):
    """Returns the arena for a program: 5 % and 256 bytes above what is needed, rounded up to 256.

    Args:
        *needs: Smallest arenas that work, in bytes, of which the largest counts.

    Example:

    ```python
    assert with_headroom(2000) == 2560
    ```
    """
    needed = max(needs)
    return -int(-(needed * HEADROOM_RATIO + HEADROOM_BYTES) // GRANULARITY) * GRANULARITY


def _records(graph, persistent):
    ends = len(graph.inputs) + len(graph.outputs)
    return (
        persistent
        - _SAVED_PER_TENSOR * graph.tensor_count
        - _SAVED_PER_OPERATOR * len(graph.operators)
        - _SAVED_PER_END * ends
        - _SAVED_ONCE
    )


def _planned_blocks(graph):
    lives = costs.lifetimes(graph, in_place=False)
    return graph.tensor_count if lives is None else len(lives)


def _planned(graph, content, measured, buffers):
    """Returns the bytes for tensors and scratch buffers, planned anew with those of the device."""
    if costs.lifetimes(graph) is None:
        # In what order a loop runs is only known at run time.
        return measured.planned + max((sum(sizes) for sizes in buffers), default=0)
    offsets = memory_plan.planned_offsets(content)
    own = [scratch.buffers(operator) for operator in graph.operators]
    here = memory_plan.bytes_with(graph, offsets, own)
    there = memory_plan.bytes_with(graph, offsets, buffers)
    # What was measured and not computed is in kernels whose scratch isn't known here.
    return there + max(0, measured.planned - here)
