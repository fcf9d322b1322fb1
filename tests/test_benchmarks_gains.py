"""What the benchmark of gains divides, trains and writes; its runs are no part of the tests."""

import argparse
import json
import pathlib
import sys

import keras
import numpy as np
import pytest

BENCHMARKS = pathlib.Path(__file__).parents[1] / "benchmarks"
MODULES = ("gains", "gain_arms", "gain_tables", "gain_tasks", "gain_training")


@pytest.fixture(scope="module", autouse=True)
def path_of_benchmarks():
    sys.path.insert(0, str(BENCHMARKS))
    yield
    sys.path.remove(str(BENCHMARKS))
    for name in [name for name in sys.modules if name.split(".")[0] in MODULES]:
        del sys.modules[name]


def test_parts_share_no_sample_and_keep_the_classes_in_proportion():
    from gain_tasks.division import divide

    y = np.repeat([0, 1, 2], [60, 30, 10])
    parts = divide(y, [50, 20])
    assert [len(part) for part in parts] == [50, 20, 30]
    assert sorted(np.concatenate(parts)) == list(range(100))
    assert list(np.bincount(y[parts[0]])) == [30, 15, 5]
    with pytest.raises(ValueError, match="of the 50"):
        divide(y, [50, 51])


def test_as_many_labels_as_asked_for_are_wrong():
    from gain_tasks.division import with_wrong_labels

    y = np.repeat(np.arange(4), 250)
    noisy = with_wrong_labels(y, 0.2, 4)
    assert np.sum(noisy != y) == 200
    assert set(noisy) == {0, 1, 2, 3}
    # Each of the three other classes is as likely.
    assert np.abs(np.bincount((noisy - y) % 4)[1:] - 200 / 3).max() < 25


def test_phrases_of_the_same_sentence_are_found():
    from gain_tasks.division import sharing_no_words

    phrases = ["a film that is", "is not very good at all", "a film that was"]
    kept = sharing_no_words(phrases, ["this is a film that is not very good"], 4)
    assert list(kept) == [False, False, True]


def test_nobody_is_in_two_parts():
    from gain_tasks.division import splits_by_person

    people = np.repeat(np.arange(6), 30)
    x, y = people[:, None].astype("float32"), np.tile([0, 1, 2], 60)
    splits = splits_by_person(x, y, people, (4, 5), [(0, 1), (2, 3)], labels=24)
    assert [set(split.validation[0][:, 0]) for split in splits] == [{0, 1}, {2, 3}]
    for split in splits:
        trained = {*split.x[:, 0], *split.unlabeled[:, 0]}
        assert trained == {0, 1, 2, 3} - set(split.validation[0][:, 0])
        assert set(split.test[0][:, 0]) == {4, 5}
        assert list(np.bincount(split.y)) == [8, 8, 8]
        assert len(split.x) + len(split.unlabeled) == len(split.teacher_data[0]) == 60


def test_the_teacher_of_the_digits_sees_no_validation_image():
    from gain_tasks import TASKS

    split = TASKS["digits"](None).splits[0]
    known = {image.tobytes() for image in split.teacher_data[0]}
    assert {image.tobytes() for image in (*split.x, *split.unlabeled)} == known
    assert not known & {image.tobytes() for image in split.validation[0]}
    assert (len(split.x), len(split.unlabeled), len(split.validation[0])) == (200, 797, 300)


def test_higher_tones_are_in_higher_bands():
    from gain_tasks.speech import LOG_MEL

    seconds = np.arange(8_000) / 8_000
    tones = np.sin(2 * np.pi * np.array([[300.0], [900.0], [2_500.0]]) * seconds)
    features = LOG_MEL(tones.astype("float32"))
    assert features.shape == (3, 49, 20, 1)
    loudest = features.mean((1, 3)).argmax(-1)
    assert loudest[0] < loudest[1] < loudest[2]
    np.testing.assert_allclose(features.std((1, 2, 3)), 1.0, atol=1e-2)


def tiny_task(updates=4):
    from gain_tasks import Split, Task, Training

    rng = np.random.default_rng(0)
    x, y = rng.random((30, 4), "float32"), np.arange(30) % 3
    split = Split(x[:12], y[:12], x[12:24], (x[24:], y[24:]), (x[24:], y[24:]), (x[:24], y[:24]))
    return Task(
        name="tiny",
        title="A tiny task",
        splits=[split],
        make_student=lambda: keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)]),
        training=Training(updates, rate=0.1, batch_size=4, unlabeled=6),
        make_teacher=lambda: keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)]),
        teacher_training=Training(updates=4, rate=0.1, batch_size=4),
    )


def test_unlabeled_samples_come_after_the_same_labeled_ones():
    from gain_training import batches

    task = tiny_task(updates=6)
    split = task.splits[0]
    plain = list(batches(split, task.training, seed=3).as_numpy_iterator())
    mixed = list(batches(split, task.training, 3, with_unlabeled=True).as_numpy_iterator())
    assert len(plain) == len(mixed) == 6
    for (x, y), (mixed_x, mixed_y) in zip(plain, mixed, strict=True):
        np.testing.assert_array_equal(mixed_x[:4], x)
        np.testing.assert_array_equal(mixed_y, [*y, *[-1] * 6])
    # Each of the 12 labeled samples comes once in three batches of 4.
    first = np.concatenate([x for x, _ in plain[:3]])
    assert {row.tobytes() for row in first} == {row.tobytes() for row in split.x}
    others = np.concatenate([x[4:] for x, _ in mixed[:2]])
    assert {row.tobytes() for row in others} == {row.tobytes() for row in split.unlabeled}


