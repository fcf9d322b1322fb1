"""The command `search`: the best student that fits a board."""

from keras_distill.cli import (
    chosen_losses,
    command_input,
    device_commands,
    distill_command,
    run_inputs,
)
from keras_distill.cli.help_text import ending
from keras_distill.cli.run_folder import RunFolder
from keras_distill.cli.run_options import Option, RunOptions
from keras_distill.cli.student_export import StudentExport

OPTIONS = RunOptions(
    [
        *(option for option in run_inputs.OPTIONS if option.name != "student"),
        *chosen_losses.OPTIONS,
        Option("--board", "a board of `keras-distill boards` that the student must fit"),
        Option(
            "--max-arena-bytes",
            "largest arena, where the program needs more memory than the board's own limit leaves",
            settings={"type": command_input.count, "metavar": "BYTES"},
        ),
        Option(
            "--max-model-bytes",
            "largest file",
            settings={"type": command_input.count, "metavar": "BYTES"},
        ),
        Option(
            "--max-macs",
            "most multiplications of one inference, which its time goes with",
            settings={"type": command_input.count, "metavar": "COUNT"},
        ),
        Option("--trials", "students that are trained", 20, {"type": command_input.count}),
        Option(
            "--target",
            "where the exported student will run",
            "arduino",
            {"choices": [name for name in device_commands.TARGETS if name != "mobile"]},
        ),
        Option(
            "--pack",
            "projects to write; default: arduino for --target arduino",
            settings={"nargs": "+", "choices": list(device_commands.PACKS)},
        ),
        Option("--output", "folder for the files", "searched", {"metavar": "FOLDER"}),
    ]
)
# What may change when a search goes on.
_FREE = {"output", "trials", "pack"}


def add_to(commands):
    """Adds the command to a parser.

    Args:
        commands: What `argparse.ArgumentParser.add_subparsers` returned.
    """
    parser = commands.add_parser(
        "search",
        help="find the best student that fits a board, and export it",
        description="Distills networks that fit a board, each measured by an export and by\n"
        "TensorFlow Lite Micro before it is trained, and exports the best on the\n"
        "validation part. Writes a report and run.yaml, with which `keras-distill distill\n"
        "--config` trains it anew, beside it alone. A search that was stopped goes on when\n"
        "it is started again.",
        **ending(
            "Exit status: 0 if all is done, 1 if a step failed, 2 for wrong arguments, files or "
            "data, or if no student fits, 130 after an interrupt.",
            "keras-distill search --teacher digits_teacher --teacher-epochs 12 --data digits "
            "--board arduino_nano_33_ble --epochs 20 --output searched",
            "keras-distill search --teacher teacher.keras --data images --board stm32f407 "
            "--max-arena-bytes 60000 --trials 40 --output searched",
        ),
    )
    OPTIONS.add_to(parser)
    parser.set_defaults(run=run)


def run(options):
    """Searches, and writes the student, the report, and the projects for the board.

    Args:
        options: Namespace of the options that were given.

    Returns:
        Exit status: 0, or 1 if the exported student doesn't hold or fit.
    """
    settings = OPTIONS.completed(options)
    run_inputs.check(settings, ("teacher", "data", "board"))
    chosen_losses.check(settings)
    device_commands.check_board(settings.board)
    folder, made_of = RunFolder(settings.output, "search"), run_inputs.made_of(settings, _FREE)
    folder.check(made_of)

    # Saved models may have layers of ours: all of them are registered by this.
    import keras_distill.api  # noqa: F401
    from keras_distill.cli import found_students, search_files, student_training

    search_files.require()
    losses = chosen_losses.candidate_of(settings)
    models, data = run_inputs.load(settings)
    export = StudentExport(settings, "int8", folder, data)
    with folder.opened(made_of):
        run_inputs.write_settings(folder, settings, data, OPTIONS, "search.yaml")
        teacher = student_training.only_teacher_of(settings, models, data, folder)
        result = found_students.search(settings, teacher, data, losses, folder)
        distillation = _distillation(settings, models, folder)
        student = search_files.write(folder, data, teacher, result, distillation)
    return export.convert(student)


def _distillation(settings, models, folder):
    """Returns the text of the file with which `distill` trains the student anew."""
    kept = [*(option.name for option in chosen_losses.OPTIONS), "board", "target", "pack"]
    return distill_command.continuation(
        settings,
        folder,
        "teacher" in models,
        student=str(folder.path / "untrained_student.keras"),
        export="int8",
        **{name: getattr(settings, name) for name in kept},
    )
