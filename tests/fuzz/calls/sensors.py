"""Calls of the preprocessing of sensors."""

import numpy as np

from keras_distill import sensors
from tests.fuzz.cases import Call
from tests.fuzz.rules import FLAG, NONE, Rule, array, count, number, one_of, sequence_of

_LARGEST = float(np.finfo("float32").max)


def _per_channel(rule, channels):
    return (
        rule
        | sequence_of(rule, channels, channels)
        | array(lambda made: made.shape == (channels,) and all(map(rule.accepts, made.tolist())))
    )


_MEAN = number(-_LARGEST, _LARGEST)
_STD = number(1e-30, _LARGEST, low_is_allowed=False)


def _call(name, arguments, rules, recordings):
    def use(place, made, arguments):
        made(recordings(made))

    make = lambda place: (getattr(sensors, name), dict(arguments))  # noqa: E731
    return Call(f"sensors.{name}", make, rules, use, module="sensors")


CALLS = [
    _call(
        "Window",
        {"length": 8, "step": 4, "gyroscope": False, "mean": (0.0, 0.0, 1.0), "std": 1.0},
        {
            "length": count(4, 65_536).named("step"),
            "step": NONE | count(high=8),
            "rate": number(0, 99, low_is_allowed=False),
            "gyroscope": FLAG.named("mean"),
            "mean": _per_channel(_MEAN, 3),
            "std": _per_channel(_STD, 3),
            "acceleration": one_of("g", "m/s2"),
            "rotation": one_of("deg/s", "rad/s"),
        },
        lambda made: np.zeros((20, made.channels)),
    ),
    _call(
        "LogMel",
        {"rate": 8_000, "samples": 800, "frame": 64, "hop": 32, "bands": 8, "highest": 4_000.0},
        {
            "rate": Rule(lambda value: value in (8_000, 16_000)),
            "samples": count(64, 480_000).named("frame"),
            "frame": count(33, 800).named("bands"),
            "hop": count(high=800),
            "bands": count(high=16),
            "lowest": number(0, 3_000),
            "highest": NONE | number(2_000, 4_000),
            "offset": number(1e-30, _LARGEST, low_is_allowed=False),
            "level": FLAG,
            "standardize": FLAG,
            "step": NONE | count(high=24),
        },
        lambda made: np.zeros((1, made.samples)),
    ),
    _call(
        "Camera",
        {"height": 6, "width": 8, "channels": 3, "mean": 0.0, "std": 255.0},
        {
            "height": count(high=4_096),
            "width": count(high=4_096),
            "channels": Rule(lambda value: type(value) in (int, np.int64) and value in (1, 3)),
            "mean": _per_channel(_MEAN, 3),
            "std": _per_channel(_STD, 3),
        },
        lambda made: np.zeros((1, 12, 10, 3), "uint8"),
    ),
]
