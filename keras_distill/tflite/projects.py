"""Projects for devices: filled in from the device-side sources, written whole or not at all."""

import importlib.resources
import os
import pathlib
import shutil
import string
import tempfile

README = "README.md"
# What a README says of every project that was written here, and of nothing else.
MARK = "Made by keras_distill"


def source(path):
    """Returns a device-side source as it is.

    Args:
        path: Its path below `export/`, with slashes.
    """
    file = importlib.resources.files("keras_distill.device").joinpath(*path.split("/"))
    return file.read_text(encoding="utf-8")


def fill(path, values):
    """Returns a device-side source with its `${...}` filled in.

    Args:
        path: Its path below `export/`, with slashes.
        values: Dictionary from name to text.
    """
    return string.Template(source(path)).substitute(values)


def check_folder(folder):
    """Refuses a folder that holds anything else than a project that was written here.

    Args:
        folder: Folder of the project, which need not exist.

    Raises:
        ValueError: If it is a file or holds something else.
    """
    folder = pathlib.Path(folder)
    if not folder.exists():
        return
    if not folder.is_dir():
        raise ValueError(f"{str(folder)!r} is a file: give a folder for the project.")
    readme = folder / README
    is_ours = readme.is_file() and MARK in readme.read_text(encoding="utf-8", errors="replace")
    if any(folder.iterdir()) and not is_ours:
        raise ValueError(
            f"The folder {str(folder)!r} holds something else than a project made here: give a "
            "new folder."
        )


def write(folder, files):
    """Writes a project, whole or not at all.

    A project that was written here before is replaced. Anything else in the folder is an error.

    Args:
        folder: Folder of the project, made with its parents.
        files: Dictionary from path inside the folder to text or bytes, the README among them.

    Returns:
        `pathlib.Path` of the folder.

    Raises:
        ValueError: If the folder holds something else.
    """
    folder = pathlib.Path(folder)
    check_folder(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    name = folder.resolve().name
    scratch = pathlib.Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{name}."))
    try:
        scratch.chmod(0o755)
        for path, content in files.items():
            target = scratch / path
            target.parent.mkdir(parents=True, exist_ok=True)
            raw = content if isinstance(content, bytes) else content.encode("utf-8")
            target.write_bytes(raw)
        _swap(scratch, folder)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return folder


def _swap(scratch, folder):
    """Puts the finished folder in its place, and the old one back if that fails."""
    old = None
    if folder.exists():
        old = scratch.with_name(f"{scratch.name}.old")
        os.replace(folder, old)
    try:
        os.replace(scratch, folder)
    except OSError:
        if old is not None:
            os.replace(old, folder)
        raise
    if old is not None:
        shutil.rmtree(old)
