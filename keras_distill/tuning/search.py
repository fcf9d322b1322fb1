"""`tune`: settings of a distillation, chosen by cross-validation on the training data."""

import os
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np

from keras_distill.arguments import check_choice, check_count
from keras_distill.comparison.teacher_outputs import TeacherOutputs
from keras_distill.features.batches import check_input_function
from keras_distill.tuning.plan import Plan
from keras_distill.tuning.result import RULES, TuningResult
from keras_distill.tuning.run import run


def tune(
    teacher: Any,
    make_student: Callable[[], keras.Model],
    data: Any,
    space: Any = None,
    folds: int = 5,
    repeats: int = 1,
    groups: Sequence | np.ndarray | None = None,
    stratify: bool | str = "auto",
    epochs: int = 10,
    batch_size: int = 32,
    optimizer: Any = None,
    loss: Any = None,
    metrics: list | dict | None = None,
    objective: Any = "auto",
    search: str | None = None,
    max_trials: int | None = None,
    rule: str = "best",
    teacher_input: Callable | str | None = None,
    student_input: Callable | str | None = None,
    directory: str | os.PathLike | None = None,
    seed: int = 0,
    verbose: int = 1,
) -> TuningResult:
    """Chooses losses, temperature, weights and layers by cross-validation on the training data.

    Each trial is a setting of the `Distiller`. It trains a new student on all folds but one, and
    scores it on that one, for each fold; the mean counts. The student alone is trained in the same
    way, with the same folds, batches, updates and initial weights, so that the result says what
    distillation gains, or that it gains nothing. Test data is never looked at.

    The teacher runs over the data once: its outputs are cached for all folds and trials. Where a
    loss can't learn from a cache (it needs gradients or layers of the teacher), the teacher runs
    in each step of such a trial, and `result.notes` says so. The teacher itself stays as it is: it
    may have learned from the samples that score the students, so confirm the gain on test data.

    Samples without a label (class -1) train in each fold: the teacher teaches them. The student
    alone is trained on the others, repeated to the same number of updates.

    The default space has the response losses that suit the models (soft targets, standardized
    soft targets, DIST, logits), their temperature and weight, and attention transfer with its
    weight and layers where both models have features over space.

    With `directory`, a search that was stopped, even killed, goes on where it was when it is called
    again: finished folds aren't trained again, and the table is the same in the end. Only
    `max_trials`, `rule` and `verbose` may change; another search in the folder is refused.

    KerasTuner searches, and its distributed mode works: the processes share `directory`, and get
    `KERASTUNER_TUNER_ID`, `KERASTUNER_ORACLE_IP` and `KERASTUNER_ORACLE_PORT`. The chief runs the
    teacher and trains the student alone; its result has all trials.

    Args:
        teacher: As for the `Distiller`: a trained `keras.Model`, a `TeacherCache` of the data, or a
            function.
        make_student: Function that returns a new student.
        data: `datasets.Dataset`, of which the training part is used; arrays `(x, y)` or
            `(x, y, sample_weight)`; or a `tf.data.Dataset` of samples or batches, which is read
            into memory.
        space: What to choose from: a function from `keras_tuner.HyperParameters` to a dictionary
            with the distiller's `distillation_losses`, and maybe `distillation_loss_weights` and
            `student_loss_weight`; or a list, or a dictionary by name, of such dictionaries,
            recipes or names of recipes, all of which are tried. By default the space above.
        folds: Number of folds.
        repeats: How often to divide the samples into folds, each time in another way.
        groups: Group of each sample (the speaker, the patient), shape `(samples,)`: a group is
            never on both sides.
        stratify: Whether each fold has every class in proportion; `"auto"`: for classes.
        epochs: Epochs of each training.
        batch_size: Samples per update.
        optimizer: As for `compile`, or a function that makes one; by default that of a compiled
            student, or `"adam"`.
        loss: The student's loss, as for `compile`; by default that of a compiled student, or the
            cross-entropy that suits its output and the labels.
        metrics: The student's metrics, as for `compile`; by default those of a compiled student,
            or accuracy for classes.
        objective: Which of `metrics`, or `"loss"`, to choose by: a name, `(name, "max")`,
            `(name, "min")`, or a `keras_tuner.Objective`. `"auto"`: accuracy, or else the loss.
        search: `"random"` (the default), `"bayesian"`, `"hyperband"` (which trains most settings
            for fewer epochs) or `"grid"`, which a list of settings has by default.
        max_trials: Number of settings beside the student alone; by default 20, or all of a list.
        rule: `"best"`: the best mean; `"one_standard_error"`: of the settings whose mean is within
            a standard error of the best, that with the fewest losses and the smallest weights.
        teacher_input: As for the `Distiller`.
        student_input: As for the `Distiller`.
        directory: Folder of the search; by default a temporary one.
        seed: Integer of the folds, the students and the search.
        verbose: 1 for a progress bar, 0 for none.

    Returns:
        `TuningResult`.

    Raises:
        TypeError: If an argument is of the wrong type.
        ValueError: If an argument is out of bounds, settings don't suit the models, or `directory`
            holds another search or other files.
        ImportError: If keras-tuner is not installed.

    Example:

    ```python
    x, y = np.random.rand(60, 4).astype("float32"), np.arange(60) % 3
    make_student = lambda: keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
    teacher = make_student()
    result = tune(
        teacher, make_student, (x, y), space=["kd", "dist"], folds=2, epochs=1, verbose=0
    )
    distiller = result.make_distiller(teacher, make_student())
    ```

    Reference:
        - Stone, "Cross-Validatory Choice and Assessment of Statistical Predictions", 1974.
        - O'Malley et al., KerasTuner, 2019.
        - Breiman et al., "Classification and Regression Trees", 1984 (one standard error).
    """
    require()
    check_input_function(teacher_input, "teacher_input")
    check_choice("rule", rule, RULES)
    verbose = check_count("verbose", int(verbose) if isinstance(verbose, bool) else verbose, 0, 2)
    with TeacherOutputs(teacher, teacher_input, None, "auto").unchanged():
        plan = Plan(
            teacher,
            make_student,
            data,
            space,
            {"folds": folds, "repeats": repeats, "groups": groups, "stratify": stratify},
            {
                "epochs": epochs,
                "batch_size": batch_size,
                "optimizer": optimizer,
                "loss": loss,
                "metrics": metrics,
            },
            objective,
            search,
            max_trials,
            {"teacher_input": teacher_input, "student_input": student_input},
            seed,
        )
        return run(plan, directory, rule, verbose)


def require() -> None:
    """Checks that KerasTuner is installed.

    Raises:
        ImportError: If it isn't; the error names the extra to install.
    """
    try:
        import keras_tuner  # noqa: F401
    except ImportError as error:
        raise ImportError('Tuning needs KerasTuner: pip install "keras_distill[tune]"') from error
