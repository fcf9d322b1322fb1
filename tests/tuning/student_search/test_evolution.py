"""The oracle of evolution: what it proposes first, and how copies differ from their parents."""

import numpy as np
import pytest

keras_tuner = pytest.importorskip("keras_tuner")

from keras_distill.tuning.student_search.evolution import EvolutionOracle  # noqa: E402

MOST = 24
DEFAULTS = {"block": "separable", "width": 8, "depth": 1, "strided": False}


def known():
    hp = keras_tuner.HyperParameters()
    hp.Choice("block", ["plain", "separable"], default="separable")
    hp.Choice("width", [4, 6, 8, 12, 16, 24, 32, 48], default=8)
    hp.Int("depth", 1, 4)
    hp.Boolean("strided")
    return hp


def size_of(values):
    size = values["width"] * values["depth"] / (4 if values["strided"] else 1)
    return size if size <= MOST else None


def score_of(values):
    return size_of(values) + 5 * (values["block"] == "plain") + values["depth"]


def searched(folder, trials=16, seed=1, space=None, size=size_of, score=score_of, **options):
    """Returns the values of each trial with their score, in order."""
    oracle = EvolutionOracle(
        size,
        objective=keras_tuner.Objective("score", "max"),
        hyperparameters=space or known(),
        seed=seed,
        max_trials=trials,
        max_consecutive_failed_trials=100,
        **options,
    )
    oracle._set_project_dir(folder, f"{seed}_{trials}")
    oracle.verbose = 0
    found = []
    while (trial := oracle.create_trial("here")).status == "RUNNING":
        values = dict(trial.hyperparameters.values)
        found.append((values, score(values)))
        oracle.update_trial(trial.trial_id, {"score": found[-1][1]})
        trial.status = "COMPLETED"
        oracle.end_trial(trial)
    return found


def test_it_begins_with_the_defaults_and_with_large_ones(tmp_path):
    firsts = [
        searched(tmp_path / str(seed), 4, seed, first=4, drawn=drawn)
        for seed in range(1, 9)
        for drawn in (1, 6)
    ]
    assert all(first[0][0] == DEFAULTS for first in firsts)
    sizes = [[size_of(values) for values, _ in first[1:]] for first in firsts]
    assert np.mean(sizes[1::2]) > 1.5 * np.mean(sizes[::2])


def test_where_few_fit_no_more_are_measured_than_four_times_as_many(tmp_path):
    measured = []

    def of_few(values):
        measured.append(values)
        return 1 if values == {**DEFAULTS, "width": 4} else None

    space = keras_tuner.HyperParameters()
    space.Choice("block", ["plain", "separable"], default="separable")
    space.Choice("width", [4, 6, 8, 12, 16, 24, 32, 48], default=8)
    space.Int("depth", 1, 1)
    space.Choice("strided", [False])
    found = searched(tmp_path, 1, space=space, size=of_few, score=lambda values: 0)
    assert [values["width"] for values, _ in found] == [4]
    # The defaults, which don't fit, come first.
    assert len(measured) == 1 + 4 * 8


def test_all_fit_and_none_comes_twice(tmp_path):
    proposed = [values for values, _ in searched(tmp_path)]
    assert all(size_of(values) is not None for values in proposed)
    assert len({str(sorted(values.items())) for values in proposed}) == len(proposed) == 16


def test_later_ones_are_changed_copies_of_one_of_the_three_best(tmp_path):
    found = searched(tmp_path, first=5)
    for number in range(5, len(found)):
        best = sorted(found[:number], key=lambda pair: -pair[1])[:3]
        values = found[number][0]
        assert any(
            1 <= sum(values[name] != parent[name] for name in values) <= 3 for parent, _ in best
        )


def test_ordered_values_move_a_little(tmp_path):
    def space():
        hp = keras_tuner.HyperParameters()
        hp.Choice("width", list(range(0, 40, 2)), default=20)
        return hp

    found = searched(
        tmp_path, 6, space=space(), size=lambda values: 1, score=lambda v: v["width"], first=1
    )
    widths = [values["width"] for values, _ in found]
    assert widths[0] == 20 and abs(widths[1] - 20) in (2, 4)
    assert all(
        min(abs(width - other) for other in widths[:n]) <= 4 for n, width in enumerate(widths) if n
    )


def test_it_finds_better_ones_than_chance(tmp_path):
    def best(name, seed, **options):
        hp = keras_tuner.HyperParameters()
        for number in range(6):
            hp.Int(f"units{number}", 0, 9)
        found = searched(
            tmp_path / name,
            30,
            seed,
            space=hp,
            size=lambda values: sum(values.values()),
            score=lambda values: -sum((value - 7) ** 2 for value in values.values()),
            **options,
        )
        return max(score for _, score in found)

    evolved = [best("evolution", seed, first=5) for seed in range(1, 5)]
    chance = [best("chance", seed, first=30, drawn=1) for seed in range(1, 5)]
    assert np.mean(evolved) > 0.6 * np.mean(chance)


def test_the_same_seed_proposes_the_same(tmp_path):
    assert searched(tmp_path / "a") == searched(tmp_path / "b")
    assert searched(tmp_path / "a", seed=2) != searched(tmp_path / "b", seed=3)


def test_a_small_space_is_searched_whole_and_ends(tmp_path):
    hp = keras_tuner.HyperParameters()
    hp.Choice("width", [1, 2, 3])
    hp.Fixed("depth", 2)
    widths = [
        values["width"]
        for values, _ in searched(
            tmp_path, 30, space=hp, size=lambda v: v["width"], score=lambda v: v["width"], first=2
        )
    ]
    assert sorted(widths) == [1, 2, 3]


def test_what_counts_only_with_another_value_is_drawn_when_it_does(tmp_path):
    hp = keras_tuner.HyperParameters()
    hp.Choice("kind", ["dense", "conv"])
    with hp.conditional_scope("kind", ["conv"]):
        hp.Choice("kernel", [3, 5])

    def score(values):
        assert ("kernel" in values) == (values["kind"] == "conv")
        return values.get("kernel", 0)

    found = searched(tmp_path, 3, space=hp, size=lambda values: 1, score=score, first=1)
    assert {score for _, score in found} == {0, 3, 5}


def test_students_that_fail_are_no_parents(tmp_path):
    hp = keras_tuner.HyperParameters()
    for number in range(8):
        hp.Int(f"units{number}", 0, 9)
    defaults = {f"units{number}": 0 for number in range(8)}

    def score(values):
        return 1.0 if values == defaults else np.nan

    found = searched(tmp_path, 12, space=hp, size=lambda v: sum(v.values()), score=score, first=5)
    assert len(found) == 12
    changed = [sum(values[name] != 0 for name in values) for values, _ in found]
    assert min(changed[1:5]) > 3 >= max(changed[5:])
