"""The run of a search: the teacher's cache, the student alone, KerasTuner's trials, the result."""

import contextlib
import gc
import math
import tempfile
import time

import numpy as np

from keras_distill.files import locked_folder
from keras_distill.training.tracing import without_retracing_warnings
from keras_distill.tuning.fold_training import DivergedError
from keras_distill.tuning.progress import Progress
from keras_distill.tuning.record import Record
from keras_distill.tuning.result import Trial, TuningResult
from keras_distill.tuning.settings import describe, settings_of

ALONE = "student alone"
# Seconds of a training beside which collecting garbage takes no time.
_LONG = 20.0


def run(plan, directory, rule, verbose):
    """Runs a search, or goes on with it.

    Args:
        plan: `Plan`.
        directory: Folder, or `None` for a temporary one.
        rule: As for `tune`.
        verbose: As for `tune`.

    Returns:
        `TuningResult`.

    Raises:
        ValueError: If the folder holds another search, or a distributed search has no folder.
    """
    # Not at the top, as it imports KerasTuner.
    from keras_distill.tuning import oracles

    is_worker = oracles.is_distributed() and not oracles.is_chief()
    if oracles.is_distributed() and directory is None:
        raise ValueError(
            "A distributed search needs a directory that all of its processes share. "
            "Received: directory=None"
        )
    with contextlib.ExitStack() as stack:
        if directory is None:
            directory = stack.enter_context(tempfile.TemporaryDirectory())
        record = Record(directory)
        if not is_worker:
            record.check(plan.made_of)
            stack.enter_context(locked_folder(record.directory))
            record.begin(plan.made_of)
        progress = Progress(verbose, _trainings(plan, is_worker))
        search = Search(plan, record, progress, is_worker)
        oracle = oracles.make_oracle(plan, record)
        with progress:
            if not is_worker:
                plan.source.fill(record.directory, plan.examples)
                progress.say(plan.source.notes)
                search.evaluate(None)
            tuner = oracles.FoldsTuner(oracle, search.evaluate, record, record.directory)
            with without_retracing_warnings():
                raising_causes(tuner.search)
        return search.result(rule)


def _trainings(plan, is_worker):
    """Returns how many trainings a process does at most, or `None` if that isn't known."""
    if is_worker or plan.max_trials is None:
        return None
    return len(plan.folds) * (1 + plan.max_trials)


def raising_causes(search):
    """Runs KerasTuner's loop; an error that ends it is the one that was raised in a trial."""
    from keras_tuner.errors import FatalError

    try:
        search(verbose=0)
    except FatalError as error:
        raise error.__cause__ or error from None


class Search:
    """The trials of a search, each trained on what folds it lacks.

    Args:
        plan: `Plan`.
        record: `Record`.
        progress: `Progress`.
        is_worker: Whether another process, the chief, begins the search.
    """

    def __init__(self, plan, record, progress, is_worker=False):
        self._plan = plan
        self._record = record
        self._progress = progress
        self._is_worker = is_worker

    def evaluate(self, values):
        """Trains what is lacking of a trial, and returns its mean score.

        Args:
            values: Values of the hyperparameters, or `None` for the student alone.

        Returns:
            A number; NaN if a training diverged.
        """
        from keras_distill.tuning.oracles import EPOCHS, without_tuner_values

        if self._is_worker:
            self._follow_chief()
        epochs = self._plan.epochs if values is None else values.get(EPOCHS, self._plan.epochs)
        values = None if values is None else without_tuner_values(values)
        finished = self._record.folds(values, epochs)
        self._progress.begin(ALONE if values is None else describe(values), len(finished))
        for fold in self._plan.folds:
            if fold.number not in finished and not _failures(finished):
                finished[fold.number] = self._train(values, fold, epochs)
                self._record.finish(values, epochs, fold.number, finished[fold.number])
                self._progress.advance()
        scores = [outcome["score"] for outcome in finished.values()]
        return math.nan if _failures(finished) else float(np.mean(scores))

    def _follow_chief(self):
        """Opens what the chief has ready when it hands out trials, if it searches the same."""
        self._record.check(self._plan.made_of)
        self._plan.source.open(self._record.directory)
        self._is_worker = False

    def _train(self, values, fold, epochs):
        from keras_tuner.errors import FatalError

        start = time.perf_counter()
        try:
            settings = None if values is None else settings_of(self._plan.space, values)
            score, failure = self._plan.training.score(settings, fold, epochs), None
        except DivergedError as error:
            score, failure = None, str(error)
        except Exception as error:
            error.add_note(f"While training {ALONE if values is None else describe(values)!r}.")
            # KerasTuner goes on after any other, as if a bug were a bad setting.
            raise FatalError(str(error)) from error
        seconds = time.perf_counter() - start
        if seconds > _LONG:
            # Models are cycles, and a large one shouldn't wait for Python to look for those.
            gc.collect()
        return {"score": score, "seconds": seconds, "failure": failure}

    def result(self, rule):
        """Returns the result of what is finished.

        Args:
            rule: As for `tune`.
        """
        from keras_distill.tuning.oracles import EPOCHS, without_tuner_values

        alone = self._trial(None, self._plan.epochs)
        trials = {}
        for proposed in self._record.proposals():
            epochs = proposed.get(EPOCHS, self._plan.epochs)
            trial = self._trial(without_tuner_values(proposed), epochs)
            if trial is not None:
                trials[trial.name, epochs] = trial
        return TuningResult(
            list(trials.values()),
            alone,
            self._plan.training.metric,
            self._plan.space,
            rule,
            self._plan.inputs,
            self._plan.source.notes,
        )

    def _trial(self, values, epochs):
        """Returns a trial of which all folds are finished, or one failed; otherwise `None`."""
        finished = self._record.folds(values, epochs)
        failures = _failures(finished)
        if not failures and len(finished) < len(self._plan.folds):
            return None
        return Trial(
            name=ALONE if values is None else describe(values),
            values=values or {},
            scores=np.array([] if failures else [each["score"] for each in finished.values()]),
            epochs=epochs,
            seconds=sum(each["seconds"] for each in finished.values()),
            failure=failures[0] if failures else None,
        )


def _failures(finished):
    return [outcome["failure"] for outcome in finished.values() if outcome["failure"] is not None]
