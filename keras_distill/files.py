"""Files that are written whole or not at all."""

import os
import pathlib
import tempfile


def write_whole(path, content):
    """Writes a file whole or not at all: to a temporary file beside it, which takes its place.

    Args:
        path: File to write, in an existing folder.
        content: Bytes.

    Raises:
        FileNotFoundError: If the folder doesn't exist.
    """
    path = pathlib.Path(path)
    if not path.absolute().parent.is_dir():
        raise FileNotFoundError(
            f"The output folder {str(path.absolute().parent)!r} doesn't exist: create it first."
        )
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        give_usual_permissions(temporary)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


def give_usual_permissions(path):
    """Gives a file that `tempfile` made, for its owner alone, the permissions of any new file.

    Args:
        path: The file.
    """
    mask = os.umask(0)
    os.umask(mask)
    os.chmod(path, 0o666 & ~mask)
