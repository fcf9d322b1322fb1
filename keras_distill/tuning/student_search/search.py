"""`search_student`: the best student that fits a board."""

import contextlib
import dataclasses
import hashlib
import json
import os
import tempfile
import types
from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from keras_distill.arguments import check_count, shown, takes
from keras_distill.cache.arguments import check_seed
from keras_distill.comparison.parts import ArrayPart
from keras_distill.comparison.settings import Settings, described
from keras_distill.comparison.teacher_outputs import TeacherOutputs, teacher_fingerprint
from keras_distill.datasets import Dataset
from keras_distill.features.batches import check_input_function
from keras_distill.files import locked_folder
from keras_distill.tflite.runtime import micro
from keras_distill.training.tracing import without_retracing_warnings
from keras_distill.tuning import search as tuning_search
from keras_distill.tuning.folds import Fold, folds_of
from keras_distill.tuning.progress import Progress
from keras_distill.tuning.run import raising_causes
from keras_distill.tuning.settings import as_text, checked_settings
from keras_distill.tuning.student_search.candidates import REPEATS, Candidates, Setup
from keras_distill.tuning.student_search.memory import Limits, Scales
from keras_distill.tuning.student_search.networks import DefaultStudents
from keras_distill.tuning.student_search.record import StudentRecord
from keras_distill.tuning.student_search.result import StudentSearchResult
from keras_distill.tuning.teacher_source import TeacherSource
from keras_distill.tuning.training_data import TrainingData, samples_at

_REPRESENTATIVE = 100
_USUAL_SPLIT = 0.2


