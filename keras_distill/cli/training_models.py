"""Teacher and student that the command line names: a file, or an architecture by its name."""

import pathlib

import numpy as np

from keras_distill.cli import command_input
from keras_distill.cli.run_options import Option

OPTIONS = [
    Option(
        "--teacher",
        "a trained .keras or .h5 file, or the folder of a SavedModel; or the name of an "
        "architecture, which --teacher-epochs trains first",
        replaces=("teacher_epochs",),
    ),
    Option(
        "--teacher-epochs",
        "epochs of a teacher that is an architecture's name",
        settings={"type": command_input.count, "metavar": "EPOCHS"},
    ),
    Option(
        "--student",
        "a .keras or .h5 file, whose weights are where it starts, or the name of an architecture",
    ),
]
ROLES = ("teacher", "student")
_SUFFIXES = (".keras", ".h5", ".hdf5")
# Of the running mean and variance.
_MOMENTUM = 0.9
# Samples that tell a teacher from guessing.
_MOST_SEEN = 1000


def is_file(source):
    """Says whether a teacher or student is a file or folder, not the name of an architecture.

    Args:
        source: What was given.
    """
    path = pathlib.Path(source)
    return path.suffix in _SUFFIXES or path.exists() or len(path.parts) > 1


def _sources(settings):
    """Returns what was given for each role that the command has."""
    return {role: getattr(settings, role) for role in ROLES if hasattr(settings, role)}


def check(settings):
    """Checks what can be known of the options before Keras is imported.

    Args:
        settings: Namespace of the options of the models.

    Raises:
        ValueError: If one lacks, or a file isn't there.
    """
    for source in _sources(settings).values():
        if is_file(source):
            command_input.check_model_path(pathlib.Path(source))
    if is_file(settings.teacher) and settings.teacher_epochs is not None:
        raise ValueError(
            "--teacher-epochs trains a teacher that is an architecture's name: leave it out. "
            f"Received: --teacher {settings.teacher}"
        )
    if not is_file(settings.teacher) and settings.teacher_epochs is None:
        raise ValueError(
            f"There is no file {settings.teacher!r}. If it is the name of an architecture, give "
            "--teacher-epochs too, which trains it first."
        )


def load(settings):
    """Returns the models that are files, by `"teacher"` and `"student"`.

    Names of architectures are checked.

    Args:
        settings: As for `check`.

    Raises:
        ValueError: If one can't be loaded, has several inputs or outputs, or there is no
            architecture of that name.
    """
    from keras_distill import architectures
    from keras_distill.arguments import closest

    models = {}
    for role, source in _sources(settings).items():
        if is_file(source):
            models[role] = _loaded(role, source)
        elif source not in architectures.names():
            raise ValueError(
                f"--{role} {source} is neither a file nor an architecture."
                f"{closest(source, architectures.names())} Architectures: "
                f"{', '.join(architectures.names())}"
            )
    shapes = {role: model.input_shape[1:] for role, model in models.items()}
    if len({tuple(shape) for shape in shapes.values()}) > 1:
        raise ValueError(
            "Teacher and student must take the same inputs here. Received: a teacher of "
            f"{shapes['teacher']} and a student of {shapes['student']}"
        )
    return models


def _loaded(role, source):
    model = command_input.load_model(pathlib.Path(source))
    if len(model.inputs) != 1 or len(model.outputs) != 1:
        raise ValueError(
            f"The {role} must have one input and one output. Received: {source} with "
            f"{len(model.inputs)} inputs and {len(model.outputs)} outputs"
        )
    return model


def check_outputs(models, data):
    """Checks that models have an output per class.

    Args:
        models: Dictionary from role to model.
        data: `TrainingData`.

    Raises:
        ValueError: If one doesn't.
    """
    classes = len(data.labels)
    for role, model in models.items():
        count = model.output_shape[-1]
        if len(model.output_shape) != 2 or (count != classes and (count, classes) != (1, 2)):
            named = ", ".join(data.labels[:8]) + ", ..." * (classes > 8)
            raise ValueError(
                f"The {role} doesn't suit the data: its output has the shape "
                f"{model.output_shape[1:]}, and the data has {classes} classes ({named})."
            )


def check_knows_the_data(teacher, data, epochs=None):
    """Checks that a teacher is better than naming the most frequent class.

    Args:
        teacher: `keras.Model`.
        data: `TrainingData`.
        epochs: Number of epochs that it was trained for, if that was here.

    Raises:
        ValueError: If it isn't.
    """
    x, y = (np.concatenate(arrays) for arrays in zip(*data.parts.values(), strict=True))
    order = np.random.RandomState(0).permutation(len(y))[:_MOST_SEEN]
    x, y = x[order], y[order]
    outputs = teacher.predict(x, batch_size=256, verbose=0)
    decisions = outputs.argmax(-1) if outputs.shape[-1] > 1 else _is_second(teacher, outputs)
    right, guessed = np.mean(decisions == y), np.bincount(y).max() / len(y)
    if right <= guessed:
        if epochs is not None:
            advice = f"Give more --teacher-epochs, or more samples. Received: {epochs} epochs of "
            advice += f"{len(data.parts['train'][1]):,} samples"
        else:
            low, high = float(np.min(x)), float(np.max(x))
            advice = (
                "Its inputs may be scaled in another way (--scale LOW HIGH), its classes may have "
                "another order, or it isn't trained. "
                f"Received: inputs from {low:g} to {high:g}, classes {', '.join(data.labels[:10])}"
            )
        raise ValueError(
            f"The teacher is right on {100 * right:.1f} % of the data, and naming the most "
            f"frequent class is on {100 * guessed:.1f} %. {advice}"
        )


def _is_second(teacher, outputs):
    from keras_distill.losses.logits import final_activation

    threshold = 0.5 if final_activation(teacher) == "sigmoid" else 0.0
    return (outputs[:, 0] > threshold).astype(int)


def function_of(source, data):
    """Returns a function that makes a new model.

    Args:
        source: File, or name of an architecture.
        data: `TrainingData`.
    """
    from keras_distill import architectures

    if is_file(source):
        return lambda: command_input.load_model(pathlib.Path(source))
    shape, classes = data.input_shape, len(data.labels)
    return lambda: _with_quick_statistics(
        architectures.get(source, input_shape=shape, num_classes=classes)
    )


def _with_quick_statistics(model):
    """Has batch normalizations forget where they began within some tens of updates."""
    import keras

    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            # At Keras's 0.99 it takes some 500 updates, and runs from the shell are often shorter:
            # the model is then right in training and wrong afterwards.
            layer.momentum = min(layer.momentum, _MOMENTUM)
    return model
