"""Training of the teacher, and of the student alone and distilled, which goes on after a kill."""

import json
import math

import keras

from keras_distill.cache.manifest import weights_checksum
from keras_distill.cli import run_inputs, training_models
from keras_distill.comparison import compare
from keras_distill.comparison.epoch_order import EpochOrder
from keras_distill.comparison.parts import ArrayPart
from keras_distill.training.tracing import without_variables

DISTILLED = "student distilled"
_TEACHER_RATE = 0.002


def decay(learning_rate):
    """Returns a function from a number of updates to a cosine decay over them.

    Args:
        learning_rate: Where it starts.
    """
    return lambda updates: keras.optimizers.schedules.CosineDecay(learning_rate, updates)


def teacher_of(settings, loaded, data, folder, progress):
    """Returns the teacher, trained first if it is an architecture, and its history or `None`.

    Args:
        settings: Namespace of the options.
        loaded: The teacher that was loaded from a file, or `None`.
        data: `TrainingData`.
        folder: `RunFolder`.
        progress: `EpochProgress`.

    Raises:
        ValueError: If it is no better than guessing.
    """
    if loaded is not None:
        return loaded, None
    teacher, history = _trained_teacher(settings, data, folder, progress)
    training_models.check_knows_the_data(teacher, data, settings.teacher_epochs)
    return teacher, history


def only_teacher_of(settings, models, data, folder):
    """Returns the teacher of a command that compares no students, trained if need be.

    Args:
        settings: Namespace of the options.
        models: Dictionary from role to the model that was loaded from a file.
        data: `TrainingData`.
        folder: `RunFolder`.
    """
    if "teacher" in models:
        return models["teacher"]
    with run_inputs.progress(settings.teacher_epochs) as progress:
        teacher, _ = teacher_of(settings, None, data, folder, progress)
        progress.finish()
    folder.forget_epochs()
    return teacher


def _trained_teacher(settings, data, folder, progress):
    """Returns a new teacher, trained, and its history; one that was trained before is loaded."""
    record, made_of = folder.training / "teacher.json", data.checksum
    if record.is_file():
        content = json.loads(record.read_bytes())
        if content["data"] != made_of:
            raise ValueError(
                f"--data has changed since the teacher in {str(folder.path)!r} was trained: give a "
                f"new folder by --output. Received: --data {settings.data}"
            )
        progress.skip(settings.teacher_epochs)
        teacher = keras.models.load_model(folder.path / "teacher.keras", compile=False)
        return teacher, content["history"]
    keras.utils.set_random_seed(0)
    model = training_models.function_of(settings.teacher, data)()
    training_models.check_outputs({"teacher": model}, data)
    x, y = data.parts["train"]
    order, updates = EpochOrder(), settings.teacher_epochs * math.ceil(len(x) / settings.batch_size)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    optimizer = keras.optimizers.Adam(decay(_TEACHER_RATE)(updates))
    model.compile(optimizer, loss, metrics=["accuracy"])
    with without_variables():
        history = model.fit(
            order.batches((x, y), settings.batch_size, seed=0),
            epochs=settings.teacher_epochs,
            shuffle=False,
            validation_data=data.parts["validation"],
            callbacks=[order, progress.backup(folder.backup("teacher", made_of), "teacher")],
            verbose=0,
        ).history
    folder.save(model, "teacher.keras")
    folder.write("training/teacher.json", json.dumps({"data": made_of, "history": history}))
    return model, history


def compared_students(settings, teacher, data, candidate, folder, progress):
    """Returns the `Comparison` of the student alone and distilled, with the trained students.

    Args:
        settings: Namespace of the options.
        teacher: `keras.Model`.
        data: `TrainingData`.
        candidate: How to distill, as `compare` takes it.
        folder: `RunFolder`.
        progress: `EpochProgress`.
    """
    make_student = training_models.function_of(settings.student, data)
    training_models.check_outputs({"student": make_student()}, data)
    made_of = [data.checksum, weights_checksum(teacher)]
    # So that a training that goes on ends as one that was never stopped.
    order = EpochOrder()
    parts = {**data.parts, "train": ArrayPart("train", data.parts["train"], order)}

    def callbacks(name, seed):
        backup = folder.backup(name, seed, *made_of)
        return [order, progress.backup(backup, f"{name}, seed {seed}")]

    return compare(
        teacher,
        make_student,
        parts,
        {DISTILLED: candidate},
        settings.seeds,
        epochs=settings.epochs,
        batch_size=settings.batch_size,
        learning_rate=decay(settings.learning_rate),
        callbacks=callbacks,
        keep_students=True,
        directory=folder.training / "comparison",
        verbose=0,
        control=not settings.no_control,
    )
