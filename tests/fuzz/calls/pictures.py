"""Calls of the plots of several models' predictions and features."""

import keras
import numpy as np

from keras_distill import architectures, visualization
from tests.fuzz.calls.data import _PATH, _is_class_names
from tests.fuzz.cases import Call
from tests.fuzz.rules import (
    FLAG,
    FUNCTION,
    NONE,
    PATH,
    Rule,
    array,
    count,
    instance,
    one_of,
    sequence_of,
    text,
)

_LABELS = np.array([0, 1, 1, 0])
_PROBABILITIES = np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4], [0.7, 0.3]])


_KEYS = sequence_of(one_of("loss", "kd", "val_kd"))
_PATHS = sequence_of(Rule(lambda value: isinstance(value, str)), least=0)


def _has_the_samples(made):
    return made.shape in ((4,), (4, 2)) and np.isfinite(made).all() and made.min() >= 0


def _are_probabilities(made):
    return made.shape == (4, 2) and np.isfinite(made).all()


_CLASSES = array(_has_the_samples)
# Their keys are the models' names, as the user likes them.
_MODELS = Rule(lambda value: isinstance(value, dict) and len(value) >= 2)
_ANY_MODELS = Rule(lambda value: isinstance(value, dict) and len(value) >= 1)
_NAMES = NONE | Rule(_is_class_names)


def _two(place, name):
    answers = {"first": _PROBABILITIES, "second": _PROBABILITIES[::-1]}
    return {"labels": _LABELS, "predictions": answers, "path": place.folder / name}


def _calibration(place):
    arguments = {**_two(place, "calibration.png"), "bins": 5, "from_logits": False}
    return visualization.plot_calibration, arguments


def _error(place):
    arguments = {
        "labels": _LABELS,
        "predictions": _PROBABILITIES,
        "bins": 5,
        "from_logits": False,
    }
    return visualization.calibration_error, arguments


def _class_gains(place):
    return visualization.plot_class_gains, {
        **_two(place, "class_gains.png"),
        "class_names": ["no", "yes"],
    }


def _embeddings(place):
    arguments = {
        "features": {"teacher": np.random.rand(4, 3)},
        "labels": _LABELS,
        "method": "pca",
        "class_names": ["no", "yes"],
        "path": place.folder / "embeddings.png",
    }
    return visualization.plot_embeddings, arguments


def _maps(place):
    arguments = {
        "model": architectures.digits_student((8, 8, 1), 3),
        "images": place.x[:2],
        "classes": np.array([0, 2]),
    }
    return visualization.attention_maps, arguments


def _sequences(place):
    arguments = {
        "sequences": np.array([[3, 1, 2], [0, 0, 4]]),
        "maps": {"teacher": np.random.rand(2, 3)},
        "predictions": None,
        "labels": np.array([0, 1]),
        "class_names": ["a", "b", "c"],
        "path": place.folder / "sequences.png",
    }
    return visualization.plot_sequence_attention, arguments


def _report(place):
    arguments = {
        "path": place.folder / "report.html",
        "validation_data": (place.x[:3], np.array([0, 1, 2])),
        "alone": None,
        "teacher": None,
        "class_names": ["a", "b", "c"],
        "layer": None,
        "images": 2,
        "every": 1,
        "title": "Distillation",
    }
    return visualization.DistillationReport, arguments


def _summaries(place):
    arguments = {
        "log_dir": place.folder / "logs",
        "images": place.x[:2],
        "student_layers": ["stage1_out"],
        "teacher_layers": [],
        "every": 1,
    }
    return visualization.AttentionSummaries, arguments


def _losses(place):
    arguments = {
        "history": {"loss": [0.5, 0.4], "kd": [0.3, 0.2], "val_kd": [0.3, 0.25]},
        "names": ["loss", "kd"],
        "path": place.folder / "losses.png",
    }
    return visualization.plot_losses, arguments


def _draw(place, figure, arguments):
    visualization.png(figure)


CALLS = [
    Call(
        "visualization.attention_maps",
        _maps,
        {
            "images": array(lambda made: made.shape[1:] == (8, 8, 1) and np.isfinite(made).all()),
            "layer": NONE,
            "head": NONE,
            "query": one_of("mean"),
            "classes": array(lambda made: made.ndim < 3),
            # This layer's maps have their places.
            "grid": NONE,
            "special_tokens": NONE,
        },
        module="visualization",
    ),
    Call(
        "visualization.plot_sequence_attention",
        _sequences,
        {
            "sequences": array(lambda made: made.shape[:1] == (2,) and np.isfinite(made).all()),
            "maps": _ANY_MODELS,
            "predictions": NONE | Rule(lambda value: value == {}),
            "labels": NONE | array(lambda made: made.shape[:1] == (2,) and made.ndim in (1, 2)),
            "class_names": _NAMES,
            "path": _PATH,
        },
        _draw,
        module="visualization",
    ),
    Call(
        "visualization.AttentionSummaries",
        _summaries,
        {
            "log_dir": PATH,
            "images": array(lambda made: made.ndim in (3, 4) and np.isfinite(made).all()),
            # They are looked up in the models that are trained.
            "student_layers": NONE | _PATHS,
            "teacher_layers": NONE | _PATHS,
            "every": count(),
        },
        module="visualization",
    ),
    Call(
        "visualization.DistillationReport",
        _report,
        {
            "path": _PATH,
            "alone": NONE | instance(keras.Model),
            "teacher": NONE | FUNCTION,
            "class_names": NONE | Rule(_is_class_names),
            # It is looked up in the models that are trained.
            "layer": NONE | text(),
            "images": count(low=0, high=100),
            "every": count(),
            "title": text(),
        },
        module="visualization",
    ),
    Call(
        "visualization.plot_losses",
        _losses,
        {
            "history": Rule(lambda value: isinstance(value, dict)),
            "names": NONE | _KEYS,
            "path": _PATH,
        },
        _draw,
        module="visualization",
    ),
    Call(
        "visualization.calibration_error",
        _error,
        {
            "labels": _CLASSES,
            "predictions": array(_are_probabilities),
            "bins": count(high=1000),
            "from_logits": FLAG,
        },
        module="visualization",
    ),
    Call(
        "visualization.plot_calibration",
        _calibration,
        {
            "labels": _CLASSES,
            "predictions": _ANY_MODELS,
            "bins": count(high=1000),
            "from_logits": FLAG,
            "path": _PATH,
        },
        _draw,
        module="visualization",
    ),
    Call(
        "visualization.plot_agreement",
        lambda place: (visualization.plot_agreement, _two(place, "agreement.png")),
        {"labels": _CLASSES, "predictions": _MODELS, "path": _PATH},
        _draw,
        module="visualization",
    ),
    Call(
        "visualization.plot_class_gains",
        _class_gains,
        {"labels": _CLASSES, "predictions": _MODELS, "class_names": _NAMES, "path": _PATH},
        _draw,
        module="visualization",
    ),
    Call(
        "visualization.plot_embeddings",
        _embeddings,
        {
            "features": _ANY_MODELS,
            "labels": _CLASSES,
            "method": one_of("pca", "tsne"),
            "class_names": _NAMES,
            "path": _PATH,
        },
        _draw,
        module="visualization",
    ),
]
