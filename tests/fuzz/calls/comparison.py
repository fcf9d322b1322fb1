"""Calls of compare and of its results."""

import keras

from keras_distill import Comparison, compare, visualization
from keras_distill.comparison.metric import Metric
from keras_distill.comparison.training_runs import Run
from tests.fuzz.cases import Call
from tests.fuzz.rules import (
    ANYTHING,
    FLAG,
    NONE,
    PATH,
    Rule,
    count,
    instance,
    number,
    one_of,
    sequence_of,
    text,
)

_KERAS = ANYTHING.of_keras()
_PICTURE = Rule(
    lambda value: value is None or PATH.accepts(value), ("output folder",), replaces=True
)


def _crossentropy():
    return keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def _compare(place):
    arguments = {
        "teacher": place.teacher(),
        "make_student": place.student,
        "data": ((place.x[:8], place.y[:8]), (place.x[8:], place.y[8:])),
        "candidates": {"soft targets": "kd"},
        "seeds": 1,
        "epochs": 1,
        "batch_size": 4,
        "optimizer": "sgd",
        "learning_rate": 0.01,
        "loss": _crossentropy(),
        "metrics": ["accuracy"],
        "metric": "accuracy",
        "higher_is_better": True,
        "callbacks": None,
        "teacher_input": None,
        "student_input": None,
        "cache": False,
        "keep_students": False,
        "directory": None,
        "verbose": 0,
        "control": True,
        "run_eagerly": True,
    }
    return compare, arguments


def _is_different(value):
    seeds = list(value)
    return len(set(seeds)) == len(seeds)


_SEEDS = count(high=3) | Rule(
    lambda value: sequence_of(count(low=0, high=2**32 - 1)).accepts(value) and _is_different(value)
)
_RULES = {
    # Without a loss that needs one there need be no teacher; this loss does.
    "teacher": Rule(lambda value: isinstance(value, keras.Model)),
    "make_student": Rule(lambda value: False).named("what make_student returns"),
    "data": Rule(lambda value: False),
    "candidates": Rule(
        lambda value: (
            isinstance(value, dict) and all(isinstance(name, str) and name for name in value)
        )
    ).named("candidate"),
    "seeds": _SEEDS,
    "epochs": count(high=5),
    "batch_size": NONE | count(high=2**31),
    "optimizer": (NONE | instance(keras.Optimizer) | text()).of_keras(),
    "learning_rate": NONE
    | number(0, low_is_allowed=False)
    | instance(keras.optimizers.schedules.LearningRateSchedule),
    "loss": (NONE | instance(keras.losses.Loss) | one_of("mse", "kl_divergence")).of_keras(),
    "metrics": _KERAS,
    "metric": NONE | one_of("accuracy", "loss"),
    "higher_is_better": NONE | FLAG,
    "callbacks": NONE,
    "teacher_input": NONE,
    "student_input": NONE,
    "cache": FLAG | one_of("auto"),
    "keep_students": FLAG,
    "directory": NONE | PATH,
    "verbose": FLAG | count(low=0, high=1),
    "control": FLAG,
    "run_eagerly": _KERAS,
}


def _comparison(place):
    runs = {
        arm: [Run(arm, seed, {"accuracy": 0.5 + 0.01 * seed}, {}, 3) for seed in range(2)]
        for arm in ("student alone", "kd")
    }
    return Comparison(Metric("accuracy", True), range(2), runs)


def _gains(place):
    arguments = {
        "values": {"student alone": [0.5, 0.6], "kd": [0.6, 0.7]},
        "metric": "accuracy",
        "higher_is_better": True,
        "path": place.folder / "gains.png",
    }
    return visualization.plot_gains, arguments


CALLS = [
    Call(
        "compare",
        _compare,
        _RULES,
        without=(("epochs", "huge_int"), ("seeds", "huge_int")),
        module="comparison",
        seconds=60,
    ),
    Call(
        "Comparison.plot",
        lambda place: (_comparison(place).plot, {"path": place.folder / "gains.png"}),
        {"path": _PICTURE},
        lambda place, figure, arguments: visualization.png(figure),
        module="comparison",
    ),
    Call(
        "visualization.plot_gains",
        _gains,
        {"path": _PICTURE, "higher_is_better": FLAG, "metric": text()},
        lambda place, figure, arguments: visualization.png(figure),
        module="visualization",
    ),
]
