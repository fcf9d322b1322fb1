"""Do attention losses gain over soft targets, and do the students look where the teacher looks?

Run: python benchmarks/attention.py TASK [--data-dir FOLDER] [--seeds 5] [--shares 0.5,0.3]

Tasks: those of `gain_tasks/` with images; `clutter` is the one where a digit must first be found.
Students learn from labels alone, from soft targets too, from each attention loss (attention
transfer in its activation and its gradient form, FMA, MIP, SALS) at balanced weights, and from soft
targets and each of them. Of the shares, each loss has the one with the best accuracy on validation
data; what is reported is of test data. For each student the distances of its attention from the
teacher's on test images are those losses themselves. Each run adds a line to
benchmarks/results/attention.jsonl. The tables go to benchmarks/results/attention.md, the picture of
the first seed to benchmarks/results/attention_TASK.png.
"""

import numpy as np
from gain_arms import ALONE, ARMS, Arm
from gain_options import RESULTS, parser_of
from gain_tables import by_seed, of_last_settings, read, with_error
from gain_tasks import TASKS, Options
from gains import Teachers, run

from keras_distill import losses

KD, METHODS = "kd", ("at", "gat", "fma", "mip", "sals")
# Test images that distances are measured on, and that are shown.
MEASURED, SHOWN = 2_000, 6


def arms_of(shares):
    """Returns the settings by name.

    Args:
        shares: Shares of balanced weights.
    """
    arms = {ALONE: ARMS[ALONE], KD: ARMS[KD]}
    for method in METHODS:
        for share in shares:
            weight, name = losses.Balanced(share), f"{method} {share:g}"
            arms[name] = Arm(((method, {}),), (weight,))
            arms[f"{KD}+{name}"] = Arm((*ARMS[KD].terms, (method, {})), (1.0, weight))
    return arms


class Distances:
    """The distances of a student's attention from its teacher's.

    Args:
        task: `Task`.
        teachers: `Teachers`.
    """

    def __init__(self, task, teachers):
        self._task, self._teachers, self._models = task, teachers, {}

    def of(self, student, seed):
        """Returns a dictionary from the name of a loss to its mean over test images.

        Args:
            student: The student, whose weights are copied.
            seed: Its seed.
        """
        number = seed % len(self._task.splits)
        if number not in self._models:
            self._models[number] = self._model(seed)
        model = self._models[number]
        model.student.set_weights(student.get_weights())
        x, y = (part[:MEASURED] for part in self._task.split_of(seed).test)
        found = model.evaluate(x, y, batch_size=500, verbose=0, return_dict=True)
        return {name: found[name] for name in METHODS}

    def _model(self, seed):
        from gain_training import LABELS

        from keras_distill import Distiller

        measured = [losses.get(name, name=name) for name in METHODS]
        model = Distiller(self._teachers.of(seed)[0], self._task.make_student(), measured)
        model.compile(loss=LABELS)
        return model


def chosen(lines, task):
    """Returns the arms to report: of each loss the share that is best on validation data.

    Args:
        lines: As `gain_tables.read` returns them.
        task: Name of the task.
    """
    best = {}
    for of, arm, _ in lines:
        if of == task:
            value = np.mean(list(by_seed(lines, task, arm, "validation").values()))
            method = arm.split()[0]
            best[method] = max(best.get(method, (0.0, arm)), (value, arm))
    return [arm for _, arm in best.values()]


def paired(lines, task, arm, baseline):
    """Returns the differences in test accuracy between two arms, for the seeds that both have.

    Args:
        lines: As `gain_tables.read` returns them.
        task: Name of the task.
        arm: Name of an arm.
        baseline: Name of the arm to compare with.
    """
    values, before = (by_seed(lines, task, name, "test") for name in (arm, baseline))
    return [values[seed] - before[seed] for seed in sorted(values) if seed in before]


