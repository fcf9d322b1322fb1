"""Calls of the schemes."""

import functools

import keras
import numpy as np

from keras_distill.schemes import (
    AdversariallyRobust,
    BeYourOwnTeacher,
    BornAgain,
    DataFreeDistiller,
    DomainDistiller,
    LearningWithoutForgetting,
    MovingAverageTeacher,
    MutualDistiller,
    OnlineEnsemble,
    ProgressiveSelf,
    TeacherEnsemble,
    catalogue,
    distill_chain,
    pgd,
    robust_accuracy,
    sequence_targets,
    synthesize,
)
from tests.fuzz.cases import Call
from tests.fuzz.place import cnn
from tests.fuzz.rules import (
    ANYTHING,
    FLAG,
    NONE,
    PATH,
    Rule,
    array,
    count,
    instance,
    keras_name,
    number,
    one_of,
    schedule_or_number,
    sequence_of,
)

_KERAS = ANYTHING.of_keras()
_SHARES = sequence_of(number(low=0), 2, 2)


def _ensemble(place):
    arguments = {
        "teachers": [cnn(4, "a"), cnn(4, "b")],
        "weights": "uniform",
        "temperature": 4.0,
        "name": "ensemble",
    }
    return TeacherEnsemble, arguments


def _crossentropy():
    return keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def _chain(place):
    arguments = {
        "teacher": place.teacher(),
        "students": [place.student()],
        "data": (place.x[:4], place.y[:4]),
        "distillation_losses": "kd",
        "distillation_loss_weights": None,
        "student_loss_weight": 0.5,
        "optimizer": "sgd",
        "loss": _crossentropy(),
        "metrics": None,
        "epochs": 1,
        "batch_size": 4,
        "validation_data": None,
        "callbacks": None,
        "directory": None,
        "verbose": 0,
        "run_eagerly": True,
    }
    return distill_chain, arguments


def _born_again(place):
    arguments = {
        "student": place.student(),
        "generations": 1,
        "distillation_losses": "kd",
        "distillation_loss_weights": None,
        "student_loss_weight": None,
    }
    return BornAgain, arguments


def _mutual(place):
    arguments = {
        "students": [cnn(2, "a"), cnn(3, "b")],
        "distillation_losses": "kd",
        "distillation_loss_weights": None,
        "student_loss_weight": None,
        "sample_index": None,
        "label_key": None,
        "name": "mutual",
    }
    return MutualDistiller, arguments


def _online(place):
    _, arguments = _mutual(place)
    return OnlineEnsemble, {**arguments, "weights": "uniform", "temperature": 4.0}


def _own_teacher(place):
    arguments = {
        "model": cnn(2),
        "exits": ["stage1"],
        "distillation_losses": "kd",
        "distillation_loss_weights": None,
        "student_loss_weight": 0.7,
        "sample_index": None,
        "label_key": None,
        "name": "own",
    }
    return BeYourOwnTeacher, arguments


def _progressive(place):
    arguments = {
        "student": place.student(),
        "epochs": 2,
        "alpha": 0.5,
        "distillation_losses": "kd",
        "distillation_loss_weights": None,
        "student_input": None,
        "sample_index": None,
        "label_key": None,
        "name": "progressive",
    }
    return ProgressiveSelf, arguments


def _average(place):
    _, arguments = _progressive(place)
    own = {"decay": 0.9, "student_loss_weight": None}
    return MovingAverageTeacher, {
        name: value for name, value in (arguments | own).items() if name not in ("epochs", "alpha")
    }


def _new_classes(place):
    _, arguments = _average(place)
    del arguments["decay"], arguments["student"]
    own = {"model": place.teacher(), "new_classes": 2}
    return LearningWithoutForgetting, {**arguments, **own}


def _attack(place):
    return {"epsilon": 0.1, "step_size": 0.1, "steps": 1, "random_start": True, "bounds": (0, 1)}


def _robust(place):
    arguments = {
        "teacher": place.teacher(),
        "student": place.student(),
        "distillation_losses": "kd",
        "distillation_loss_weights": None,
        "student_loss_weight": 0.5,
        **_attack(place),
        "objective": "labels",
        "seed": 0,
        "teacher_input": None,
        "label_key": None,
        "name": "robust",
    }
    return AdversariallyRobust, arguments


