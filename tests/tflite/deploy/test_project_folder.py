"""A project's folder: ours is replaced, the rest stays, and it is whole after anything."""

import json
import multiprocessing
import os
import threading

import pytest

from keras_distill.tflite.deploy import project_folder
from keras_distill.tflite.deploy.project_folder import MARK, MARKER

FILES = {"README.md": MARK, "src/a.h": "a", "src/deep/b.h": "b", "edit.ino": "default"}
NEXT = {"README.md": f"{MARK}!", "src/a.h": "a", "src/c.h": "c", "edit.ino": "new default"}


def write(folder, files=FILES, kind="arduino"):
    return project_folder.write(folder, kind, files, editable=["edit.ino"])


def contents(folder):
    """Everything in a folder but the marker, the empty folders included."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_symlink() or not path.is_dir():
            found[name] = os.readlink(path) if path.is_symlink() else path.read_text()
        elif not any(path.iterdir()):
            found[f"{name}/"] = None
    assert found.pop(MARKER, "").startswith(("", "{"))
    return found


def test_the_marker_lists_what_was_written_with_checksums(tmp_path):
    folder = write(tmp_path / "new" / "it")
    marker = json.loads((folder / MARKER).read_text())
    assert marker["kind"] == "arduino" and set(marker["files"]) == set(FILES)
    assert all(len(checksum) == 64 for checksum in marker["files"].values())


def test_an_empty_folder_is_taken_and_keeps_its_permissions(tmp_path):
    (tmp_path / "it").mkdir(mode=0o700)
    write(tmp_path / "it")
    assert contents(tmp_path / "it") == FILES
    assert (tmp_path / "it").stat().st_mode & 0o777 == 0o700


def test_a_link_to_a_folder_is_followed(tmp_path):
    (tmp_path / "far").mkdir()
    (tmp_path / "link").symlink_to("far")
    for files in (FILES, NEXT):
        assert write(tmp_path / "link", files) == tmp_path / "link"
        assert contents(tmp_path / "far") == files
    assert os.readlink(tmp_path / "link") == "far"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["far", "link"]


def test_what_is_out_of_date_goes_and_what_is_not_ours_stays(tmp_path):
    folder = write(tmp_path / "it")
    (folder / "thesis.txt").write_text("years of work")
    (folder / "src" / "mine").mkdir()
    (folder / "link").symlink_to("/nowhere")
    write(folder, NEXT)
    theirs = {"thesis.txt": "years of work", "src/mine/": None, "link": "/nowhere"}
    assert contents(folder) == {**NEXT, **theirs}


def test_files_that_are_the_same_are_not_touched(tmp_path):
    folder = write(tmp_path / "it")
    before = (folder / "src/a.h").stat()
    write(folder, NEXT)
    after = (folder / "src/a.h").stat()
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)


def test_the_file_that_is_meant_to_be_edited_stays_and_that_is_said(tmp_path, capsys):
    folder = write(tmp_path / "it")
    (folder / "edit.ino").write_text("my sensor")
    for files in (NEXT, FILES, NEXT):
        write(folder, files)
        assert contents(folder) == {**files, "edit.ino": "my sensor"}
        assert "edit.ino, which has changed" in capsys.readouterr().out
    (folder / "edit.ino").write_text("default")
    write(folder, NEXT)
    assert contents(folder) == NEXT and capsys.readouterr().out == ""


def test_an_edited_file_of_a_former_name_stays(tmp_path, capsys):
    folder = write(tmp_path / "it")
    (folder / "edit.ino").write_text("my sensor")
    (folder / "src/deep/b.h").write_text("mine now")
    project_folder.write(folder, "arduino", {"README.md": MARK})
    kept = {"edit.ino": "my sensor", "src/deep/b.h": "mine now"}
    assert contents(folder) == {"README.md": MARK, **kept}
    assert "edit.ino" in capsys.readouterr().out
    write(folder, {"README.md": MARK, "edit.ino": "default"})
    assert contents(folder) == {"README.md": MARK, **kept}


def test_a_file_that_was_deleted_is_written_again(tmp_path):
    folder = write(tmp_path / "it")
    (folder / "src/a.h").unlink()
    (folder / "edit.ino").unlink()
    write(folder)
    assert contents(folder) == FILES


def change(folder):
    (folder / "src/a.h").write_text("changed")


def be_in_the_way(folder):
    (folder / "src/c.h").write_text("mine")


def be_a_folder(folder):
    (folder / "src/c.h").mkdir()


def be_a_link(folder):
    (folder / "src/a.h").rename(folder / "elsewhere")
    (folder / "src/a.h").symlink_to("../elsewhere")


def lead_elsewhere(folder):
    (folder / "src").rename(folder / "elsewhere")
    (folder / "src").symlink_to("elsewhere")


@pytest.mark.parametrize(
    ("spoil", "named"),
    [
        (change, "src/a.h"),
        (be_in_the_way, "src/c.h"),
        (be_a_folder, "src/c.h"),
        (be_a_link, "src/a.h"),
        (lead_elsewhere, "src/a.h, src/c.h"),
    ],
)
def test_changed_files_are_never_replaced(spoil, named, tmp_path):
    folder = write(tmp_path / "it")
    spoil(folder)
    before = contents(folder)
    with pytest.raises(ValueError, match=rf"did not write {named} as .* Nothing was written"):
        write(folder, {**NEXT, "src/a.h": "other"})
    assert contents(folder) == before


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({"thesis.txt": "years of work"}, r"holds something else"),
        ({"README.md": f"A game. {MARK}.", ".git/HEAD": "ref"}, r"of an earlier version"),
        ({"src/a.h": "a", MARKER: "{"}, r"is damaged: give a new folder"),
        ({MARKER: "[]"}, r"is damaged"),
        ({MARKER: '{"version": 1, "kind": "arduino", "files": {"../x": ""}}'}, r"is damaged"),
        ({MARKER: '{"version": 1, "kind": "arduino", "files": {"/x": ""}}'}, r"is damaged"),
        ({MARKER: '{"version": 1, "kind": "arduino", "files": {"x": 1}}'}, r"is damaged"),
        ({MARKER: "[" * 100_000}, r"is damaged"),
        (
            {MARKER: f'{{"version": 1, "kind": "ios", "files": {{"{"x" * 300}": ""}}}}'},
            r"is damaged",
        ),
        ({MARKER: '{"version": 1, "kind": "ios", "files": {"a\\u0000": ""}}'}, r"is damaged"),
        ({MARKER: '{"version": 2, "kind": "arduino", "files": {}}'}, r"another version"),
        ({MARKER: '{"version": 1, "kind": "ios", "files": {}}'}, r"of the kind 'ios', not 'ard"),
        ({".keras_distill.partial/thesis.txt": "years"}, r"not what an export leaves"),
        ({".keras_distill.partial": "a file"}, r"not what an export leaves"),
        ({".keras_distill.partial/journal.json": "{"}, r"journal.json' is damaged"),
    ],
)
def test_a_folder_that_was_not_written_here_is_refused_and_left_alone(files, said, tmp_path):
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    marker = files.get(MARKER)
    before = contents(tmp_path)
    with pytest.raises(ValueError, match=said):
        write(tmp_path)
    assert contents(tmp_path) == before
    assert marker is None or (tmp_path / MARKER).read_text() == marker


def test_a_marker_that_is_a_link_is_refused(tmp_path):
    folder = write(tmp_path / "it")
    (folder / MARKER).rename(tmp_path / "marker")
    (folder / MARKER).symlink_to(tmp_path / "marker")
    with pytest.raises(ValueError, match=r"is damaged"):
        write(folder)


def test_what_is_no_folder_is_refused(tmp_path):
    (tmp_path / "file").write_text("text")
    (tmp_path / "link").symlink_to("nowhere")
    for name, said in (("file", "a file"), ("file/it", "a file"), ("link", "a link to nothing")):
        with pytest.raises(ValueError, match=rf"is {said}: give a folder"):
            write(tmp_path / name)


@pytest.mark.parametrize("exists", [True, False])
@pytest.mark.parametrize("failing", range(1, 9))
def test_a_failure_at_any_moment_leaves_all_as_it_was(failing, exists, tmp_path, monkeypatch):
    folder = tmp_path / "new" / "it"
    if exists:
        write(folder)
        (folder / "thesis.txt").write_text("years of work")
    before = contents(tmp_path)
    rename, calls = os.rename, []

    def fail(*arguments):
        calls.append(arguments)
        if len(calls) == failing:
            raise OSError("broken disk")
        rename(*arguments)

    monkeypatch.setattr(os, "rename", fail)
    # A new folder takes five: its four files and the marker.
    if not exists and failing > len(FILES) + 1:
        write(folder)
        return
    with pytest.raises(OSError, match=r"broken disk"):
        write(folder, NEXT if exists else FILES)
    assert contents(tmp_path) == before


def _die(folder, moment, name):
    calls, original = [], getattr(os, name)

    def die(*arguments, **options):
        calls.append(arguments)
        if len(calls) == moment:
            os.kill(os.getpid(), 9)
        return original(*arguments, **options)

    setattr(os, name, die)
    write(folder, NEXT)


def kill(folder, moment, name="rename"):
    context = multiprocessing.get_context("fork")
    process = context.Process(target=_die, args=[folder, moment, name])
    process.start()
    process.join()
    return process.exitcode


@pytest.mark.parametrize("exists", [True, False])
@pytest.mark.parametrize("name", ["mkdir", "rename", "replace", "unlink", "rmdir"])
def test_a_kill_at_any_moment_is_mended_by_the_next_run(name, exists, tmp_path):
    folder = tmp_path / "it"
    for moment in range(1, 99):
        if exists:
            write(folder)
            (folder / "thesis.txt").write_text("years of work")
        code = kill(folder, moment, name)
        wrong = {"README.md": MARK, "folder/as/file": "", "folder/as": ""}
        if folder.exists() and code:
            # A run that fails mends it too, and then the folder is as before or as it was to be.
            with pytest.raises(OSError, match=r"as"):
                write(folder, wrong)
            theirs = {"thesis.txt": "years of work"} if exists else {}
            if folder.exists():
                assert contents(folder) in ({**FILES, **theirs}, {**NEXT, **theirs}, theirs)
        write(folder, NEXT)
        assert contents(folder) == {**NEXT, **({"thesis.txt": "years of work"} if exists else {})}
        if not code:
            break
        if not exists:
            project_folder.shutil.rmtree(folder)
    assert code == 0


def test_what_changed_after_a_kill_is_not_put_back(tmp_path):
    folder = write(tmp_path / "it")
    assert kill(folder, 3) == -9
    (folder / "README.md").write_text("my own")
    before = contents(folder)
    with pytest.raises(
        ValueError, match=r"was cut short, and README.md changed since.*partial/old"
    ):
        write(folder)
    assert contents(folder) == before


def test_two_writers_leave_what_one_of_them_wrote(tmp_path):
    versions = [{f"{n}/{i}.h": str(n) for i in range(5)} | {"one.h": str(n)} for n in range(4)]

    def keep_writing(files):
        for _ in range(5):
            write(tmp_path / "it", files)

    threads = [threading.Thread(target=keep_writing, args=[files]) for files in versions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert contents(tmp_path / "it") in versions
