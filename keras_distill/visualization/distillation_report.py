"""Report of a distillation: a callback that writes one HTML page."""

import os
import textwrap
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np

from keras_distill.arguments import check_count, check_model, check_text, shown
from keras_distill.features.batches import take
from keras_distill.visualization import report_sections
from keras_distill.visualization.model_predictions import (
    answers_of_model,
    as_probabilities,
    true_classes,
)
from keras_distill.visualization.plot_data import check_named, list_of_names
from keras_distill.visualization.rendering import require
from keras_distill.visualization.report_page import check_replaceable, write_report

TEACHER, ALONE, STUDENT = "teacher", "student alone", "distilled"
TOGETHER = "mean of the students"
# In a line of the page.
_LETTERS = 95


class DistillationReport(keras.callbacks.Callback):
    """Callback that writes a report of the distillation: one HTML page with its pictures inside.

    The page has the losses and what they tap, the models' accuracy, calibration and agreement with
    the teacher, the losses' curves, the diagnosis in words, attention maps over images, confusion,
    and each class's accuracy. It is written every few epochs, so that a run that is killed has one,
    and at the end of training; whole or not at all; and never over a file that is no such page. Of
    schemes with several students or exits it has each, and of students their mean too. A
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
        images: Number of images, series or texts with attention maps, the first ones of `x`.
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
        self._answering: dict[str, Any] = {}

    def on_train_begin(self, logs: dict | None = None) -> None:
        """Checks that the models give classes, before hours of training."""
        for name in ("describe", "diagnose", "trained_models"):
            if not hasattr(self.model, name):
                raise TypeError(
                    "DistillationReport is a callback of Distiller.fit, or of a scheme's. "
                    f"Received: a {type(self.model).__name__}"
                )
        self._history, self._is_written = {}, False
        # Once: an exit's model is a new one each time.
        self._answering = self._models()
        few = keras.tree.map_structure(lambda array: array[:2], self._x)
        for name in self._answering:
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
            name: self._probabilities(name, self._x, self._labels) for name in self._answering
        }
        if hasattr(self.model, "ensemble"):
            students = [answers[name] for name in self.model.trained_models]
            answers[TOGETHER] = np.mean(students, axis=0)
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
        students = self.model.trained_models
        return found | (students if len(students) > 1 else {STUDENT: self.model.student})

    def _inputs(self, name, x):
        argument = "teacher_input" if name == TEACHER else "student_input"
        return take(getattr(self.model, argument, None), x, argument)

    def _probabilities(self, name, x, labels):
        model, inputs = self._answering[name], self._inputs(name, x)
        what = f"the output of {name!r}"
        if not isinstance(model, keras.Model):
            output = model(inputs)
            output = output["logits"] if isinstance(output, dict) else output
            return as_probabilities(output, what, labels)
        output = model.predict(inputs, verbose=0)
        if not isinstance(output, np.ndarray):
            raise ValueError(
                "DistillationReport needs models with one output (samples, classes): report on a "
                f"keras.Model of one of them. Received: {what} with {len(output)} parts"
            )
        return answers_of_model(model, output, what, labels)

    def _diagnosis(self):
        try:
            found = self.model.diagnose()
        except ValueError as error:
            return str(error)
        found = found if isinstance(found, dict) else {"": found}
        text = "\n\n".join(f"{name}\n{each}".strip() for name, each in found.items())
        # The table's lines are shorter; the findings would leave the page.
        return "\n".join(
            textwrap.fill(line, _LETTERS, subsequent_indent="  ") if len(line) > _LETTERS else line
            for line in text.splitlines()
        )

    def _rows(self, answers):
        parameters = {
            name: getattr(model, "count_params", lambda: None)()
            for name, model in self._answering.items()
        }
        return report_sections.model_rows(self._labels, answers, parameters, TEACHER)

    def _curves(self):
        if self._history:
            yield report_sections.loss_section(self._history)

    def _attention(self, answers):
        if not isinstance(self._x, np.ndarray) or not self._images:
            return
        images = self._x[: self._images]
        section = report_sections.attention_section(
            images,
            {name: (model, self._inputs(name, images)) for name, model in self._answering.items()},
            {name: values[: len(images)] for name, values in answers.items()},
            self._labels[: len(images)],
            self._class_names,
            self._layer,
        )
        if section is not None:
            yield section

    def _answers(self, answers):
        return report_sections.answer_sections(
            self._labels, answers, self._class_names, TEACHER, ALONE
        )


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