def test_views_of_a_sample_keep_its_label():
    from gain_tasks import Split, Training
    from gain_training import batches

    views = np.concatenate([np.arange(5), np.arange(5) + 100, np.arange(5) + 200])
    split = Split(views, np.arange(5), views, None, None, views=3)
    seen = list(batches(split, Training(20, 0.1, 5), seed=0).as_numpy_iterator())
    assert all((x % 100 == y).all() and sorted(y) == [0, 1, 2, 3, 4] for x, y in seen)
    assert {int(view) for x, _ in seen for view in x // 100} == {0, 1, 2}


def test_what_is_finished_is_trained_again_only_with_other_settings(tmp_path, capsys):
    import gains
    from gain_arms import ARMS
    from gain_tables import read

    path = tmp_path / "gains.jsonl"
    arms = {name: ARMS[name] for name in ("alone", "unlabeled-kd1")}
    gains.run(tiny_task(), arms, 1, path, gains.Teachers(tiny_task(), tmp_path))
    assert len(path.read_text().splitlines()) == 2
    assert "tiny unlabeled-kd1 seed 0" in capsys.readouterr().out
    assert (tmp_path / "tiny_teacher_0.keras").exists()
    gains.run(tiny_task(), arms, 1, path, gains.Teachers(tiny_task(), tmp_path))
    assert len(path.read_text().splitlines()) == 2
    shorter = tiny_task(updates=5)
    teachers = gains.Teachers(shorter, tmp_path)
    gains.run(shorter, {"alone": ARMS["alone"]}, 1, path, teachers)
    assert len(path.read_text().splitlines()) == 3
    assert read(path)["tiny", "alone", 0]["training"].startswith("5 updates")


def trained(arm, seeds, teacher):
    from gain_training import train_students

    students = train_students(tiny_task(), arm, lambda seed: teacher, seeds)
    return {seed: student.get_weights() for seed, student in students}


def test_a_seed_gives_each_arm_the_same_student_to_start_from():
    from gain_arms import ARMS, Arm

    teacher = tiny_task().make_teacher()
    # A loss of weight 0 changes nothing but the way of training.
    without = Arm(ARMS["kd"].terms, (0.0,))
    alone, other = (trained(arm, [1], teacher)[1] for arm in (ARMS["alone"], without))
    for weight, same in zip(alone, other, strict=True):
        np.testing.assert_allclose(weight, same, rtol=1e-5)


def test_a_student_is_the_same_after_another_seed_and_without_a_cached_teacher(monkeypatch):
    import gain_training
    from gain_arms import ARMS

    monkeypatch.setattr(gain_training, "STEPS", 2)
    teacher = tiny_task().make_teacher()
    both = trained(ARMS["balanced-kd"], [0, 1], teacher)
    monkeypatch.setattr(gain_training, "_can_be_cached", lambda *_: False)
    one = trained(ARMS["balanced-kd"], [1], teacher)
    assert np.abs(both[0][0] - both[1][0]).max() > 1e-3
    for weight, same in zip(both[1], one[1], strict=True):
        np.testing.assert_allclose(weight, same, rtol=1e-4, atol=1e-6)


def test_arms_say_what_they_hold():
    from gain_arms import ARMS

    assert ARMS["alone"].holds() == "labels"
    assert ARMS["kd+at100"].holds() == "labels + 1 kd (temperature 4.0) + 100 at"
    assert ARMS["balanced-kd1"].holds() == "labels + balanced to 0.5 kd (temperature 1.0)"
    assert ARMS["unlabeled-dist"].holds() == "labels + 1 dist, unlabeled samples too"
    assert "unlabeled-dkd" not in ARMS
    layers = {"at": {"teacher_layer_name": "a", "student_layer_name": "b"}}
    made = ARMS["kd+at100"].settings(layers)
    assert made["distillation_losses"][1].teacher_layer_name == "a"
    assert made["distillation_loss_weights"] == [1.0, 100.0]


def test_arms_of_the_command_line_are_known():
    import gains

    assert gains.chosen_arms("alone,dist") == ["alone", "dist"]
    with pytest.raises(argparse.ArgumentTypeError, match="unknown: distt"):
        gains.chosen_arms("alone,distt")


def test_gains_are_paired_by_seed(tmp_path):
    from gain_tables import page, read

    accuracies = {("alone", 0): 80.0, ("alone", 1): 90.0, ("kd", 0): 83.0, ("kd", 1): 91.0}
    accuracies |= {("dist", 0): 70.0}
    lines = [
        {
            "task": "tiny",
            "arm": arm,
            "seed": seed,
            "validation": value,
            "test": value - 10.0,
            "teacher": {"validation": 95.0, "test": 94.0},
            "holds": "",
            "training": "Few updates.",
            "title": "A tiny task",
        }
        for (arm, seed), value in accuracies.items()
    ]
    path = tmp_path / "gains.jsonl"
    # Runs of earlier settings, one of them made again since.
    earlier = [{**line, "training": "Many updates.", "validation": 1.0} for line in lines[:1]]
    earlier += [{**line, "arm": "sp"} for line in earlier]
    path.write_text("".join(json.dumps(line) + "\n" for line in [*earlier, *lines]))
    text = page(read(path), ["tiny", "others"], "validation")
    assert "| alone: accuracy | 85.0 ± 5.0 |" in text
    assert "| kd | +2.0 ± 1.0 |" in text
    assert "| dist | -10.0 |" in text
    rows = [line.split(" | ")[0] for line in text.split("## tiny")[1].splitlines() if "|" in line]
    assert rows == ["| arm", "|---|---|---|---|---|", "| kd", "| alone", "| dist"]
    assert "sp" not in text.split("## Gains")[1]
    assert "A tiny task. Teacher 95.0 %. Few updates." in text
    assert "75.0 ± 5.0" in page(read(path), ["tiny"], "test")
