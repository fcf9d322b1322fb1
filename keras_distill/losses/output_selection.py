"""Which outputs of a model take part in a loss: by name or by position."""

from keras_distill.arguments import shown


def names_of(structure, names=None):
    """Names the parts of a structure that holds one thing per output.

    Args:
        structure: A list, a dictionary, or the thing alone.
        names: The names that the model tells, or `None`.

    Returns:
        List of keys, names or positions, in the order of `keras.tree.flatten`.
    """
    if isinstance(structure, dict):
        return sorted(structure)
    count = len(structure) if _is_several(structure) else 1
    return names if names is not None and len(names) == count else list(range(count))


def select(outputs, structure, names=None):
    """Selects outputs of a model.

    Args:
        outputs: A name, a position, a list of them, or `None` for all.
        structure: One thing per output: in a list, a dictionary, or alone.
        names: The names that the model tells, or `None`.

    Returns:
        What stands for the named output, or a list for a list of them.

    Raises:
        ValueError: If there is no such output.
    """
    if outputs is None:
        return structure
    if isinstance(outputs, list):
        return [select(key, structure, names) for key in outputs]
    known = names_of(structure, names)
    place = known.index(outputs) if outputs in known else outputs
    if not isinstance(place, int) or not 0 <= place < len(known):
        raise ValueError(
            f"outputs must name outputs that both models have: {known}, or their positions. "
            f"Received: outputs={shown(outputs)}"
        )
    if isinstance(structure, dict):
        return structure[known[place]]
    return structure[place] if _is_several(structure) else structure


def _is_several(structure):
    is_shape = isinstance(structure, tuple) and not any(
        isinstance(part, (tuple, list)) for part in structure
    )
    return isinstance(structure, list) or (isinstance(structure, tuple) and not is_shape)
