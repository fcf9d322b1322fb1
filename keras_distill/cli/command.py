"""The command keras-distill: its parser, and `demo`."""

import argparse
import functools
import os
import sys
from collections.abc import Sequence

from keras_distill.cli import (
    command_input,
    device_commands,
    distill_command,
    search_command,
    tune_command,
)
from keras_distill.cli.help_text import ending
from keras_distill.cli.shell_words import in_shell_words
from keras_distill.version import __version__

# As shells number the end by a closed pipe and by an interrupt.
_NO_READER, _INTERRUPTED = 141, 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command keras-distill.

    Args:
        arguments: List of strings; by default those of the command line.

    Returns:
        Exit status: 0; 1 if what was asked for failed, or `lint` found errors; 2 for a wrong
        argument or file; 3 if `lint` found only warnings; 130 after an interrupt. Errors are
        printed in one line.
    """
    options = parser().parse_args(arguments)
    options.check(options)
    try:
        status = options.run(options)
        sys.stdout.flush()
        return status
    except BrokenPipeError:
        # Otherwise Python complains again at exit, when it flushes stdout.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _NO_READER
    except KeyboardInterrupt:
        return _failed("interrupted", options, _INTERRUPTED)
    except (ValueError, ImportError, OSError) as error:
        return _failed(error, options, 2)
    except RuntimeError as error:
        return _failed(error, options, 1)


def _failed(error, options, status):
    words = in_shell_words(" ".join(str(error).split()), options.command)
    print(f"keras-distill: {words}", file=sys.stderr)
    return status


def parser() -> argparse.ArgumentParser:
    """Returns the parser of the command keras-distill."""
    made = argparse.ArgumentParser(
        prog="keras-distill",
        description="Knowledge distillation for Keras, from the teacher to the device.",
        epilog="Exit status: 0 if all is well, 1 if something failed or was found, 2 for wrong "
        "arguments or files, 130 after an interrupt. Each command's --help says more.",
    )
    made.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    made.set_defaults(check=lambda options: None)
    commands = made.add_subparsers(required=True, metavar="COMMAND", dest="command")
    demo = commands.add_parser(
        "demo",
        help="train, distill, export and verify on real images, and show what it gained",
        **ending(
            "Exit status: 0 if all is done, 1 if a step failed, 2 for wrong arguments.",
            "keras-distill demo --data mnist --seeds 3 --output mnist_demo",
        ),
    )
    demo.add_argument(
        "--data", default="digits", help="digits (the default), or a tensorflow-datasets name"
    )
    demo.add_argument(
        "--output", default="keras_distill_demo", help="folder for the files; default: %(default)s"
    )
    demo.add_argument(
        "--seeds",
        type=command_input.count,
        default=5,
        help="how often each student is trained; default: %(default)s",
    )
    demo.add_argument("--data-dir", default=None, help="folder of tensorflow-datasets")
    demo.set_defaults(run=_demo)
    distill_command.add_to(commands)
    tune_command.add_to(commands)
    search_command.add_to(commands)
    device_commands.add_to(commands)
    inspect = commands.add_parser(
        "inspect",
        help="show what a .tflite file holds and needs, or what the library knows",
        **ending(
            "Exit status: 0 if it was shown, 1 if the benchmark or estimate failed, 2 for wrong "
            "arguments, a missing or a damaged file.",
            "keras-distill inspect model.tflite --benchmark",
            "keras-distill inspect --losses",
        ),
    )
    inspect.set_defaults(
        run=device_commands.run_inspect,
        check=functools.partial(device_commands.check_inspection, inspect),
    )
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
    return made


def _demo(options):
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    from keras_distill.cli import demo

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
        terms = [
            f"{weight if isinstance(weight, str) else f'{rest * weight:g}'} {type(loss).__name__}"
            for weight, loss in parts
        ]
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
    width = 1 + max(map(len, result.files))
    for name, path in result.files.items():
        console.print(f"{name:<{width}}{path}", highlight=False, soft_wrap=True)
