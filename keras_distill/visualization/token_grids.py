"""Where tokens lie: on a grid over an image, or along a sequence."""

from typing import Any

import numpy as np

from keras_distill.arguments import check_count, shown

# Register tokens beside a class token are few.
_MOST_SPECIAL = 5


class TokenPlaces:
    """Where tokens lie: on a grid over an image, or along a sequence.

    Args:
        size: Height and width of the images, or the steps of the sequences.
        grid: Rows and columns of the tokens; `None` if the size is to tell.
        special_tokens: Number of tokens in front that have no place; `None` if the size is to tell.

    Raises:
        TypeError: If an argument is of another type.
        ValueError: If `grid` has other than two numbers, or a number is too small.
    """

    def __init__(self, size: tuple[int, ...], grid: Any = None, special_tokens: Any = None):
        self._size = size
        self._grid = None if grid is None else _checked_grid(grid)
        self._special = special_tokens
        if special_tokens is not None:
            self._special = check_count("special_tokens", special_tokens, low=0)

    @property
    def is_given(self) -> bool:
        """Whether something was said of the tokens."""
        return self._grid is not None or self._special is not None

    def arranged(self, tokens: np.ndarray, layer: str) -> np.ndarray:
        """Returns tokens in their places, without those that have none.

        Args:
            tokens: Array (samples, length, ...).
            layer: Layer path, for the error.

        Returns:
            Array (samples, rows, columns, ...), or (samples, steps, ...) of a sequence.

        Raises:
            ValueError: If nothing tells where the tokens lie, or not all lie where they should.
        """
        length = tokens.shape[1]
        special, places = self._found(length, layer)
        return tokens[:, special:].reshape(len(tokens), *places, *tokens.shape[2:])

    def _found(self, length, layer):
        """Returns how many tokens have no place, and the shape of the others."""
        received = f"layer={layer!r} of {length} tokens, input of size {shown(self._size)}"
        if self._grid is None and len(self._size) == 1:
            (steps,) = self._size
            special = int(length == steps + 1) if self._special is None else self._special
            if special >= length:
                raise ValueError(
                    f"special_tokens must be fewer than the tokens. Received: {received}, "
                    f"special_tokens={special}"
                )
            return special, (length - special,)
        if self._grid is not None:
            rows, columns = self._grid
            special = length - rows * columns if self._special is None else self._special
            if special < 0 or special + rows * columns != length:
                raise ValueError(
                    "grid must have a place for each token that isn't one of special_tokens. "
                    f"Received: {received}, grid={self._grid}, special_tokens={self._special}"
                )
            return special, self._grid
        found = _grids(length, self._size, self._special)
        if len(found) != 1:
            several = ", ".join(f"{grid} after {special}" for special, grid in found)
            raise ValueError(
                "The size of the images doesn't tell where the tokens lie: give "
                "grid=(rows, columns), and special_tokens=, the number of tokens in front that are "
                f"no patches. Possible are: {several or 'no grids of whole patches'}. "
                f"Received: {received}, special_tokens={self._special}"
            )
        return found[0]


def _checked_grid(grid):
    if not isinstance(grid, tuple | list) or len(grid) != 2:
        raise TypeError(f"grid must be a tuple (rows, columns). Received: grid={shown(grid)}")
    return tuple(check_count(f"grid[{index}]", each) for index, each in enumerate(grid))


def _grids(length, size, special):
    """Returns the likeliest grids of tokens over an image, each after how many others."""
    few = (0, 1) if special is None else (special,)
    many = range(2, _MOST_SPECIAL + 1) if special is None else ()
    whole = _whole_patches(*size)
    # From the usual to the rare: square patches that fill the image, or leave a rest at its edges;
    # then patches of another shape, or registers beside the class token, which both are rare.
    for kinds in (
        [(few, _square_patches(*size, rest=False))],
        [(few, _square_patches(*size, rest=True))],
        [(few, whole), (many, _square_patches(*size, rest=False))],
    ):
        found = [
            (count, grid)
            for counts, grids in kinds
            for count in counts
            for grid in grids
            if grid[0] * grid[1] == length - count
        ]
        if found:
            return sorted(set(found))
    return []


def _square_patches(height, width, rest):
    """Returns the grids of the square patches of an image that are more than one."""
    grids = []
    for side in range(1, max(height, width) + 1):
        if not rest and (height % side or width % side):
            continue
        grids += [(height // side, width // side), (-(-height // side), -(-width // side))]
    return [grid for grid in grids if grid[0] * grid[1] > 1]


def _whole_patches(height, width):
    rows = [number for number in range(1, height + 1) if height % number == 0]
    columns = [number for number in range(1, width + 1) if width % number == 0]
    return [(row, column) for row in rows for column in columns if row * column > 1]
