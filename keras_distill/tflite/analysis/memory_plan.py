"""Memory plan: offsets of the tensors in the arena, chosen so that it is small."""

import dataclasses
import random
import struct

from keras_distill.tflite.analysis import costs, schema

# The interpreter places tensors at multiples of this.
ALIGNMENT = 16
# The name by which TensorFlow Lite Micro finds a plan in a file.
METADATA_NAME = "OfflineMemoryAllocation"
_FORMAT_VERSION = 1
# Version, number of the subgraph, number of tensors.
_HEADER_VALUES = 3
_AT_RUN_TIME = -1
_ATTEMPTS = 2_000
# In small models other things than tensors fill the arena; a plan costs flash.
_WORTHWHILE = 256


def with_plan(content):
    """Adds a memory plan to a model if that makes its arena smaller.

    TensorFlow Lite Micro places the largest tensors first, which leaves holes: a MobileNet's arena
    is a third larger than its tensors need. It follows a plan in the file instead, if there is one.

    Args:
        content: The file's bytes.

    Returns:
        The file's bytes, the same ones where no better plan was found.
    """
    graph = schema.parse(content)
    if costs.lifetimes(graph) is None:
        return content
    blocks = _blocks(graph)
    places = _search(blocks, costs.most_at_once(blocks))
    if usual_bytes(graph) - _height(places) < _WORTHWHILE:
        return content
    return schema.with_metadata(content, METADATA_NAME, encode(graph, places))


def bytes_with(graph, offsets, scratch):
    """Returns the bytes that TensorFlow Lite Micro plans for tensors and scratch buffers.

    Scratch buffers are placed with the tensors, where the plan of a file leaves room.

    Args:
        graph: `Graph` without branches or loops.
        offsets: Offsets of the tensors that a file plans, as of `planned_offsets`.
        scratch: List of tuples with the bytes of each operator's scratch buffers.

    Returns:
        Bytes from the lowest to the highest.
    """
    tensors = _blocks(graph, in_place=False)
    fixed = [(block, offsets[block.indices[0]]) for block in tensors if block.indices[0] in offsets]
    requests = [(step, size) for step, sizes in enumerate(scratch) for size in sizes]
    buffers = [
        costs.Lifetime((graph.tensor_count + number,), _aligned(size), step, step)
        for number, (step, size) in enumerate(requests)
    ]
    free = [block for block in tensors if block.indices[0] not in offsets] + buffers
    return _height(_place(sorted(free, key=_largest_first), fixed))


def planned_offsets(content):
    """Returns the offsets of the tensors that a file plans.

    Args:
        content: The file's bytes.

    Returns:
        Dictionary from the index of a tensor to its offset; empty without a plan.
    """
    plan = schema.metadata(content).get(METADATA_NAME, b"")
    values = struct.unpack(f"<{len(plan) // 4}i", plan)[_HEADER_VALUES:]
    return {index: offset for index, offset in enumerate(values) if offset != _AT_RUN_TIME}


def usual_bytes(graph):
    """Returns the bytes of a graph's tensors as TensorFlow Lite Micro places them by itself.

    Args:
        graph: `Graph` without branches or loops.
    """
    return _height(_place(_blocks(graph, in_place=False)))


def _blocks(graph, in_place=True):
    """Returns the lifetimes of a graph, sizes aligned, in the order in which TFLM places them."""
    blocks = [
        dataclasses.replace(life, size=_aligned(life.size))
        for life in costs.lifetimes(graph, in_place)
        if life.size
    ]
    return sorted(blocks, key=_largest_first)


def _aligned(size):
    return -(-size // ALIGNMENT) * ALIGNMENT


def _largest_first(block):
    return -block.size, -block.indices[0]


def _place(blocks, fixed=()):
    """Gives each block the lowest place that is free; returns pairs of block and offset."""
    placed = sorted(fixed, key=lambda pair: pair[1])
    for block in blocks:
        offset = 0
        for other, start in placed:
            if block.meets(other):
                if offset + block.size <= start:
                    break
                offset = max(offset, start + other.size)
        placed.append((block, offset))
        placed.sort(key=lambda pair: pair[1])
    return placed


def _height(places):
    return max((offset + block.size for block, offset in places), default=0)


def _search(blocks, bound):
    """Looks for an order in which placing the blocks needs little memory."""
    randomness = random.Random(0)
    order = list(blocks)
    best = _place(order)
    for _ in range(_ATTEMPTS):
        height = _height(best)
        if height == bound:
            break
        changed = list(order)
        highest = [block for block, offset in best if offset + block.size == height]
        # What reaches the top is placed earlier, and something else later.
        moved = randomness.choice([*highest, randomness.choice(order)])
        changed.remove(moved)
        changed.insert(randomness.randrange(len(order)), moved)
        places = _place(changed)
        if _height(places) <= height:
            order, best = changed, places
    return best


def encode(graph, places):
    """Returns a plan as TensorFlow Lite Micro reads it.

    Args:
        graph: `Graph`.
        places: Pairs of block and offset; tensors without one are placed at run time.
    """
    offsets = [_AT_RUN_TIME] * graph.tensor_count
    for block, offset in places:
        for index in block.indices:
            offsets[index] = offset
    header = (_FORMAT_VERSION, 0, len(offsets))
    return struct.pack(f"<{len(header) + len(offsets)}i", *header, *offsets)
