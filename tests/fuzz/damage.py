"""Damages files, replayable by the name of the damage."""

import random
import shutil

KINDS = ("flip", "zero", "noise", "cut", "swap")
_SPAN = 64


def names(each):
    """Returns the names of damages: some of each kind, and those that have no place.

    Args:
        each: How often each kind is drawn, at another place in the file.
    """
    drawn = [f"{kind}_{seed}" for kind in KINDS for seed in range(each)]
    return (*drawn, "empty", "doubled", "text", "gone", "folder")


def damage(path, name):
    """Damages a file where it stands.

    Args:
        path: `pathlib.Path` of the file.
        name: One of `names(...)`.
    """
    content = bytearray(path.read_bytes())
    kind, _, seed = name.partition("_")
    path.unlink()
    if kind == "gone":
        return
    if kind == "folder":
        path.mkdir()
        return
    path.write_bytes(_changed(content, kind, random.Random(f"{kind}{seed}")))


def restored_copy(folder, target):
    """Copies a folder, in place of what stands at the target.

    Args:
        folder: The folder.
        target: Where its copy goes.
    """
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(folder, target)
    return target


def _changed(content, kind, rng):
    place = rng.randrange(len(content))
    end = min(len(content), place + _SPAN)
    if kind == "flip":
        content[place] ^= 1 << rng.randrange(8)
    elif kind in ("zero", "noise"):
        before = bytes(content)
        content[place:end] = bytes(end - place) if kind == "zero" else rng.randbytes(end - place)
        if content == before:
            content[place] ^= 0xFF
    elif kind == "cut":
        del content[place:]
    elif kind == "swap":
        middle = max(1, place)
        content = content[middle:] + content[:middle] if len(content) > 1 else content[:0]
    return {"empty": b"", "doubled": content + content, "text": b"hello\n"}.get(kind, content)
