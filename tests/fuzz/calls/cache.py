"""Calls of the teacher cache."""

import numpy as np

from keras_distill import SoftTargets, TeacherCache
from tests.fuzz.cases import Call
from tests.fuzz.rules import FLAG, NONE, PATH, Rule, count, number, one_of, sequence_of, text


def _build(place):
    arguments = {
        "directory": place.folder / "new_cache",
        "teacher": place.teacher(),
        "dataset": (place.x, place.y),
        "distillation_losses": [SoftTargets()],
        "batch_size": 4,
        "dtype": "float32",
        "top_k": None,
        "teacher_input": None,
        "augment": None,
        "views": 1,
        "seed": 0,
        "shard_size": 4,
        "worker": "auto",
        "timeout": 3,
        "verbose": 0,
    }
    return TeacherCache.build, arguments


def _from_outputs(place):
    arguments = {
        "directory": place.folder / "new_cache",
        "dataset": (place.x, place.y),
        "outputs": {"output": place.x[:, 0, :4, 0], "features": place.x},
        "output_activation": "linear",
        "batch_size": 4,
        "dtype": "float32",
        "top_k": None,
        "shard_size": 4,
        "verbose": 0,
    }
    return TeacherCache.from_outputs, arguments


def _join(place):
    arguments = {
        "dataset": (place.x, place.y),
        "augment": None,
        "views": None,
        "batch_size": 4,
        "shuffle": True,
        "buffer_size": 8,
        "seed": 0,
        "shard": (0, 1),
    }
    return place.cache().join, arguments


def _one_batch(place, dataset, arguments):
    next(iter(dataset.take(1)))


_SAMPLES = 2**31 - 1
_LINEAR = NONE | one_of("linear")
# Labels and weights aren't kept, so that there may be none, or both.
_ARRAYS = Rule(lambda value: isinstance(value, tuple) and 1 <= len(value) <= 3)
# One key less, or another name, is another set of features with a row per sample all the same.
_OUTPUTS = Rule(
    lambda value: (
        isinstance(value, dict)
        and bool(value)
        and all(isinstance(each, np.ndarray) and len(each) == 12 for each in value.values())
    )
)
CALLS = [
    Call(
        "TeacherCache.build",
        _build,
        {
            "directory": PATH,
            "distillation_losses": sequence_of(one_of("kd", "dkd")).named("distillation loss"),
            "batch_size": count(high=_SAMPLES),
            "dtype": one_of("float32", "float16", "bfloat16"),
            "top_k": NONE | count(high=3),
            "teacher_input": NONE,
            "augment": NONE,
            "views": count(high=100),
            "seed": count(low=-(2**62), high=2**62),
            "shard_size": NONE | count(high=_SAMPLES),
            "worker": one_of("auto"),
            "timeout": number(low=0),
            "verbose": one_of(0, 1) | FLAG,
        },
        lambda place, cache, arguments: (repr(cache), cache.get_config()),
        module="cache",
        seconds=15,
    ),
    Call(
        "TeacherCache.from_outputs",
        _from_outputs,
        {
            "directory": PATH,
            "outputs": _OUTPUTS,
            "dataset": _ARRAYS,
            "output_activation": _LINEAR | sequence_of(_LINEAR, 1, 1),
            "batch_size": count(high=_SAMPLES),
            "dtype": one_of("float32", "float16", "bfloat16"),
            "top_k": NONE | count(high=3),
            "shard_size": NONE | count(high=_SAMPLES),
            "verbose": count(low=0, high=2) | FLAG,
        },
        lambda place, cache, arguments: (repr(cache), cache.get_config()),
        module="cache",
        seconds=15,
    ),
    Call(
        "TeacherCache.join",
        _join,
        {
            "augment": NONE,
            "views": NONE | count(high=1),
            "batch_size": NONE | count(high=_SAMPLES),
            "shuffle": NONE | FLAG,
            "buffer_size": NONE | count(high=_SAMPLES),
            "seed": NONE | count(low=-(2**62), high=2**62),
            # Any samples of the cache, in any order: there must be as many as in the data set.
            "indices": NONE | sequence_of(count(low=0, high=11), 12, 12),
        },
        _one_batch,
        module="cache",
        seconds=15,
    ),
    Call(
        "TeacherCache",
        lambda place: (
            TeacherCache,
            {"directory": place.cache().directory, "teacher": None, "verify": True},
        ),
        {"teacher": NONE, "verify": FLAG},
        lambda place, cache, arguments: repr(cache),
        module="cache",
    ),
    Call(
        "TeacherCache.targets_for",
        lambda place: (
            place.cache().targets_for,
            {"path": None, "reduction": "logits", "loss": SoftTargets()},
        ),
        {"path": NONE.named("hold")},
        leave=("loss", "reduction"),
        module="cache",
    ),
    Call(
        "TeacherCache.output_activation",
        lambda place: (place.cache().output_activation, {"path": None}),
        {"path": text() | NONE},
        module="cache",
    ),
]
