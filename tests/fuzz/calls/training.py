"""Calls of the Distiller and of the feature extractors."""

import keras

from keras_distill import Distiller, FeatureExtractor, FeatureModel
from keras_distill.losses import FactorTransfer
from tests.fuzz.cases import Call
from tests.fuzz.rules import (
    ANYTHING,
    FLAG,
    NONE,
    count,
    instance,
    keras_name,
    one_of,
    schedule_or_number,
    sequence_of,
    text,
)

_KERAS = ANYTHING.of_keras()
_WEIGHT = schedule_or_number(low=0)
_LOSS = (NONE | instance(keras.losses.Loss) | one_of("mse", "kl_divergence")).of_keras()
_ROUTE = NONE


def _crossentropy():
    return keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def _distiller(place, **arguments):
    made = Distiller(place.teacher(), place.student(), "kd", **arguments)
    made.compile("sgd", _crossentropy(), run_eagerly=True)
    return made


def _construct(place):
    arguments = {
        "teacher": place.teacher(),
        "student": place.student(),
        "distillation_losses": ["kd", "fitnet"],
        "distillation_loss_weights": [1.0, 2.0],
        "student_loss_weight": 0.5,
        "teacher_input": None,
        "student_input": None,
        "sample_index": None,
        "name": "distiller",
        "dtype": "float32",
    }
    return Distiller, arguments


def _train(place, distiller, arguments):
    distiller.compile("sgd", _crossentropy(), run_eagerly=True)
    distiller.fit(place.x[:4], place.y[:4], batch_size=4, verbose=0)
    distiller.describe()


_CONSTRUCTOR = {
    "teacher": NONE,
    "student": NONE,
    "distillation_losses": sequence_of(one_of("kd", "dkd"), least=1).named("distillation loss"),
    "distillation_loss_weights": NONE | sequence_of(_WEIGHT, 2, 2),
    "student_loss_weight": NONE | schedule_or_number(0, 1),
    "teacher_input": _ROUTE,
    "student_input": _ROUTE,
    "sample_index": _ROUTE,
    "name": (NONE | keras_name()).of_keras(),
    "dtype": (NONE | one_of("float32")).of_keras(),
}


def _compile(place):
    arguments = {
        "optimizer": "sgd",
        "loss": _crossentropy(),
        "metrics": ["accuracy"],
        "student_loss_fn": None,
        "distillation_loss_fn": None,
        "validate_with_teacher": True,
        "run_eagerly": True,
        "loss_weights": None,
        "weighted_metrics": None,
        "steps_per_execution": 1,
        "jit_compile": False,
        "auto_scale_loss": True,
    }
    return Distiller(place.teacher(), place.student(), "kd").compile, arguments


def _compile_tutorial(place):
    arguments = {
        "student_loss_fn": _crossentropy(),
        "distillation_loss_fn": keras.losses.KLDivergence(),
        "alpha": 0.1,
        "temperature": 10.0,
        "run_eagerly": True,
    }
    return Distiller(place.teacher(), place.student()).compile, arguments


def _use_compiled(place, result, arguments):
    return None


_COMPILE = {
    "optimizer": _KERAS,
    "loss": _LOSS,
    "metrics": ANYTHING.of_keras(),
    "student_loss_fn": _LOSS,
    "distillation_loss_fn": _LOSS.named("distillation loss"),
    "validate_with_teacher": FLAG,
    "run_eagerly": _KERAS,
    "loss_weights": _KERAS,
    "weighted_metrics": _KERAS,
    "steps_per_execution": _KERAS,
    "jit_compile": _KERAS,
    "auto_scale_loss": _KERAS,
    "alpha": schedule_or_number(0, 1),
    "temperature": schedule_or_number(0, low_is_allowed=False),
}


def _fit(place):
    arguments = {
        "x": place.x[:4],
        "y": place.y[:4],
        "batch_size": 4,
        "epochs": 1,
        "verbose": 0,
        "callbacks": None,
        "validation_split": 0.0,
        "shuffle": True,
        "class_weight": None,
        "sample_weight": None,
        "initial_epoch": 0,
        "steps_per_epoch": None,
        "validation_data": None,
    }
    return _distiller(place).fit, arguments


_FIT_NAMES = (
    "x",
    "y",
    "batch_size",
    "epochs",
    "verbose",
    "callbacks",
    "validation_split",
    "validation_data",
    "shuffle",
    "class_weight",
    "sample_weight",
    "initial_epoch",
    "steps_per_epoch",
    "validation_steps",
    "validation_batch_size",
    "validation_freq",
)
_PATHS = sequence_of(one_of("stage1", "stage2"), least=0)
CALLS = [
    Call("Distiller", _construct, _CONSTRUCTOR, _train, module="distiller"),
    Call("Distiller.compile", _compile, _COMPILE, _use_compiled, module="distiller"),
    Call(
        "Distiller.compile (tutorial)",
        _compile_tutorial,
        _COMPILE,
        leave=("optimizer", "loss", "metrics", "validate_with_teacher"),
        module="distiller",
    ),
    Call(
        "Distiller.fit",
        _fit,
        dict.fromkeys(_FIT_NAMES, _KERAS),
        leave=("validation_steps", "validation_batch_size", "validation_freq"),
        module="distiller",
        seconds=30,
    ),
    Call(
        "Distiller.evaluate",
        lambda place: (
            _distiller(place).evaluate,
            {"x": place.x[:4], "y": place.y[:4], "batch_size": 4, "verbose": 0},
        ),
        dict.fromkeys(
            ("x", "y", "batch_size", "verbose", "sample_weight", "steps", "callbacks"), _KERAS
        ),
        leave=("return_dict",),
        module="distiller",
    ),
    Call(
        "Distiller.prepare",
        lambda place: (_distiller(place).prepare, {"x": place.x[:4]}),
        {"x": _KERAS},
        module="distiller",
    ),
    Call(
        "FeatureExtractor",
        lambda place: (
            FeatureExtractor,
            {"model": place.teacher(), "paths": ["stage1"], "side": "teacher", "folds": False},
        ),
        {
            "paths": _PATHS.named("layer", "path"),
            "side": text(),
            "folds": FLAG,
        },
        lambda place, extract, arguments: extract(place.x[:2]),
        module="features",
    ),
    Call(
        "FeatureModel",
        lambda place: (
            FeatureModel,
            {"model": place.teacher(), "paths": ["stage1"], "name": "features"},
        ),
        {
            "paths": _PATHS.named("layer", "path"),
            "name": (NONE | keras_name()).of_keras(),
        },
        lambda place, model, arguments: model(place.x[:2]),
        module="features",
    ),
    Call(
        "losses.FactorTransfer.pretrain",
        lambda place: (
            _factor_transfer(place)[0].pretrain,
            {
                "teacher": _factor_transfer(place)[1],
                "x": place.x[:4],
                "epochs": 1,
                "batch_size": 4,
                "optimizer": "sgd",
                "verbose": 0,
            },
        ),
        {
            "x": _KERAS,
            "epochs": count().of_keras(),
            "batch_size": (NONE | count()).of_keras(),
            "optimizer": _KERAS,
            "verbose": _KERAS,
        },
        module="losses",
        seconds=40,
    ),
]


def _factor_transfer(place):
    return FactorTransfer("stage1", "stage1", pretrained=True), place.teacher()
