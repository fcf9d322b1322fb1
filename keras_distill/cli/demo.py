"""The demo: train, distill, export and verify on real images, with a report page."""

import dataclasses
import math
import pathlib
from collections.abc import Callable

import keras
import numpy as np

from keras_distill import architectures, datasets, visualization
from keras_distill.cli import report_models
from keras_distill.cli.shell_words import in_shell_words
from keras_distill.comparison import Comparison, compare
from keras_distill.features import FeatureModel
from keras_distill.losses import AttentionTransfer, SoftTargets
from keras_distill.tflite import BOARDS, TFLiteModel, export_tflite
from keras_distill.tflite.deploy import project_folder
from keras_distill.tflite.runtime import micro
from keras_distill.training.tracing import without_variables
from keras_distill.visualization import report_page, report_sections

TEACHER, ALONE, DISTILLED = "teacher", "student alone", "student distilled"
_LABELS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
_SHIFTS = ((1, 1), (0, 1), (2, 1), (1, 0), (1, 2))


@dataclasses.dataclass(frozen=True)
class Recipe:
    """Training settings of the demo; the two students differ only in their losses.

    Args:
        teacher: Function of input shape and number of classes that makes the teacher.
        student: The same for the student.
        tap: Name of the layer, in both models, whose attention map is transferred.
        teacher_samples: Training images of the teacher; `None` for all.
        student_samples: Labeled images of either student.
        teacher_epochs: Epochs of the teacher.
        student_epochs: Epochs of either student.
        learning_rate: Start of the students' cosine decay.
        shifted: Whether the images shifted by a pixel in four directions are added.
        temperature: T of the soft targets.
        weights: Weights of soft targets and attention transfer, beside 1 for the labels.
    """

    teacher: Callable
    student: Callable
    tap: str
    teacher_samples: int | None
    student_samples: int
    teacher_epochs: int
    student_epochs: int
    learning_rate: float
    shifted: bool
    temperature: float = 4.0
    weights: tuple = (1.0, 100.0)


DIGITS = Recipe(
    teacher=architectures.digits_teacher,
    student=architectures.digits_student,
    tap="stage2_out",
    teacher_samples=None,
    student_samples=200,
    teacher_epochs=12,
    student_epochs=48,
    learning_rate=0.015,
    shifted=True,
)

# For sets too large for a demo: a part of the images, and fewer epochs.
LARGE = Recipe(
    teacher=lambda shape, classes: architectures.small_cnn(shape, classes, (24, 48, 64)),
    student=lambda shape, classes: architectures.small_cnn(shape, classes, (4, 8, 16)),
    tap="stage3_out",
    teacher_samples=6000,
    student_samples=1000,
    teacher_epochs=5,
    student_epochs=15,
    learning_rate=0.01,
    shifted=False,
)


@dataclasses.dataclass
class DemoResult:
    """Results of the demo: measurements and files.

    Args:
        comparison: `Comparison` of the two students.
        parameters: Dictionary from model to its number of parameters.
        rows: List of dictionaries: the table.
        files: Dictionary from what it is to the path that was written.
        images: Number of labeled images of the teacher and of either student.
        report: `Report` of the int8 student.
        verification: `Verification` of the int8 student.
    """

    comparison: Comparison
    parameters: dict
    rows: list
    files: dict
    images: dict
    report: object
    verification: object


def run(data="digits", output="keras_distill_demo", seeds=5, data_dir=None, on_step=None):
    """Trains, distills, exports and verifies, and writes the pictures and the report.

    Args:
        data: `"digits"`, or a name for `keras_distill.datasets.load`.
        output: Folder for the files, made if it isn't there.
        seeds: How often each student is trained, with the seeds 0, 1, ...
        data_dir: Folder of tensorflow-datasets.
        on_step: Function called with the name of each step that begins; see `count_steps`.

    Returns:
        `DemoResult`.

    Raises:
        ValueError: If `seeds` is below 1 or the data set is unknown.
        ImportError: If the extra `demo` isn't installed.
    """
    if not isinstance(seeds, int) or seeds < 1:
        raise ValueError(f"seeds must be an integer of at least 1. Received: seeds={seeds!r}")
    micro.require()
    visualization.require()
    announce = on_step or (lambda name: None)
    output = pathlib.Path(output)
    if output.exists() and not output.is_dir():
        raise ValueError(f"output must be a folder, not a file. Received: output={str(output)!r}")
    recipe = DIGITS if data == "digits" else LARGE
    announce("loading the images")
    everything = datasets.load(data, data_dir=data_dir, max_train=recipe.teacher_samples)
    few = datasets.load(data, data_dir=data_dir, max_train=recipe.student_samples)
    # Before minutes of training, not after.
    project_folder.check(_library_folder(everything, output), "arduino")
    output.mkdir(parents=True, exist_ok=True)
    announce(TEACHER)
    teacher, teacher_history = train_teacher(recipe, everything)
    comparison = compare_students(recipe, few, teacher, seeds, announce)
    announce("TensorFlow Lite and TensorFlow Lite Micro")
    students = comparison.students
    models = {TEACHER: teacher, ALONE: students[ALONE][0], DISTILLED: students[DISTILLED][0]}
    device = _to_device(models[DISTILLED], few, everything, output)
    announce("pictures and report")
    parameters = {name: model.count_params() for name, model in models.items()}
    result = DemoResult(
        comparison=comparison,
        parameters=parameters,
        rows=_rows(comparison, parameters, device),
        images={TEACHER: len(everything.x_train), "students": len(few.x_train)},
        files=device.files,
        report=device.report,
        verification=device.verification,
    )
    histories = {TEACHER: [teacher_history], **comparison.histories}
    _write_pages(result, recipe, models, histories, everything, output)
    return result


