"""The demo: train, distill, export and verify on real images, with a report page."""

import dataclasses
import math
import pathlib

import keras
import numpy as np

from keras_distill import architectures, datasets, visualization
from keras_distill.cli import report_page
from keras_distill.distiller import Distiller
from keras_distill.features import FeatureModel
from keras_distill.losses import AttentionTransfer, SoftTargets
from keras_distill.tflite import BOARDS, TFLiteModel, export_tflite
from keras_distill.tflite.deploy import project_folder
from keras_distill.tflite.runtime import micro

TEACHER, ALONE, DISTILLED = "teacher", "student alone", "student distilled"
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

    teacher: callable
    student: callable
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
        accuracies: Dictionary from model to its test accuracies in [0, 1], one per seed.
        parameters: Dictionary from model to its number of parameters.
        rows: List of dictionaries: the table.
        files: Dictionary from what it is to the path that was written.
        images: Number of labeled images of the teacher and of either student.
        report: `Report` of the int8 student.
        verification: `Verification` of the int8 student.
    """

    accuracies: dict
    parameters: dict
    rows: list
    files: dict
    images: dict
    report: object
    verification: object

    @property
    def gain(self):
        """Mean gain of the distilled student over the student alone, in points."""
        return 100 * float(np.mean(self.accuracies[DISTILLED]) - np.mean(self.accuracies[ALONE]))


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
    histories = {TEACHER: [teacher_history], ALONE: [], DISTILLED: []}
    students = {ALONE: [], DISTILLED: []}
    for seed in range(seeds):
        for kind in (ALONE, DISTILLED):
            announce(f"{kind}, seed {seed}")
            student, history = train_student(recipe, few, teacher, seed, kind)
            students[kind].append(student)
            histories[kind].append(history)
    announce("TensorFlow Lite and TensorFlow Lite Micro")
    models = {TEACHER: teacher, **{kind: trained[0] for kind, trained in students.items()}}
    device = _to_device(models[DISTILLED], few, everything, output)
    announce("pictures and report")
    accuracies = {
        name: [accuracy(model, everything) for model in [teacher, *students.get(name, [])][-n:]]
        for name, n in ((TEACHER, 1), (ALONE, seeds), (DISTILLED, seeds))
    }
    parameters = {name: model.count_params() for name, model in models.items()}
    result = DemoResult(
        accuracies=accuracies,
        parameters=parameters,
        rows=_rows(accuracies, parameters, device),
        images={TEACHER: len(everything.x_train), "students": len(few.x_train)},
        files=device.files,
        report=device.report,
        verification=device.verification,
    )
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
    history = _fit(model, recipe, data, 0.002, recipe.teacher_epochs, batch_size=64)
    return model, history


def train_student(recipe, data, teacher, seed, kind):
    """Trains a student; both kinds get the same images, updates, rate and initial weights.

    Args:
        recipe: `Recipe`.
        data: `Dataset` of the student's images.
        teacher: The trained teacher.
        seed: Seed of the initial weights and of the order of the images.
        kind: `"student alone"` or `"student distilled"`.

    Returns:
        Tuple of the student and its history, a dictionary of lists.
    """
    keras.utils.set_random_seed(seed)
    student = recipe.student(data.input_shape, data.num_classes)
    trained = student
    if kind == DISTILLED:
        losses = [SoftTargets(recipe.temperature), AttentionTransfer(recipe.tap, recipe.tap)]
        trained = Distiller(
            teacher, student, losses, list(recipe.weights), student_loss_weight=None
        )
    epochs = recipe.student_epochs
    return student, _fit(trained, recipe, data, recipe.learning_rate, epochs, batch_size=32)


def _fit(model, recipe, data, learning_rate, epochs, batch_size):
    x, y = _training_images(recipe, data)
    decay = keras.optimizers.schedules.CosineDecay(
        learning_rate, epochs * math.ceil(len(x) / batch_size)
    )
    labels_loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(decay), labels_loss, metrics=["accuracy"])
    return model.fit(
        x,
        y,
        batch_size=batch_size,
        epochs=epochs,
        validation_data=(data.x_test, data.y_test),
        verbose=0,
    ).history


def _training_images(recipe, data):
    if not recipe.shifted:
        return data.x_train, data.y_train
    height, width = data.input_shape[:2]
    padded = np.pad(data.x_train, ((0, 0), (1, 1), (1, 1), (0, 0)))
    images = [padded[:, top : top + height, left : left + width] for top, left in _SHIFTS]
    return np.concatenate(images), np.tile(data.y_train, len(_SHIFTS))


def accuracy(model, data):
    """Returns a model's share of right answers on the test images, in [0, 1].

    Args:
        model: `keras.Model` that outputs logits.
        data: `Dataset`.
    """
    return float(np.mean(model.predict(data.x_test, verbose=0).argmax(-1) == data.y_test))


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


def _rows(accuracies, parameters, device):
    rows = []
    for name, values in accuracies.items():
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
    spread = f" ± {percent.std(ddof=1):.1f}" if len(shares) > 1 else ""
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
    shown = _shown_samples(models, data)
    images = data.x_test[shown]
    maps = {
        name: visualization.attention_map(
            FeatureModel(model, [recipe.tap]).predict(images, verbose=0)[recipe.tap]
        )
        for name, model in models.items()
    }
    predictions = {name: model.predict(images, verbose=0) for name, model in models.items()}
    attention = visualization.plot_attention(
        images,
        maps,
        predictions=predictions,
        labels=data.y_test[shown],
        class_names=data.labels,
        path=output / "attention.png",
    )
    curves = visualization.plot_curves(histories, path=output / "curves.png")
    result.files["attention maps"] = output / "attention.png"
    result.files["learning curves"] = output / "curves.png"
    report_page.write_report(
        output / "report.html",
        f"Distillation on {data.name}",
        [
            {"title": "What distillation gained", "text": summary(result), "table": result.rows},
            {
                "title": "Where the models look",
                "image": attention,
                "caption": f"Attention maps at {recipe.tap}: the first three test images, and the "
                "first three on which the students (seed 0) differ.",
            },
            {
                "title": "Test accuracy while training",
                "image": curves,
                "caption": "Mean over the seeds; the band reaches from the lowest to the highest.",
            },
            {"title": "On the device", "text": _device_text(result), "table": _boards(result)},
        ],
    )
    result.files["report"] = output / "report.html"


def _device_text(result):
    report, check = result.report, result.verification
    operators = ", ".join(f"{count} x {name}" for name, count in report.operators.items())
    return (
        f"{report.macs:,} multiply-accumulates per image; {operators}. The smallest arena that "
        f"works is {report.arena_bytes:,} B, and the sketch gets {report.arena_constant:,} B. On "
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
    paired = 100 * (np.array(result.accuracies[DISTILLED]) - np.array(result.accuracies[ALONE]))
    wins = int((paired > 0).sum())
    return (
        f"Distillation changed the student's accuracy by {result.gain:+.1f} points on average, and "
        f"was better with {wins} of {len(paired)} seeds. Both students had the same "
        f"{result.images['students']:,} labeled images, updates, learning rates and initial "
        f"weights; the teacher had {result.images[TEACHER]:,} images."
    )


def _shown_samples(models, data, differing=3, first=3):
    decisions = [
        models[kind].predict(data.x_test, verbose=0).argmax(-1) for kind in (ALONE, DISTILLED)
    ]
    unlike = np.flatnonzero(decisions[0] != decisions[1])[:differing]
    return np.unique(np.concatenate([unlike, np.arange(first)]))[: differing + first]
