"""TensorFlow Lite Metadata: name, class labels and scaling inside the file."""

import dataclasses
import io
import struct
import zipfile

import flatbuffers
import numpy as np
from flatbuffers import encode, number_types, packer, table

from keras_distill.arguments import check_text, shown
from keras_distill.tflite.analysis import flatbuffer, schema
from keras_distill.tflite.deploy import labels as labels_module

# The published schema's name, identifier and numbers of fields (metadata_schema.fbs).
_ENTRY, _IDENTIFIER, _PARSER = "TFLITE_METADATA", b"M001", "1.0.0"
_MODEL = {"name": 0, "description": 1, "subgraphs": 3, "parser": 7, "count": 8}
_SUBGRAPH = {"inputs": 2, "outputs": 3, "count": 9}
_TENSOR = {"name": 0, "content": 3, "units": 4, "stats": 5, "files": 6, "count": 7}
_FEATURE, _IMAGE, _NORMALIZATION, _AXIS_LABELS = 1, 2, 1, 2
_COLOR_SPACES = {1: 2, 3: 1}
LABELS_FILE = "labels.txt"


@dataclasses.dataclass(frozen=True)
class Metadata:
    """Name, class labels and scaling of a file.

    Args:
        name: Name of the model.
        description: What it does.
        labels: Tuple of the classes' names; empty if they aren't named.
        mean: Tuple of what is subtracted from each channel of the input.
        std: Tuple of what the difference is divided by.
    """

    name: str
    description: str
    labels: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]


def add(content, outputs, shape, given):
    """Adds metadata to a file, in place of any it has.

    Args:
        content: The file's bytes.
        outputs: Number of values of the output.
        shape: Shape of the input, the batch included.
        given: Dictionary of the arguments of `Metadata`; the labels may be any list of names, the
            scaling a single number.

    Returns:
        Tuple of the new file's bytes and the `Metadata` that it has.

    Raises:
        TypeError: If the labels have no order, or a text or number is none.
        ValueError: If the numbers of labels or of channels don't suit the model, or a label isn't
            one line of text.
    """
    metadata = _checked(outputs, shape, given)
    described = schema.with_metadata(content, _ENTRY, _encode(shape, metadata))
    if not metadata.labels:
        return described, metadata
    file = io.BytesIO(described)
    with zipfile.ZipFile(file, "a", zipfile.ZIP_STORED) as archive:
        archive.writestr(LABELS_FILE, "\n".join(metadata.labels) + "\n")
    return file.getvalue(), metadata


def read(content):
    """Returns the metadata of a file.

    Args:
        content: The file's bytes.

    Returns:
        `Metadata`, or `None` if there is none.

    Raises:
        DamagedError: If the file or its metadata is damaged.
    """
    raw = schema.metadata(content).get(_ENTRY)
    if raw is None:
        return None
    try:
        flatbuffer.check(raw, "ModelMetadata")
    except flatbuffer.DamagedError as error:
        raise flatbuffer.DamagedError(f"The file's metadata is damaged: {error}.") from error
    model = _Reader.root(raw)
    inputs = [
        tensor
        for subgraph in model.tables(_MODEL["subgraphs"])[:1]
        for tensor in subgraph.tables(_SUBGRAPH["inputs"])[:1]
    ]
    units = [unit for tensor in inputs for unit in tensor.tables(_TENSOR["units"])]
    options = next((unit.table(1) for unit in units if unit.number(0) == _NORMALIZATION), None)
    return Metadata(
        name=model.text(_MODEL["name"]),
        description=model.text(_MODEL["description"]),
        labels=_labels(content),
        mean=options.floats(0) if options else (),
        std=options.floats(1) if options else (),
    )


def _checked(outputs, shape, given):
    """Returns metadata as it is stored, if it suits the model."""
    labels = ()
    is_unnamed = isinstance(given["labels"], (list, tuple, type(None))) and not given["labels"]
    if not is_unnamed:
        labels = labels_module.checked(given["labels"], outputs)
        labels_module.check_lines(labels)
    mean, std = (_numbers(name, given[name], shape[-1]) for name in ("mean", "std"))
    if len(mean) != len(std):
        raise ValueError(f"mean and std must be equally long. Received: {len(mean)} and {len(std)}")
    if not all(value > 0 for value in std):
        raise ValueError(f"std must be above 0. Received: std={list(std)}")
    check_text("name", given["name"])
    name, description = (_text(name, given[name]) for name in ("name", "description"))
    return Metadata(name, description, labels=labels, mean=mean, std=std)


def _numbers(name, given, channels):
    try:
        values = np.atleast_1d(np.asarray(given))
    except (TypeError, ValueError):
        values = np.array([None])
    if values.dtype.kind not in "iuf":
        raise TypeError(
            f"{name} must be one number or one per channel. Received: {name}={shown(given)}"
        )
    values = values.astype("float32")
    if values.shape not in ((1,), (channels,)):
        raise ValueError(
            f"{name} is one number or one per channel ({channels}). Received: {name}={shown(given)}"
        )
    if not np.isfinite(values).all():
        raise ValueError(f"{name} must be finite. Received: {name}={shown(given)}")
    return tuple(values.tolist())


def _text(name, given):
    if not isinstance(given, str):
        raise TypeError(f"{name} must be a string. Received: {name}={shown(given)}")
    try:
        given.encode("utf-8")
    except UnicodeEncodeError:
        raise ValueError(f"{name} must be valid Unicode. Received: {name}={shown(given)}") from None
    return given


