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


def usual_bytes(graph):
    """Returns the bytes of a graph's tensors as TensorFlow Lite Micro places them by itself.

    Args:
        graph: `Graph` without branches or loops.
    """
    return _height(_place(_blocks(graph, in_place=False)))


def _blocks(graph, in_place=True):
    """Returns the lifetimes of a graph, sizes aligned, in the order in which TFLM places them."""
    blocks = [
        dataclasses.replace(life, size=-(-life.size // ALIGNMENT) * ALIGNMENT)
        for life in costs.lifetimes(graph, in_place)
        if life.size
    ]
    return sorted(blocks, key=lambda block: (-block.size, -block.indices[0]))


def _place(blocks):
    """Gives each block the lowest place that is free; returns pairs of block and offset."""
    placed = []
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
