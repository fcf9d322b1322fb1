"""Bounds of a flatbuffer, checked before anything is read from it."""

import struct

# The fields of each table by their number in the published schemas: bytes of a number ("4"), a
# text ("text"), a table (its name), or an array of these ("[4]"). Of a table named "Options" its
# own bounds are checked and no fields; "-" is a field that nobody reads.
_TFLITE = {
    "Model": "4 [OperatorCode] [SubGraph] text [Buffer] [4] [Metadata] [SignatureDef]",
    "OperatorCode": "1 text 4 4",
    "SubGraph": "[Tensor] [4] [4] [Operator] text 4",
    "Tensor": "[4] 1 4 text QuantizationParameters 1 SparsityParameters [4] 1 [VariantSubType] 4",
    "QuantizationParameters": "[4] [4] [4] [8] 1 Options 4",
    "SparsityParameters": "[4] [4] [DimensionMetadata]",
    "DimensionMetadata": "1 4 1 Options 1 Options",
    "VariantSubType": "[4] 1 1",
    "Operator": "4 [4] [4] 1 Options [1] 1 [1] [4] 8 8 1 Options 4",
    "Buffer": "[1] 8 8",
    "Metadata": "text 4",
    "SignatureDef": "[TensorMap] [TensorMap] text - 4",
    "TensorMap": "text 4",
}
_METADATA = {
    "ModelMetadata": "text text text [SubGraphMetadata] text text [AssociatedFile] text",
    "SubGraphMetadata": "text text [TensorMetadata] [TensorMetadata] [AssociatedFile]",
    "TensorMetadata": "text text [text] Options [ProcessUnit] Options [AssociatedFile]",
    "ProcessUnit": "1 Options",
    "AssociatedFile": "text text 1 text text",
}
_FIELDS = {
    name: layout.split() for layouts in (_TFLITE, _METADATA) for name, layout in layouts.items()
}
_OFFSET = 4


class DamagedError(ValueError):
    """A file isn't what it should be; the message says where."""


def check(content, root):
    """Checks that every table, array and text of a flatbuffer lies inside of it.

    Args:
        content: Bytes of the flatbuffer.
        root: Name of the outermost table, `"Model"` or `"ModelMetadata"`.

    Raises:
        DamagedError: If one doesn't; the message names its table.
    """
    walk = _Walk(content)
    walk.table(walk.target(0, root), root)


class _Walk:
    """Goes through all tables of a flatbuffer.

    Args:
        content: Its bytes.
    """

    def __init__(self, content):
        self._content = content
        # Each has bytes of its own and an offset to it, unless many share few to keep us busy.
        self._tables_left = len(content) // _OFFSET

    def target(self, position, name):
        """Returns where the offset at a position leads to."""
        return position + self._read("<I", position, name)

    def table(self, position, name):
        """Checks a table and all that it leads to."""
        self._tables_left -= 1
        if self._tables_left < 0:
            raise DamagedError(f"{name} is one of more tables than the file can hold")
        vtable = position - self._read("<i", position, name)
        slots, size = self._read("<H", vtable, name), self._read("<H", vtable + 2, name)
        self._within(vtable, slots, name)
        self._within(position, size, name)
        for number, kind in enumerate(_FIELDS.get(name, ())):
            slot = 4 + 2 * number
            offset = self._read("<H", vtable + slot, name) if slot + 2 <= slots else 0
            if offset and kind != "-":
                width = int(kind) if kind.isdigit() else _OFFSET
                if not _OFFSET <= offset <= size - width or (position + offset) % width:
                    raise DamagedError(f"field {number} of {name} isn't where it can be")
                self._field(position + offset, kind, name)

    def _field(self, position, kind, name):
        if kind.isdigit():
            return
        target = self.target(position, name)
        if kind == "text":
            self._array(target, 1, name)
        elif kind.startswith("["):
            item = kind[1:-1]
            length = self._array(target, int(item) if item.isdigit() else _OFFSET, name)
            for index in range(0 if item.isdigit() else length):
                self._field(target + _OFFSET * (1 + index), item, name)
        else:
            self.table(target, kind)

    def _array(self, position, width, name):
        """Checks an array of numbers, texts or offsets; returns its length."""
        length = self._read("<I", position, name)
        self._within(position + _OFFSET, length * width, name)
        return length

    def _read(self, form, position, name):
        size = struct.calcsize(form)
        self._within(position, size, name)
        if position % size:
            raise DamagedError(f"{name} leads between two numbers")
        return struct.unpack_from(form, self._content, position)[0]

    def _within(self, position, size, name):
        if position < 0 or position + size > len(self._content):
            raise DamagedError(f"{name} leads out of the file")