def search_student(
    teacher: Any,
    data: Any,
    board: str,
    space: Callable | None = None,
    distillation_losses: Any = "auto",
    distillation_loss_weights: Any = None,
    student_loss_weight: float | None = None,
    max_trials: int = 20,
    validation_data: tuple | None = None,
    validation_split: float | None = None,
    epochs: int = 10,
    batch_size: int = 32,
    optimizer: Any = None,
    learning_rate: Any = None,
    loss: Any = None,
    metrics: list | dict | None = None,
    objective: Any = "auto",
    max_arena_bytes: int | None = None,
    max_model_bytes: int | None = None,
    max_macs: int | None = None,
    target: str = "arduino",
    teacher_input: Callable | str | None = None,
    directory: str | os.PathLike | None = None,
    seed: int = 0,
    verbose: int = 1,
    finalists: int = 3,
) -> StudentSearchResult:
    """Finds the best student that fits a board's flash and arena.

    KerasTuner proposes students by evolution: first the defaults of the space and four large ones,
    then copies of the best so far with other values of one to three hyperparameters. Each is
    exported to int8 and measured on TensorFlow Lite Micro before it is trained: those that don't
    fit the board cost seconds and no trial. Those that fit are distilled, all with the same
    samples, losses and number of epochs, and scored on validation samples. The best are trained
    twice more with other seeds, as one training may be lucky, and the one with the best mean is
    exported once more with its trained weights. The teacher runs once: its outputs are cached for
    all trainings. Test data is never looked at.

    With `directory`, a search that was stopped, even killed, goes on where it was when it is called
    again. Only `max_trials`, `finalists` and `verbose` may change; another search in the folder is
    refused.

    Args:
        teacher: As for the `Distiller`: a trained `keras.Model`, a `TeacherCache` of the data, or a
            function.
        data: `datasets.Dataset`, of which the training and the validation part are used; arrays
            `(x, y)`; or a `tf.data.Dataset` of samples or batches, which is read into memory.
        board: Name of the board, one of `tflite.BOARDS`.
        space: Function from `keras_tuner.HyperParameters` to a new student. By default networks of
            plain or depthwise separable convolutions (for images and series) or dense layers, of
            several widths and depths, with as many outputs as the teacher.
        distillation_losses: As for the `Distiller`. Losses that tap layers need layers that all
            students have; those of the default space are named `"stage1_out"` and so on.
        distillation_loss_weights: As for the `Distiller`.
        student_loss_weight: As for the `Distiller`.
        max_trials: Number of students that are trained.
        validation_data: Arrays `(x, y)` that score the students; by default the data set's
            validation part, or a part of the training samples.
        validation_split: Share of the training samples that score, 0.2 if there are no others.
        epochs: Epochs of each training.
        batch_size: Samples per update.
        optimizer: As for `compile`, or a function that makes one. Defaults to `"adam"`.
        learning_rate: Number, schedule, or function from the number of updates to one of these.
        loss: The students' loss, as for `compile`; by default the cross-entropy that suits their
            output and the labels.
        metrics: The students' metrics, as for `compile`; by default accuracy for classes.
        objective: Which of `metrics`, or `"loss"`, to choose by, as for `tune`.
        max_arena_bytes: Largest arena, where the program needs more memory for other things than
            the board's own limit leaves.
        max_model_bytes: Largest file.
        max_macs: Most multiplications of one inference, which its time goes with.
        target: As for `export_tflite`: `"arduino"` or `"mcu"`.
        teacher_input: As for the `Distiller`.
        directory: Folder of the search; by default a temporary one.
        seed: Integer of the split, the students and the search.
        verbose: 1 for a progress bar, 0 for none.
        finalists: How many of the best are trained again; 1 for none.

    Returns:
        `StudentSearchResult`: `student` is the best, trained; `make_student()` makes it anew.

    Raises:
        TypeError: If an argument is of the wrong type.
        ValueError: If an argument is out of bounds, no student fits, or `directory` holds another
            search or other files.
        ImportError: If keras-tuner or TensorFlow Lite Micro is not installed.

    Example:

    ```python
    x, y = np.random.rand(60, 8, 8, 1).astype("float32"), np.arange(60) % 3
    layers = [keras.Input((8, 8, 1)), keras.layers.Flatten(), keras.layers.Dense(3)]
    teacher = keras.Sequential(layers)

    def space(hp):
        hidden = keras.layers.Dense(hp.Choice("units", [4, 8]), activation="relu")
        layers = [keras.layers.Flatten(), hidden, keras.layers.Dense(3)]
        return keras.Sequential([keras.Input((8, 8, 1)), *layers])

    result = search_student(
        teacher, (x, y), "arduino_nano_33_ble", space, max_trials=1, epochs=1, verbose=0
    )
    export_tflite(result.student, "student.tflite", "int8", x, target="arduino")
    ```

    Reference:
        - O'Malley et al., KerasTuner, 2019.
        - Real et al., "Regularized Evolution for Image Classifier Architecture Search", 2019,
          https://arxiv.org/abs/1802.01548.
        - Banbury et al., "MicroNets", 2021, https://arxiv.org/abs/2010.11267.
    """
    tuning_search.require()
    micro.require()
    _check_process()
    check_seed(seed)
    check_count("seed", seed, low=0)
    check_count("max_trials", max_trials)
    check_count("finalists", finalists)
    check_input_function(teacher_input, "teacher_input")
    verbose = check_count("verbose", int(verbose) if isinstance(verbose, bool) else verbose, 0, 2)
    limits = Limits(board, max_arena_bytes, max_model_bytes, max_macs)
    given = {
        "distillation_losses": distillation_losses,
        "distillation_loss_weights": distillation_loss_weights,
        "student_loss_weight": student_loss_weight,
    }
    training = {
        "epochs": epochs,
        "batch_size": batch_size,
        "optimizer": optimizer,
        "learning_rate": learning_rate,
        "loss": loss,
        "metrics": metrics,
    }
    outputs = TeacherOutputs(teacher, teacher_input, None, "auto")
    with outputs.unchanged(), contextlib.ExitStack() as stack:
        samples, fold = _samples(data, validation_data, validation_split, seed)
        setup = Setup(
            samples,
            fold,
            TeacherSource(teacher, samples, batch_size, teacher_input),
            lambda: checked_settings(given, "The arguments"),
            _training_of(samples, fold, training),
            objective,
        )
        scales = Scales(limits, _representative(samples, fold), target)
        if directory is None:
            directory = stack.enter_context(tempfile.TemporaryDirectory())
        record = StudentRecord(directory)
        again = min(finalists, max_trials)
        progress = Progress(verbose, max_trials + (REPEATS * again if again > 1 else 0))
        candidates = Candidates(_space(space, samples, teacher), setup, scales, record, progress)
        made_of = _made_of(teacher, setup, candidates, limits, target, teacher_input, seed)
        record.check(made_of)
        stack.enter_context(locked_folder(record.directory))
        record.begin(made_of)
        _run(candidates, setup, record, max_trials, finalists, seed)
        return StudentSearchResult(
            candidates.all(),
            candidates.metric,
            board,
            candidates.make_student,
            candidates.trained,
        )


def _check_process():
    # Not at the top, as it imports KerasTuner.
    from keras_distill.tuning import oracles

    if oracles.is_distributed():
        raise ValueError(
            "search_student runs in one process: unset KERASTUNER_ORACLE_IP, or use tune for "
            f"several. Received: KERASTUNER_ORACLE_IP={os.environ['KERASTUNER_ORACLE_IP']}"
        )


