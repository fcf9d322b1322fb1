"""The objective of a search: which number of the validation samples counts, and which way."""

from keras_distill.arguments import check_choice, shown
from keras_distill.comparison.metric import metric_of


def metric_of_objective(objective, logs):
    """Returns the metric that the user means.

    Args:
        objective: `"auto"`, a name, a tuple `(name, "max")` or `(name, "min")`, or a
            `keras_tuner.Objective`.
        logs: What evaluating an untrained student returned, a dictionary.

    Returns:
        `Metric`.

    Raises:
        TypeError: If it is something else.
        ValueError: If it isn't in the logs, or nothing tells which way is better.
    """
    direction = None
    if isinstance(objective, tuple) and len(objective) == 2:
        objective, direction = objective
    elif hasattr(objective, "name") and hasattr(objective, "direction"):
        objective, direction = objective.name, objective.direction
    if not isinstance(objective, str):
        raise TypeError(
            "objective must be the name of a metric, ('name', 'max') or ('name', 'min'). "
            f"Received: objective={shown(objective)}"
        )
    check_choice("the direction of objective", direction, ("max", "min", None))
    higher_is_better = None if direction is None else direction == "max"
    if objective == "auto":
        return metric_of(logs, None, higher_is_better)
    name = objective if objective in logs else objective.removeprefix("val_")
    if name not in logs:
        raise ValueError(
            "objective must be the loss or one of the student's metrics. "
            f"They are: {', '.join(logs)}. Received: objective={objective!r}"
        )
    if higher_is_better is None and _is_unclear(logs, name):
        raise ValueError(
            f"Whether more of {name!r} is better isn't known: give objective=({name!r}, 'max') or "
            f"({name!r}, 'min'). Received: objective={objective!r}"
        )
    return metric_of(logs, name, higher_is_better)


def _is_unclear(logs, name):
    try:
        metric_of(logs, name)
    except ValueError:
        return True
    return False
