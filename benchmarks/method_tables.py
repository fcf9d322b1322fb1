"""The tables of `methods.py`: gains over the student alone, a method a row, a way a column."""

import numpy as np
from gain_arms import ALONE, BALANCED
from gain_tables import by_seed, gains, of_last_settings, with_error
from method_arms import ADDED, PUBLISHED


def standard_error(values):
    """Returns the standard error of a mean, 0 of a single value.

    Args:
        values: List of numbers.
    """
    return np.std(values, ddof=1) / np.sqrt(len(values)) if len(values) > 1 else 0.0


def gains_of(lines, task, on):
    """Returns the gains over the student alone: way to method to a list, a number per seed.

    Args:
        lines: As `gain_tables.read` returns them.
        task: Name of the task.
        on: `"validation"` or `"test"`.
    """
    found = {}
    for of, arm, _ in lines:
        if of == task and arm != ALONE:
            method, _, way = arm.partition(" ")
            found.setdefault(way, {})[method] = gains(lines, task, arm, on)
    known = [PUBLISHED, BALANCED, ADDED]
    order = sorted(found, key=lambda way: (known.index(way) if way in known else 1.5, way))
    return {way: found[way] for way in order}


def counts(values):
    """Counts methods, those above the student alone and those below it by more than the error.

    Args:
        values: Dictionary from a method to its gains.

    Returns:
        Tuple of three numbers, and the names of the last ones.
    """
    above = [name for name, gain in values.items() if np.mean(gain) > 0]
    below = [name for name, gain in values.items() if np.mean(gain) < -standard_error(gain)]
    return len(values), len(above), len(below), below


def summary(lines, tasks, on):
    """Returns the table of how many methods gain, as lines of Markdown.

    Args:
        lines: As `gain_tables.read` returns them.
        tasks: Names of the tasks.
        on: `"validation"` or `"test"`.
    """
    table = [
        "| task | weights | methods | mean gain | above the student alone | below it by more than "
        "one standard error |",
        "|---|---|---|---|---|---|",
    ]
    for task in tasks:
        for way, values in gains_of(lines, task, on).items():
            count, above, below, names = counts(values)
            mean = np.mean([np.mean(gain) for gain in values.values()])
            shown = f"{below}: {', '.join(sorted(names))}" if names else "0"
            table.append(f"| {task} | {way} | {count} | {mean:+.1f} | {above} | {shown} |")
    return table


def task_table(lines, task, on):
    """Returns the table of a task, the method with the best balanced gain first.

    Args:
        lines: As `gain_tables.read` returns them.
        task: Name of the task.
        on: `"validation"` or `"test"`.
    """
    of_task = [line for key, line in lines.items() if key[0] == task]
    holds = {line["arm"]: line["holds"] for line in of_task}
    seeds = 1 + max(line["seed"] for line in of_task)
    ways = gains_of(lines, task, on)
    methods = {method for values in ways.values() for method in values}

    def best(method):
        known = [ways[way][method] for way in (BALANCED, *ways) if method in ways.get(way, {})]
        return -np.mean(known[0])

    alone = with_error(list(by_seed(lines, task, ALONE, on).values()))
    teachers = sorted({line["teacher"][on] for line in of_task})
    table = [
        f"{of_task[-1]['title']}. Teacher {with_error(teachers)} %, student alone {alone} %; "
        f"{seeds} seeds. {of_task[-1]['training']}",
        "",
        f"| method | {' | '.join(ways)} | what it learns from as published |",
        f"|---|{'---|' * len(ways)}---|",
    ]
    for method in sorted(methods, key=best):
        cells = [
            with_error(values[method], "+") if method in values else "" for values in ways.values()
        ]
        table.append(
            f"| {method} | {' | '.join(cells)} | {holds.get(f'{method} {PUBLISHED}', '')} |"
        )
    return table


def page(lines, tasks, on):
    """Returns the page of all tasks.

    Args:
        lines: As `gain_tables.read` returns them.
        tasks: Names of the tasks, in order.
        on: `"validation"` or `"test"`.
    """
    lines = of_last_settings(lines)
    tasks = [task for task in tasks if any(key[0] == task for key in lines)]
    text = [
        f"`python benchmarks/methods.py TASK --on {on}`: gain over the student alone in points of "
        f"accuracy on {on} data, paired by seed, mean ± standard error. {PUBLISHED}: the weights "
        f"of the method's recipe. {BALANCED}: 1 labels + each loss of the recipe at a balanced "
        "weight (its gradient half as long as the labels', or the share of it that is named).",
        "",
        "## How many gain",
        "",
        *summary(lines, tasks, on),
    ]
    for task in tasks:
        text += ["", f"## {task}", "", *task_table(lines, task, on)]
    return "\n".join(text) + "\n"
