"""The folder of a project, in which only files that were written here before are replaced.

A marker file lists them with their checksums, so that what a user edits or adds stays.
"""

import contextlib
import dataclasses
import hashlib
import json
import os
import shutil

from keras_distill.arguments import check_path, shown
from keras_distill.files import locked_folder, write_whole

MARKER = ".keras_distill.json"
# What a README says of every project; earlier versions had no marker besides.
MARK = "Made by keras_distill"
_VERSION = 1
_PARTIAL = ".keras_distill.partial"
_NEW, _OLD, _JOURNAL = "new", "old", "journal.json"
_NO_FILE = "no regular file"
# Of the paths in a list of ours; no file system takes longer names.
_LONGEST = 255
_DAMAGES = (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError)


@dataclasses.dataclass(frozen=True)
class _Changes:
    """What an export changes in a folder.

    Args:
        files: Dictionary from path to new content, `None` for what is removed.
        kept: Paths of files that were written here, and changed by the user since.
    """

    files: dict
    kept: tuple


def check(folder, kind):
    """Refuses a folder that holds anything else than a project of one kind.

    Args:
        folder: Folder of the project, which need not exist.
        kind: Kind of the project, such as `"arduino"`.

    Returns:
        `pathlib.Path` of the folder.

    Raises:
        TypeError: If `folder` is no path.
        ValueError: If it is no folder, or holds something that wasn't written here.
    """
    path = check_path("folder", folder)
    if "://" in str(folder):
        raise ValueError(f"folder must be one of this computer. Received: folder={shown(folder)}")
    nearest = next(p for p in (path, *path.absolute().parents) if os.path.lexists(p))
    if not nearest.is_dir():
        found = "a file" if nearest.exists() else "a link to nothing"
        raise ValueError(
            f"{str(nearest)!r} is {found}: give a folder for the project. "
            f"Received: folder={str(folder)!r}"
        )
    if nearest == path and not os.path.lexists(path / _PARTIAL):
        _listed(path, kind)
    return path


def write(folder, kind, files, editable=()):
    """Writes a project, whole or not at all.

    Of a project that was written here before, files are replaced and removed that have not changed
    since. Everything else in the folder stays.

    Args:
        folder: Folder of the project, made with its parents.
        kind: Kind of the project, such as `"arduino"`.
        files: Dictionary from path inside the folder, with slashes, to text or bytes.
        editable: Paths of those that are meant to be edited: they stay once they are.

    Returns:
        `pathlib.Path` of the folder.

    Raises:
        TimeoutError: If another process has been writing there for a minute.
        TypeError: If `folder` is no path.
        ValueError: If the folder holds something else, or changed files are in the way.
    """
    path = check(folder, kind)
    root = path.resolve()
    contents = {
        name: content if isinstance(content, bytes) else content.encode("utf-8")
        for name, content in files.items()
    }
    with locked_folder(root):
        _recover(root)
        todo = _changes_of(root, kind, contents, editable)
        _apply(root, todo.files)
    for name in todo.kept:
        print(f"kept {path / name}, which has changed since it was written")
    return path


def _listed(root, kind):
    """Returns the checksums of what was written here before, by path.

    Raises:
        ValueError: If the folder holds something else.
    """
    if not any(root.iterdir()):
        return {}
    received = f"Received: folder={str(root)!r}"
    if not os.path.lexists(root / MARKER):
        readme = root / "README.md"
        if readme.is_file() and MARK in readme.read_text(encoding="utf-8", errors="replace"):
            raise ValueError(
                "The folder seems to be of an earlier version of keras_distill, which kept no list "
                "of its files, so what is yours in it is unknown: give a new folder, and copy what "
                f"you edited into it. {received}"
            )
        raise ValueError(
            "The folder holds something else than a project that keras_distill wrote: give a new "
            f"or an empty one. {received}"
        )
    try:
        marker = _read(root / MARKER)
        found, version = marker["kind"], marker["version"]
        listed = _checked(marker["files"], lambda value: isinstance(value, str))
    except _DAMAGES as error:
        raise ValueError(
            f"{MARKER}, the list of what keras_distill wrote, is damaged: give a new folder. "
            f"{received}"
        ) from error
    if version != _VERSION:
        raise ValueError(
            f"{MARKER} is of another version of keras_distill: give a new folder. {received}"
        )
    if found != kind:
        raise ValueError(
            f"The folder holds a project of the kind {shown(found)}, not {kind!r}: give another "
            f"one. {received}"
        )
    return listed


def _read(path):
    """Returns what a JSON file of ours holds."""
    if path.is_symlink() or not path.is_file():
        raise ValueError(f"{path} is {_NO_FILE}.")
    return json.loads(path.read_bytes())


def _checked(files, is_right):
    """Returns a dictionary by path if all paths stay inside the folder and all values are right."""
    for name, value in files.items():
        parts = name.split("/")
        is_odd = "\\" in name or not name.isprintable() or len(name) > _LONGEST
        if is_odd or {"", ".", ".."} & set(parts) or parts[0] == _PARTIAL:
            raise ValueError(f"{name!r} is no path of a project's file.")
        if not is_right(value):
            raise ValueError(f"{value!r} says nothing of the file {name!r}.")
    return files


