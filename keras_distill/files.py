"""Files that are written whole or not at all, by one writer at a time."""

import contextlib
import hashlib
import os
import pathlib
import secrets
import shutil
import stat
import tempfile
import time
from collections.abc import Iterator

try:
    import fcntl
except ImportError:
    # Windows: files still take their place whole, but writers don't wait for each other.
    fcntl = None  # type: ignore[assignment]

_TIMEOUT_SECONDS = 60
_POLL_SECONDS = 0.02
_TEMPORARY = "keras_distill-"
# A folder that is younger may be another run's, which has yet to lock it.
_YOUNG_SECONDS = 60
_NO_LINKS = getattr(os, "O_NOFOLLOW", 0)


def write_whole(path: str | os.PathLike, content: bytes):
    """Writes a file whole or not at all: to a temporary file beside it, which takes its place.

    A link is followed, and a file that exists keeps its permissions. What a killed run left is
    removed by the next one that writes the same file.

    Args:
        path: File to write, in an existing folder.
        content: Bytes.

    Raises:
        FileNotFoundError: If the folder doesn't exist.
        PermissionError: If the file exists and may not be written.
        TimeoutError: If another process has been writing it for a minute.
        ValueError: If `path` is a folder, a device or a pipe.
    """
    target = pathlib.Path(os.path.realpath(path))
    if not target.parent.is_dir():
        raise FileNotFoundError(
            f"The output folder {str(target.parent)!r} doesn't exist: create it first. "
            f"Received: path={str(path)!r}"
        )
    mode = _mode(path, target)
    # One name for all writers of this file, short whatever its own length.
    digest = hashlib.sha256(os.fsencode(target.name)).hexdigest()[:16]
    temporary = target.with_name(f".{digest}.kd")
    descriptor = _claim(temporary)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            if mode is not None:
                os.chmod(temporary, mode)
            if fcntl is None:
                # Windows can't replace an open file; elsewhere closing would give up the lock.
                file.close()
            os.replace(temporary, target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def new_temporary(folder: str | os.PathLike, prefix: str, suffix: str) -> pathlib.Path:
    """Makes an empty file with a name of its own and the permissions of any new file.

    Args:
        folder: Existing folder.
        prefix: How its name starts.
        suffix: How its name ends.

    Returns:
        `pathlib.Path` of the file.
    """
    path = pathlib.Path(folder) / f"{prefix}{secrets.token_hex(8)}{suffix}"
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _NO_LINKS, 0o666))
    return path


@contextlib.contextmanager
def temporary_folder() -> Iterator[pathlib.Path]:
    """Makes a folder for the time of a block; those that killed runs left are removed first.

    Yields:
        `pathlib.Path` of the folder.
    """
    _remove_left_folders()
    with tempfile.TemporaryDirectory(prefix=_TEMPORARY) as name, contextlib.ExitStack() as stack:
        if fcntl is not None:
            stack.enter_context(_open_and_locked(name))
        yield pathlib.Path(name)


@contextlib.contextmanager
def locked_folder(folder: pathlib.Path) -> Iterator[None]:
    """Makes a folder with its parents if needed, and keeps all other writers out of it.

    Where the block fails, the folders that were made for it are removed again.

    Args:
        folder: `pathlib.Path` of the folder, no link.

    Raises:
        TimeoutError: If another process has been writing there for a minute.
    """
    made: list[pathlib.Path] = []
    descriptor = None
    try:
        descriptor = _hold_folder(folder, made)
        yield
    except BaseException:
        for path in reversed(made):
            with contextlib.suppress(OSError):
                path.rmdir()
        raise
    finally:
        if descriptor is not None:
            _unlock(descriptor)


def _hold_folder(folder, made):
    """Returns the locked descriptor of a folder, `None` on Windows, and lists what it made."""
    while True:
        lacking = [path for path in (folder, *folder.parents) if not path.exists()]
        for path in reversed(lacking):
            with contextlib.suppress(FileExistsError):
                path.mkdir()
                made.append(path)
        if fcntl is None:
            return None
        try:
            descriptor = os.open(folder, os.O_RDONLY)
        except FileNotFoundError:
            # The writer that made it failed, and has removed it since.
            continue
        if _holds(descriptor, folder):
            return descriptor


@contextlib.contextmanager
def _open_and_locked(folder):
    """Keeps a new folder locked, by which other runs see that it is in use."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        _lock(descriptor, folder)
        yield
    finally:
        _unlock(descriptor)


def _unlock(descriptor):
    # Not left to the closing: a forked child may still hold the descriptor.
    fcntl.flock(descriptor, fcntl.LOCK_UN)
    os.close(descriptor)


def _remove_left_folders():
    """Removes temporary folders of ours that no run holds."""
    if fcntl is None:
        return
    for entry in list(os.scandir(tempfile.gettempdir())):
        if entry.name.startswith(_TEMPORARY) and entry.is_dir(follow_symlinks=False):
            with contextlib.suppress(OSError):
                _remove_if_left(entry.path)


def _remove_if_left(folder):
    descriptor = os.open(folder, os.O_RDONLY | _NO_LINKS)
    try:
        found = os.fstat(descriptor)
        is_old = time.time() - found.st_mtime > _YOUNG_SECONDS
        if is_old and found.st_uid == os.getuid():
            # Raises where a run holds it, or where there are no locks to tell.
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder)
    finally:
        os.close(descriptor)


def _mode(path, target):
    """Returns the permissions of a file that is to be replaced, or `None` if there is none."""
    try:
        found = target.stat()
    except FileNotFoundError:
        return None
    if not stat.S_ISREG(found.st_mode):
        kind = "a folder" if stat.S_ISDIR(found.st_mode) else "no regular file"
        raise ValueError(
            f"The output must be a file, but there is {kind}. Received: path={str(path)!r}"
        )
    if not os.access(target, os.W_OK):
        raise PermissionError(
            f"The file is read-only: give another path. Received: path={str(path)!r}"
        )
    return stat.S_IMODE(found.st_mode)


def _claim(path):
    """Returns the locked descriptor of a new, empty file; one that a killed run left goes."""
    while True:
        flags = os.O_RDWR | _NO_LINKS
        try:
            descriptor, is_new = os.open(path, flags | os.O_CREAT | os.O_EXCL, 0o666), True
        except FileExistsError:
            try:
                descriptor, is_new = os.open(path, flags), False
            except FileNotFoundError:
                continue
        if fcntl is not None and not _holds(descriptor, path):
            continue
        if is_new:
            return descriptor
        os.close(descriptor)
        path.unlink(missing_ok=True)


def _holds(descriptor, path):
    """Locks what was opened. Returns whether it still has its name; closes it if not."""
    try:
        _lock(descriptor, path)
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(descriptor), os.stat(path)):
                return True
    except BaseException:
        os.close(descriptor)
        raise
    os.close(descriptor)
    return False


def _lock(descriptor, path):
    end = time.monotonic() + _TIMEOUT_SECONDS
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if time.monotonic() > end:
                raise TimeoutError(
                    f"Another process has been writing {str(path)!r} for {_TIMEOUT_SECONDS} s: "
                    "wait for it, or give another path."
                ) from None
        except OSError:
            # Some network file systems have no locks.
            return
        time.sleep(_POLL_SECONDS)
