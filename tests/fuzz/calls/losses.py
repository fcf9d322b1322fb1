"""Calls of the losses, their registry and the recipes."""

import keras
import numpy as np

from keras_distill import losses, recipes
from tests.fuzz.cases import Call
from tests.fuzz.rules import (
    ANYTHING,
    FLAG,
    NONE,
    array,
    count,
    instance,
    keras_name,
    number,
    one_of,
    printable_name,
    schedule_or_number,
    sequence_of,
    text,
)
from tests.losses.cases import CASES, known

MIXTURES = ("generalized_js", "skew_kl", "skew_reverse_kl")
_LAYER = NONE | text() | sequence_of(text())
_WEIGHT = schedule_or_number(low=0)
# What arguments of one name may take in every loss.
RULES = {
    "name": NONE | printable_name(),
    "teacher_layer_name": _LAYER,
    "student_layer_name": _LAYER,
    "temperature": schedule_or_number(low=0, low_is_allowed=False),
    "from_logits": FLAG | one_of("auto"),
    "projector": NONE | one_of("auto"),
    "standardize": FLAG,
    "weighted": FLAG,
    "scales": sequence_of(count()).named("scale"),
    "complementary_weight": _WEIGHT,
    "exponent": schedule_or_number(low=0, low_is_allowed=False),
    "count": count(),
    "units": count(high=2**20),
    "strength": _WEIGHT,
    "lowest": number(low=0, low_is_allowed=False),
    "span": number(low=0, low_is_allowed=False),
    "growth_steps": count(low=0, high=2**31),
    "pretrained": FLAG,
    "divergence": one_of("kl", "reverse_kl", "js", "cross_entropy", "mse", *MIXTURES),
    "form": one_of("mean", "sum", "aggregate", "distribution"),
    "weighting": one_of("softmax"),
    "mode": one_of("fma", "mip", "mips", "sals"),
    "layers": (one_of("auto") | sequence_of(text())).named("layer"),
    "alpha": _WEIGHT,
    "beta": NONE | _WEIGHT,
    "gamma": _WEIGHT,
    "instance_weight": _WEIGHT,
    "batch_weight": _WEIGHT,
    "class_weight": _WEIGHT,
    "distance_weight": _WEIGHT,
    "angle_weight": _WEIGHT,
    "vertex_weight": _WEIGHT,
    "edge_weight": _WEIGHT,
    "transformation_weight": _WEIGHT,
    "temperatures": sequence_of(number(low=0, low_is_allowed=False)).named("temperature"),
    "correct_prob": schedule_or_number(0, 1),
    "p": number(low=0, low_is_allowed=False),
    "margin": number(low=0),
    "size": count(),
    "relation_heads": NONE | count(),
    "rate": number(0, 100, low_is_allowed=False),
    "mask_ratio": number(0, 1),
    "initial_variance": number(low=0, low_is_allowed=False),
    "reduction": count(),
    "order": count(),
    "samples": NONE | count(low=2, high=2**31),
    "outputs": NONE | count(low=0) | text() | sequence_of(text() | count(low=0)),
    "masked": one_of("positions", "channels"),
    "normalize": FLAG,
    "negatives": count(),
    "momentum": number(0, 1),
    "seed": count(low=0),
}
_KERAS_LOSSES = one_of("mse", "kl_divergence") | instance(keras.losses.Loss)


def _constructor(case):
    def make(place):
        sample = case.make()
        return type(sample), sample.get_config()

    def use(place, loss, arguments):
        teacher, student = case.inputs(dtype="float32")
        if loss.needs_indices and loss.samples is None:
            return
        if loss.own_layers or loss.needs_indices:
            shapes = (_shapes(teacher), _shapes(student))
            loss.prepare(*shapes)
        loss.compute_loss(teacher, student, training=True, **known())
        loss.clone()
        repr(loss)

    return Call(f"losses.{case.name}", make, RULES, use, module="losses")


def _shapes(tensors):
    if isinstance(tensors, list):
        return [tensor.shape for tensor in tensors]
    return tensors.shape


def _is_loss(value):
    if isinstance(value, str):
        return value in ("kd", "dkd")
    return False


def _softened(place):
    return losses.SoftenedLoss, {"loss": "mse", "temperature": 3.0, "name": None}


def _compute(place):
    teacher, student = (np.random.default_rng(i).random((4, 3), "float32") for i in (0, 1))
    arguments = {
        "teacher_outputs": teacher,
        "student_outputs": student,
        "labels": np.array([0, 1, 2, 0]),
        "mask": None,
        "step": 0,
        "training": False,
    }
    return losses.DecoupledKD().compute_loss, arguments


_TEMPERATURE = {
    "lowest": 1.0,
    "span": 20.0,
    "growth_steps": 10,
    "strength": 1.0,
    "name": "learned",
}


class _PlainLayer(keras.layers.Layer):
    def __init__(self, lowest, span, growth_steps, strength, name):
        super().__init__(name=name)


