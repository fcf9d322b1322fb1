"""compare: each candidate beside the student alone, on the same footing, in one call."""

import os
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np

from keras_distill.arguments import check_count, check_flag, shown
from keras_distill.comparison.candidates import ALONE, StudentAlone, candidates_of
from keras_distill.comparison.comparison import Comparison
from keras_distill.comparison.metric import metric_of
from keras_distill.comparison.parts import parts_of
from keras_distill.comparison.progress import Progress
from keras_distill.comparison.records import Records
from keras_distill.comparison.settings import Settings, described
from keras_distill.comparison.student import example_of, student_fingerprint
from keras_distill.comparison.teacher_outputs import TeacherOutputs, teacher_fingerprint
from keras_distill.comparison.training_runs import Trainer
from keras_distill.features.batches import check_input_function

_LARGEST_SEED = 2**32 - 1


def compare(
    teacher: Any,
    make_student: Callable[[], keras.Model],
    data: Any,
    candidates: dict[str, Any],
    seeds: int | Sequence[int] = 5,
    *,
    epochs: int = 10,
    batch_size: int | None = None,
    optimizer: Any = None,
    learning_rate: Any = None,
    loss: Any = None,
    metrics: Any = None,
    metric: str | None = None,
    higher_is_better: bool | None = None,
    callbacks: Callable | None = None,
    teacher_input: Callable | str | None = None,
    student_input: Callable | str | None = None,
    cache: bool | str = "auto",
    keep_students: bool = False,
    directory: str | os.PathLike | None = None,
    verbose: int = 1,
    control: bool = True,
    **compile_options: Any,
) -> Comparison:
    """Compares ways to distill with the student alone, on the same footing.

    The student is trained alone and by each candidate, with each seed. A seed gives every arm the
    same initial weights, the same order of the samples, the same number of updates and the same
    schedule; the student alone is what `keras.utils.set_random_seed(seed)`, `make_student()`,
    `compile` and `fit` give without this library. The validation part is for `fit`'s
    `validation_data`, and the test part only measures the trained students. The result has the
    gains over the student alone, paired by seed, with their standard errors and p-values, and says
    in a sentence whether each candidate helped.

    Where samples have no label (class -1 or NaN, in arrays), the student alone is trained on those
    that have one, repeated to the same number of updates.

    Args:
        teacher: As for `Distiller`: a trained `keras.Model`, a function, or a `TeacherCache` of the
            training arrays. Where the losses allow, it runs once over the training part, and a
            cache takes its place. `None` if no loss needs one.
        make_student: Function without arguments that returns a new student. What a compiled
            student was compiled with is the default of the settings below, for every arm; each arm
            is compiled again.
        data: `keras_distill.datasets.Dataset`, a tuple `(train, test)` or
            `(train, validation, test)`, or a dictionary of them. Each part is arrays `(x, y)` or
            `(x, y, sample_weight)`, a `tf.data.Dataset` of batches in a fixed order, a
            `keras.utils.PyDataset`, or a function of the seed that makes one, for data that is
            shuffled or augmented anew.
        candidates: Dictionary from a name to one of: a distillation loss, or a list of them; the
            name of a recipe, with its published weights, or of a loss; a recipe of
            `keras_distill.recipes`; a dictionary of arguments of `Distiller` (losses, weights,
            another `teacher`, or `distillation_loss_fn`, `alpha` and `temperature` as in Keras's
            tutorial); a function `(teacher, student)` that returns a `keras.Model` to fit, compiled
            or not, which is measured by its `student` if it has one, and by the `student` that it
            was given if not.
        seeds: Number of seeds, which then are 0, 1, ..., or a list of seeds.
        epochs: Epochs of every arm.
        batch_size: Samples per update, for arrays; by default 32.
        optimizer: Name, `keras.Optimizer` whose configuration each run gets, or function without
            arguments that makes one; by default that of a compiled student, otherwise `"adam"`.
        learning_rate: Number, schedule, or function from the number of updates of a run to one,
            in place of the optimizer's own.
        loss: Loss of the labels, as for `compile`. By default the compiled student's, otherwise the
            crossentropy that suits the labels and the student's last activation.
        metrics: Metrics, as for `compile`. By default the compiled student's, otherwise
            `["accuracy"]` for a crossentropy.
        metric: Name of the metric that is reported; by default the accuracy, or the only metric, or
            the loss.
        higher_is_better: Whether more of it is better, where its name doesn't tell.
        callbacks: Function that makes the list of a run's callbacks, without arguments or of the
            arm's name and the seed. A callback that stops early gives the arms different numbers
            of updates, of which the result then has a note.
        teacher_input: As for `Distiller`, for every candidate.
        student_input: As for `Distiller`, for every arm.
        cache: `"auto"`: the teacher runs once for the candidates whose losses allow it, if its
            outputs take less than 1 GiB of memory. `True` does so whatever the size, and fails
            where it can't; with `False` the teacher runs in each step.
        keep_students: Whether the result has the trained students.
        directory: Folder that finished runs are written to, so that the same call goes on after it
            was stopped, or with more seeds or candidates. Results of other data, settings, students
            or teachers, and of a candidate that has changed, are refused by name.
        verbose: 1 for a progress bar and the table, 0 for neither.
        control: Whether the student alone is trained. Without it there are no gains, and no word on
            whether a candidate helped.
        **compile_options: `auto_scale_loss`, `jit_compile`, `loss_weights`, `run_eagerly`,
            `steps_per_execution` and `weighted_metrics` of `compile`, for every arm.

    Returns:
        `Comparison`. A candidate that diverges has the reason in its verdict, and the others go on.

    Raises:
        TypeError: If an argument is of the wrong type.
        ValueError: If a part of the data is missing, a candidate can't be built (before anything
            is trained), or the folder holds another comparison.

    Example:

    ```python
    x, y = np.random.rand(64, 4), np.random.randint(0, 3, 64)

    def make_student():
        return keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])

    result = compare(
        teacher=make_student(),
        make_student=make_student,
        data=((x[:48], y[:48]), (x[48:], y[48:])),
        candidates={"soft targets": "kd", "logits": keras_distill.losses.LogitMatching()},
        seeds=2,
        epochs=1,
        verbose=0,
    )
    print(result)
    ```

    Reference:
        - Holm, "A Simple Sequentially Rejective Multiple Test Procedure", 1979.
    """
    seeds = _checked_seeds(seeds)
    check_flag("keep_students", keep_students)
    check_flag("control", control)
    verbose = check_count("verbose", int(verbose) if isinstance(verbose, bool) else verbose, 0, 1)
    check_input_function(teacher_input, "teacher_input")
    check_input_function(student_input, "student_input")
    arms = [StudentAlone()] if control else []
    arms += candidates_of(candidates)
    parts = parts_of(data)
    example = example_of(make_student)
    settings = Settings(
        example,
        parts,
        epochs,
        batch_size,
        optimizer,
        learning_rate,
        loss,
        metrics,
        callbacks,
        compile_options,
    )
    outputs = TeacherOutputs(teacher, teacher_input, parts.train, cache)
    trainer = Trainer(make_student, parts, outputs, settings, student_input, not keep_students)
    reported = metric_of(trainer.metrics_of(example), metric, higher_is_better)
    setup = {
        **parts.fingerprints(),
        "student": student_fingerprint(make_student),
        "teacher": teacher_fingerprint(teacher),
        "inputs": described([teacher_input, student_input]),
        **settings.describe(),
    }
    records = Records(directory, setup, {arm.name: described(arm.describe()) for arm in arms})
    with records.opened(), outputs.unchanged():
        _train_missing(trainer, records, arms, seeds, keep_students, verbose)
        of_teacher = trainer.measure_teacher(reported)
    result = Comparison(
        reported,
        seeds,
        {arm.name: [records.get(arm.name, seed) for seed in seeds] for arm in arms},
        of_teacher,
        [*outputs.notes, *_notes(trainer, records, arms, seeds)],
        _students(records, arms, seeds) if keep_students else None,
    )
    if verbose:
        from rich.console import Console

        Console().print(result, highlight=False)
    return result


