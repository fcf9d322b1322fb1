"""The command `distill`: a teacher's knowledge in a student, beside the same student alone."""

import argparse

from keras_distill.cli import chosen_losses, command_input, device_commands, run_inputs
from keras_distill.cli.help_text import ending
from keras_distill.cli.run_folder import RunFolder
from keras_distill.cli.run_options import Option, RunOptions
from keras_distill.cli.student_export import StudentExport

_EXPORT = [
    Option(
        "--export",
        "also convert the student, check it, and pack it for --target, as `keras-distill export` "
        "does",
        settings={"choices": device_commands.QUANTIZATIONS},
    ),
    Option(
        "--target",
        "where the exported file will run: mobile (the default), mcu or arduino",
        settings={"choices": device_commands.TARGETS},
    ),
    Option("--board", "a board of `keras-distill boards` that the exported file must fit"),
    Option(
        "--pack",
        "projects to write; default: arduino for --target arduino",
        settings={"nargs": "+", "choices": list(device_commands.PACKS)},
    ),
]
OPTIONS = RunOptions(
    [
        *run_inputs.OPTIONS,
        *chosen_losses.OPTIONS,
        Option("--seeds", "how often each student is trained", 1, {"type": command_input.count}),
        Option(
            "--no-control",
            "don't train the student alone, so that nothing says whether distillation helped",
            settings={"action": "store_true"},
        ),
        *_EXPORT,
        Option("--output", "folder for the files", "distilled", {"metavar": "FOLDER"}),
    ]
)
# What may change when a run goes on.
_FREE = {option.name for option in _EXPORT} | {"output", "seeds", "no_control"}


def add_to(commands):
    """Adds the command to a parser.

    Args:
        commands: What `argparse.ArgumentParser.add_subparsers` returned.
    """
    parser = commands.add_parser(
        "distill",
        help="train a student with a teacher, and alone, on your data",
        description="Trains a student with a teacher and, on the same footing, alone. Writes the\n"
        "student, a report, and run.yaml, which repeats the run. A run that was stopped\n"
        "goes on when it is started again.",
        **ending(
            "Exit status: 0 if all is done, 1 if a step failed or the model doesn't fit --board, 2 "
            "for wrong arguments, files or data, 130 after an interrupt.",
            "keras-distill distill --teacher digits_teacher --teacher-epochs 12 --student "
            "digits_student --data digits --epochs 20 --output digits",
            "keras-distill distill --teacher teacher.keras --student resnet8 --data images "
            "--losses auto,at --weights 1,balanced --student-loss-weight none --export int8 "
            "--target arduino",
            "keras-distill distill --config digits/run.yaml --seeds 5 --output again",
        ),
    )
    OPTIONS.add_to(parser)
    parser.set_defaults(run=run)


def run(options):
    """Trains, and writes the student, the report, and what else was asked for.

    Args:
        options: Namespace of the options that were given.

    Returns:
        Exit status: 0, or 1 if the exported model doesn't hold or fit.
    """
    settings = OPTIONS.completed(options)
    run_inputs.check(settings)
    chosen_losses.check(settings)
    _check_export(settings)
    folder, made_of = RunFolder(settings.output, "distill"), run_inputs.made_of(settings, _FREE)
    folder.check(made_of)

    # Saved models may have layers of ours: all of them are registered by this.
    import keras_distill.api  # noqa: F401
    from keras_distill.cli import distill_files, student_training

    distill_files.require()
    candidate = chosen_losses.candidate_of(settings)
    models, data = run_inputs.load(settings)
    export = None
    if settings.export is not None:
        export = StudentExport(settings, settings.export, folder, data)
    with folder.opened(made_of):
        run_inputs.write_settings(folder, settings, data, OPTIONS, "run.yaml")
        students = settings.seeds * (1 if settings.no_control else 2)
        epochs = (settings.teacher_epochs or 0) + students * settings.epochs
        with run_inputs.progress(epochs) as progress:
            teacher, history = student_training.teacher_of(
                settings, models.get("teacher"), data, folder, progress
            )
            comparison = student_training.compared_students(
                settings, teacher, data, candidate, folder, progress
            )
            progress.finish()
        student = distill_files.write(folder, data, teacher, history, comparison)
        folder.forget_epochs()
    return 0 if export is None else export.convert(student)


def _check_export(settings):
    device_commands.check_board(settings.board)
    given = [name for name in ("target", "board", "pack") if getattr(settings, name) is not None]
    if given and settings.export is None:
        raise ValueError(f"--{given[0]} is for an exported student: give --export too.")


def continuation(settings, folder, has_teacher_file, **chosen):
    """Returns the text of a file with which `distill` goes on from the run of another command.

    Args:
        settings: Namespace of that command's options.
        folder: `RunFolder` of that run.
        has_teacher_file: Whether its teacher was given as a file; else it has trained one.
        **chosen: Options that it has found.
    """
    given = vars(settings)
    shared = {
        option.name: given[option.name] for option in run_inputs.OPTIONS if option.name in given
    }
    if not has_teacher_file:
        shared |= {"teacher": str(folder.path / "teacher.keras"), "teacher_epochs": None}
    whole = run_inputs.with_whole_paths(OPTIONS.completed(argparse.Namespace(**shared, **chosen)))
    # A distillation is to have a folder of its own.
    whole.output = None
    return OPTIONS.as_text(whole, "distill")
