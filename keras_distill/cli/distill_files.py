"""What `distill` writes and prints: the student, pictures, the report page and the table."""

from keras_distill import visualization
from keras_distill.cli.student_training import DISTILLED
from keras_distill.comparison.candidates import ALONE
from keras_distill.visualization import report_page


def require():
    """Checks that pictures can be drawn.

    Raises:
        ImportError: If matplotlib isn't installed.
    """
    visualization.require()


def write(folder, data, teacher, history, comparison):
    """Writes the student, pictures and the report, and prints the table and the files.

    Args:
        folder: `RunFolder`.
        data: `TrainingData`.
        teacher: `keras.Model`.
        history: History of the teacher's training, or `None`.
        comparison: `Comparison` with the trained students.

    Returns:
        The distilled student, of the seed with the lowest validation loss.

    Raises:
        RuntimeError: If no distilled student was trained to its end.
    """
    from rich.console import Console

    console = Console()
    console.print(comparison, highlight=False)
    if comparison.failures[DISTILLED].keys() == set(comparison.seeds):
        raise RuntimeError(
            f"There is no student: {comparison.verdicts[DISTILLED]} A lower --learning-rate may "
            "help."
        )
    student = folder.save(comparison.best_student(DISTILLED), "student.keras")
    models = {"teacher": teacher, "student": student}
    sections = [
        {
            "title": "What distillation gained" if ALONE in comparison.values else "The student",
            "text": _text(data, models, comparison),
            "table": comparison.rows,
        },
        *_pictures(folder, history, comparison),
        {"title": "Data", "table": _data_rows(data)},
        {"title": "Options", "preformatted": (folder.path / "run.yaml").read_text("utf-8")},
    ]
    report_page.write_report(folder.path / "report.html", f"Distillation on {data.name}", sections)
    for name in ("student.keras", "report.html", "curves.png", "run.yaml"):
        console.print(f"wrote {folder.path / name}", highlight=False, soft_wrap=True)
    return student


def _text(data, models, comparison):
    sizes = ", ".join(f"{role} {model.count_params():,}" for role, model in models.items())
    sentences = [
        *comparison.verdicts.values(),
        *comparison.notes,
        f"Parameters: {sizes}. Settings are chosen on the validation part; the table is of the "
        f"{len(data.parts['test'][1]):,} test samples, which no training has seen.",
    ]
    return "\n".join(sentences)


def _pictures(folder, history, comparison):
    """Draws what there is to draw, and returns the sections of the report."""
    metric = f"val_{comparison.metric}"
    histories = {
        arm: [run for run in runs if metric in run] for arm, runs in comparison.histories.items()
    }
    histories = {arm: runs for arm, runs in histories.items() if runs}
    if history is not None and metric in history:
        histories = {"teacher": [history], **histories}
    yield {
        "title": f"Validation {comparison.metric} while training",
        "image": visualization.plot_curves(histories, metric, folder.path / "curves.png"),
        "caption": "Mean over the seeds; the band reaches from the lowest to the highest.",
    }
    if len(comparison.seeds) > 1 and ALONE in comparison.values:
        yield {
            "title": f"Test {comparison.metric} by seed",
            "image": comparison.plot(folder.path / "gains.png"),
            "caption": f"Each line is a seed. On the right are the gains over the {ALONE}, and "
            "their mean with its standard error.",
        }


def _data_rows(data):
    counts = {part: content["classes"] for part, content in data.describe().items()}
    return [
        {"class": label, **{part: classes[label] for part, classes in counts.items()}}
        for label in data.labels
    ]