def _train_missing(trainer, records, arms, seeds, keep_students, verbose):
    """Trains the runs that there are no records of, once it is sure that every arm can be built."""
    missing = [
        (arm, seed)
        for seed in seeds
        for arm in arms
        if records.get(arm.name, seed) is None
        or (keep_students and _lacks_student(records, arm.name, seed))
    ]
    to_train = [arm for arm in arms if any(arm is other for other, _ in missing)]
    for arm in to_train:
        trainer.check_builds(arm)
    with trainer.outputs.prepared([arm for arm in to_train if arm.name != ALONE]):
        for arm, seed in Progress(missing, verbose):
            run, student = trainer.run(arm, seed)
            records.add(run, student if keep_students else None)


def _checked_seeds(seeds: int | Sequence[int]) -> list[int]:
    if isinstance(seeds, (list, tuple, range, np.ndarray)):
        seeds = [check_count("seeds", seed, 0, _LARGEST_SEED) for seed in seeds]
        if not seeds or len(set(seeds)) != len(seeds):
            raise ValueError(
                "seeds must be one or more different integers: the same seed is the same run. "
                f"Received: seeds={shown(seeds)}"
            )
        return seeds
    return list(range(check_count("seeds", seeds, high=10_000)))


def _lacks_student(records, arm, seed):
    return records.get(arm, seed).failure is None and not records.has_student(arm, seed)


def _notes(trainer, records, arms, seeds):
    if trainer.sees_labeled_only and arms[0].name == ALONE:
        yield (
            f"The {ALONE} was trained on the samples that have a label, repeated to the same "
            "number of updates."
        )
    updates = {
        arm.name: np.mean([records.get(arm.name, seed).updates for seed in seeds]) for arm in arms
    }
    finished = {
        records.get(arm.name, seed).updates
        for arm in arms
        for seed in seeds
        if records.get(arm.name, seed).failure is None
    }
    if len(finished) > 1:
        listed = ", ".join(f"{name} {count:,.0f}" for name, count in updates.items())
        yield f"The arms had different numbers of updates, on average: {listed}."


def _students(records, arms, seeds):
    return {arm.name: [records.student(arm.name, seed) for seed in seeds] for arm in arms}
