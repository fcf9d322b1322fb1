"""The search of `tune`, and its best setting as options of `distill`."""

import math

import keras

from keras_distill import recipes
from keras_distill.cli import chosen_losses, student_training, training_models
from keras_distill.tuning import tune


def checked_recipes(words):
    """Returns the names of the recipes to try, or `None` for the default space.

    Args:
        words: Words of the option, or `None`.

    Raises:
        ValueError: If a name is unknown or there twice.
    """
    if words is None:
        return None
    names = chosen_losses.split(words)
    for name in names:
        recipes.get(name)
    if not names or len(set(names)) < len(names):
        raise ValueError(f"--recipes must be different names. Received: {', '.join(names)}")
    return names


def search(settings, teacher, data, names, folder):
    """Returns the `TuningResult`.

    Args:
        settings: Namespace of the options.
        teacher: `keras.Model`.
        data: `TrainingData`.
        names: Names of the recipes to try, or `None`.
        folder: `RunFolder`.
    """
    make_student = training_models.function_of(settings.student, data)
    training_models.check_outputs({"student": make_student()}, data)
    count = len(data.parts["train"][1]) * (settings.folds - 1) / settings.folds
    updates = settings.epochs * math.ceil(count / settings.batch_size)
    rate = student_training.decay(settings.learning_rate)
    return tune(
        teacher,
        make_student,
        data.parts["train"],
        names,
        settings.folds,
        settings.repeats or 1,
        epochs=settings.epochs,
        batch_size=settings.batch_size,
        optimizer=lambda: keras.optimizers.Adam(rate(updates)),
        max_trials=settings.trials,
        rule=settings.rule,
        directory=folder.training / "search",
    )


def is_finished(result):
    """Says whether a setting was trained to its end.

    Args:
        result: `TuningResult`.
    """
    return any(len(trial.scores) for trial in result.trials)


def chosen(settings, result):
    """Returns the options of the losses of the best setting.

    Args:
        settings: Namespace of the options.
        result: `TuningResult`.
    """
    if settings.recipes is not None:
        return {"recipe": result.best_trial.values["candidate"]}
    return chosen_losses.options_of(result.best)
