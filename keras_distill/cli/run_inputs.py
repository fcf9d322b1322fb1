"""Models, data and training settings that the commands that train students share."""

import argparse
import contextlib
import hashlib
import json
import pathlib

from keras_distill.cli import command_input, training_data, training_models
from keras_distill.cli.run_options import Option

TRAINING = [
    Option(
        "--epochs",
        "epochs of each training of a student",
        10,
        {"type": command_input.count},
    ),
    Option("--batch-size", "samples per update", 32, {"type": command_input.count}),
    Option(
        "--learning-rate",
        "where Adam's rate starts, which falls to 0 along a cosine",
        0.003,
        {"type": command_input.positive},
    ),
]
OPTIONS = [*training_models.OPTIONS, *training_data.OPTIONS, *TRAINING]
_NEEDED = ("teacher", "student", "data")
_PATHS = ("teacher", "student", "data", "data_dir", "output")


def check(settings, needed=_NEEDED):
    """Checks what can be known of the options before Keras is imported.

    Args:
        settings: Namespace of the options.
        needed: Names of those that must be given.

    Raises:
        ValueError: If one lacks, they don't go together, or a file isn't there.
    """
    for name in needed:
        if getattr(settings, name) is None:
            raise ValueError(f"--{name} is missing: give it here, or in the file of --config.")
    training_models.check(settings)
    training_data.check(settings)


def made_of(settings, free):
    """Returns a dictionary, for `json`, of what makes a run what it is.

    Args:
        settings: Namespace of the options.
        free: Names of options that may change when a run goes on.
    """
    chosen = vars(with_whole_paths(settings))
    made_of = {name: value for name, value in chosen.items() if name not in free}
    for name in training_models.ROLES:
        if name in chosen and training_models.is_file(chosen[name]):
            made_of[f"the content of {name}"] = _checksum(pathlib.Path(chosen[name]))
    return made_of


def _checksum(path):
    """Returns a checksum of a file, or of all files in a folder."""
    files = sorted(path.rglob("*")) if path.is_dir() else [path]
    digest = hashlib.sha256()
    for file in files:
        if file.is_file():
            digest.update(file.read_bytes())
    return digest.hexdigest()[:16]


def with_whole_paths(settings):
    """Returns the options with paths that hold in every folder.

    Args:
        settings: Namespace of the options.
    """
    whole = dict(vars(settings))
    for name in _PATHS:
        if whole.get(name) is not None and pathlib.Path(whole[name]).exists():
            whole[name] = str(pathlib.Path(whole[name]).absolute())
    return argparse.Namespace(**whole)


def load(settings):
    """Returns the models that are files, and the data.

    Args:
        settings: Namespace of the options.

    Returns:
        Tuple of a dictionary from `"teacher"` and `"student"` to `keras.Model`, and `TrainingData`.

    Raises:
        ValueError: If one can't be loaded, they don't suit each other, or the teacher is no better
            than guessing.
    """
    models = training_models.load(settings)
    shape = next(iter(models.values())).input_shape[1:] if models else None
    data = training_data.load(settings, shape)
    training_models.check_outputs(models, data)
    if "teacher" in models:
        training_models.check_knows_the_data(models["teacher"], data)
    return models, data


def write_settings(folder, settings, data, options, name):
    """Writes the file that repeats a run, and what is in which part of the data.

    Args:
        folder: `RunFolder`.
        settings: Namespace of the options.
        data: `TrainingData`.
        options: `RunOptions` of the command.
        name: Name of the file.
    """
    repeated = with_whole_paths(settings)
    # The next run is to have a folder of its own.
    repeated.output = None
    folder.write(name, options.as_text(repeated, folder.command))
    folder.write("data.json", json.dumps(data.describe(), indent=1) + "\n")


@contextlib.contextmanager
def progress(epochs):
    """Shows a progress bar.

    Args:
        epochs: Number of epochs of all trainings.

    Yields:
        `EpochProgress`.
    """
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    from keras_distill.cli.epoch_progress import EpochProgress

    columns = (BarColumn(), TimeElapsedColumn(), TextColumn("{task.description}", markup=False))
    with Progress(*columns) as bar:
        yield EpochProgress(bar, epochs)
