"""What `distill` writes and prints: the student, pictures, the report page and the table."""

from keras_distill import visualization
from keras_distill.cli import report_models
from keras_distill.cli.shell_words import in_shell_words
from keras_distill.cli.student_training import DISTILLED
from keras_distill.comparison.candidates import ALONE
from keras_distill.visualization import report_page, report_sections


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
    comparison.verdicts = {
        arm: in_shell_words(verdict, folder.command) for arm, verdict in comparison.verdicts.items()
    }
    comparison.notes = [in_shell_words(note, folder.command) for note in comparison.notes]
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
        *_answers(folder, data, teacher, comparison),
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
    if len(comparison.seeds) > 1 and ALONE in comparison.values:
        comparison.plot(folder.path / "gains.png")
        yield {
            "title": f"Test {comparison.metric} by seed",
            "image": folder.path / "gains.png",
            "caption": f"Each line is a seed. On the right are the gains over the {ALONE}, and "
            "their mean with its standard error: where the bar is far from 0, the gain is more "
            "than chance.",
        }
    visualization.plot_curves(histories, metric, folder.path / "curves.png")
    yield {
        "title": f"Validation {comparison.metric} while training",
        "image": folder.path / "curves.png",
        "caption": "Mean over the seeds; the band reaches from the lowest to the highest. Lines "
        "that still rise at the end ask for more --epochs.",
    }
    finished = [run for run in comparison.histories[DISTILLED] if "loss" in run]
    names = report_models.losses_of(finished)
    yield report_sections.loss_section(finished, folder.path, names)


def _answers(folder, data, teacher, comparison):
    """Returns the sections of what the models answer on the test part."""
    x, y = data.parts["test"]
    kept = comparison.students
    arms = [arm for arm in kept if any(student is not None for student in kept[arm])]
    of_seeds = {
        arm: [
            None if student is None else report_models.answers_of({arm: student}, x, y)[arm]
            for student in kept[arm]
        ]
        for arm in arms
    }
    models = {"teacher": teacher, **{arm: comparison.best_student(arm) for arm in arms}}
    answers = report_models.answers_of({"teacher": teacher}, x, y)
    for arm in arms:
        is_best = [student is models[arm] for student in kept[arm]]
        answers[arm] = of_seeds[arm][is_best.index(True)]
    return report_models.sections_of(
        models, answers, (x, y, data.labels), "teacher", ALONE, folder.path, _paired(of_seeds)
    )


def _paired(of_seeds):
    """Returns the answers of the seeds that every arm finished, or `None` of less than two."""
    rows = zip(*of_seeds.values(), strict=True)
    complete = [row for row in rows if all(answers is not None for answers in row)]
    if len(complete) < 2:
        return None
    return dict(zip(of_seeds, map(list, zip(*complete, strict=True)), strict=True))


def _data_rows(data):
    counts = {part: content["classes"] for part, content in data.describe().items()}
    return [
        {"class": label, **{part: classes[label] for part, classes in counts.items()}}
        for label in data.labels
    ]
