"""Is a student distilled with a setting better than the same student alone? On real tasks.

Run: python benchmarks/gains.py TASK [--data-dir FOLDER] [--seeds 3] [--arms alone,kd,dist]
     python benchmarks/gains.py cifar --teacher cifar10_resnet56.keras

Tasks: `gain_tasks/`. Settings (arms): `gain_arms.py`. Most tasks take tensorflow-datasets from the
folder, `motion` the package seglearn (pip install --no-deps seglearn). Teachers are trained once
and kept in the folder `--work`. Each run adds a line with its accuracy on validation and on test
data to benchmarks/results/gains.jsonl, and is not made again unless its settings have changed.
Choose settings with `--on validation`, report them with `--on test`: the tables of all tasks go
to benchmarks/results/gains_validation.md or gains_test.md.
"""

import argparse
import time

from gain_arms import ALONE, ARMS
from gain_options import RESULTS, parser_of
from gain_tables import ON, append, page, read
from gain_tasks import TASKS, Options

FIRST = (ALONE, "kd", "kd1", "kd_standardized", "dist")


def described(training):
    """Says how students are trained."""
    return (
        f"{training.updates:,} updates of {training.batch_size} labeled samples, Adam, cosine "
        f"decay from {training.rate:g}; {training.unlabeled} unlabeled samples more in arms that "
        "use them."
    )


def is_current(line, task, arm, teacher):
    """Says whether a run is there, and its settings and its teacher what they are today."""
    if line is None or (arm.terms and line["teacher"] != teacher):
        return False
    now = (arm.holds(), described(task.training), task.title)
    return (line["holds"], line["training"], line["title"]) == now


def suits(task, arm):
    """Says whether an arm makes sense for a task."""
    return not any(name in task.without for name, _ in arm.terms)


class Teachers:
    """The teachers of a task's splits, and how good they are.

    Args:
        task: `Task`.
        work: Folder of their files.
    """

    def __init__(self, task, work):
        self._task, self._work, self._known = task, work, {}

    def of(self, seed):
        """Returns a seed's teacher, or its cache, and a dictionary of its accuracies."""
        from gain_training import accuracy, trained_teacher

        number = seed % len(self._task.splits)
        if number not in self._known:
            split = self._task.splits[number]
            teacher = trained_teacher(self._task, number, self._work)
            scores = {on: accuracy(teacher, *getattr(split, on)) for on in ON}
            print(f"{self._task.name}: teacher {number}: {scores}", flush=True)
            self._known[number] = (split.cache or teacher, scores)
        return self._known[number]


def run(task, arms, seeds, path, teachers, more_of=lambda name, seed, student: {}):
    """Trains what the file of results doesn't hold yet.

    Args:
        task: `Task`.
        arms: Dictionary from a name to an `Arm`.
        seeds: Number of seeds.
        path: File of results.
        teachers: `Teachers`.
        more_of: Function from the name of an arm, a seed and a student to further results.
    """
    from gain_training import train_students

    lines = read(path)
    for name, arm in arms.items():
        missing = [
            seed
            for seed in range(seeds if suits(task, arm) else 0)
            if not is_current(lines.get((task.name, name, seed)), task, arm, teachers.of(seed)[1])
        ]
        started = time.perf_counter()
        for seed, student in train_students(task, arm, lambda s: teachers.of(s)[0], missing):
            seconds = time.perf_counter() - started
            line = {"task": task.name, "arm": name, "seed": seed, "seconds": round(seconds, 1)}
            line |= result(task, arm, seed, student, teachers) | more_of(name, seed, student)
            append(path, line)
            print(
                f"{task.name} {name} seed {seed}: validation {line['validation']:.1f}, "
                f"{seconds:.0f} s",
                flush=True,
            )
            started = time.perf_counter()


def result(task, arm, seed, student, teachers):
    """Returns what a trained student has reached, and what it was trained with, as a dictionary.

    Args:
        task: `Task`.
        arm: `Arm`.
        seed: Seed of the student.
        student: The student.
        teachers: `Teachers`.
    """
    from gain_training import accuracy

    split = task.split_of(seed)
    return {
        **{on: accuracy(student, *getattr(split, on)) for on in ON},
        "teacher": teachers.of(seed)[1],
        "parameters": student.count_params(),
        "holds": arm.holds(),
        "training": described(task.training),
        "title": task.title,
    }


def chosen_arms(text):
    """Returns names of arms from the command line.

    Raises:
        argparse.ArgumentTypeError: If there is no such arm.
    """
    names = text.split(",")
    unknown = [name for name in names if name not in ARMS]
    if unknown:
        raise argparse.ArgumentTypeError(f"unknown: {', '.join(unknown)}. Known: {', '.join(ARMS)}")
    return names


def main():
    parser = parser_of(__doc__, TASKS)
    parser.add_argument("--arms", type=chosen_arms, default=list(FIRST), help=", ".join(ARMS))
    parser.add_argument("--teacher", help="file of a trained teacher, for cifar")
    parser.add_argument("--on", choices=ON, default="validation")
    given = parser.parse_args()
    task = TASKS[given.task](Options(given.data_dir, given.work, given.teacher))
    path = RESULTS / "gains.jsonl"
    arms = {name: ARMS[name] for name in given.arms}
    run(task, arms, given.seeds, path, Teachers(task, given.work))
    text = page(read(path), list(TASKS), given.on)
    (RESULTS / f"gains_{given.on}.md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
