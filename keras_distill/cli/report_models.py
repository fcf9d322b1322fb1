"""The models of a run in its report: what they answer, and where they look."""

import numpy as np

from keras_distill.training.tracing import without_retracing_warnings
from keras_distill.visualization import report_sections
from keras_distill.visualization.model_predictions import answers_of_model

_IMAGES = 6
_BATCH = 256


def answers_of(models, x, y):
    """Returns a dictionary from model to its probabilities (samples, classes).

    Args:
        models: Dictionary from name to `keras.Model`.
        x: Inputs.
        y: Their classes.
    """
    with without_retracing_warnings():
        return {
            name: answers_of_model(
                model,
                model.predict(x, batch_size=_BATCH, verbose=0),
                f"the output of the {name}",
                y,
            )
            for name, model in models.items()
        }


def losses_of(histories):
    """Returns the names of the losses that a report draws.

    Args:
        histories: List of histories of a distillation.
    """
    # Without the total, which has no distillation losses in the validation, and the metrics, whose
    # curves stand beside those of the other models.
    others = ("loss", "total_loss", "accuracy")
    return [name for name in histories[0] if name not in others and not name.startswith("val_")]


def sections_of(models, answers, data, teacher, alone, folder, runs=None):
    """Yields the sections of the models on the test part.

    Args:
        models: Dictionary from name to `keras.Model`: the teacher, the student alone if there is
            one, and the distilled student.
        answers: Dictionary from name to its probabilities, as `answers_of` returns them.
        data: Tuple `(x, y, labels)` of the test inputs, their classes and the classes' names.
        teacher: Name of the teacher.
        alone: Name of the student alone.
        folder: `pathlib.Path` of the folder that pictures are written to.
        runs: Dictionary from student to its answers with each seed, for the gains by class.
    """
    x, y, labels = data
    parameters = {name: model.count_params() for name, model in models.items()}
    yield {
        "title": "The models on the test part",
        "table": report_sections.model_rows(y, answers, parameters, teacher),
    }
    yield from report_sections.answer_sections(
        y, answers, labels, teacher, alone, folder, runs=runs
    )
    shown = _shown(y, answers[list(answers)[-1]])
    images = x[shown]
    section = report_sections.attention_section(
        images,
        {name: (model, images) for name, model in models.items()},
        {name: values[shown] for name, values in answers.items()},
        y[shown],
        labels,
        folder=folder,
    )
    if section is not None:
        yield section


def _shown(y, answers):
    """Returns the first samples, and the first of the others that the student gets wrong."""
    few = min(_IMAGES // 2, len(y))
    wrong = few + np.flatnonzero(answers[few:].argmax(axis=1) != y[few:])
    chosen = [*range(few), *wrong[: _IMAGES - few]]
    # Where there are too few wrong ones, more of the others.
    others = np.setdiff1d(np.arange(len(y)), chosen)
    return np.sort([*chosen, *others[: _IMAGES - len(chosen)]]).astype(int)
