"""The search of `search`: the library's, on the data and with the options of the shell."""

from keras_distill.cli import student_training
from keras_distill.tuning import search_student


def search(settings, teacher, data, losses, folder):
    """Returns the `StudentSearchResult`.

    Args:
        settings: Namespace of the options.
        teacher: `keras.Model`.
        data: `TrainingData`.
        losses: Arguments of `Distiller`: losses and weights.
        folder: `RunFolder`.
    """
    return search_student(
        teacher,
        data.parts["train"],
        settings.board,
        validation_data=data.parts["validation"],
        max_trials=settings.trials,
        epochs=settings.epochs,
        batch_size=settings.batch_size,
        learning_rate=student_training.decay(settings.learning_rate),
        max_arena_bytes=settings.max_arena_bytes,
        max_model_bytes=settings.max_model_bytes,
        max_macs=settings.max_macs,
        target=settings.target,
        directory=folder.training / "search",
        **losses,
    )
