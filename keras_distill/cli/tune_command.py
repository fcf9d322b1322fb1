"""The command `tune`: settings of a distillation, chosen by cross-validation."""

from keras_distill.cli import command_input, distill_command, run_inputs
from keras_distill.cli.help_text import ending
from keras_distill.cli.run_folder import RunFolder
from keras_distill.cli.run_options import Option, RunOptions

OPTIONS = RunOptions(
    [
        *run_inputs.OPTIONS,
        Option(
            "--recipes",
            "recipes of `keras-distill inspect --recipes` to try, with commas between; default: a "
            "space of response losses, their temperature and weight, and attention transfer",
            settings={"nargs": "+", "metavar": "RECIPE"},
        ),
        Option(
            "--trials",
            "settings to try beside the student alone; default: 20, or all of --recipes",
            settings={"type": command_input.count},
        ),
        Option("--folds", "folds of the cross-validation", 5, {"type": command_input.count}),
        Option(
            "--repeats",
            "how often the cross-validation is repeated, with other folds; default: once",
            settings={"type": command_input.count},
        ),
        Option(
            "--rule",
            "best: the best mean; one_standard_error: the simplest setting within a standard error "
            "of it",
            "best",
            {"choices": ["best", "one_standard_error"]},
        ),
        Option("--output", "folder for the files", "tuned", {"metavar": "FOLDER"}),
    ]
)
# What may change when a search goes on.
_FREE = {"output", "trials", "rule"}


def add_to(commands):
    """Adds the command to a parser.

    Args:
        commands: What `argparse.ArgumentParser.add_subparsers` returned.
    """
    parser = commands.add_parser(
        "tune",
        help="choose losses, temperature and weights by cross-validation",
        description="Chooses settings by cross-validation on the training part, beside the\n"
        "student alone. Writes a report and run.yaml, with which `keras-distill distill\n"
        "--config` trains by the best setting. A search that was stopped goes on when it\n"
        "is started again.",
        **ending(
            "Exit status: 0 if all is done, 1 if every training diverged, 2 for wrong arguments, "
            "files or data, 130 after an interrupt.",
            "keras-distill tune --teacher digits_teacher --teacher-epochs 12 --student "
            "digits_student --data digits --trials 12 --folds 3 --output tuned",
            "keras-distill tune --teacher teacher.keras --student resnet8 --data images --recipes "
            "kd,dist,at_kd --output tuned",
        ),
    )
    OPTIONS.add_to(parser)
    parser.set_defaults(run=run)


def run(options):
    """Searches, and writes the report and the options of the best setting.

    Args:
        options: Namespace of the options that were given.

    Returns:
        Exit status 0.

    Raises:
        RuntimeError: If every training diverged.
    """
    settings = OPTIONS.completed(options)
    run_inputs.check(settings)
    folder, made_of = RunFolder(settings.output, "tune"), run_inputs.made_of(settings, _FREE)
    folder.check(made_of)

    # Saved models may have layers of ours: all of them are registered by this.
    import keras_distill.api  # noqa: F401
    from keras_distill.cli import student_training, tune_files, tuned_settings

    tune_files.require()
    recipes = tuned_settings.checked_recipes(settings.recipes)
    models, data = run_inputs.load(settings)
    with folder.opened(made_of):
        run_inputs.write_settings(folder, settings, data, OPTIONS, "tune.yaml")
        teacher = student_training.only_teacher_of(settings, models, data, folder)
        result = tuned_settings.search(settings, teacher, data, recipes, folder)
        distillation = _distillation(settings, models, folder, result)
        tune_files.write(folder, data, result, distillation, teacher)
    return 0


def _distillation(settings, models, folder, result):
    """Returns the text of the file with which `distill` trains by the best setting."""
    from keras_distill.cli import tuned_settings

    if not tuned_settings.is_finished(result):
        raise RuntimeError("Every training diverged: a lower --learning-rate may help.")
    chosen = tuned_settings.chosen(settings, result)
    return distill_command.continuation(settings, folder, "teacher" in models, **chosen)
