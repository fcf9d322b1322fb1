"""What `tune` writes and prints: the table, the picture, the report page and run.yaml."""

from keras_distill import tuning, visualization
from keras_distill.cli import report_models
from keras_distill.cli.shell_words import in_shell_words
from keras_distill.comparison.candidates import ALONE
from keras_distill.visualization import report_page

# Of more settings the picture isn't read.
_MOST_GAINS = 6


def require():
    """Checks that KerasTuner and matplotlib are installed.

    Raises:
        ImportError: If one isn't.
    """
    tuning.require()
    visualization.require()


def write(folder, data, result, distillation, teacher):
    """Writes the files and prints the table.

    Args:
        folder: `RunFolder`.
        data: `TrainingData`.
        result: `TuningResult`.
        distillation: Text of the file with which `distill` trains by the best setting.
        teacher: `keras.Model`.
    """
    from rich.console import Console

    console = Console()
    print(in_shell_words(str(result), folder.command))
    folder.write("run.yaml", distillation)
    settings = folder.path / "settings.png"
    result.plot(settings)
    sections = [
        {
            "title": "What was chosen",
            "text": in_shell_words("\n".join([result.verdict, *result.notes]), folder.command),
            "table": _rows(result),
        },
        {
            "title": f"{result.metric.name} by setting",
            "image": settings,
            "caption": "Mean over the folds, with its standard error, and the student alone. A "
            "best value at the end of its range asks for a wider one.",
        },
        *_gains(result, folder.path / "gains.png"),
        _calibration(teacher, data, folder.path / "calibration.png"),
        {"title": "keras-distill distill --config run.yaml", "preformatted": distillation},
        {"title": "Options", "preformatted": (folder.path / "tune.yaml").read_text("utf-8")},
    ]
    report_page.write_report(folder.path / "report.html", f"Settings for {data.name}", sections)
    for name in ("report.html", "settings.png", "run.yaml"):
        console.print(f"wrote {folder.path / name}", highlight=False, soft_wrap=True)


def _gains(result, path):
    """Draws the gains of the best settings by fold, and yields their section."""
    complete = [trial for trial in result.trials if len(result.gains(trial))]
    complete.sort(key=lambda trial: -result.gains(trial).mean())
    if len(result.alone.scores) < 2 or not complete:
        return
    scores = {ALONE: result.alone.scores}
    scores |= {trial.name: trial.scores for trial in complete[:_MOST_GAINS]}
    scale, unit = (100, " %") if result.metric.is_share else (1, "")
    visualization.plot_gains(
        {name: scale * of_folds for name, of_folds in scores.items()},
        result.metric.name + unit,
        result.metric.higher_is_better,
        path,
    )
    yield {
        "title": "Gains by fold",
        "image": path,
        "caption": f"Each line is a fold. On the right are the gains over the {ALONE}, and their "
        "mean with its standard error: where the bar is far from 0, the gain is more than chance. "
        "The best of many settings looks better than it is.",
    }


def _calibration(teacher, data, path):
    """Draws how sure the teacher is and how often right, and returns the section."""
    x, y = data.parts["validation"]
    answers = report_models.answers_of({"teacher": teacher}, x, y)
    visualization.plot_calibration(y, answers, path=path)
    return {
        "title": "Calibration of the teacher",
        "image": path,
        "caption": "On the validation part. Below the diagonal the teacher is surer than it is "
        "right: a higher temperature lets it say more than the labels do.",
    }


def _rows(result):
    content = result.to_dict()
    return [
        {
            "setting": name,
            f"{result.metric.name}": trial["mean"],
            "± standard error": trial["standard_error"],
            "gain": trial["gain"] if name != "student alone" else None,
            "p": trial["p_value"],
            "note": trial["failure"] or ("chosen" if name == content["best"] else ""),
        }
        for name, trial in [
            ("student alone", content["student_alone"]),
            *((trial["name"], trial) for trial in content["trials"]),
        ]
    ]
