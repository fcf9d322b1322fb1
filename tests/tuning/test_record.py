"""The record of a search: nothing finished is lost, and nothing of another search is touched."""

import pytest

from keras_distill.tuning.record import Record

MADE_OF = {"epochs": 5, "data": "abc"}


def contents(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_what_was_kept_is_read_by_another_record(tmp_path):
    record = Record(tmp_path / "search")
    record.begin(MADE_OF)
    record.propose(0, {"weight": 0.1 + 0.2})
    record.finish({"weight": 0.1 + 0.2}, 5, 1, {"score": 1 / 3})
    record.finish(None, 5, 0, {"score": 0.5})
    again = Record(tmp_path / "search")
    again.begin(MADE_OF)
    assert again.proposal(0) == {"weight": 0.1 + 0.2}
    assert again.proposal(1) is None
    assert again.folds({"weight": 0.1 + 0.2}, 5) == {1: {"score": 1 / 3}}
    assert again.folds(None, 5) == {0: {"score": 0.5}}
    assert again.folds({"weight": 0.1 + 0.2}, 3) == {}


def test_another_search_is_refused_by_name_and_keeps_its_files(tmp_path):
    Record(tmp_path).begin(MADE_OF)
    before = contents(tmp_path)
    with pytest.raises(ValueError, match="epochs: 5 there, 7 here"):
        Record(tmp_path).begin({**MADE_OF, "epochs": 7})
    assert contents(tmp_path) == before


def test_a_folder_with_other_files_is_refused_and_keeps_them(tmp_path):
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(ValueError, match=r"other files \(thesis.txt\)"):
        Record(tmp_path).begin(MADE_OF)
    assert contents(tmp_path) == {tmp_path / "thesis.txt": b"mine"}
    with pytest.raises(ValueError, match="there is a file"):
        Record(tmp_path / "thesis.txt").begin(MADE_OF)


def test_a_damaged_file_is_named(tmp_path):
    record = Record(tmp_path)
    record.begin(MADE_OF)
    record.propose(3, {})
    (file,) = (tmp_path / "trials").glob("*")
    file.write_text("{")
    with pytest.raises(ValueError, match=r"0003\.json' is damaged"):
        record.proposal(3)
