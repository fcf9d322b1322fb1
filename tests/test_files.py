import os

import pytest

from keras_distill.files import write_whole


def test_a_failed_write_keeps_the_old_file(tmp_path, monkeypatch):
    (tmp_path / "note").write_bytes(b"old")

    def full(*_):
        raise OSError("disk full")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError, match=r"disk full"):
        write_whole(tmp_path / "note", b"new")
    assert [file.name for file in tmp_path.iterdir()] == ["note"]
    assert (tmp_path / "note").read_bytes() == b"old"


def test_a_written_file_has_the_permissions_of_any_other(tmp_path):
    write_whole(tmp_path / "ours", b"")
    (tmp_path / "plain").write_bytes(b"")
    assert (tmp_path / "ours").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no' doesn't exist"):
        write_whole(tmp_path / "no" / "file", b"")
