"""Settings that `tuning.tune` chose by cross-validation, beside the default, on test images.

Run: python benchmarks/tuned.py digits [--seeds 3]
     python benchmarks/tuned.py mnist14 --data-dir FOLDER [--seeds 3]

The tasks of benchmarks/gains.py. Each seed has a search of its own over the labeled training
images, 12 settings of the default space in 3 folds, and then three students with the best setting,
three with the default (`"auto"`, weight 1) and three alone, on all labeled images, with the same
initial weights and batches. Only these see the test images. Finished seeds are kept in
benchmarks/results/tuned.jsonl, the table is benchmarks/results/tuned.md.
"""

import time

import keras
import numpy as np
from gain_arms import ALONE, ARMS
from gain_options import RESULTS, parser_of
from gain_tables import append, read, with_error
from gain_tasks import TASKS, Options
from gain_training import LABELS, accuracy, train_students, trained_teacher

from keras_distill import tuning

TRIALS, FOLDS, STUDENTS = 12, 3, 3
DEFAULT, TUNED = "auto", "tuned"
# Copies of each image in an epoch, always in the same fold: Keras takes long over short epochs.
COPIES = 10


class Chosen:
    """The setting that a search chose, in the place of an `Arm`.

    Args:
        best: Arguments of the `Distiller`.
    """

    terms = (TUNED,)
    uses_unlabeled = False

    def __init__(self, best):
        self._best = best

    def settings(self, layers):
        """Returns the arguments of the `Distiller`."""
        return dict(self._best)


def searched(task, teacher, seed):
    """Searches on the labeled images of a task, and returns the result and the seconds it took."""
    split, training = task.split_of(seed), task.training
    per_epoch = len(split.y) * COPIES * (FOLDS - 1) // FOLDS // training.batch_size
    decay = keras.optimizers.schedules.CosineDecay(training.rate, training.updates)
    started = time.perf_counter()
    result = tuning.tune(
        teacher,
        task.make_student,
        (np.tile(split.x, (COPIES, 1, 1, 1)), np.tile(split.y, COPIES)),
        groups=np.tile(np.arange(len(split.y)), COPIES),
        stratify=True,
        folds=FOLDS,
        max_trials=TRIALS,
        epochs=round(training.updates / per_epoch),
        batch_size=training.batch_size,
        optimizer=lambda: keras.optimizers.Adam(decay),
        loss=LABELS,
        seed=seed,
    )
    return result, time.perf_counter() - started


def line_of(task, teacher, seed):
    """Makes the search of a seed and its students, and returns what is kept of them."""
    result, of_search = searched(task, teacher, seed)
    print(result, flush=True)
    arms = {ALONE: ARMS[ALONE], DEFAULT: ARMS[DEFAULT], TUNED: Chosen(result.best)}
    seeds, test = range(STUDENTS * seed, STUDENTS * (seed + 1)), task.split_of(seed).test
    started = time.perf_counter()
    means = {}
    for name, arm in arms.items():
        students = train_students(task, arm, lambda _: teacher, seeds)
        means[name] = float(np.mean([accuracy(student, *test) for _, student in students]))
    of_training = (time.perf_counter() - started) / (STUDENTS * len(arms))
    chosen = result.best_trial.name
    times = {"search": round(of_search), "training": round(of_training, 1)}
    named = {"task": task.name, "arm": TUNED, "seed": seed}
    return {**named, **means, "chosen": chosen, "seconds": times}


def table(lines):
    """Returns the table of all tasks as Markdown."""
    rows = [
        f"`python benchmarks/tuned.py TASK`: accuracy in % on test images, mean ± standard error "
        f"over the seeds, each with a search ({TRIALS} settings, {FOLDS} folds, on the labeled "
        f"training images) and {STUDENTS} students per row; gains paired by seed.",
        "",
        "| task | seeds | alone | default | tuned | default over alone | tuned over default "
        "| a search, in trainings |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for task in dict.fromkeys(line["task"] for line in lines):
        of_task = [line for line in lines if line["task"] == task]
        values = {
            name: np.array([line[name] for line in of_task]) for name in (ALONE, DEFAULT, TUNED)
        }
        cost = np.mean(
            [line["seconds"]["search"] / line["seconds"]["training"] for line in of_task]
        )
        cells = [
            task,
            str(len(of_task)),
            *(with_error(list(each)) for each in values.values()),
            with_error(list(values[DEFAULT] - values[ALONE]), "+"),
            with_error(list(values[TUNED] - values[DEFAULT]), "+"),
            f"{cost:.0f}",
        ]
        rows.append(f"| {' | '.join(cells)} |")
    rows += ["", "| task | seed | chosen |", "|---|---|---|"]
    for line in lines:
        rows.append(f"| {line['task']} | {line['seed']} | {line['chosen']} |")
    return "\n".join(rows) + "\n"


def main():
    parser = parser_of(__doc__, ("digits", "mnist14"))
    given = parser.parse_args()
    task = TASKS[given.task](Options(given.data_dir, given.work))
    path = RESULTS / "tuned.jsonl"
    done = read(path)
    teacher = trained_teacher(task, 0, given.work)
    for seed in range(given.seeds):
        if (task.name, TUNED, seed) not in done:
            append(path, line_of(task, teacher, seed))
    text = table(list(read(path).values()))
    (RESULTS / "tuned.md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