def _samples(data, validation_data, validation_split, seed):
    """Returns all samples as `TrainingData`, and the `Fold` that says which of them score."""
    if validation_split is not None and not 0 < validation_split <= 0.5:
        raise ValueError(
            "validation_split must be above 0 and at most 0.5. "
            f"Received: validation_split={shown(validation_split)}"
        )
    if isinstance(data, Dataset) and validation_data is None and validation_split is None:
        validation_data = data.validation_data
    train = TrainingData(data)
    if validation_data is None:
        share = validation_split or _USUAL_SPLIT
        folds = folds_of(train, round(1 / share), seed=seed)
        return train, folds[0]
    if validation_split is not None:
        raise ValueError(
            "Give validation_data or validation_split, not both. "
            f"Received: validation_split={validation_split}"
        )
    validation = TrainingData(validation_data)
    if len(validation.labeled) < validation.count:
        raise ValueError(
            "validation_data has samples without a label (class -1), by which no student can be "
            "scored: leave them out."
        )
    both = [
        keras.tree.map_structure(_joined, *parts)
        for parts in zip(train.arrays[:2], validation.arrays[:2], strict=True)
    ]
    indices = np.arange(train.count + validation.count)
    fold = Fold(0, indices[: train.count], indices[train.count :], seed)
    return TrainingData(tuple(both)), fold


def _joined(one, other):
    if one.shape[1:] != other.shape[1:]:
        raise ValueError(
            f"validation_data has samples of another shape than data: {other.shape[1:]} instead of "
            f"{one.shape[1:]}."
        )
    return np.concatenate([one, other])


def _space(space, samples, teacher):
    """Returns the space, by default that for such samples and such a teacher."""
    if space is not None:
        if isinstance(space, keras.Model) or not callable(space) or not takes(space, 1):
            raise TypeError(
                "space must be a function from keras_tuner.HyperParameters to a new student. "
                f"Received: space={shown(space)}"
            )
        return space
    x = samples.arrays[0]
    outputs = getattr(teacher, "output_shape", None)
    is_list = isinstance(outputs, tuple) and len(outputs) == 2 and isinstance(outputs[-1], int)
    if not isinstance(x, np.ndarray) or not is_list:
        raise ValueError(
            "The default space is for samples of one array and a teacher, a keras.Model, with one "
            "output of logits: give space=, a function from keras_tuner.HyperParameters to a new "
            f"student. Received: a teacher with outputs of shape {shown(outputs)}"
        )
    return DefaultStudents(x.shape[1:], outputs[-1])


def _training_of(samples, fold, arguments):
    """Returns the function from a student to its training settings."""
    part = ArrayPart("training", samples_at(samples, fold.train))

    def of(student):
        return Settings(
            student,
            types.SimpleNamespace(train=part),
            callbacks=None,
            compile_options={},
            **arguments,
        )

    return of


def _representative(samples, fold):
    """Returns some training inputs, spread over all of them."""
    chosen = fold.train[np.linspace(0, len(fold.train) - 1, _REPRESENTATIVE).astype(int)]
    return keras.tree.map_structure(lambda array: array[np.unique(chosen)], samples.arrays[0])


def _made_of(teacher, setup, candidates, limits, target, teacher_input, seed):
    """Returns what tells this search from another, for `json`."""
    space = json.dumps(candidates.known.get_config(), sort_keys=True, default=str)
    return {
        "data": setup.data.fingerprint(),
        "validation": hashlib.sha256(setup.fold.validation.tobytes()).hexdigest(),
        "teacher": teacher_fingerprint(teacher),
        "teacher_input": described(teacher_input),
        "distillation": as_text(setup.make_settings()),
        **setup.make_training(candidates.example).describe(),
        "objective": dataclasses.asdict(candidates.metric),
        "space": hashlib.sha256(space.encode()).hexdigest(),
        **dataclasses.asdict(limits),
        "target": target,
        "seed": seed,
    }


def _run(candidates, setup, record, max_trials, finalists, seed):
    """Trains up to `max_trials` candidates that fit, and the best of them again."""
    # Not at the top, as they import KerasTuner.
    from keras_distill.tuning import oracles
    from keras_distill.tuning.student_search.evolution import EvolutionOracle

    with candidates.progress as progress:
        setup.source.fill(record.directory, [setup.make_settings()])
        progress.say(setup.source.notes)

        def size_of(values):
            size = candidates.size(values)
            # A student may have had hyperparameters that others lack.
            oracle.update_space(candidates.known)
            return size

        oracle = oracles.keeping(EvolutionOracle, begins_with_defaults=False)(
            record,
            size_of=size_of,
            max_trials=max_trials,
            **oracles.arguments_of(candidates.metric, candidates.known, seed),
        )
        tuner = oracles.FoldsTuner(oracle, candidates.evaluate, record, record.directory)
        with without_retracing_warnings():
            raising_causes(tuner.search)
            candidates.train_again(finalists)
