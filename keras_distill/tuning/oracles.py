"""KerasTuner's search algorithms, with proposals that are kept, and its tuner over folds.

It imports KerasTuner, so that only a search imports it.
"""

import os

import keras_tuner
from keras_tuner.engine.base_tuner import BaseTuner

from keras_distill.arguments import check_choice, shown

ORACLES = {
    "random": keras_tuner.oracles.RandomSearchOracle,
    "bayesian": keras_tuner.oracles.BayesianOptimizationOracle,
    "hyperband": keras_tuner.oracles.HyperbandOracle,
    "grid": keras_tuner.oracles.GridSearchOracle,
}
# What HyperBand adds to the values of the hyperparameters.
EPOCHS = "tuner/epochs"
_PREFIX = "tuner/"
_USUAL_TRIALS = 20


def make_oracle(plan, record):
    """Returns the oracle of KerasTuner that a search asks, whose proposals are kept in a record.

    Args:
        plan: `Plan`.
        record: `Record`.
    """
    oracle_class = ORACLES[plan.search]
    metric = plan.training.metric
    arguments = arguments_of(metric, plan.known, plan.seed)
    if plan.search == "hyperband":
        arguments["max_epochs"] = plan.epochs
    else:
        arguments["max_trials"] = plan.max_trials
    if plan.search == "bayesian":
        arguments["num_initial_points"] = initial_points(plan.known)
    begins_with_defaults = plan.search in ("random", "bayesian")
    return keeping(oracle_class, begins_with_defaults)(record, **arguments)


def arguments_of(metric, known, seed):
    """Returns the arguments that all oracles take.

    Args:
        metric: `Metric` to choose by.
        known: `keras_tuner.HyperParameters` with the space as far as it is known.
        seed: Integer.
    """
    direction = "max" if metric.higher_is_better else "min"
    return {
        "objective": keras_tuner.Objective(metric.name, direction),
        "hyperparameters": known.copy(),
        # KerasTuner takes 0 for none.
        "seed": seed + 1,
        # A training that diverges is a result; it doesn't end the search.
        "max_consecutive_failed_trials": 2**31,
    }


def checked_trials(search, max_trials, known, is_list):
    """Returns the number of trials that a search makes at most, or `None` if that isn't given.

    Args:
        search: `"random"`, `"bayesian"`, `"hyperband"` or `"grid"`.
        max_trials: What the user gave, or `None`.
        known: `keras_tuner.HyperParameters` with the whole space.
        is_list: Whether the space is a list of settings.

    Raises:
        ValueError: If `search` is unknown, or `max_trials` doesn't suit it.
    """
    check_choice("search", search, tuple(ORACLES))
    if search == "hyperband":
        if max_trials is not None:
            raise ValueError(
                "HyperBand chooses the number of trials by the number of epochs: leave max_trials "
                f"out. Received: max_trials={shown(max_trials)}"
            )
        return None
    if search == "grid":
        return len(known.space[0].values) if is_list and max_trials is None else max_trials
    count = max_trials or _USUAL_TRIALS
    if search == "bayesian" and count <= initial_points(known):
        raise ValueError(
            f"search='bayesian' begins with {initial_points(known)} random trials in this space: "
            "give max_trials above that, or search='random'. "
            f"Received: max_trials={count}"
        )
    return count


def initial_points(known):
    """Returns how many random trials a Bayesian search begins with.

    Not three times the dimensions, as in KerasTuner: searches of the usual length would end before.

    Args:
        known: `keras_tuner.HyperParameters` with the whole space.
    """
    return max(4, len(known.space))


def keeping(oracle_class, begins_with_defaults):
    """Returns the subclass of an oracle that keeps what it proposes in a record.

    Args:
        oracle_class: Class of an oracle of KerasTuner.
        begins_with_defaults: Whether the first proposal is the defaults of the space.
    """

    class Keeping(oracle_class):
        """The oracle, whose proposals are kept, and made again by a search that goes on."""

        def __init__(self, record, **kwargs):
            self._record = record
            super().__init__(**kwargs)

        def populate_space(self, trial_id):
            """Proposes values; those of the record, where it has the trial."""
            # Asked also where the record has the trial, so that the same are drawn after it.
            proposal = super().populate_space(trial_id)
            if proposal["status"] != "RUNNING":
                return proposal
            number = int(trial_id)
            kept = self._record.proposal(number)
            if kept is None:
                kept = proposal["values"]
                if begins_with_defaults and number == 0:
                    kept = defaults_of(self.hyperparameters)
                self._record.propose(number, kept)
            return {**proposal, "values": dict(kept)}

    Keeping.__name__ = oracle_class.__name__
    return Keeping


def defaults_of(known):
    """Returns the default values of a space, those that count.

    Args:
        known: `keras_tuner.HyperParameters` with the space.
    """
    hp = keras_tuner.HyperParameters()
    hp.merge(known.space)
    return {each.name: hp.values[each.name] for each in hp.space if hp.is_active(each)}


class FoldsTuner(BaseTuner):
    """KerasTuner's loop over trials, each of which is scored by cross-validation.

    Args:
        oracle: The oracle.
        evaluate: Function from the values of a trial to its mean score, NaN if it failed.
        record: `Record`.
        directory: Folder of KerasTuner's own files, which are written new each time.
    """

    def __init__(self, oracle, evaluate, record, directory):
        self._evaluate = evaluate
        self._record = record
        worker = is_distributed() and not is_chief()
        super().__init__(
            oracle,
            directory=str(directory),
            # A worker's oracle is the chief's, whose files it mustn't touch.
            project_name=f"worker_{worker_name()}" if worker else "keras_tuner",
            overwrite=True,
        )

    def run_trial(self, trial, verbose=0):
        """Returns the score of a trial."""
        # Not the trial's own values, which the way between two processes rounds.
        values = self._record.proposal(int(trial.trial_id))
        return self._evaluate(values)


def without_tuner_values(values):
    """Returns the values that the space has, without those that HyperBand adds.

    Args:
        values: Values of a trial.
    """
    return {name: value for name, value in values.items() if not name.startswith(_PREFIX)}


def is_distributed():
    """Returns whether the environment says that several processes search together."""
    return "KERASTUNER_ORACLE_IP" in os.environ


def is_chief():
    """Returns whether this process hands out the trials of a distributed search."""
    return "chief" in worker_name()


def worker_name():
    """Returns the name of this process in a distributed search."""
    return os.environ.get("KERASTUNER_TUNER_ID", "")
