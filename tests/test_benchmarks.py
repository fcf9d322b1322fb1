"""What the benchmark of methods says of its rows, and which runs it makes again."""

import importlib.util
import json
import pathlib

import pytest

BENCHMARKS = pathlib.Path(__file__).parents[1] / "benchmarks"


@pytest.fixture
def methods():
    spec = importlib.util.spec_from_file_location("methods", BENCHMARKS / "methods.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_rows_say_what_they_hold(methods):
    assert methods.holds(methods.ALONE, False) == "labels"
    assert methods.holds("kd", False) == "0.1 labels + 0.9 soft targets (T 4.0)"
    assert "soft targets (T 4.0)" in methods.holds("amad", False)
    tinybert = "1 tinybert + 1 hidden states"
    assert methods.holds("tinybert", False) == f"{tinybert} + 1 soft targets (T 1.0)"
    soft = methods.holds("tinybert", True)
    assert soft == f"0.1 labels + 0.9 soft targets (T 4.0) + {tinybert}"
    assert methods.holds("sals", False) == "1 labels + 1000 sals"
    assert "instance_weight 6.75" in methods.holds("mlkd", False)


def test_chosen_rows_are_trained_where_they_are_missing_or_their_recipe_has_changed(
    methods, tmp_path, monkeypatch
):
    class Task:
        methods = ("kd", "minilm", "cc")
        teacher = None

    path = tmp_path / "methods_text.jsonl"
    unlike = {"method": "minilm", "soft_targets": False, "seed": 0, "accuracy": 1.0}
    kept = unlike | {"method": "cc", "holds": "1 labels + 0.02 cc"}
    current = unlike | {"soft_targets": True, "holds": methods.holds("minilm", True)}
    current |= {"data": methods.DATA}
    path.write_text("".join(json.dumps(line) + "\n" for line in (unlike, kept, current)))
    monkeypatch.setattr(methods, "accuracy_of", lambda model, task: 81.8)
    trained = []
    monkeypatch.setattr(methods, "train", lambda task, *key: trained.append(key) or 2.0)
    methods.run(Task(), path, 1, ["minilm"], again=False)
    assert trained == [("minilm", False, 0)]
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [line["accuracy"] for line in lines] == [2.0, 1.0, 1.0]
    methods.run(Task(), path, 1, ["minilm"], again=False)
    assert len(trained) == 1
    methods.run(Task(), path, 1, ["minilm"], again=True)
    assert trained[1:] == [("minilm", False, 0), ("minilm", True, 0)]
    assert json.loads(path.read_text().splitlines()[0]) == kept


def test_runs_on_images_that_are_now_set_apart_are_made_again(methods):
    line = {"method": "kd", "soft_targets": False, "holds": methods.holds("kd", False)}
    assert not methods._is_current(line)
    assert methods._is_current(line | {"data": methods.DATA})
