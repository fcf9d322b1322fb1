"""The size of the arena in a program's source, for each kind of processor."""

import dataclasses

from keras_distill.tflite.analysis import arena
from keras_distill.tflite.runtime import micro

# How a compiler says that it builds for another processor than the usual one.
_CONDITIONS = {
    "cmsis-nn-vector": "defined(__ARM_FEATURE_MVE)",
    "esp-nn-s3": "defined(CONFIG_IDF_TARGET_ESP32S3)",
    "computer": "UINTPTR_MAX > 0xFFFFFFFF",
}

_CHIP = """\
// Which ESP32 it is built for.
#if defined(ESP32)
#include <sdkconfig.h>
#endif
"""


@dataclasses.dataclass(frozen=True)
class ArenaSize:
    """Size of the arena by processor.

    Args:
        usual: Bytes where none of `special` is built for.
        special: Dictionary from a name of `_CONDITIONS` to bytes.
    """

    usual: int
    special: dict[str, int]

    @property
    def includes(self):
        """C++ lines that the conditions in `declaration` need before them."""
        return _CHIP if "esp-nn-s3" in self.special else ""

    def declaration(self):
        """Returns the C++ lines that define `kArenaSize`."""
        lines = []
        for name, size in self.special.items():
            lines += [f"#{'elif' if lines else 'if'} {_CONDITIONS[name]}", _line(size)]
        usual = _line(self.usual)
        return "\n".join([*lines, "#else", usual, "#endif"] if lines else [usual])


def find(package, graph, kernels, special=(), on_computer=False):
    """Finds the size of the arena.

    Args:
        package: `Package`.
        graph: `Graph` of its model.
        kernels: Names of `arena.KERNELS` that the program usually runs with.
        special: Names of `_CONDITIONS` for processors that need another size.
        on_computer: Whether the program is built for a computer, too.

    Returns:
        `ArenaSize`.

    Raises:
        ImportError: If tflite-micro isn't installed.
        MicroError: If it can't run the model.
    """
    measured = micro.measure_arena(package.content)
    needs = {
        name: arena.expected(graph, package.content, measured, name)
        for name in (*kernels, *special)
    }
    sizes = {name: arena.with_headroom(needs[name]) for name in special}
    if on_computer:
        sizes["computer"] = arena.with_headroom(measured.minimum)
    return ArenaSize(arena.with_headroom(*(needs[name] for name in kernels)), sizes)


def _line(size):
    return f"constexpr size_t kArenaSize = {size};"