def _changes_of(root, kind, contents, editable):
    """Returns what the export changes, before it does.

    Raises:
        ValueError: If files that aren't ours, or no longer, are in the way.
    """
    listed = _listed(root, kind)
    changes, kept, in_the_way = {}, [], []
    for name, content in contents.items():
        now, wanted = _state(root, name), _checksum(content)
        if now is None or now == listed.get(name):
            if now != wanted:
                changes[name] = content
        elif name in editable:
            kept.append(name)
        elif now != wanted or name not in listed:
            in_the_way.append(name)
    if in_the_way:
        raise ValueError(
            f"keras_distill did not write {', '.join(in_the_way)} as they are now, and would have "
            "to replace them: move them elsewhere, or give another folder. Nothing was written. "
            f"Received: folder={str(root)!r}"
        )
    for name in listed.keys() - contents.keys():
        now = _state(root, name)
        if now == listed[name]:
            changes[name] = None
        elif now is not None:
            kept.append(name)
    written = {name: _checksum(content) for name, content in contents.items()}
    # An edited file stays on the list as it was written, so that it goes on being an edited one.
    written.update({name: listed[name] for name in kept if name in contents and name in listed})
    marker = _marker(kind, written)
    if _state(root, MARKER) != _checksum(marker):
        changes[MARKER] = marker
    return _Changes(changes, tuple(sorted(kept)))


def _marker(kind, written):
    about = "What keras_distill wrote here, with SHA-256 checksums. Only these files are replaced."
    content = {"about": about, "version": _VERSION, "kind": kind, "files": written}
    return json.dumps(content, indent=1, sort_keys=True).encode() + b"\n"


def _checksum(content):
    return hashlib.sha256(content).hexdigest()


def _state(root, name):
    """Returns the checksum of a file, or `None` if nothing is there."""
    path = root / name
    parents = _parents(root, name)
    if any(p.is_symlink() or (p.exists() and not p.is_dir()) for p in parents):
        return _NO_FILE
    if not os.path.lexists(path):
        return None
    if path.is_symlink() or not path.is_file():
        return _NO_FILE
    return _checksum(path.read_bytes())


def _parents(root, name):
    """Returns the folders between a folder and a file in it, the innermost first."""
    return [path for path in (root / name).parents if root in path.parents]


def _apply(root, changes):
    """Makes all changes or none: a journal says what to put back, also to the run after a kill."""
    if not changes:
        return
    partial = root / _PARTIAL
    try:
        _stage(root, partial, changes)
        for name in changes:
            _exchange(root, partial, name)
        for name, content in changes.items():
            if content is None:
                _remove_empty(_parents(root, name))
        (partial / _JOURNAL).unlink()
    except BaseException:
        _put_back(root, partial)
        raise
    shutil.rmtree(partial, ignore_errors=True)


def _stage(root, partial, changes):
    """Writes the new files, and the journal: what each was and will be, which folders are new."""
    partial.mkdir()
    files = {}
    for name, content in changes.items():
        files[name] = [_state(root, name), None if content is None else _checksum(content)]
        if content is not None:
            target, staged = root / name, partial / _NEW / name
            staged.parent.mkdir(parents=True, exist_ok=True)
            staged.write_bytes(content)
            if target.exists():
                staged.chmod(target.stat().st_mode & 0o7777)
    parents = {path for name in changes for path in _parents(root, name) if not path.exists()}
    folders = sorted(path.relative_to(root).as_posix() for path in parents)
    journal = json.dumps({"files": files, "folders": folders}).encode()
    write_whole(partial / _JOURNAL, journal)


def _exchange(root, partial, name):
    target, staged, backup = root / name, partial / _NEW / name, partial / _OLD / name
    if target.exists():
        backup.parent.mkdir(parents=True, exist_ok=True)
        os.rename(target, backup)
    if staged.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        os.rename(staged, target)


def _recover(root):
    """Puts a folder back as it was before an export that was killed in the middle."""
    partial = root / _PARTIAL
    if not os.path.lexists(partial):
        return
    is_folder = partial.is_dir() and not partial.is_symlink()
    known = (_NEW, _OLD, _JOURNAL)
    if not is_folder or not all(p.name in known or p.suffix == ".kd" for p in partial.iterdir()):
        raise ValueError(
            f"{str(partial)!r} is not what an export leaves that was cut short: move it elsewhere."
        )
    _put_back(root, partial)


def _put_back(root, partial):
    journal = partial / _JOURNAL
    if not os.path.lexists(journal):
        # Nothing was replaced yet, or all of it.
        shutil.rmtree(partial, ignore_errors=True)
        return
    try:
        record = _read(journal)
        files = _checked(record["files"], lambda states: len(states) == len(("before", "after")))
        folders = _checked(dict.fromkeys(record["folders"]), lambda value: value is None)
    except _DAMAGES as error:
        raise ValueError(f"{str(journal)!r} is damaged: give a new folder.") from error
    changed = [name for name, states in files.items() if _state(root, name) not in (None, *states)]
    if changed:
        raise ValueError(
            f"An export into {str(root)!r} was cut short, and {', '.join(changed)} changed since. "
            f"What it had replaced is in {str(partial / _OLD)!r}: give a new folder."
        )
    for name, (_, after) in files.items():
        target, backup = root / name, partial / _OLD / name
        # What was there is never the same: only files that differ are exchanged.
        if after is not None and _state(root, name) == after:
            target.unlink()
        if backup.exists() and not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            os.rename(backup, target)
    _remove_empty([root / name for name in folders])
    journal.unlink()
    shutil.rmtree(partial, ignore_errors=True)


def _remove_empty(folders):
    """Removes folders that hold nothing, inner ones before those around them."""
    for path in sorted(folders, reverse=True):
        with contextlib.suppress(OSError):
            path.rmdir()