def table(lines, task):
    """Returns the table of a task as lines of Markdown.

    Args:
        lines: As `gain_tables.read` returns them.
        task: Name of the task.
    """
    of_task = {key[1:]: line for key, line in lines.items() if key[0] == task}
    last = list(of_task.values())[-1]
    seeds = len({seed for _, seed in of_task})
    columns = " | ".join(f"{name} distance" for name in METHODS)
    rows = [
        f"{last['title']}. {last['training']} Teacher {last['teacher']['test']:.1f} %; {seeds} "
        "seeds. Distances relative to those of the student alone.",
        "",
        f"| learns from | accuracy | over the student alone | over soft targets | {columns} |",
        f"|---|---|---|---|{'---|' * len(METHODS)}",
    ]
    before = _distances(of_task, ALONE)
    for arm in chosen(lines, task):
        differences = [
            "" if arm == other else with_error(paired(lines, task, arm, other), "+")
            for other in (ALONE, KD)
        ]
        accuracy = with_error(list(by_seed(lines, task, arm, "test").values()))
        relative = _distances(of_task, arm) / before
        cells = [of_task[arm, 0]["holds"], accuracy, *differences, *(f"{r:.2f}" for r in relative)]
        rows.append(f"| {' | '.join(cells)} |")
    return rows


def _distances(of_task, name):
    found = [line["distances"] for (arm, _), line in of_task.items() if arm == name]
    return np.array([np.mean([one[method] for one in found]) for method in METHODS])


def picture(task, teachers, arms, work):
    """Draws where the teacher and students of the first seed look, at the end of the last stage.

    Args:
        task: `Task`.
        teachers: `Teachers`.
        arms: Names of arms.
        work: Folder of the students.
    """
    import keras

    from keras_distill import FeatureModel, visualization

    models = {"teacher": teachers.of(0)[0]}
    for arm in arms:
        models[arm] = keras.models.load_model(work / f"{task.name}_{arm}_student.keras")
    x, y = task.split_of(0).test
    # The first image of each of the first classes.
    shown = [int(np.flatnonzero(y == label)[0]) for label in range(SHOWN)]
    stages = [layer.name for layer in models["teacher"].layers if layer.name.endswith("_out")]
    visualization.plot_attention(
        x[shown],
        {
            name: visualization.attention_map(
                FeatureModel(model, [stages[-2]]).predict(x[shown], verbose=0)[stages[-2]]
            )
            for name, model in models.items()
        },
        predictions={name: model.predict(x[shown], verbose=0) for name, model in models.items()},
        labels=y[shown],
        path=RESULTS / f"attention_{task.name}.png",
    )


def page(lines, tasks):
    """Returns the page of all tasks.

    Args:
        lines: As `gain_tables.read` returns them.
        tasks: Names of the tasks, in order.
    """
    lines = of_last_settings(lines)
    text = [
        "`python benchmarks/attention.py TASK`: accuracy in % on test data, mean ± standard error "
        "over the seeds; differences in points, paired by seed, ± their standard error. Of each "
        "loss the share of balanced weights that was best on validation data. Distances: each "
        f"attention loss between teacher and student, mean over {MEASURED:,} test images."
    ]
    for task in tasks:
        if any(key[0] == task for key in lines):
            text += ["", f"## {task}", "", *table(lines, task)]
    return "\n".join(text) + "\n"


def main():
    parser = parser_of(__doc__, ("digits", "mnist14", "noisy", "clutter"), seeds=5)
    parser.add_argument(
        "--shares", default=f"{losses.Balanced().share:g}", help="of balanced weights"
    )
    given = parser.parse_args()
    task = TASKS[given.task](Options(given.data_dir, given.work))
    path = RESULTS / "attention.jsonl"
    arms = arms_of([float(share) for share in given.shares.split(",")])
    teachers = Teachers(task, given.work)
    distances = Distances(task, teachers)

    def more_of(name, seed, student):
        if seed == 0:
            student.save(given.work / f"{task.name}_{name}_student.keras")
        return {"distances": distances.of(student, seed)}

    run(task, arms, given.seeds, path, teachers, more_of)
    lines = of_last_settings(read(path))
    text = page(lines, list(TASKS))
    (RESULTS / "attention.md").write_text(text, encoding="utf-8")
    print(text)
    with_attention = [arm for arm in chosen(lines, task.name) if arm.startswith((f"{KD}+", KD))]
    picture(task, teachers, [ALONE, *with_attention], given.work)


if __name__ == "__main__":
    main()
