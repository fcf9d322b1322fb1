"""One sentence per candidate: whether it helped, hurt, or can't be told from chance."""

import math

from keras_distill.comparison import statistics

_LEVEL = 0.05


def verdict(name, metric, gains, p_value, adjusted, tests, failures, seeds):
    """Returns in one sentence, or two, what a comparison says of a candidate.

    Args:
        name: The candidate's name.
        metric: `Metric`.
        gains: Array of the gains of the seeds that finished.
        p_value: Of the paired t-test, or NaN.
        adjusted: The same, corrected for the number of candidates.
        tests: Number of candidates with a p-value.
        failures: Dictionary from seed to why the run has no result.
        seeds: Number of seeds.
    """
    failed = ""
    if failures:
        seed, reason = next(iter(failures.items()))
        failed = f"{name} failed with {len(failures)} of {seeds} seeds (seed {seed}: {reason})."
        if not len(gains):
            return failed
        failed += " Of the others: "
    return failed + _of_gains(name, metric, gains, p_value, adjusted, tests)


def _of_gains(name, metric, gains, p_value, adjusted, tests):
    count = f"{len(gains)} seed{'s' * (len(gains) > 1)}"
    by = metric.difference(gains.mean(), statistics.standard_error(gains)) + metric.unit
    unclear = f"With {count} it can't be told whether {name} helps: a gain of {by} in {metric.name}"
    if len(gains) < 2:
        return f"{unclear}, and one seed has no standard error. Give seeds=5 or more."
    if math.isnan(p_value):
        same = metric.difference(gains.mean(), math.nan) + metric.unit
        if abs(gains.mean()) < 1e-12:
            return f"{name} changed nothing: {metric.name} was the same with each of {count}."
        return (
            f"It can't be told whether {name} helps: the gain of {same} in {metric.name} was the "
            f"same with each of {count}, as if there were one run."
        )
    if tests > 1:
        probability = f"p {_is(p_value)}, corrected for {tests} candidates p {_is(adjusted)}"
    else:
        probability = f"p {_is(p_value)}"
    if adjusted < _LEVEL:
        word = "helped" if gains.mean() > 0 else "hurt"
        return f"{name} {word}: a gain of {by} in {metric.name} ({count}, {probability})."
    needed = statistics.pairs_needed(gains)
    more = ""
    if needed is not None and len(gains) < needed <= 1000:
        more = f" About {needed} seeds would tell a gain of this size."
    return f"{unclear} ({probability}).{more}"


def _is(p):
    return "< 0.001" if p < 0.001 else f"= {p:.3f}"
