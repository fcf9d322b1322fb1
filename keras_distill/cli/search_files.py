"""What `search` writes and prints: the students, the table, the pictures and the report page."""

from keras_distill import tuning, visualization
from keras_distill.cli import report_models
from keras_distill.comparison.candidates import ALONE
from keras_distill.comparison.statistics import standard_error
from keras_distill.tflite.runtime import micro
from keras_distill.tuning.student_search.candidates import REPEATS
from keras_distill.visualization import report_page


def require():
    """Checks that KerasTuner, matplotlib and TensorFlow Lite Micro are installed.

    Raises:
        ImportError: If one isn't.
    """
    tuning.require()
    visualization.require()
    micro.require()


def write(folder, data, teacher, result, distillation):
    """Writes the files and prints the table.

    Args:
        folder: `RunFolder`.
        data: `TrainingData`.
        teacher: `keras.Model`.
        result: `StudentSearchResult`.
        distillation: Text of the file with which `distill` trains the student anew.

    Returns:
        The best student, trained.
    """
    from rich.console import Console

    console = Console()
    print(result)
    student = folder.save(result.student, "student.keras")
    folder.save(result.make_student(), "untrained_student.keras")
    folder.write("run.yaml", distillation)
    result.plot(folder.path / "tradeoff.png")
    models, (x, y) = {"teacher": teacher, "student": student}, data.parts["test"]
    answers = report_models.answers_of(models, x, y)
    right = {name: 100 * (each.argmax(axis=1) == y).mean() for name, each in answers.items()}
    verdict = (
        f"{result.best.name}: right on {right['student']:.1f} % of the test samples, the teacher "
        f"on {right['teacher']:.1f} %."
    )
    sections = [
        {
            "title": f"Students for {result.board}",
            "text": f"{verdict}\nChosen on the validation part, the finalists by the mean "
            f"of {1 + REPEATS} trainings; no training has seen the {len(y):,} test samples.",
            "table": _rows(result),
        },
        {
            "title": "What accuracy costs",
            "image": folder.path / "tradeoff.png",
            "caption": "Each point is a student that fits. The line joins those that no other "
            "one beats at the same cost: on it is a smaller one that may be good enough.",
        },
        *report_models.sections_of(
            models, answers, (x, y, data.labels), "teacher", ALONE, folder.path
        ),
        {"title": "keras-distill distill --config run.yaml", "preformatted": distillation},
        {"title": "Options", "preformatted": (folder.path / "search.yaml").read_text("utf-8")},
    ]
    title = f"Students for {result.board} on {data.name}"
    report_page.write_report(folder.path / "report.html", title, sections)
    console.print(verdict, highlight=False, soft_wrap=True)
    for name in ("student.keras", "report.html", "tradeoff.png", "run.yaml"):
        console.print(f"wrote {folder.path / name}", highlight=False, soft_wrap=True)
    return student


def _rows(result):
    metric = result.metric
    scale, unit = (100, " %") if metric.is_share else (1, "")
    score = f"validation {metric.name}{unit}"
    return [
        {
            "student": each.name,
            score: None if each.score is None else scale * each.score,
            "± standard error": scale * standard_error(each.scores) if each.scores[1:] else None,
            "parameters": each.parameters,
            "file, B": each.model_bytes,
            "arena, B": each.arena_bytes,
            "MACs": each.macs,
            "note": each.failure or ("chosen" if each is result.best else ""),
        }
        for each in result.trained
    ]
