"""Sections of report pages: the answers of models, their losses, and where they look."""

import keras
import numpy as np

from keras_distill.features.automatic_layers import candidates
from keras_distill.visualization.agreement_plot import plot_agreement
from keras_distill.visualization.attention_maps import attention_maps
from keras_distill.visualization.calibration_plot import calibration_error, plot_calibration
from keras_distill.visualization.class_gains_plot import plot_class_gains
from keras_distill.visualization.image_plots import plot_attention
from keras_distill.visualization.plots import plot_confusion, plot_losses
from keras_distill.visualization.sequence_plot import plot_sequence_attention

# A matrix or a table of more classes than this isn't read.
MOST_CLASSES = 50


def model_rows(labels, answers, parameters, teacher=None):
    """Returns the table of models: parameters, accuracy, calibration, agreement with the teacher.

    Args:
        labels: True classes, array (samples,).
        answers: Dictionary from model to its probabilities (samples, classes).
        parameters: Dictionary from model to its number of parameters, or `None`; a mean of several
            has none.
        teacher: Name of the teacher among them, or `None`.
    """
    rows = []
    for name, values in answers.items():
        classes = values.argmax(axis=1)
        row = {
            "model": name,
            "parameters": parameters.get(name),
            "accuracy %": 100 * float(np.mean(classes == labels)),
            "ECE %": 100 * calibration_error(labels, values),
        }
        if teacher in answers:
            agrees = classes == answers[teacher].argmax(axis=1)
            row["agreement %"] = 100 * float(np.mean(agrees))
        rows.append(row)
    return rows


def answer_sections(
    labels, answers, class_names=None, teacher=None, alone=None, folder=None, runs=None
):
    """Yields what models answer: calibration, agreement, gain and accuracy by class, confusion.

    Args:
        labels: True classes, array (samples,).
        answers: Dictionary from model to its probabilities (samples, classes); the models beside
            `teacher` and `alone` are distilled students.
        class_names: List of names of the classes; by default numbers.
        teacher: Name of the teacher among the models, or `None`.
        alone: Name of the student that was trained without a teacher, or `None`.
        folder: `pathlib.Path` of a folder that the pictures are written to as well, or `None`.
        runs: Dictionary from `alone` and each student to a list of its answers, one per seed, for
            the gains by class. Defaults to one seed, that of `answers`.
    """
    students = [name for name in answers if name not in (teacher, alone)]
    yield {
        "title": "Calibration",
        **_picture(plot_calibration, labels, answers, folder=folder, name="calibration.png"),
        "caption": "Where a line is below the diagonal, the model is surer than it is right. The "
        "ECE is its mean distance from the diagonal, over the samples: less is better. Points of "
        "few samples, see the lower panel, are mostly chance.",
    }
    if teacher in answers:
        yield {
            "title": "Agreement with the teacher",
            **_picture(plot_agreement, labels, answers, folder=folder, name="agreement.png"),
            "caption": "Who is right, of a student and the teacher, on each sample. A student that "
            "learned from the teacher shares more of its answers, the wrong ones too.",
        }
    elif len(students) > 1:
        peers = {name: answers[name] for name in students}
        yield {
            "title": "Agreement of the students",
            **_picture(plot_agreement, labels, peers, folder=folder, name="agreement.png"),
            "caption": f"Who is right, of {students[0]} and each other one, on each sample. Those "
            "that teach each other differ less and less.",
        }
    count = answers[students[0]].shape[1]
    if count > MOST_CLASSES:
        return
    names = class_names or [str(number) for number in range(count)]
    if alone in answers:
        arms = runs or {name: answers[name] for name in (alone, *students)}
        yield {
            "title": "Gain by class",
            **_picture(
                plot_class_gains, labels, arms, names, folder=folder, name="class_gains.png"
            ),
            "caption": "Bars to the right: classes of which distillation got more samples right, "
            f"compared with the {alone}. "
            + (
                "Where a bar is shorter than its standard error, chance may have made it."
                if runs
                else "It is of one student each: a class of few samples moves by chance."
            ),
        }
    yield {"title": "Accuracy by class, %", "table": _by_class(labels, answers, names)}
    for name in students:
        file = "confusion.png" if len(students) == 1 else f"confusion_{students.index(name)}.png"
        yield {
            "title": f"Confusion: {name}",
            **_picture(plot_confusion, labels, answers[name], names, folder=folder, name=file),
            "caption": "A row is a true class, a column what was answered: what is off the "
            "diagonal is wrong.",
        }


def loss_section(history, folder=None, names=None):
    """Returns the section of the losses while training.

    Args:
        history: A history, or a list of them, as for `plot_losses`.
        folder: As for `answer_sections`.
        names: Keys of the history to draw, as for `plot_losses`.
    """
    return {
        "title": "Losses while training",
        **_picture(plot_losses, history, names, folder=folder, name="losses.png"),
        "caption": "Each loss unweighted and with its own scale, by epoch. A distillation loss "
        "that doesn't fall isn't learned: its weight may be too small, or the student too small "
        "for it.",
    }


def attention_section(images, models, answers, labels, class_names=None, layer=None, folder=None):
    """Returns the section of where models look, or `None` if none has maps.

    Args:
        images: Inputs that are drawn: images, the mean of their channels where there are neither 1
            nor 3, series (samples, steps, channels), or tokens (samples, steps).
        models: Dictionary from model to a tuple of it and its inputs for these images.
        answers: Dictionary from model to its probabilities for these images.
        labels: True classes of these images.
        class_names: List of names of the classes; by default numbers.
        layer: Layer path of the maps in each model; by default the end of its last stage.
        folder: As for `answer_sections`.
    """
    if not len(images) or not 2 <= images.ndim <= 4:
        return None
    maps = {}
    for name, (model, inputs) in models.items():
        chosen = _last_stage(model) if layer is None else layer
        if chosen is not None and isinstance(model, keras.Model):
            maps[name] = attention_maps(model, inputs, chosen)
    if not maps:
        return None
    is_image = images.ndim == 4
    if is_image and images.shape[-1] not in (1, 3):
        images = images.mean(axis=-1, keepdims=True)
    picture = _picture(
        plot_attention if is_image else plot_sequence_attention,
        images,
        maps,
        predictions={name: answers[name] for name in maps},
        labels=labels,
        class_names=class_names,
        **({"overlay": True} if is_image else {}),
        folder=folder,
        name="attention.png",
    )
    return {
        "title": "Where the models look",
        **picture,
        "caption": f"Attention maps at {layer or 'the end of the last stage'} of each model: "
        "bright is where its channels answer most. Right answers have a check mark, wrong ones a "
        "cross.",
    }


def _picture(plot, *arguments, folder, name, **options):
    """Draws a picture, and returns it as a part of a section."""
    path = None if folder is None else folder / name
    figure = plot(*arguments, **options, path=path)
    # A file needn't be rendered again.
    return {"image": figure if path is None else path}


def _last_stage(model):
    """Returns the path of a model's last stage over two axes of space, or `None`."""
    if not isinstance(model, keras.Model):
        return None
    try:
        return candidates("each_last_stage", model)
    except ValueError:
        return None


def _by_class(labels, answers, names):
    rows = []
    for label in np.unique(labels):
        is_class = labels == label
        row = {"class": names[label], "samples": int(is_class.sum())}
        for name, values in answers.items():
            row[name] = 100 * float(np.mean(values[is_class].argmax(axis=1) == label))
        rows.append(row)
    return rows
