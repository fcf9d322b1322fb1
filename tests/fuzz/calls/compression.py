"""Calls of the compression of students."""

import pathlib

import numpy as np

from keras_distill import compression
from tests.fuzz.cases import Call
from tests.fuzz.rules import FLAG, NONE, Rule, array, count, number, one_of, sequence_of

_LAYERS = NONE | sequence_of(one_of("stage1", "stage2", "logits"))

_IMAGES = array(lambda made: made.shape[1:] == (8, 8, 1) and len(made) and np.isfinite(made).all())


def _forward(place, model, arguments):
    model(place.x[:2])


def _layer(name, given, rules):
    kind = getattr(compression, name)
    shape = (2, 8) if "Dense" in name else (2, 8, 3) if "1D" in name else (2, 8, 8, 3)

    def use(place, layer, arguments):
        layer(np.zeros(shape, "float32"))
        layer.get_config()

    return Call(
        f"compression.{name}",
        lambda place: (kind, dict(given)),
        rules,
        use,
        leave=tuple(_OF_KERAS),
        module="compression",
    )


# Arguments of Keras's own layers, handed on as they are.
_OF_KERAS = """activation use_bias kernel_initializer bias_initializer kernel_regularizer
bias_regularizer activity_regularizer kernel_constraint bias_constraint lora_rank lora_alpha
quantization_config strides padding data_format dilation_rate groups depth_multiplier
depthwise_initializer depthwise_regularizer depthwise_constraint units filters
kernel_size""".split()

# What a dictionary leaves out has its default.
_SCHEDULE = Rule(lambda value: isinstance(value, dict) and not value)
_SCHEDULE_RULES = {
    "sparsity": number(0, 1, low_is_allowed=False),
    "pattern": NONE | one_of("2:4"),
    "begin_step": count(low=0, high=10),
    "end_step": NONE | count(low=0),
    "frequency": count(high=10),
    "initial_sparsity": number(0, 0.5),
}
_SCHEDULE_GIVEN = {
    "sparsity": 0.5,
    "pattern": None,
    "begin_step": 0,
    "end_step": 10,
    "frequency": 1,
    "initial_sparsity": 0.0,
}


def _layers():
    kinds = {
        "Dense": {"units": 4},
        "Conv1D": {"filters": 4, "kernel_size": 2},
        "Conv2D": {"filters": 4, "kernel_size": 2},
    }
    for kind, given in kinds.items():
        kept = {**given, "keeps_zeros": False}
        yield _layer(f"Quantized{kind}", kept, {"keeps_zeros": FLAG})
        yield _layer(
            f"Clustered{kind}",
            {**kept, "clusters": 4},
            {"clusters": count(low=2), "keeps_zeros": FLAG},
        )
        yield _layer(
            f"Pruned{kind}",
            {**given, "schedule": compression.PruningSchedule(), "calls_per_step": 1},
            {"calls_per_step": count(), "schedule": _SCHEDULE},
        )
    yield _layer(
        "QuantizedDepthwiseConv2D",
        {"kernel_size": 2, "keeps_zeros": False},
        {"keeps_zeros": FLAG},
    )


CALLS = [
    Call(
        "compression.PruningSchedule",
        lambda place: (compression.PruningSchedule, dict(_SCHEDULE_GIVEN)),
        _SCHEDULE_RULES,
        module="compression",
    ),
    Call(
        "compression.prune",
        lambda place: (
            compression.prune,
            {"student": place.student(), **_SCHEDULE_GIVEN, "layers": ["stage2"]},
        ),
        {**_SCHEDULE_RULES, "layers": _LAYERS.named("layer")},
        _forward,
        seconds=40,
        module="compression",
    ),
    Call(
        "compression.cluster",
        lambda place: (
            compression.cluster,
            {
                "student": place.student(),
                "clusters": 4,
                "initialization": "linear",
                "keep_zeros": False,
                "layers": ["logits"],
            },
        ),
        {
            "clusters": count(low=2),
            "initialization": one_of("kmeans++", "linear", "density", "random"),
            "keep_zeros": FLAG,
            "layers": _LAYERS.named("layer"),
        },
        _forward,
        seconds=40,
        module="compression",
    ),
    Call(
        "compression.quantize_aware",
        lambda place: (
            compression.quantize_aware,
            {"student": place.student(), "representative_data": place.x, "keep_zeros": False},
        ),
        {
            "keep_zeros": FLAG,
            "representative_data": NONE | _IMAGES,
        },
        _forward,
        module="compression",
    ),
    Call(
        "compression.equalize",
        lambda place: (
            compression.equalize,
            {"model": place.student(), "representative_data": place.x, "relu6": "refuse"},
        ),
        {
            "representative_data": NONE | _IMAGES,
            "relu6": one_of("refuse", "keep", "replace"),
        },
        _forward,
        module="compression",
    ),
    Call(
        "compression.strip",
        lambda place: (
            compression.strip,
            {"model": compression.cluster(place.student(), 4, "linear")},
        ),
        seconds=40,
        module="compression",
    ),
    Call(
        "compression.summarize",
        lambda place: (compression.summarize, {"model": place.student()}),
        # Of any file, the sizes are told.
        {"model": Rule(lambda value: isinstance(value, pathlib.Path) and value.is_file())},
        lambda place, summary, arguments: str(summary),
        module="compression",
    ),
    Call(
        "compression.to_tf_keras",
        lambda place: (compression.to_tf_keras, {"model": place.student()}),
        seconds=40,
        module="compression",
    ),
    Call(
        "compression.from_tf_keras",
        lambda place: (
            compression.from_tf_keras,
            {"model": compression.to_tf_keras(place.student())},
        ),
        seconds=40,
        module="compression",
    ),
    Call(
        "compression.ActivationRange",
        lambda place: (compression.ActivationRange, {}),
        {"name": FLAG},
        module="compression",
    ),
    *_layers(),
]
