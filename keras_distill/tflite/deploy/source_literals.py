"""Source literals and names in C, Kotlin and Swift."""

import re

import numpy as np

# Windows has no files of these names, whatever comes after a point.
_DEVICES = frozenset(
    ["con", "prn", "aux", "nul", *(f"{kind}{i}" for kind in ("com", "lpt") for i in range(10))]
)


def c_name(name):
    """Returns a name that the Arduino library manager and every file system accept.

    Args:
        name: Any text.

    Example:

    ```python
    assert c_name("2nd model (int8)") == "model_2nd_model_int8"
    ```
    """
    clean = re.sub(r"_+", "_", re.sub(r"[^0-9A-Za-z]", "_", str(name))).strip("_")
    if not clean or clean[0].isdigit() or clean.lower() in _DEVICES:
        clean = f"model_{clean}".rstrip("_")
    return clean


def c_namespace(name):
    """Returns a name that no C++ keyword, macro, function or header has, for a namespace and files.

    Args:
        name: Name as `c_name` returns it.

    Example:

    ```python
    assert c_namespace("index") == "index_model" and c_namespace("my_model") == "my_model"
    ```
    """
    return name if re.fullmatch(r"(.*_)?model", name) else f"{name}_model"


def class_name(name):
    """Returns a name of a class for Kotlin and Swift.

    Args:
        name: Any text.

    Example:

    ```python
    assert class_name("hand-written digits") == "HandWrittenDigitsModel"
    ```
    """
    parts = [part for part in c_name(name).split("_") if part]
    # The last word keeps it apart from the classes of the platform, such as Map or Bundle.
    last = [] if parts[-1].lower() == "model" else ["Model"]
    return "".join(part[0].upper() + part[1:] for part in [*parts, *last])


def c_string(text):
    """Returns a C string literal of any text, in ASCII.

    Args:
        text: Any text.
    """
    escaped = []
    for byte in str(text).encode("utf-8"):
        plain = 32 <= byte < 127 and chr(byte) not in '"\\?'
        # Three octal digits end an escape whatever follows, which hexadecimal ones don't.
        escaped.append(chr(byte) if plain else f"\\{byte:03o}")
    return f'"{"".join(escaped)}"'


def kotlin_string(text):
    """Returns a Kotlin string literal of any text, in ASCII.

    Args:
        text: Any text.
    """
    units = np.frombuffer(str(text).encode("utf-16-le"), "<u2")
    escape = lambda unit: f"\\u{unit:04x}"  # noqa: E731
    return f'"{"".join(_plain(chr(unit), "$") or escape(unit) for unit in units)}"'


def swift_string(text):
    """Returns a Swift string literal of any text, in ASCII.

    Args:
        text: Any text.
    """
    escape = lambda character: f"\\u{{{ord(character):x}}}"  # noqa: E731
    return f'"{"".join(_plain(character) or escape(character) for character in str(text))}"'


def _plain(character, special=""):
    is_plain = " " <= character <= "~" and character not in f'"\\{special}'
    return character if is_plain else ""


def c_float(value):
    """Returns a float literal of C++ and Kotlin that is read back as the same float32.

    Args:
        value: A finite number.

    Example:

    ```python
    assert c_float(0.1) == "0.10000000149011612f" and c_float(1) == "1.0f"
    ```
    """
    return f"{plain_float(value)}f"


def plain_float(value):
    """Returns a number with a point or an exponent that is read back as the same float32.

    Args:
        value: A finite number.
    """
    return repr(float(np.float32(value)))


def c_bytes(content):
    """Returns the elements of a C array of bytes, 16 a line.

    Args:
        content: Bytes.
    """
    width = 16
    return "\n".join(
        "  " + " ".join(f"0x{byte:02x}," for byte in content[start : start + width])
        for start in range(0, len(content), width)
    )


def c_rows(values):
    """Returns the elements of a C array of arrays, one sample a line.

    Args:
        values: Array of shape `(samples, ...)`.
    """
    flat = np.asarray(values).reshape(len(values), -1)
    literal = c_float if flat.dtype.kind == "f" else str
    return ",\n".join(
        "    {" + ", ".join(literal(value) for value in row.tolist()) + "}" for row in flat
    )


def c_numbers(values):
    """Returns the elements of a C array of numbers, eight a line.

    Args:
        values: Array of shape `(values,)`.
    """
    width = 8
    literal = c_float if np.asarray(values).dtype.kind == "f" else str
    texts = [literal(value) for value in np.asarray(values).tolist()]
    lines = [texts[start : start + width] for start in range(0, len(texts), width)]
    return ",\n".join("    " + ", ".join(line) for line in lines)