def count_steps(seeds):
    """Returns how many steps `run` announces.

    Args:
        seeds: As for `run`.
    """
    return 4 + 2 * seeds


def train_teacher(recipe, data):
    """Trains the teacher.

    Args:
        recipe: `Recipe`.
        data: `Dataset`.

    Returns:
        Tuple of the model and its history, a dictionary of lists.
    """
    keras.utils.set_random_seed(0)
    model = recipe.teacher(data.input_shape, data.num_classes)
    x, y = _training_images(recipe, data)
    epochs, batch_size = recipe.teacher_epochs, 64
    decay = _decay(0.002)(epochs * math.ceil(len(x) / batch_size))
    model.compile(keras.optimizers.Adam(decay), _LABELS, metrics=["accuracy"])
    with without_variables():
        history = model.fit(
            x, y, batch_size, epochs, validation_data=data.validation_data, verbose=0
        ).history
    return model, history


def compare_students(recipe, data, teacher, seeds, announce=lambda name: None, candidates=None):
    """Trains the student alone and distilled, on the same footing.

    Args:
        recipe: `Recipe`.
        data: `Dataset` of the student's images.
        teacher: The trained teacher.
        seeds: Number of seeds.
        announce: Function called with the name of each run that begins.
        candidates: Dictionary as for `compare`; by default the recipe's own.

    Returns:
        `Comparison`, which has the trained students.
    """

    def on_run(name, seed):
        announce(f"{name}, seed {seed}")
        return []

    return compare(
        teacher,
        lambda: recipe.student(data.input_shape, data.num_classes),
        {
            "train": _training_images(recipe, data),
            "validation": data.validation_data,
            "test": (data.x_test, data.y_test),
        },
        candidates or {DISTILLED: distillation(recipe)},
        seeds,
        epochs=recipe.student_epochs,
        batch_size=32,
        learning_rate=_decay(recipe.learning_rate),
        loss=_LABELS,
        callbacks=on_run,
        keep_students=True,
        verbose=0,
    )


def distillation(recipe):
    """Returns the arguments of `Distiller` of a recipe.

    Args:
        recipe: `Recipe`.
    """
    return {
        "distillation_losses": [
            SoftTargets(recipe.temperature),
            AttentionTransfer(recipe.tap, recipe.tap),
        ],
        "distillation_loss_weights": list(recipe.weights),
        "student_loss_weight": None,
    }


def _decay(learning_rate):
    return lambda updates: keras.optimizers.schedules.CosineDecay(learning_rate, updates)


def _training_images(recipe, data):
    if not recipe.shifted:
        return data.x_train, data.y_train
    height, width = data.input_shape[:2]
    padded = np.pad(data.x_train, ((0, 0), (1, 1), (1, 1), (0, 0)))
    images = [padded[:, top : top + height, left : left + width] for top, left in _SHIFTS]
    return np.concatenate(images), np.tile(data.y_train, len(_SHIFTS))


@dataclasses.dataclass
class _Device:
    files: dict
    float_model: TFLiteModel
    int8_model: TFLiteModel
    report: object
    verification: object


def _library_folder(data, output):
    """Returns the folder of the Arduino library, which has the student's name."""
    return output / "arduino" / f"{data.name.split('/')[-1].split(':')[0]}_student"


def _to_device(student, few, everything, output):
    folder = _library_folder(everything, output)
    name = folder.name
    student.save(output / f"{name}.keras")
    float_model = export_tflite(student, output / f"{name}_float32.tflite")
    int8_model = export_tflite(
        student, output / f"{name}.tflite", "int8", few.x_train, target="arduino"
    )
    library = int8_model.to_arduino(
        folder,
        labels=list(everything.labels),
        samples=everything.x_test[:10],
        name=name,
    )
    return _Device(
        files={
            "Keras student": output / f"{name}.keras",
            "float TensorFlow Lite model": float_model.path,
            "int8 TensorFlow Lite model": int8_model.path,
            "Arduino library": library,
        },
        float_model=float_model,
        int8_model=int8_model,
        report=int8_model.report(),
        verification=int8_model.verify(student, everything.x_test, everything.y_test),
    )


