import multiprocessing
import os
import stat
import threading

import pytest

from keras_distill import files
from keras_distill.files import locked_folder, new_temporary, temporary_folder, write_whole


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def test_a_failed_write_keeps_the_old_file(tmp_path, monkeypatch):
    (tmp_path / "note").write_bytes(b"old")

    def full(*_):
        raise OSError("disk full")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError, match=r"disk full"):
        write_whole(tmp_path / "note", b"new")
    assert names(tmp_path) == ["note"]
    assert (tmp_path / "note").read_bytes() == b"old"


@pytest.mark.parametrize("mask", [0o022, 0o077])
def test_a_written_file_has_the_permissions_of_any_other(mask, tmp_path):
    before = os.umask(mask)
    try:
        write_whole(tmp_path / "ours", b"")
        (tmp_path / "plain").write_bytes(b"")
        temporary = new_temporary(tmp_path, "a.", ".partial")
    finally:
        os.umask(before)
    assert mode(tmp_path / "ours") == mode(tmp_path / "plain") == mode(temporary)


def test_the_mask_of_the_process_is_never_touched(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "umask", None)
    write_whole(tmp_path / "file", b"")
    new_temporary(tmp_path, "a.", ".partial")


@pytest.mark.parametrize("permissions", [0o600, 0o755, 0o664])
def test_a_file_that_exists_keeps_its_permissions(permissions, tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"old")
    path.chmod(permissions)
    write_whole(path, b"new")
    assert mode(path) == permissions and path.read_bytes() == b"new"


@pytest.mark.parametrize("exists", [True, False])
def test_a_link_stays_one_and_its_target_is_written(exists, tmp_path):
    (tmp_path / "far").mkdir()
    target, link = tmp_path / "far" / "target", tmp_path / "link"
    if exists:
        target.write_bytes(b"old")
    link.symlink_to("far/target")
    write_whole(link, b"new")
    assert link.is_symlink() and os.readlink(link) == "far/target"
    assert target.read_bytes() == b"new"
    assert names(tmp_path) == ["far", "link"] and names(tmp_path / "far") == ["target"]


def test_what_is_no_file_is_refused_and_stays(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to("pipe")
    for name, said in (("pipe", "no regular file"), ("folder", "a folder"), ("link", "no regular")):
        with pytest.raises(ValueError, match=rf"there is {said}.* Received: path='.*{name}'$"):
            write_whole(tmp_path / name, b"new")
    assert stat.S_ISFIFO((tmp_path / "pipe").stat().st_mode) and (tmp_path / "folder").is_dir()
    assert names(tmp_path) == ["folder", "link", "pipe"]


def test_a_read_only_file_is_refused(tmp_path, monkeypatch):
    (tmp_path / "file").write_bytes(b"old")
    # Permissions don't stop a superuser, who may run the tests.
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(PermissionError, match=r"is read-only"):
        write_whole(tmp_path / "file", b"new")
    assert (tmp_path / "file").read_bytes() == b"old"


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no' doesn't exist"):
        write_whole(tmp_path / "no" / "file", b"")


def test_the_longest_name_is_written(tmp_path):
    write_whole(tmp_path / ("n" * 255), b"long")
    assert names(tmp_path) == ["n" * 255]


def _die_while_writing(path):
    os.replace = lambda *_: os.kill(os.getpid(), 9)
    write_whole(path, b"half")


def test_what_a_killed_run_left_goes_with_the_next(tmp_path):
    process = multiprocessing.get_context("fork").Process(
        target=_die_while_writing, args=[tmp_path / "file"]
    )
    process.start()
    process.join()
    assert process.exitcode == -9 and len(names(tmp_path)) == 1
    write_whole(tmp_path / "file", b"whole")
    assert names(tmp_path) == ["file"] and (tmp_path / "file").read_bytes() == b"whole"


def test_temporary_folders_of_killed_runs_go_with_the_next(tmp_path, monkeypatch):
    monkeypatch.setattr(files.tempfile, "tempdir", str(tmp_path))
    (tmp_path / "keras_distill-mine.txt").write_text("a file")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "keras_distill-link").symlink_to("elsewhere")
    others = names(tmp_path)

    def die():
        with temporary_folder() as folder:
            (folder / "model.tflite").write_bytes(b"1")
            os.kill(os.getpid(), 9)

    process = multiprocessing.get_context("fork").Process(target=die)
    process.start()
    process.join()
    [left] = [tmp_path / name for name in names(tmp_path) if name not in others]
    with temporary_folder() as young:
        assert left.exists(), "it could be a run's that has just begun"
    for folder in (left, tmp_path / "elsewhere"):
        os.utime(folder, (0, 0))
    with temporary_folder() as held:
        os.utime(held, (0, 0))
        with temporary_folder() as other:
            assert not left.exists() and held.is_dir() and other.is_dir()
    assert names(tmp_path) == others and not young.exists()


def test_many_writers_of_one_file_leave_one_of_theirs(tmp_path):
    contents = [bytes([number]) * 100_000 for number in range(4)]

    def write(content):
        for _ in range(20):
            write_whole(tmp_path / "file", content)

    threads = [threading.Thread(target=write, args=[content]) for content in contents]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (tmp_path / "file").read_bytes() in contents
    assert names(tmp_path) == ["file"]


def test_a_folder_is_locked_and_the_wait_ends(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "_TIMEOUT_SECONDS", 0.1)
    folder = tmp_path / "new" / "folder"
    busy = pytest.raises(TimeoutError, match=r"Another process has been writing .*folder")
    with locked_folder(folder), busy, locked_folder(folder):
        pass
    with locked_folder(folder):
        pass
    assert folder.is_dir()


def test_folders_that_were_made_for_a_failure_are_removed(tmp_path):
    with pytest.raises(RuntimeError), locked_folder(tmp_path / "a" / "b"):
        raise RuntimeError
    assert names(tmp_path) == []