def _labels(content):
    file = io.BytesIO(content)
    if not zipfile.is_zipfile(file):
        return ()
    try:
        with zipfile.ZipFile(file) as archive:
            if LABELS_FILE not in archive.namelist():
                return ()
            # Only ends of lines, since a text has more breaks than a file of lines.
            lines = archive.read(LABELS_FILE).decode("utf-8").removesuffix("\n").split("\n")
            return tuple(line.removesuffix("\r") for line in lines)
    # All of these come of single flipped bits: zipfile checks little before it reads.
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, ValueError) as error:
        raise flatbuffer.DamagedError(
            f"The names of classes in the file's metadata are damaged: {error}."
        ) from error


def _encode(shape, metadata):
    builder = flatbuffers.Builder(512)
    channels = shape[-1] if len(shape) == 4 else None
    if channels in _COLOR_SPACES:
        color = _COLOR_SPACES[channels]
        kind = _IMAGE, _table(builder, 2, [(0, builder.PrependInt8Slot, color)])
    else:
        kind = _FEATURE, _table(builder, 0, [])
    mean, std = (
        builder.CreateNumpyVector(np.float32(values)) for values in (metadata.mean, metadata.std)
    )
    options = _table(builder, 2, _offsets(builder, {0: mean, 1: std}))
    unit = _union(builder, _NORMALIZATION, options)
    fields = {
        _TENSOR["name"]: builder.CreateString("input"),
        _TENSOR["content"]: _union(builder, *kind),
        _TENSOR["units"]: _vector(builder, [unit]),
    }
    given = _table(builder, _TENSOR["count"], _offsets(builder, fields))
    answered = _table(builder, _TENSOR["count"], _offsets(builder, _output(builder, metadata)))
    fields = {
        _SUBGRAPH["inputs"]: _vector(builder, [given]),
        _SUBGRAPH["outputs"]: _vector(builder, [answered]),
    }
    subgraph = _table(builder, _SUBGRAPH["count"], _offsets(builder, fields))
    fields = {
        _MODEL["name"]: builder.CreateString(metadata.name),
        _MODEL["description"]: builder.CreateString(metadata.description),
        _MODEL["subgraphs"]: _vector(builder, [subgraph]),
        _MODEL["parser"]: builder.CreateString(_PARSER),
    }
    builder.Finish(_table(builder, _MODEL["count"], _offsets(builder, fields)), _IDENTIFIER)
    return bytes(builder.Output())


def _output(builder, metadata):
    fields = {
        _TENSOR["name"]: builder.CreateString("scores"),
        _TENSOR["content"]: _union(builder, _FEATURE, _table(builder, 0, [])),
    }
    if metadata.labels:
        name = builder.CreateString(LABELS_FILE)
        file = [(0, builder.PrependUOffsetTRelativeSlot, name)]
        file.append((2, builder.PrependInt8Slot, _AXIS_LABELS))
        fields[_TENSOR["files"]] = _vector(builder, [_table(builder, 5, file)])
    return fields


def _union(builder, kind, value):
    fields = [(0, builder.PrependUint8Slot, kind)]
    return _table(builder, 3, [*fields, (1, builder.PrependUOffsetTRelativeSlot, value)])


def _offsets(builder, fields):
    return [(slot, builder.PrependUOffsetTRelativeSlot, value) for slot, value in fields.items()]


def _table(builder, slots, fields):
    builder.StartObject(slots)
    for slot, prepend, value in fields:
        prepend(slot, value, 0)
    return builder.EndObject()


def _vector(builder, offsets):
    builder.StartVector(4, len(offsets), 4)
    for offset in reversed(offsets):
        builder.PrependUOffsetTRelative(offset)
    return builder.EndVector()


class _Reader:
    """Reads the fields of one table by their numbers.

    Args:
        content: Bytes of the metadata.
        position: Place of the table.
    """

    def __init__(self, content, position):
        self._table = table.Table(content, position)

    @classmethod
    def root(cls, content):
        """Returns the reader of the outermost table."""
        return cls(content, encode.Get(packer.uoffset, content, 0))

    def table(self, slot):
        """Returns the reader of a table inside, or `None`."""
        offset = self._at(slot)
        if not offset:
            return None
        return _Reader(self._table.Bytes, self._table.Indirect(self._table.Pos + offset))

    def tables(self, slot):
        """Returns the readers of a list of tables."""
        offset = self._at(slot)
        if not offset:
            return []
        start = self._table.Vector(offset)
        places = (start + 4 * index for index in range(self._table.VectorLen(offset)))
        return [_Reader(self._table.Bytes, self._table.Indirect(place)) for place in places]

    def text(self, slot):
        """Returns a text, empty if it isn't there."""
        offset = self._at(slot)
        if not offset:
            return ""
        return self._table.String(self._table.Pos + offset).decode("utf-8", "replace")

    def number(self, slot):
        """Returns a small number, 0 if it isn't there."""
        offset = self._at(slot)
        place = self._table.Pos + offset
        return self._table.Get(number_types.Uint8Flags, place) if offset else 0

    def floats(self, slot):
        """Returns a tuple of numbers."""
        offset = self._at(slot)
        try:
            values = (
                self._table.GetVectorAsNumpy(number_types.Float32Flags, offset) if offset else ()
            )
        except (ValueError, struct.error) as error:
            raise flatbuffer.DamagedError(f"The file's metadata is damaged: {error}.") from error
        return tuple(float(value) for value in values)

    def _at(self, slot):
        return self._table.Offset(4 + 2 * slot)