def _rows(comparison, parameters, device):
    rows = [_row(TEACHER, _percent([comparison.teacher]), "1 run", f"{parameters[TEACHER]:,}")]
    for name, values in comparison.values.items():
        runs = f"{len(values)} seeds" if len(values) > 1 else "1 run"
        rows.append(_row(name, _percent(values), runs, parameters=f"{parameters[name]:,}"))
    check, report = device.verification, device.report
    sizes = {"float32": device.float_model.size, "int8": device.int8_model.size}
    measured = {
        "float32": (check.accuracy_keras, "float32"),
        "int8": (check.accuracy_litert, "int8"),
        "int8, on TFLM": (check.accuracy_tflm, "int8"),
    }
    for name, (share, kind) in measured.items():
        arena = f"{report.arena_bytes:,} B" if name.endswith("TFLM") else ""
        rows.append(_row(name, _percent([share]), "seed 0", file=f"{sizes[kind]:,} B", arena=arena))
    return rows


def _percent(shares):
    percent = 100 * np.array(shares)
    error = percent.std(ddof=1) / np.sqrt(len(shares)) if len(shares) > 1 else 0.0
    spread = f" ± {error:.1f}" if len(shares) > 1 else ""
    return f"{percent.mean():.1f}{spread}"


def _row(model, accuracy, runs, parameters="", file="", arena=""):
    return {
        "model": model,
        "accuracy %": accuracy,
        "runs": runs,
        "parameters": parameters,
        "file": file,
        "arena": arena,
    }


def _write_pages(result, recipe, models, histories, data, output):
    answers = report_models.answers_of(models, data.x_test, data.y_test)
    shown = _shown_samples(answers)
    images = data.x_test[shown]
    maps = {
        name: visualization.attention_map(
            FeatureModel(model, [recipe.tap]).predict(images, verbose=0)[recipe.tap]
        )
        for name, model in models.items()
    }
    visualization.plot_attention(
        images,
        maps,
        predictions={name: values[shown] for name, values in answers.items()},
        labels=data.y_test[shown],
        class_names=data.labels,
        path=output / "attention.png",
    )
    visualization.plot_curves(histories, path=output / "curves.png")
    result.comparison.plot(path=output / "gains.png")
    sections = [
        {"title": "What distillation gained", "text": summary(result), "table": result.rows},
        {
            "title": "Test accuracy by seed",
            "image": output / "gains.png",
            "caption": "Each line is a seed. On the right are the gains of the distilled student "
            "over the student alone, and their mean with its standard error.",
        },
        {
            "title": "Where the models look",
            "image": output / "attention.png",
            "caption": f"Attention maps at {recipe.tap}: the first three test images, and the "
            "first three on which the students (seed 0) differ.",
        },
        {
            "title": "Validation accuracy while training",
            "image": output / "curves.png",
            "caption": "Mean over the seeds; the band reaches from the lowest to the highest.",
        },
        report_sections.loss_section(
            histories[DISTILLED], output, report_models.losses_of(histories[DISTILLED])
        ),
        *report_sections.answer_sections(data.y_test, answers, data.labels, TEACHER, ALONE, output),
        {"title": "On the device", "text": _device_text(result), "table": _boards(result)},
    ]
    report_page.write_report(output / "report.html", f"Distillation on {data.name}", sections)
    result.files.update((each["title"], each["image"]) for each in sections if "image" in each)
    result.files["report"] = output / "report.html"


def _device_text(result):
    report, check = result.report, result.verification
    operators = ", ".join(f"{count} x {name}" for name, count in report.operators.items())
    return (
        f"{report.macs:,} multiply-accumulates per image; {operators}. The smallest arena that "
        f"works on this computer is {report.arena_bytes:,} B, and a program on Cortex-M gets "
        f"{report.arena_constant:,} B. On "
        f"{check.samples} test images TensorFlow Lite Micro differs from LiteRT's reference "
        f"kernels by at most {check.max_steps_tflm} quantization steps."
    )


def _boards(result):
    return [
        {"board": BOARDS[name].title, "fits": "no" if reason else "yes", "why not": reason}
        for name, reason in result.report.boards.items()
    ]


def summary(result):
    """Returns the gains of the demo in words, and the data that each model learned from.

    Args:
        result: `DemoResult`.
    """
    gains = result.comparison.gains[DISTILLED]
    verdict = in_shell_words(result.comparison.verdicts[DISTILLED], "demo")
    return (
        f"{verdict} The distilled student was better with "
        f"{int((gains > 0).sum())} of {len(gains)} seeds. Both students had the same "
        f"{result.images['students']:,} labeled images, updates, learning rates and initial "
        f"weights; the teacher had {result.images[TEACHER]:,} images."
    )


def _shown_samples(answers, differing=3, first=3):
    decisions = [answers[kind].argmax(-1) for kind in (ALONE, DISTILLED)]
    unlike = np.flatnonzero(decisions[0] != decisions[1])[:differing]
    return np.unique(np.concatenate([unlike, np.arange(first)]))[: differing + first]
