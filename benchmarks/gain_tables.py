"""Finished runs of `gains.py` in a file, and the tables made of them."""

import json

import numpy as np
from gain_arms import ALONE, ARMS

ON = ("validation", "test")


def read(path):
    """Returns the finished runs of a file; of the same run, the last.

    Args:
        path: `pathlib.Path` of a file with a JSON object per line.

    Returns:
        Dictionary from (task, arm, seed) to what was written.
    """
    if not path.exists():
        return {}
    found = {}
    for line in map(json.loads, path.read_text(encoding="utf-8").splitlines()):
        key = line["task"], line["arm"], line["seed"]
        # The order is that of the last runs.
        found.pop(key, None)
        found[key] = line
    return found


def of_last_settings(lines):
    """Returns the runs of each task that were made as its last one was: same data, same training.

    Args:
        lines: As `read` returns them.
    """
    last = {key[0]: _made_with(line) for key, line in lines.items()}
    return {key: line for key, line in lines.items() if _made_with(line) == last[key[0]]}


def _made_with(line):
    return line["title"], line["training"]


def append(path, line):
    """Adds a finished run to a file.

    Args:
        path: `pathlib.Path`.
        line: Dictionary.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")


def with_error(values, sign=""):
    """Returns a mean and its standard error as text.

    Args:
        values: List of numbers.
        sign: `"+"` to show the sign of the mean.
    """
    shown = f"{np.mean(values):{sign}.1f}"
    if len(values) < 2:
        return shown
    return f"{shown} ± {np.std(values, ddof=1) / np.sqrt(len(values)):.1f}"


def by_seed(lines, task, arm, on):
    """Returns the accuracies of an arm as a dictionary from seed to percent.

    Args:
        lines: As `read` returns them.
        task: Name of the task.
        arm: Name of the arm.
        on: `"validation"` or `"test"`, or the key of another number.
    """
    return {key[2]: line[on] for key, line in lines.items() if key[:2] == (task, arm)}


def gains(lines, task, arm, on, alone=ALONE):
    """Returns the differences from the student alone, for the seeds that both have.

    Args:
        lines: As `read` returns them.
        task: Name of the task.
        arm: Name of the arm.
        on: `"validation"` or `"test"`, or the key of another number.
        alone: Name of the arm that they are the differences from.
    """
    before, values = by_seed(lines, task, alone, on), by_seed(lines, task, arm, on)
    return [values[seed] - before[seed] for seed in sorted(values) if seed in before]


def task_table(lines, task, on):
    """Returns the table of a task, best arm first, as lines of Markdown.

    Args:
        lines: As `read` returns them.
        task: Name of the task.
        on: `"validation"` or `"test"`.
    """
    of_task = [line for key, line in lines.items() if key[0] == task]
    teachers = sorted({(line["seed"], line["teacher"][on]) for line in of_task})
    arms = {line["arm"]: by_seed(lines, task, line["arm"], on) for line in of_task}
    title, training = of_task[-1]["title"], of_task[-1]["training"]
    table = [
        f"{title}. Teacher {with_error(list({of: None for _, of in teachers}))} %. {training}",
        "",
        "| arm | what the student learns from | accuracy | gain | seeds |",
        "|---|---|---|---|---|",
    ]
    for arm in sorted(arms, key=lambda name: -np.mean(list(arms[name].values()))):
        values = list(arms[arm].values())
        paired = gains(lines, task, arm, on)
        gain = "" if arm == ALONE or not paired else with_error(paired, "+")
        holds = (
            ARMS[arm].holds()
            if arm in ARMS
            else next(line["holds"] for line in of_task if line["arm"] == arm)
        )
        table.append(f"| {arm} | {holds} | {with_error(values)} | {gain} | {len(values)} |")
    return table


def summary(lines, tasks, on):
    """Returns the table of gains, an arm a row and a task a column, as lines of Markdown.

    Args:
        lines: As `read` returns them.
        tasks: Names of the tasks.
        on: `"validation"` or `"test"`.
    """
    tasks = [task for task in tasks if any(key[0] == task for key in lines)]
    known = list(ARMS)
    arms = sorted({key[1] for key in lines} - {ALONE}, key=known.index)
    alone = [with_error(list(by_seed(lines, task, ALONE, on).values())) for task in tasks]
    table = [
        f"| arm | {' | '.join(tasks)} |",
        f"|---|{'---|' * len(tasks)}",
        f"| {ALONE}: accuracy | {' | '.join(alone)} |",
    ]
    for arm in arms:
        cells = [gains(lines, task, arm, on) for task in tasks]
        shown = [with_error(cell, "+") if cell else "" for cell in cells]
        table.append(f"| {arm} | {' | '.join(shown)} |")
    return table


def page(lines, tasks, on):
    """Returns the page of all tasks.

    Args:
        lines: As `read` returns them.
        tasks: Names of the tasks, in order.
        on: `"validation"` or `"test"`.
    """
    lines = of_last_settings(lines)
    text = [
        f"`python benchmarks/gains.py TASK --on {on}`: accuracy in % on {on} data, mean ± standard "
        "error over the seeds; gain over the student alone, paired by seed, ± its standard error. "
        "All arms of a seed have the same initial weights, labeled samples, order and number of "
        "updates. The weight of the labels' loss is 1.",
        "",
        "## Gains",
        "",
        *summary(lines, tasks, on),
    ]
    for task in tasks:
        if any(key[0] == task for key in lines):
            text += ["", f"## {task}", "", *task_table(lines, task, on)]
    return "\n".join(text) + "\n"
