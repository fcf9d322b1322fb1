"""What `tune` writes and prints: the table, the picture, the report page and run.yaml."""

from keras_distill import tuning, visualization
from keras_distill.visualization import report_page


def require():
    """Checks that KerasTuner and matplotlib are installed.

    Raises:
        ImportError: If one isn't.
    """
    tuning.require()
    visualization.require()


def write(folder, data, result, distillation):
    """Writes the files and prints the table.

    Args:
        folder: `RunFolder`.
        data: `TrainingData`.
        result: `TuningResult`.
        distillation: Text of the file with which `distill` trains by the best setting.
    """
    from rich.console import Console

    console = Console()
    print(result)
    folder.write("run.yaml", distillation)
    sections = [
        {
            "title": "What was chosen",
            "text": "\n".join([result.verdict, *result.notes]),
            "table": _rows(result),
        },
        {
            "title": f"{result.metric.name} by setting",
            "image": result.plot(folder.path / "settings.png"),
            "caption": "Mean over the folds, with its standard error, and the student alone.",
        },
        {"title": "keras-distill distill --config run.yaml", "preformatted": distillation},
        {"title": "Options", "preformatted": (folder.path / "tune.yaml").read_text("utf-8")},
    ]
    report_page.write_report(folder.path / "report.html", f"Settings for {data.name}", sections)
    for name in ("report.html", "settings.png", "run.yaml"):
        console.print(f"wrote {folder.path / name}", highlight=False, soft_wrap=True)


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