_TENSOR = array(lambda made: made.shape == (4, 3)) | instance(keras.KerasTensor)
_LABELS = array(lambda made: made.shape[:1] == (4,)) | instance(keras.KerasTensor)
_CALLS = [_constructor(case) for case in CASES if case.name != "SoftenedLoss"]
CALLS = [
    *_CALLS,
    Call(
        "losses.SoftenedLoss",
        _softened,
        {**RULES, "loss": _KERAS_LOSSES.of_keras()},
        lambda place, loss, arguments: loss.compute_loss(np.eye(3), np.eye(3)),
        module="losses",
    ),
    Call(
        "losses.Balanced",
        lambda place: (losses.Balanced, {"share": 0.5}),
        {"share": schedule_or_number(low=0)},
        module="losses",
    ),
    Call(
        "losses.CurriculumTemperature",
        lambda place: (losses.CurriculumTemperature, dict(_TEMPERATURE)),
        # Keras looks into the arguments of a layer before its constructor does.
        {
            **{name: RULES[name].of_keras() for name in ("lowest", "span", "growth_steps")},
            "strength": RULES["strength"].of_keras(),
            "name": (NONE | keras_name() | one_of("")).of_keras(),
        },
        lambda place, layer, arguments: losses.SoftTargets(layer).compute_loss(
            np.eye(3), np.eye(3)
        ),
        control=lambda place: (_PlainLayer, dict(_TEMPERATURE)),
        module="losses",
    ),
    Call(
        "losses.GradientAttentionTransfer",
        lambda place: (losses.GradientAttentionTransfer, {"name": "gat"}),
        RULES,
        module="losses",
    ),
    Call(
        "losses.DistillationLoss",
        lambda place: (
            losses.DistillationLoss,
            {"teacher_layer_name": "a", "student_layer_name": "b", "name": "c"},
        ),
        RULES,
        module="losses",
    ),
    Call(
        "losses.DistillationLoss.with_layers",
        lambda place: (
            losses.HintLearning().with_layers,
            {"teacher_layer_name": "a", "student_layer_name": "b"},
        ),
        RULES,
        module="losses",
    ),
    Call(
        "losses.DistillationLoss.compute_loss",
        _compute,
        {
            "teacher_outputs": _TENSOR.of_keras().named("teacher"),
            "student_outputs": _TENSOR.of_keras().named("student"),
            "labels": _LABELS.of_keras().named("label"),
            "mask": NONE | array(lambda made: made.shape == (4,)) | instance(keras.KerasTensor),
            "step": ANYTHING,
            "training": ANYTHING,
        },
        module="losses",
    ),
    Call(
        "losses.FeatureProjector",
        lambda place: (
            losses.FeatureProjector,
            {"target_shape": (None, 4, 4, 3), "normalize": False, "name": "projector"},
        ),
        {
            "target_shape": sequence_of(NONE | count(), least=2),
            "normalize": FLAG,
            "name": (NONE | keras_name() | one_of("")).of_keras(),
        },
        lambda place, layer, arguments: layer(np.zeros((2, 8, 8, 2), "float32")),
        module="losses",
    ),
    Call(
        "losses.get",
        lambda place: (losses.get, {"identifier": "kd", "temperature": 2.0}),
        {**RULES, "identifier": one_of("kd", "dkd", "nkd", "KD").named("loss", "abbreviation")},
        module="losses",
    ),
    Call(
        "losses.serialize",
        lambda place: (losses.serialize, {"loss": losses.SoftTargets()}),
        {"loss": instance(keras.distillation.DistillationLoss)},
        module="losses",
    ),
    Call(
        "losses.deserialize",
        lambda place: (
            losses.deserialize,
            {"config": losses.serialize(losses.SoftTargets()), "custom_objects": None},
        ),
        {
            # Keras reads a dictionary by its known keys, and leaves others to later versions.
            "config": (one_of("kd", "dkd", "nkd") | instance(dict)).named("loss", "abbreviation"),
            "custom_objects": NONE | instance(dict),
        },
        lambda place, loss, arguments: loss.clone(),
        module="losses",
    ),
    Call("losses.catalogue", lambda place: (losses.catalogue, {}), module="losses"),
    Call("recipes.names", lambda place: (recipes.names, {}), module="recipes"),
    Call(
        "recipes.get",
        lambda place: (
            recipes.get,
            {"name": "dkd", "steps_per_epoch": 10, "temperature": 2.0},
        ),
        {
            "name": one_of("dkd", "kd").named("recipe"),
            "steps_per_epoch": NONE | count(),
            "temperature": RULES["temperature"],
        },
        lambda place, recipe, arguments: _use_recipe(place, recipe),
        module="recipes",
    ),
]


def _use_recipe(place, recipe):
    from keras_distill import Distiller

    Distiller(place.teacher(), place.student(), **recipe)
