"""Every method as published and with balanced weights, beside the same student alone.

Run: python benchmarks/methods.py TASK [--data-dir FOLDER] [--seeds 3] [--methods at,sp]
     python benchmarks/methods.py TASK --ways balanced --shares 0.3,0.5
     python benchmarks/methods.py all   (only the tables, of the finished runs)

Tasks: those of `gain_tasks/` that train their own teachers; `sst2-heads` has the methods of
transformers. Each method runs with the weights of its recipe, none of them tuned here; and with the
losses of its recipe at balanced weights, beside labels of weight 1. `--ways "+ soft targets"` adds
0.1 labels + 0.9 soft targets + the method at its own weight. Initial weights, labeled samples,
order and number of updates are the same in all runs of a seed. Each run adds a line to
benchmarks/results/methods.jsonl, and is not made again unless its settings have changed. The tables
go to benchmarks/results/methods_test.md, or with `--on validation` to methods_validation.md, which
is what settings are chosen on.
"""

from gain_arms import ALONE, ARMS, BALANCED
from gain_options import RESULTS, parser_of
from gain_tables import ON, read
from gain_tasks import TASKS, Options
from gains import Teachers, run
from method_arms import ADDED, COMPLETE, PUBLISHED, SHARE, MethodArm, methods_of, ways_of
from method_tables import page

WAYS = (PUBLISHED, BALANCED, ADDED)
ALL = "all"


def arms_of(task, methods, ways, shares):
    """Returns the settings to run, the student alone first.

    Args:
        task: `Task`.
        methods: Names of methods, or `None` for all that suit the task.
        ways: Ways of weighing, or `None` for the usual ones.
        shares: Shares of balanced weights.

    Returns:
        Dictionary from a name to an arm.

    Raises:
        ValueError: If a method doesn't suit the task.
    """
    known = methods_of(task.name)
    unknown = sorted(set(methods or ()) - set(known))
    if unknown:
        raise ValueError(f"no methods of this task: {', '.join(unknown)}. Known: {known}")
    arms = {ALONE: ARMS[ALONE]}
    # The balanced ones first: where a benchmark ends early, each of them has its seeds.
    for way in sorted(ways or (BALANCED, PUBLISHED), key=(BALANCED, PUBLISHED, ADDED).index):
        for method in methods or known:
            if way not in ways_of(method) and (way != ADDED or method in COMPLETE):
                continue
            for share in shares if way == BALANCED else (SHARE,):
                arm = MethodArm(method, way, task.training.updates, share)
                arms[arm.name] = arm
    return arms


def names(text):
    """Returns the names of a list with commas."""
    return text.split(",")


def main():
    parser = parser_of(__doc__, [*(name for name in TASKS if name != "cifar"), ALL])
    parser.add_argument("--methods", type=names, help="by default all that suit the task")
    parser.add_argument(
        "--ways", type=names, help=f"of {', '.join(WAYS)}; by default the first two"
    )
    parser.add_argument("--shares", type=names, default=[f"{SHARE:g}"], help="of balanced weights")
    parser.add_argument("--on", choices=ON, default="test")
    given = parser.parse_args()
    if set(given.ways or ()) - set(WAYS):
        parser.error(f"--ways: {given.ways}; known: {', '.join(WAYS)}")
    path = RESULTS / "methods.jsonl"
    if given.task != ALL:
        task = TASKS[given.task](Options(given.data_dir, given.work))
        shares = [float(share) for share in given.shares]
        arms = arms_of(task, given.methods, given.ways, shares)
        run(task, arms, given.seeds, path, Teachers(task, given.work))
    text = page(read(path), list(TASKS), given.on)
    (RESULTS / f"methods_{given.on}.md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