def _attacked(function):
    def call(place):
        data = {"model": place.student(), "x": place.x[:4], "y": place.y[:4]}
        return function, {**data, **_attack(place), "seed": 0, "batch_size": 4}

    return call


def _domain(place):
    _, arguments = _average(place)
    del arguments["decay"]
    own = {
        "teacher": place.teacher(),
        "confidence_threshold": 0.1,
        "alignment": "stage1",
        "alignment_weight": 0.5,
        "teacher_input": None,
    }
    return DomainDistiller, {**arguments, **own}


def _synthesis(place):
    layers = keras.layers
    image = [keras.Input((8, 8, 1)), layers.BatchNormalization()]
    arguments = {
        "teacher": keras.Sequential([*image, layers.Flatten(), layers.Dense(3)]),
        "labels": place.y[:4],
        "steps": 1,
        "learning_rate": 0.1,
        "statistics_weight": 1.0,
        "smoothness_weight": 0.1,
        "jitter": 1,
        "bounds": (0, 1),
        "seed": 0,
        "batch_size": 4,
    }
    return synthesize, arguments


def _generator():
    return keras.Sequential(
        [keras.Input((2,)), keras.layers.Dense(64), keras.layers.Reshape((8, 8, 1))]
    )


def _data_free(place):
    arguments = {
        "teacher": place.teacher(),
        "student": place.student(),
        "generator": _generator(),
        "distillation_losses": "kd",
        "distillation_loss_weights": None,
        "one_hot_weight": 1.0,
        "entropy_weight": 5.0,
        "activation_weight": 0.1,
        "features": "stage1",
        "bounds": (0.0, 1.0),
        "seed": 0,
        "name": "data_free",
    }
    return DataFreeDistiller, arguments


def _data_free_compiled(place):
    make, arguments = _data_free(place)
    distiller = make(**arguments)
    distiller.compile("sgd", run_eagerly=True)
    return distiller


def _data_free_fit(place):
    arguments = {
        "steps_per_epoch": 1,
        "epochs": 1,
        "batch_size": 4,
        "verbose": 0,
        "callbacks": None,
        "initial_epoch": 0,
    }
    return _data_free_compiled(place).fit, arguments


def _plain_fit(place):
    model = place.student()
    model.compile("sgd", _crossentropy(), run_eagerly=True)
    _, arguments = _data_free_fit(place)
    return functools.partial(model.fit, place.x[:4], place.y[:4]), arguments


def _generate(place):
    return _data_free_compiled(place).generate, {"count": 2, "seed": 0}


def _sequences(place):
    layers = keras.layers
    source, target = (keras.Input((size,), dtype="int32") for size in (4, 3))
    state = layers.Flatten()(layers.Embedding(5, 2)(source))
    hidden = layers.Embedding(5, 8)(target) + layers.Reshape((1, 8))(state)
    arguments = {
        "teacher": keras.Model([source, target], layers.Dense(5)(hidden)),
        "inputs": np.ones((2, 4), "int32"),
        "max_length": 2,
        "end_token": 2,
        "start_token": 1,
        "pad_token": 0,
        "beams": 2,
        "length_penalty": 0.5,
        "return_scores": True,
        "batch_size": 2,
    }
    return sequence_targets, arguments


def _exit_model(place):
    return _own_teacher(place)[0](cnn(2), ["stage1"]).exit_model, {"index": 0}


def _fit_peers(place, peers, arguments):
    peers.compile("sgd", _crossentropy(), run_eagerly=True)
    peers.fit(place.x[:4], place.y[:4], batch_size=4, verbose=0)
    peers.describe()


def _fit_without_data(place, distiller, arguments):
    distiller.compile("sgd", run_eagerly=True)
    distiller.fit(steps_per_epoch=1, batch_size=4, verbose=0)
    distiller.describe()


def _fit_domains(place, distiller, arguments):
    distiller.compile("sgd", _crossentropy(), run_eagerly=True)
    distiller.fit(((place.x[:4], place.y[:4]), place.x[4:8]), batch_size=4, verbose=0)
    distiller.describe()


def _fit_generations(place, family, arguments):
    family.compile("sgd", _crossentropy(), run_eagerly=True)
    family.fit(place.x[:4], place.y[:4], batch_size=4, verbose=0)


