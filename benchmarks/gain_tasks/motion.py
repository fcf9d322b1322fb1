"""A motion sensor: shoulder exercises, recorded by a smartwatch."""

import importlib.metadata

import keras
import numpy as np

from gain_tasks.division import splits_by_person
from gain_tasks.task import Task, Training

WINDOW, STEP = 128, 64
TESTED = (8, 9, 10)
VALIDATED = [(1, 2), (3, 4), (5, 6)]
LABELS = 200
FILE = "seglearn/data/watch_dataset.npy"


def recordings():
    """Loads the data of the package seglearn, without importing it.

    Returns:
        Dictionary with `"X"`, a list of recordings of shape `(samples, 6)` at 50 Hz, `"y"`, the
        exercise of each, and `"subject"`, the person.

    Raises:
        ImportError: If the package isn't installed.
    """
    try:
        files = importlib.metadata.files("seglearn")
    except importlib.metadata.PackageNotFoundError as error:
        raise ImportError(
            "The motion data comes with seglearn: pip install --no-deps seglearn"
        ) from error
    path = next(file for file in files if file.as_posix() == FILE).locate()
    # Pickled by its authors; it is trusted as the package's code would be.
    return np.load(path, allow_pickle=True).item()


def windows(data):
    """Cuts recordings into windows that overlap by half.

    Args:
        data: As `recordings` returns it.

    Returns:
        Tuple of inputs of shape `(windows, 128, 6)`, their classes and their people.
    """
    x, y, people = [], [], []
    for recording, label, person in zip(data["X"], data["y"], data["subject"], strict=True):
        starts = range(0, len(recording) - WINDOW + 1, STEP)
        x += [recording[start : start + WINDOW] for start in starts]
        y += [label] * len(starts)
        people += [person] * len(starts)
    return np.array(x, "float32"), np.array(y, "int32"), np.array(people)


def network(filters, dropout, name):
    """Returns an untrained 1D CNN for windows.

    Args:
        filters: Channels of each stage.
        dropout: Rate before the last layer.
        name: Name of the model.
    """
    window = x = keras.Input((WINDOW, 6))
    for stage, channels in enumerate(filters, start=1):
        if stage > 1:
            x = keras.layers.MaxPooling1D(2)(x)
        x = keras.layers.Conv1D(channels, 5, padding="same", use_bias=False)(x)
        x = keras.layers.BatchNormalization()(x)
        x = keras.layers.ReLU(name=f"stage{stage}_out")(x)
    x = keras.layers.GlobalAveragePooling1D(name="pool")(x)
    x = keras.layers.Dropout(dropout)(x)
    return keras.Model(window, keras.layers.Dense(7, name="logits")(x), name=name)


def motion(options):
    """Seven exercises, people that are never seen in training, 200 labels."""
    return Task(
        name="motion",
        title=(
            "Seven shoulder exercises by a smartwatch, unknown people (trained on 5, validated on "
            "2, in turn, tested on 3), 200 labeled windows of 2.6 s; 1D CNN of 43,367 parameters "
            "to one of 1,095"
        ),
        splits=splits_by_person(*windows(recordings()), TESTED, VALIDATED, LABELS),
        make_student=lambda: network((6, 8, 12), 0.0, "motion_student"),
        training=Training(updates=1_000, rate=1e-2),
        make_teacher=lambda: network((32, 64, 96), 0.4, "motion_teacher"),
        teacher_training=Training(updates=600, rate=2e-3, batch_size=64),
    )
