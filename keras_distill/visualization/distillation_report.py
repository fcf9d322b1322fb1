"""Report of a distillation: a callback that writes one HTML page."""

import os
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np

from keras_distill.arguments import check_count, check_model, check_text, shown
from keras_distill.features.automatic_layers import candidates
from keras_distill.features.batches import take
from keras_distill.visualization.agreement_plot import plot_agreement
from keras_distill.visualization.attention_maps import attention_maps
from keras_distill.visualization.calibration_plot import calibration_error, plot_calibration
from keras_distill.visualization.class_gains_plot import plot_class_gains
from keras_distill.visualization.image_plots import plot_attention
from keras_distill.visualization.model_predictions import as_probabilities, true_classes
from keras_distill.visualization.plot_data import check_named, list_of_names
from keras_distill.visualization.plots import plot_confusion, plot_losses
from keras_distill.visualization.rendering import require
from keras_distill.visualization.report_page import check_replaceable, write_report

TEACHER, ALONE, STUDENT = "teacher", "student alone", "distilled"
# A matrix or a table of more classes than this isn't read.
_MOST_CLASSES = 50


class DistillationReport(keras.callbacks.Callback):
    """Callback that writes a report of the distillation: one HTML page with its pictures inside.

    The page has the losses and what they tap, the models' accuracy, calibration and agreement with
    the teacher, the losses' curves, the diagnosis in words, attention maps over images, confusion,
    and each class's accuracy. It is written every few epochs, so that a run that is killed has one,
    and at the end of training; whole or not at all; and never over a file that is no such page. A
    `TeacherCache` can't run on other samples: give the `teacher` itself, or the page is without.

    Args:
        path: File to write, e.g. `"report.html"`; its folder must exist.
        validation_data: Tuple `(x, y)` of arrays: the model's inputs, and classes (samples,) or
            scores (samples, classes).
        alone: `keras.Model`, the student trained without a teacher, to compare with. Defaults to
            none.
        teacher: Teacher to compare with, a `keras.Model` or a function from inputs to logits.
            Defaults to that of the distiller, if it isn't a cache.
        class_names: List of names of the classes, in their order. Defaults to numbers.
        layer: Layer path of the attention maps in each model, as for `attention_maps`. Defaults to
            the end of each model's last stage, where it has one.
        images: Number of images with attention maps, the first ones of `x`.
        every: Number of epochs between two writings.
        title: Title of the page.

    Raises:
        TypeError: If an argument is of another type.
        ValueError: If the numbers of samples differ, a sample has no label, or a class no name.
        FileNotFoundError: If the folder of `path` doesn't exist.
        FileExistsError: If something else than a report page has that name.
        ImportError: If matplotlib is not installed.

    Example:
        ```python
        import keras
        import numpy as np

        from keras_distill import Distiller, architectures
        from keras_distill.visualization import DistillationReport

        x, y = np.random.rand(16, 8, 8, 1), np.arange(16) % 10
        teacher, student = (architectures.digits_student() for _ in range(2))
        distiller = Distiller(teacher, student, ["kd", "at"], [1.0, 100.0])
        distiller.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
        report = DistillationReport("report.html", (x, y), images=2)
        distiller.fit(x, y, epochs=1, callbacks=[report], verbose=0)
        ```
    """

    def __init__(
        self,
        path: str | os.PathLike,
        validation_data: tuple[Any, Any],
        alone: keras.Model | None = None,
        teacher: keras.Model | Callable | None = None,
        class_names: Sequence[str | int] | None = None,
        layer: str | None = None,
        images: int = 6,
        every: int = 1,
        title: str = "Distillation",
    ):
        super().__init__()
        require()
        self.path = check_replaceable("path", path)
        self._x, self._labels = _samples(validation_data)
        self._alone = None if alone is None else check_model("alone", alone)
        if teacher is not None and not callable(teacher):
            raise TypeError(
                "teacher must be a keras.Model or a function from inputs to logits. "
                f"Received: teacher={shown(teacher)}"
            )
        self._teacher = teacher
        if class_names is not None:
            class_names = list_of_names(class_names, "class_names")
            check_named(self._labels, "validation_data", class_names, "class_names")
        self._class_names = class_names
        self._layer = None if layer is None else check_text("layer", layer)
        self._images = check_count("images", images, low=0, high=100)
        self._every = check_count("every", every)
        self._title = check_text("title", title)
        self._history: dict[str, list[float]] = {}
        self._is_written = False

    def on_train_begin(self, logs: dict | None = None) -> None:
        """Checks that the models give classes, before hours of training."""
        for name in ("describe", "diagnose", "student"):
            if not hasattr(self.model, name):
                raise TypeError(
                    "DistillationReport is a callback of Distiller.fit, or of a scheme's. "
                    f"Received: a {type(self.model).__name__}"
                )
        self._history, self._is_written = {}, False
        few = keras.tree.map_structure(lambda array: array[:2], self._x)
        for name in self._models():
            self._probabilities(name, few, self._labels[:2])

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Writes the page, every few epochs."""
        for name, value in (logs or {}).items():
            self._history.setdefault(name, []).append(float(value))
        self._is_written = (epoch + 1) % self._every == 0
        if self._is_written:
            self._write()

    def on_train_end(self, logs: dict | None = None) -> None:
        """Writes the page."""
        if not self._is_written:
            self._write()

    def _write(self):
        answers = {
            name: self._probabilities(name, self._x, self._labels) for name in self._models()
        }
        # Before the table of losses, whose last line has the findings.
        diagnosis = self._diagnosis()
        sections = [
            {
                "title": "Models and losses",
                "preformatted": self.model.describe(),
                "table": self._rows(answers),
            },
            *self._curves(),
            {"title": "Diagnosis", "preformatted": diagnosis},
            *self._attention(answers),
            *self._answers(answers),
        ]
        write_report(check_replaceable("path", self.path), self._title, sections)

    def _models(self):
        """Returns a dictionary from name to model, or function."""
        found = {}
        teacher = self._teacher or getattr(self.model, "teacher", None)
        # A cache isn't called: it has only the samples that were cached.
        if callable(teacher):
            found[TEACHER] = teacher
        if self._alone is not None:
            found[ALONE] = self._alone
        found[STUDENT] = self.model.student
        return found

    def _inputs(self, name, x):
        argument = "teacher_input" if name == TEACHER else "student_input"
        return take(getattr(self.model, argument, None), x, argument)

    def _probabilities(self, name, x, labels):
        model, inputs = self._models()[name], self._inputs(name, x)
        if isinstance(model, keras.Model):
            output = model.predict(inputs, verbose=0)
        else:
            output = model(inputs)
            output = output["logits"] if isinstance(output, dict) else output
        return as_probabilities(output, f"the output of the {name}", labels)

    def _diagnosis(self):
        try:
            found = self.model.diagnose()
        except ValueError as error:
            return str(error)
        found = found if isinstance(found, dict) else {"": found}
        return "\n\n".join(f"{name}\n{each}".strip() for name, each in found.items())

    def _rows(self, answers):
        rows = []
        for name, model in self._models().items():
            classes = answers[name].argmax(axis=1)
            row = {
                "model": name,
                "parameters": getattr(model, "count_params", lambda: None)(),
                "accuracy %": 100 * float(np.mean(classes == self._labels)),
                "ECE %": 100 * calibration_error(self._labels, answers[name]),
            }
            if TEACHER in answers:
                agrees = classes == answers[TEACHER].argmax(axis=1)
                row["agrees with the teacher %"] = 100 * float(np.mean(agrees))
            rows.append(row)
        return rows

    def _curves(self):
        if not self._history:
            return
        yield {
            "title": "Losses while training",
            "image": plot_losses(self._history),
            "caption": "Unweighted, each with its own scale.",
        }

    def _attention(self, answers):
        images = self._x
        is_image = isinstance(images, np.ndarray) and images.ndim == 4
        if not is_image or images.shape[-1] not in (1, 3) or not self._images:
            return
        images = images[: self._images]
        maps = {}
        for name, model in self._models().items():
            layer = _last_stage(model) if self._layer is None else self._layer
            if layer is not None and isinstance(model, keras.Model):
                maps[name] = attention_maps(model, self._inputs(name, images), layer)
        if not maps:
            return
        yield {
            "title": "Where the models look",
            "image": plot_attention(
                images,
                maps,
                predictions={name: answers[name][: len(images)] for name in maps},
                labels=self._labels[: len(images)],
                class_names=self._class_names,
                overlay=True,
            ),
            "caption": f"Attention maps at {self._layer or 'the end of the last stage'} of each "
            "model; right answers are green, wrong ones red.",
        }

    def _answers(self, answers):
        labels, names = self._labels, self._class_names
        yield {
            "title": "Calibration",
            "image": plot_calibration(labels, answers),
            "caption": "Where a line is below the diagonal, the model is surer than it is right.",
        }
        if TEACHER in answers:
            yield {
                "title": "Agreement with the teacher",
                "image": plot_agreement(labels, answers),
                "caption": "Who is right, of a student and the teacher, on each sample.",
            }
        if answers[STUDENT].shape[1] > _MOST_CLASSES:
            return
        names = names or [str(number) for number in range(answers[STUDENT].shape[1])]
        if ALONE in answers:
            arms = {name: answers[name] for name in (ALONE, STUDENT)}
            yield {
                "title": "Gain by class",
                "image": plot_class_gains(labels, arms, names),
                "caption": "Of one student each: whether distillation helps, `compare` tells.",
            }
        yield {"title": "Accuracy by class, %", "table": _by_class(labels, answers, names)}
        confusion = plot_confusion(labels, answers[STUDENT], names)
        yield {"title": "Confusion of the distilled student", "image": confusion}


def _samples(data):
    if not isinstance(data, tuple | list) or len(data) != 2:
        raise TypeError(
            "validation_data must be a tuple (x, y) of arrays. "
            f"Received: validation_data={shown(data)}"
        )
    x = keras.tree.map_structure(np.asarray, data[0])
    labels = true_classes(data[1], "validation_data[1]")
    if any(not each.ndim or len(each) != len(labels) for each in keras.tree.flatten(x)):
        raise ValueError(
            f"validation_data must have as many inputs as the {len(labels)} labels. "
            f"Received: validation_data={shown(data)}"
        )
    return x, labels


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