_LABELS_LOSS = NONE | instance(keras.losses.Loss) | one_of("mse", "kl_divergence")
_LOSSES = sequence_of(one_of("kd", "dkd")).named("distillation loss")
_OF_EDGES = {
    "distillation_losses": NONE | _LOSSES,
    "distillation_loss_weights": NONE | schedule_or_number(low=0),
}
_LOSS_WEIGHT = NONE | schedule_or_number(0, 1)
_OF_MIXTURES = {
    "weights": one_of("uniform", "entropy", "confidence") | _SHARES,
    "temperature": NONE | number(low=0, low_is_allowed=False),
}
_OF_PEERS = {
    "student_loss_weight": _LOSS_WEIGHT,
    "sample_index": NONE,
    "label_key": NONE,
    "name": (NONE | keras_name()).of_keras(),
}


def _is_classes(value):
    return value.dtype.kind in "iu" and value.ndim == 1 and {*value.tolist()} <= {0, 1, 2}


_OF_ATTACKS = {
    "epsilon": number(low=0),
    "step_size": NONE | number(low=0, low_is_allowed=False),
    "steps": count(high=9),
    "random_start": FLAG,
    "bounds": NONE | sequence_of(number(), 2, 2),
    "seed": count(low=0, high=2**31 - 2),
}
CALLS = [
    Call(
        "schemes.distill_chain",
        _chain,
        {
            "teacher": NONE,
            "data": _KERAS,
            "distillation_losses": _LOSSES,
            "distillation_loss_weights": NONE | schedule_or_number(low=0),
            "student_loss_weight": _LOSS_WEIGHT,
            "optimizer": _KERAS,
            "loss": (
                NONE | instance(keras.losses.Loss) | one_of("mse", "kl_divergence")
            ).of_keras(),
            "metrics": _KERAS,
            "epochs": count(high=7),
            "batch_size": NONE | count(high=2**31),
            "validation_data": _KERAS,
            "callbacks": NONE,
            "directory": NONE | PATH,
            "verbose": FLAG | count(low=0, high=2),
            "run_eagerly": _KERAS,
        },
        without=(("epochs", "huge_int"),),
        module="schemes",
        seconds=40,
    ),
    Call(
        "schemes.BornAgain",
        _born_again,
        {
            "generations": count(high=7),
            **_OF_EDGES,
            "student_loss_weight": _LOSS_WEIGHT,
        },
        _fit_generations,
        module="schemes",
        seconds=40,
    ),
    Call(
        "schemes.MutualDistiller",
        _mutual,
        {
            **_OF_EDGES,
            **_OF_PEERS,
        },
        _fit_peers,
        module="schemes",
    ),
    Call(
        "schemes.OnlineEnsemble",
        _online,
        {
            **_OF_EDGES,
            **_OF_MIXTURES,
            **_OF_PEERS,
        },
        _fit_peers,
        module="schemes",
    ),
    Call(
        "schemes.BeYourOwnTeacher",
        _own_teacher,
        {
            "exits": NONE | sequence_of(one_of("stage1")),
            **_OF_EDGES,
            **_OF_PEERS,
        },
        _fit_peers,
        module="schemes",
    ),
    Call(
        "schemes.BeYourOwnTeacher.exit_model",
        _exit_model,
        {"index": count(low=0, high=0)},
        module="schemes",
    ),
    Call(
        "schemes.ProgressiveSelf",
        _progressive,
        {
            "epochs": count(),
            "alpha": number(0, 1),
            "student_input": NONE,
            **_OF_EDGES,
            **_OF_PEERS,
        },
        _fit_peers,
        module="schemes",
    ),
    Call(
        "schemes.MovingAverageTeacher",
        _average,
        {
            "decay": Rule(lambda value: number(0, 1).accepts(value) and value < 1),
            "student_input": NONE,
            **_OF_EDGES,
            **_OF_PEERS,
        },
        _fit_peers,
        module="schemes",
    ),
    Call(
        "schemes.DomainDistiller",
        _domain,
        {
            "confidence_threshold": number(0, 1),
            "alignment": one_of("stage1"),
            "alignment_weight": NONE | schedule_or_number(low=0),
            "teacher_input": NONE,
            "student_input": NONE,
            **_OF_EDGES,
            **_OF_PEERS,
        },
        _fit_domains,
        module="schemes",
    ),
    Call(
        "schemes.LearningWithoutForgetting",
        _new_classes,
        {
            "new_classes": count(high=10**6),
            "student_input": NONE,
            "distillation_losses": NONE | sequence_of(one_of("kd")).named("distillation loss"),
            "distillation_loss_weights": NONE | schedule_or_number(low=0),
            **_OF_PEERS,
        },
        _fit_peers,
        module="schemes",
    ),
    Call(
        "schemes.TeacherEnsemble",
        _ensemble,
        {
            **_OF_MIXTURES,
            "name": keras_name().of_keras(),
        },
        lambda place, ensemble, arguments: ensemble(place.x[:2]),
        module="schemes",
    ),
    Call(
        "schemes.AdversariallyRobust",
        _robust,
        {
            **_OF_EDGES,
            **_OF_PEERS,
            **_OF_ATTACKS,
            # What a batch holds is only known in a step, where TensorFlow checks it.
            "bounds": _OF_ATTACKS["bounds"].of_keras(),
            "objective": one_of("labels", "teacher"),
            "teacher_input": NONE,
        },
        _fit_peers,
        without=(("steps", "huge_int"),),
        module="schemes",
    ),
    *(
        Call(
            f"schemes.{function.__name__}",
            _attacked(function),
            {
                "x": array(lambda value: value.shape[1:] == (8, 8, 1)),
                "y": array(lambda value: value.shape == (4,)),
                **_OF_ATTACKS,
                "batch_size": count(),
            },
            without=(("steps", "huge_int"),),
            module="schemes",
        )
        for function in (pgd, robust_accuracy)
    ),
    Call(
        "schemes.synthesize",
        _synthesis,
        {
            "labels": array(_is_classes),
            "steps": count(),
            "learning_rate": number(low=0, low_is_allowed=False),
            "statistics_weight": number(low=0),
            "smoothness_weight": number(low=0),
            "jitter": count(low=0, high=7),
            "bounds": _OF_ATTACKS["bounds"],
            "seed": _OF_ATTACKS["seed"],
            "batch_size": count(),
        },
        without=(("steps", "huge_int"),),
        module="schemes",
    ),
    Call(
        "schemes.DataFreeDistiller",
        _data_free,
        {
            "generator": NONE,
            **_OF_EDGES,
            "one_hot_weight": number(low=0),
            "entropy_weight": number(low=0),
            "activation_weight": number(low=0),
            "features": one_of("auto", "stage1"),
            # Another range than the default is for the default generator.
            "bounds": Rule(lambda value: isinstance(value, (list, tuple)) and [*value] == [0, 1]),
            "seed": _OF_ATTACKS["seed"],
            "name": _OF_PEERS["name"],
        },
        _fit_without_data,
        module="schemes",
    ),
    Call(
        "schemes.DataFreeDistiller.fit",
        _data_free_fit,
        {
            "steps_per_epoch": count(),
            "epochs": count(),
            "batch_size": count(),
            "verbose": _KERAS,
            "callbacks": _KERAS,
            "initial_epoch": _KERAS,
        },
        control=_plain_fit,
        without=tuple((name, "huge_int") for name in ("steps_per_epoch", "epochs", "batch_size")),
        module="schemes",
    ),
    Call(
        "schemes.DataFreeDistiller.generate",
        _generate,
        {"count": count(), "seed": _OF_ATTACKS["seed"]},
        without=(("count", "huge_int"),),
        module="schemes",
    ),
    Call(
        "schemes.sequence_targets",
        _sequences,
        {
            # Keras drops an axis of size 1.
            "inputs": array(lambda value: value.shape[1:] in ((4,), (4, 1))),
            "max_length": count(high=3),
            "end_token": count(low=0, high=4),
            "start_token": count(low=0, high=4),
            "pad_token": count(low=0, high=4),
            "beams": count(),
            "length_penalty": number(0, 10),
            "return_scores": FLAG,
            "batch_size": count(),
        },
        without=(("beams", "huge_int"),),
        module="schemes",
    ),
    Call("schemes.catalogue", lambda place: (catalogue, {}), module="schemes"),
]
