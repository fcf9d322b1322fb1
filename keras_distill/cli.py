"""The command keras-distill."""

import argparse
import sys

from keras_distill import device_commands


def main(arguments=None):
    """Runs the command keras-distill.

    Args:
        arguments: List of strings; by default those of the command line.

    Returns:
        Exit status: 0, or 1 after an error that was printed.
    """
    options = _parser().parse_args(arguments)
    try:
        return options.run(options)
    except (ValueError, ImportError, OSError, RuntimeError) as error:
        print(f"keras-distill: {error}", file=sys.stderr)
        return 1


def _parser():
    parser = argparse.ArgumentParser(
        prog="keras-distill",
        description="Knowledge distillation for Keras, from the teacher to the device.",
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    demo = commands.add_parser(
        "demo",
        help="train, distil, export and verify on real images, and show what it gained",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    demo.add_argument("--data", default="digits", help="digits, or a tensorflow-datasets name")
    demo.add_argument("--output", default="keras_distill_demo", help="folder for the files")
    demo.add_argument("--seeds", type=int, default=5, help="how often each student is trained")
    demo.add_argument("--data-dir", default=None, help="folder of tensorflow-datasets")
    demo.set_defaults(run=_demo)
    device_commands.add_to(commands)
    inspect = commands.add_parser(
        "inspect", help="show what a .tflite file holds and needs, or what the library knows"
    )
    inspect.set_defaults(run=device_commands.run_inspect)
    what = inspect.add_mutually_exclusive_group(required=True)
    device_commands.add_inspection(inspect, what)
    what.add_argument(
        "--losses",
        dest="run",
        action="store_const",
        const=_print_losses,
        help="list the distillation losses: family, what they tap and need, paper",
    )
    what.add_argument(
        "--recipes",
        dest="run",
        action="store_const",
        const=_print_recipes,
        help="list the published configurations: losses, weights, source",
    )
    return parser


def _demo(options):
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    from keras_distill import demo

    console = Console()
    columns = (BarColumn(), TimeElapsedColumn(), TextColumn("{task.description}"))
    with Progress(*columns, console=console) as progress:
        task = progress.add_task("", total=demo.count_steps(options.seeds))
        started = []

        def on_step(name):
            progress.update(task, description=name, completed=len(started))
            started.append(name)

        result = demo.run(
            options.data, options.output, options.seeds, options.data_dir, on_step=on_step
        )
        progress.update(task, description="done", completed=len(started))
    _print_result(console, result, demo.summary(result))
    return 0


def _print_losses(options):
    from keras_distill import losses

    rows = [
        (
            entry.name,
            ", ".join(entry.abbreviations),
            entry.family,
            entry.taps,
            ", ".join(entry.needs),
            entry.paper,
        )
        for entry in losses.catalogue()
    ]
    _print_table(("loss", "short name", "family", "taps", "needs", "paper"), rows)
    return 0


def _print_recipes(options):
    from keras_distill import recipes

    rows = []
    for name in recipes.names():
        recipe = recipes.get(name)
        parts = zip(recipe.distillation_loss_weights, recipe.distillation_losses, strict=True)
        labels = "1" if recipe.student_loss_weight is None else f"{recipe.student_loss_weight:g}"
        rest = 1.0 if recipe.student_loss_weight is None else 1.0 - recipe.student_loss_weight
        terms = [f"{rest * weight:g} {type(loss).__name__}" for weight, loss in parts]
        rows.append((name, f"{labels} labels", " + ".join(terms), recipe.source))
    _print_table(("recipe", "labels", "distillation", "source"), rows)
    return 0


def _print_table(columns, rows):
    from rich.console import Console
    from rich.table import Table

    table = Table(*columns, show_lines=True)
    for row in rows:
        table.add_row(*row)
    Console().print(table)


def _print_result(console, result, summary):
    from rich.table import Table

    table = Table()
    for name in result.rows[0]:
        table.add_column(name, justify="left" if name == "model" else "right")
    for row in result.rows:
        table.add_row(*row.values())
    console.print(table)
    console.print(summary, highlight=False)
    for name, path in result.files.items():
        console.print(f"{name:<28}{path}", highlight=False, soft_wrap=True)


if __name__ == "__main__":
    sys.exit(main())
