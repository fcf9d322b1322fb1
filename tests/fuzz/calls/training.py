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


def _plain(place):
    model = place.student()
    model.compile("sgd", _crossentropy(), run_eagerly=True)
    return model


def _as_in_keras(make, method):
    """The same call of a plain `keras.Model`."""
    return lambda place: (getattr(_plain(place), method), make(place)[1])


_CONSTRUCTOR = {
    "teacher": NONE,
    "student": NONE,
    "distillation_losses": sequence_of(one_of("kd", "dkd"), least=1).named("distillation loss"),
    "distillation_loss_weights": NONE | sequence_of(_WEIGHT, 2, 2),
    "student_loss_weight": NONE | schedule_or_number(0, 1),
    "teacher_input": _ROUTE,
    "student_input": _ROUTE,
    "sample_index": _ROUTE,
    "label_key": NONE,
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


def _keras_only(arguments):
    own = ("student_loss_fn", "distillation_loss_fn", "validate_with_teacher")
    return {name: value for name, value in arguments.items() if name not in own}


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
    # None stands for an argument that isn't given, as the signature has it.
    "alpha": NONE | schedule_or_number(0, 1),
    "temperature": NONE | schedule_or_number(0, low_is_allowed=False),
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


def _evaluate(place):
    given = {"x": place.x[:4], "y": place.y[:4], "batch_size": 4, "verbose": 0}
    return _distiller(place).evaluate, given


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


def _pretrain(place):
    arguments = {
        "teacher": place.teacher(),
        "x": place.x[:4],
        "epochs": 1,
        "batch_size": 4,
        "optimizer": "sgd",
        "verbose": 0,
    }
    loss = FactorTransfer("stage1", "stage1", pretrained=True)
    distiller = Distiller(place.teacher(), place.student(), loss)
    return distiller.distillation_losses[0].pretrain, arguments


def _pretrain_alone(place):
    """The same training of a plain `keras.Model`."""

    def fit(teacher, x, epochs, batch_size, optimizer, verbose):
        model = place.student()
        model.compile(optimizer, "mse")
        model.fit(x, place.y[:4], epochs=epochs, batch_size=batch_size, verbose=verbose)

    return fit, _pretrain(place)[1]


_PATHS = sequence_of(one_of("stage1", "stage2"), least=0)
CALLS = [
    Call("Distiller", _construct, _CONSTRUCTOR, _train, module="distiller"),
    Call(
        "Distiller.compile",
        _compile,
        _COMPILE,
        control=lambda place: (_plain(place).compile, _keras_only(_compile(place)[1])),
        module="distiller",
    ),
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
        control=_as_in_keras(_fit, "fit"),
        without=(("epochs", "huge_int"), ("epochs", "inf")),
        leave=("validation_steps", "validation_batch_size", "validation_freq"),
        module="distiller",
        seconds=30,
    ),
    Call(
        "Distiller.evaluate",
        _evaluate,
        dict.fromkeys(
            ("x", "y", "batch_size", "verbose", "sample_weight", "steps", "callbacks"), _KERAS
        ),
        control=_as_in_keras(_evaluate, "evaluate"),
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
        "Distiller.diagnose",
        lambda place: (
            _distiller(place).diagnose,
            {"data": (place.x[:4], place.y[:4]), "batches": 1},
        ),
        {"data": _KERAS, "batches": count()},
        module="distiller",
    ),
    Call(
        "FeatureExtractor",
        lambda place: (
            FeatureExtractor,
            {"model": place.teacher(), "paths": ["stage1"], "branch": "teacher", "folds": False},
        ),
        {
            "paths": _PATHS.named("layer", "path"),
            "branch": text(),
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
            "trainable": FLAG,
            "dtype": _KERAS,
        },
        lambda place, model, arguments: model(place.x[:2]),
        module="features",
    ),
    Call(
        "losses.FactorTransfer.pretrain",
        _pretrain,
        {
            "x": _KERAS,
            "epochs": count(high=7),
            "batch_size": count(high=2**31),
            "optimizer": _KERAS,
            "verbose": _KERAS,
        },
        control=_pretrain_alone,
        without=(("epochs", "huge_int"),),
        module="losses",
        seconds=40,
    ),
]
